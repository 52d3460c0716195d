"""A finished run as tables."""
