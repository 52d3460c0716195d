"""Perturbations of radiographs."""
