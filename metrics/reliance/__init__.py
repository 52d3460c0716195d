"""Prompt reliance: rates, directional tests, attribution."""
