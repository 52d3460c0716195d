"""CRIS."""
