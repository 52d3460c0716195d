"""Segmenters, devices and the engine."""
