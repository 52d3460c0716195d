"""Analyses of a results table."""
