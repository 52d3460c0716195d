"""Perturbations of CT images."""
