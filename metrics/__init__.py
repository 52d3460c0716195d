"""The room of metrics and statistics. Its public names are what authors of entries need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robustness.lazy import load

if TYPE_CHECKING:
    from robustness.metrics.scores.base import (
        DistanceMetric,
        MaskMetric,
        ShapeMetric,
    )
    from robustness.metrics.scores.pair import MaskPair

_MODULES = {
    "DistanceMetric": "robustness.metrics.scores.base",
    "MaskMetric": "robustness.metrics.scores.base",
    "MaskPair": "robustness.metrics.scores.pair",
    "ShapeMetric": "robustness.metrics.scores.base",
}

__all__ = ["DistanceMetric", "MaskMetric", "MaskPair", "ShapeMetric"]


if not TYPE_CHECKING:  # a type checker would take every name for one that exists

    def __getattr__(name: str) -> Any:
        return load(__name__, _MODULES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
