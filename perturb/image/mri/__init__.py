"""Perturbations of MRI images."""
