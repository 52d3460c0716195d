"""Interfaces of the registries' entries: perturbations, metrics, models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

from robustness.types import DataContext, Perturbation


class PerturbationEntry(Perturbation, Protocol):
    """A perturbation class; `robustness.perturb` offers the bases to derive from."""

    def __init__(self, **options: Any) -> None: ...

    @classmethod
    def expand(cls, context: DataContext) -> Sequence[Perturbation]:
        """Return the perturbations that the entry stands for on a dataset."""
        ...

    def condition(self, severity: int) -> str:
        """Return the condition's name."""
        ...


class MetricEntry(Protocol):
    """A metric class; `robustness.metrics.MaskMetric` is the base to derive from."""

    definition: ClassVar[str]
    higher_is_better: ClassVar[bool | None]
    units: ClassVar[str]
    low: ClassVar[float]
    high: ClassVar[float | None]
    needs: ClassVar[str]

    def __init__(self) -> None: ...

    def __call__(self, *arguments: Any) -> float:
        """Return the metric of a pair of masks, or of a probability map and its reference."""
        ...


class ModelEntry(Protocol):
    """A model class; `robustness.runners.ModelEntry` is the base to derive from."""

    title: ClassVar[str]
    takes_text: ClassVar[bool]
    published: ClassVar[str | None]
    presets: ClassVar[Mapping[str, dict[str, Any]]]
    trainable: ClassVar[bool]

    def __init__(self) -> None: ...

    def default_config(self) -> dict[str, Any]:
        """Return the published configuration."""
        ...
