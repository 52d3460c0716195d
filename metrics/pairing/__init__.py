"""Paired values per subject from a results table."""
