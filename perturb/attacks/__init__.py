"""Attacks as they are recorded, one file each."""
