"""Perturbations of the image."""
