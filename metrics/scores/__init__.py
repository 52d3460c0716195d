"""Metrics of one prediction, one file each."""
