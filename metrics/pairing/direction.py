"""Direction of a metric: which way is worse."""

from __future__ import annotations

import math
from collections.abc import Mapping

from robustness.errors import InputError, UnknownNameError
from robustness.metrics.pairing.pairs import Orientation
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
    else:
        try:
            better = METRICS.get(metric).higher_is_better
        except UnknownNameError as error:
            raise InputError(f"{error}; for a column of your own pass higher_is_better={{{metric!r}: True}}") from None
    return "clean - perturbed" if better else "perturbed - clean"


def require_higher_is_better(metric: str) -> None:
    """Refuse a metric of which less is better.

    Raises:
        InputError: it is one, it has no direction, or it is not registered.
    """
    if orientation_of(metric) != "clean - perturbed":
        raise InputError(f"metric: expected one of which more is better, got {metric!r}; use dice or iou")


def effect_range(metric: str) -> tuple[float, float]:
    """Return the ends of a subject's effect: 0 and 1 for the mask change, -1 and 1 for ratios, else infinite."""
    if metric == CHANGE:
        return 0.0, 1.0
    try:
        ratio = METRICS.get(metric).high == 1.0
    except UnknownNameError:
        ratio = False
    return (-1.0, 1.0) if ratio else (-math.inf, math.inf)
