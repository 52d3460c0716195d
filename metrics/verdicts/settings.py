"""Error rates, margins and limits that every verdict rule reads."""

from __future__ import annotations

from typing import NamedTuple

from robustness.errors import InputError

SMALLEST_SAMPLE = 6
# What a star may err by, in units of alpha: one study in five at the usual alpha.
_STAR = 4


def star_rate(alpha: float) -> float:
    """Return the error rate of ROBUST, IGNORES and FOLLOWS with a star, where `alpha` is that without one.

    Example:
        >>> star_rate(0.05)
        0.2
    """
    return min(0.5, _STAR * alpha)


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

    @property
    def star_alpha(self) -> float:
        """Error rate, over its family, of a verdict that reassures and carries a star."""
        return star_rate(self.alpha)

    def checked(self) -> Settings:
        """Return the settings, or raise InputError where a limit is out of range."""
        if self.min_subjects < SMALLEST_SAMPLE:
            raise InputError(
                f"min_subjects: expected at least {SMALLEST_SAMPLE}, got {self.min_subjects!r}: fewer subjects decide"
                " nothing at any usual error rate"
            )
        for name in ("margin_abstain", "missing_share"):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InputError(f"{name}: expected a share between 0 and 1, got {value!r}")
        return self

    def too_few(self, n_subjects: int) -> str:
        """Return why so few subjects are described and not judged; "" where there are enough."""
        if n_subjects >= self.min_subjects:
            return ""
        plural = "" if n_subjects == 1 else "s"
        return f"{n_subjects} {self.unit}{plural}, fewer than {self.min_subjects}: described, not judged"
