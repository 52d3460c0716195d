"""Direction of a metric: which way is worse."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, UnknownNameError
from robustness.metrics.pairing.pairs import Orientation
from robustness.metrics.pairing.rows import ROUNDING, metric_ends
from robustness.registry import METRICS

CHANGE = "mask_change"


def orientation_of(metric: str, higher_is_better: Mapping[str, bool | None] | None = None) -> Orientation:
    """Return how an effect on `metric` is formed, so that positive means worse.

    Args:
        metric: a name in `METRICS`, or any column whose direction is given.
        higher_is_better: directions of columns that are not registered; None as a value: no direction.

    Raises:
        InputError: the metric is not registered and no direction is given.
    """
    if metric == CHANGE:
        return "itself"
    if higher_is_better is not None and metric in higher_is_better:
        better = higher_is_better[metric]
        _refuse_other_direction(metric, better)
    else:
        try:
            better = METRICS.get(metric).higher_is_better
        except UnknownNameError as error:
            raise InputError(f"{error}; for a column of your own pass higher_is_better={{{metric!r}: True}}") from None
    return "clean - perturbed" if better else "perturbed - clean"


def _refuse_other_direction(metric: str, better: bool | None) -> None:
    """Raise InputError where a direction contradicts that of a registered metric: losses would count as gains."""
    try:
        registered = METRICS.get(metric).higher_is_better
    except UnknownNameError:
        return
    if better is not registered:
        raise InputError(
            f"higher_is_better: expected {registered!r} for {metric!r}, as it is registered, got {better!r}; leave it"
            " out, or give a column of your own another name"
        )


def require_higher_is_better(metric: str) -> None:
    """Refuse a metric of which less is better.

    Raises:
        InputError: it is one, it has no direction, or it is not registered.
    """
    if orientation_of(metric) != "clean - perturbed":
        raise InputError(f"metric: expected one of which more is better, got {metric!r}; use dice or iou")


def effect_range(metric: str, *values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of a subject's effect: 0 and 1 for the mask change, -1 and 1 for ratios; else infinite.

    `values`: what was scored; where some lie beyond the metric's ends (percentages), the ends say nothing of them.
    """
    low, high = metric_ends(metric)
    if any(((one < low - ROUNDING) | (one > high + ROUNDING)).any() for one in values):
        return -math.inf, math.inf
    return (low, high) if metric == CHANGE else (low - high, high - low)
