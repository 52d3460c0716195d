"""Data sets: folders, manifests, splits, checks."""
