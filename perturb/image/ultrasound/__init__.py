"""Perturbations of ultrasound images."""
