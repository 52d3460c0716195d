"""Measurements: mask metrics, paired statistics, verdicts."""
