"""Severity levels: presets, calibration, similarity, contact sheets."""
