"""Perturbations that move pixels, and the mask and words with them."""
