"""Perturbations: of prompts (attributes, lexicon, swaps) and of images (domain shifts)."""
