"""Counting and timing of an audit before it runs."""
