"""Figures, one file each: rows, caption, drawing."""
