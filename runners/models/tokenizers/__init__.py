"""Tokenizers and their reports."""
