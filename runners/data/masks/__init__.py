"""Mask files of every common kind to boolean arrays, each with the decision that made them so."""
