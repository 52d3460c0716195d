"""Samples of a training: cases at network size, and what is drawn for each of them."""
