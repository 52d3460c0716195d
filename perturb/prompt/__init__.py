"""Perturbations of the prompt, one file each."""
