"""Criteria of gates, one file each."""
