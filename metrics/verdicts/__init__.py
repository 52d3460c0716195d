"""Verdicts: evidence, rules, sentences."""
