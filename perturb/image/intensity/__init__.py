"""Intensity perturbations of images from any device."""
