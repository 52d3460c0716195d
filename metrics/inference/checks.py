"""Checks of what a statistical function is given."""

from __future__ import annotations

from robustness.errors import InputError


def check_alpha(alpha: float, resamples: int) -> None:
    """Raise InputError unless 0 < alpha < 0.5 and there is at least one resample."""
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha: expected a number between 0 and 0.5, got {alpha!r}")
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, got {resamples!r}")
