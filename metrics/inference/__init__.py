"""Intervals, tests, bounds and power: arrays in, numbers out."""
