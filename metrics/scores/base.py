"""Base class of the mask metrics: metadata that reports need, and one hole to fill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from robustness.errors import InputError, one_line
from robustness.metrics.scores.empty import Kind, value_when_empty
from robustness.metrics.scores.pair import MaskPair

if TYPE_CHECKING:
    from robustness.entries import MetricEntry


# Ratios of float32 maps round past 1.
_ROUNDING = 1e-6


def checked_value(name: str, metric: type[MetricEntry], *arguments: Any) -> float | bool:
    """Return what a metric is of its arguments, NaN where it is undefined.

    Margins and certificates rest on the bounds that a metric states, so that a value beyond them is never recorded.

    Raises:
        InputError: no number, or one beyond the metric's bounds; or a metric of a plugin raises an error.
    """
    own = metric.__module__.startswith("robustness.")
    value = metric()(*arguments) if own else _of_plugin(name, metric, arguments)
    high = math.inf if metric.high is None else metric.high
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"metric {name!r} ({_place(metric)}): expected a number, got {value!r}") from None
    if math.isnan(number) or (metric.low - _ROUNDING <= number <= high + _ROUNDING and not math.isinf(number)):
        return value
    raise InputError(
        f"metric {name!r} ({_place(metric)}): expected a finite value from {metric.low:g} to {high:g}, which it states "
        f"as its bounds, got {number:g}; mend compute() or the bounds low and high"
    )


def _of_plugin(name: str, metric: type[MetricEntry], arguments: Sequence[Any]) -> Any:
    from robustness.foreign_code import foreign_code

    try:
        with foreign_code():
            return metric()(*arguments)
    except InputError:
        raise
    except Exception as error:
        problem = f"{type(error).__name__}: {one_line(error, most=200)}"
        raise InputError(f"metric {name!r} ({_place(metric)}) raised {problem}; mend it, or leave it out") from error


def _place(metric: type[Any]) -> str:
    return f"{metric.__module__}.{metric.__qualname__}"


class MaskMetric:
    """Base of the entries of `METRICS` that are computed from a prediction and its reference.

    The base applies the empty-mask policy (`robustness.metrics.scores.empty`); an entry computes the ordinary case.

    Attributes:
        definition: what is computed, in one line.
        higher_is_better: None where the metric has no direction.
        units: "" (a ratio), "mm" (pixels where the spacing is unknown), "fraction of the image", ...
        low: smallest possible value.
        high: largest possible value; None where there is no common bound.
        needs: "masks" (prediction and reference), "clean" (two predictions), "probability" (a map and a reference).
        empty: which row of the empty-mask policy applies; None: the metric is defined for empty masks.
    """

    definition: ClassVar[str]
    higher_is_better: ClassVar[bool | None] = True
    units: ClassVar[str] = ""
    low: ClassVar[float] = 0.0
    high: ClassVar[float | None] = 1.0
    needs: ClassVar[str] = "masks"
    empty: ClassVar[Kind | None] = "overlap"

    def compute(self, pair: MaskPair) -> float:
        """Return the metric of a pair; neither mask is empty unless `empty` is None."""
        raise NotImplementedError

    def __call__(self, pair: MaskPair) -> float:
        """Return the metric of a pair, the empty-mask policy applied."""
        decided = None if self.empty is None else value_when_empty(pair.flags, self.empty, pair.diagonal)
        return self.compute(pair) if decided is None else decided


class DistanceMetric(MaskMetric):
    """Base of metrics that are distances between edges."""

    higher_is_better = False
    units = "mm"
    high = None
    empty = "distance"


class ShapeMetric(MaskMetric):
    """Base of metrics that describe the prediction alone; they have no direction."""

    higher_is_better = None
    empty = None
