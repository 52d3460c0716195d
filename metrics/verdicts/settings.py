"""Error rates, margins and limits that every verdict rule reads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from robustness.errors import InputError
from robustness.metrics.pairing.direction import CHANGE
from robustness.metrics.verdicts.selectivity import TARGET_OVERLAP

SMALLEST_SAMPLE = 6
# Verdicts after which nobody looks again, and whom a small sample would have to show against them.
REASSURING = {"ROBUST": "who collapse", "IGNORES": "who react", "FOLLOWS": "who do not follow"}
# What FOLLOWS* may err by, in units of alpha: one study in five at the usual alpha.
_STAR_OF_FOLLOWS = 4


class Settings(NamedTuple):
    """What is stated before the run.

    Attributes:
        alpha: error rate of each side of a family of claims.
        margin_dice, margin_change: smallest differences that matter, on Dice and on the mask change.
        resamples, seed: of sign flips.
        unit: what a subject is called ("patient", "image").
        min_subjects: with fewer a claim is described, not judged.
        margin_abstain: largest share of subjects that may paint something where nothing should be painted.
        missing_share: a larger share of missing cases counts as the worst value.
        star_alpha: error rate that ROBUST and IGNORES with a star are proven to keep; 1: the interval alone decides.
        target_overlap: largest share of the smaller of two targets that may lie in the other for FOLLOWS.
        units: what a subject of each dataset is called, where they differ.
    """

    alpha: float
    margin_dice: float
    margin_change: float
    resamples: int
    seed: int
    unit: str
    min_subjects: int = 10
    margin_abstain: float = 0.10
    missing_share: float = 0.05
    star_alpha: float = 1.0
    target_overlap: float = TARGET_OVERLAP
    units: Mapping[str, str] | None = None

    def called(self, unit: str | Mapping[str, str]) -> Settings:
        """Return the settings with a name for subjects, or one for those of each dataset."""
        return self._replace(unit=unit) if isinstance(unit, str) else self._replace(units=unit)

    def of_dataset(self, dataset: str) -> Settings:
        """Return the settings for the claims about one dataset."""
        return self if self.units is None else self._replace(unit=self.units.get(dataset, "subject"))

    def star_rate(self, verdict: str) -> float:
        """Return the error rate that `verdict` with a star is proven to keep, over its family; 1: none.

        FOLLOWS always keeps 4 alpha: of twelve patients of whom 5% go the other way half of all samples hold none.

        Example:
            >>> settings = Settings(0.05, 0.10, 0.05, 99, 0, "patient")
            >>> settings.star_rate("IGNORES"), settings.star_rate("FOLLOWS"), settings.star_rate("FRAGILE")
            (1.0, 0.2, 1.0)
        """
        if verdict == "FOLLOWS":
            return min(self.star_alpha, 0.5, _STAR_OF_FOLLOWS * self.alpha)
        return self.star_alpha if verdict in REASSURING else 1.0

    def checked(self) -> Settings:
        """Return the settings, or raise InputError where a limit is out of range."""
        if self.min_subjects < SMALLEST_SAMPLE:
            raise InputError(
                f"min_subjects: expected at least {SMALLEST_SAMPLE}, got {self.min_subjects!r}: fewer subjects decide"
                " nothing at any usual error rate"
            )
        for name in ("margin_abstain", "missing_share", "target_overlap"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InputError(f"{name}: expected a share between 0 and 1, got {value!r}")
        if not 0 < self.star_alpha <= 1:
            raise InputError(f"star_alpha: expected an error rate above 0 and up to 1, got {self.star_alpha!r}")
        return self

    def too_few(self, n_subjects: int) -> str:
        """Return why so few subjects are described and not judged; "" where there are enough."""
        if n_subjects >= self.min_subjects:
            return ""
        plural = "" if n_subjects == 1 else "s"
        return f"{n_subjects} {self.unit}{plural}, fewer than {self.min_subjects}: described, not judged"


def margins_of(
    table: pd.DataFrame, margin_dice: float, margin_change: float, margins: Mapping[str, float]
) -> dict[str, float]:
    """Return metric -> margin of what a table holds, and of what is stated.

    Raises:
        InputError: a margin that is not positive, or that of a ratio not below 1.
    """
    defaults = {"dice": margin_dice, "iou": margin_dice, CHANGE: margin_change}
    for name, margin in {**defaults, **margins}.items():
        if not (0 < margin < math.inf) or (name in defaults and margin >= 1):
            raise InputError(f"margin of {name}: expected a positive number (below 1 for a ratio), got {margin!r}")
    present = {name: margin for name, margin in defaults.items() if name in table.columns and table[name].notna().any()}
    return {**present, **margins}
