"""Workflows of a user, one file for each."""
