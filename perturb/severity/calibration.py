"""Severities that mean one loss of similarity: parameters found by bisection on a set of images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.perturb.base import BasePerturbation, applied, proposed
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import planes, with_planes
from robustness.perturb.severity.similarity import content_and_whole, similarity
from robustness.seeds import generator
from robustness.types import Case, NotApplicable

__all__ = ["TARGETS", "Calibration", "Severity", "calibrate", "shrunk", "similarity"]

# Mean SSIM to the clean image at severities 1 to 5, for every kind that can reach them.
TARGETS = (0.95, 0.90, 0.80, 0.70, 0.55)

TOLERANCE = 0.03

_SIDE = 256
_CLOSE = 0.003
_MOST_STEPS = 12
_RUNGS = 32
_DIGITS = 4

Scores = npt.NDArray[np.float64]


class Severity(NamedTuple):
    """One severity of a kind: its value, the mean SSIM over the images, and the spread between images (10-90%)."""

    severity: int
    value: Any
    target: float
    ssim: float
    low: float
    high: float


class Calibration(NamedTuple):
    """The five severities of a kind.

    Attributes:
        kind: the entry's name.
        rows: severities 1 to 5.
        n_images: how many images it applied to.
    """

    kind: str
    rows: tuple[Severity, ...]
    n_images: int

    @property
    def reached(self) -> bool:
        """Whether every severity meets its target within 0.03; if not, it does not compare with other kinds."""
        return all(abs(row.ssim - row.target) <= TOLERANCE for row in self.rows)

    @property
    def values(self) -> tuple[Any, ...]:
        """The five values."""
        return tuple(row.value for row in self.rows)


def calibrate(
    change: ImagePerturbation, cases: Sequence[Case], *, targets: Sequence[float] = TARGETS, seed: int = 0
) -> Calibration | NotApplicable:
    """Find the values at which the mean SSIM over `cases` meets the targets.

    Args:
        change: an entry with five severities that leaves pixels in their places.
        cases: the images; each keeps its draws through the search.
        targets: falling, one for each severity.
        seed: of the draws.

    Returns:
        The calibration, or why there is none.
    """
    if change.target != "image" or len(change.values) != len(targets):
        return NotApplicable("it has no severity levels" if change.target == "image" else "it moves the image")
    applicable = [case for case in cases if not isinstance(_drawn(change, case, 1.0, seed), NotApplicable)]
    if not applicable:
        reasons = {_drawn(change, case, 1.0, seed).reason for case in cases}
        return NotApplicable("; ".join(sorted(reasons)) or "there are no images")
    curve = _Curve(lambda strength: _scores(change, applicable, strength, seed))
    by_ladder = change.whole_numbers or not change.smooth
    values = _from_ladder(change, curve, targets) if by_ladder else _by_bisection(change, curve, targets)
    exact = change.with_values(values)
    rows = [_row(exact, applicable, k + 1, target, seed) for k, target in enumerate(targets)]
    return Calibration(change.name, tuple(rows), len(applicable))


def shrunk(case: Case) -> Case:
    """Return the case with its image shrunk to a shorter side of 256 pixels, for which lengths are stated."""
    import torch

    height, width = case.image.shape[:2]
    ratio = _SIDE / min(height, width)
    if ratio >= 1:
        return case
    size = (round(height * ratio), round(width * ratio))
    unit = torch.from_numpy(planes(case))[None]
    small = torch.nn.functional.interpolate(unit, size=size, mode="bilinear", antialias=True)[0].clamp(0, 1).numpy()
    blank = dataclasses.replace(case, image=np.zeros((*size, 3), np.uint8), mask=np.zeros(size, dtype=np.bool_))
    return with_planes(blank, small)


class _Curve:
    """Mean similarity against strength, of content and of whole images; what was measured is kept."""

    def __init__(self, measure: Callable[[float], Scores]) -> None:
        self.measure = measure
        self.points: dict[float, tuple[float, float]] = {}

    def means(self, strength: float) -> tuple[float, float]:
        if strength not in self.points:
            content, whole = self.measure(strength).mean(axis=0)
            self.points[strength] = float(content), float(whole)
        return self.points[strength]

    def mean(self, strength: float) -> float:
        return self.means(strength)[0]

    def solve(self, target: float) -> float:
        """Return the strength in [0, 1] at which the mean falls to `target`, by bisection from what is known."""
        if self.mean(0.0) <= target:
            return 0.0
        low = max(s for s, (score, _) in self.points.items() if score > target)
        above = [s for s in self.points if s > low]
        high = min(above) if above else 1.0
        for _ in range(_MOST_STEPS):
            middle = (low + high) / 2
            score = self.mean(middle)
            if abs(score - target) < _CLOSE:
                return middle
            low, high = (middle, high) if score > target else (low, middle)
        return (low + high) / 2


def _scores(change: ImagePerturbation, cases: Sequence[Case], strength: float, seed: int) -> Scores:
    return _measured(change, cases, change.at_strength(strength), seed)


def _measured(change: ImagePerturbation, cases: Sequence[Case], value: Any, seed: int) -> Scores:
    """Return (content, whole) of every image that the change applies to, (n, 2)."""
    trial = _fixed(change, value)
    scores = []
    for case in cases:
        params = proposed(trial, case, 1, _rng(change, case, seed))
        if not isinstance(params, NotApplicable):
            scores.append(content_and_whole(case, *applied(trial, [case], [params])))
    return np.array(scores)


def _drawn(change: ImagePerturbation, case: Case, strength: float, seed: int) -> Any:
    trial = _fixed(change, change.at_strength(strength))
    return trial.propose(case, 1, _rng(change, case, seed))


def _fixed(change: ImagePerturbation, value: Any) -> ImagePerturbation:
    return change.with_values([value] * len(change.values))


def _rng(change: BasePerturbation, case: Case, seed: int) -> np.random.Generator:
    # The same draws at every strength: what changes along the curve is the strength alone.
    return generator(seed, case.case_id, change.name, "calibrate")


def _row(change: ImagePerturbation, cases: Sequence[Case], severity: int, target: float, seed: int) -> Severity:
    value = change.values[severity - 1]
    scores = _measured(change, cases, value, seed)[:, 0]
    low, high = np.quantile(scores, [0.1, 0.9])
    return Severity(severity, value, target, float(scores.mean()), float(low), float(high))


def _by_bisection(change: ImagePerturbation, curve: _Curve, targets: Sequence[float]) -> list[Any]:
    """Return the values that meet the targets; where the strongest one does not, the same steps on the way to it."""
    floor, last = curve.mean(1.0), targets[-1]
    aims = [t if floor <= last else 1 - (1 - t) * (1 - floor) / (1 - last) for t in targets]
    return [_rounded(change.at_strength(curve.solve(target))) for target in aims]


def _from_ladder(change: ImagePerturbation, curve: _Curve, targets: Sequence[float]) -> list[Any]:
    """Return the values nearest to the targets, of those on a ladder that are less similar than all milder ones."""
    ladder = {_rounded(change.at_strength(k / _RUNGS)): k / _RUNGS for k in range(_RUNGS + 1)}
    steps: list[tuple[Any, float]] = []
    least = (np.inf, np.inf)
    for value, strength in ladder.items():
        score = curve.means(strength)
        if score[0] < least[0] and score[1] < least[1]:
            steps.append((value, score[0]))
            least = score
    chosen = min(
        combinations(steps, min(len(targets), len(steps))),
        key=lambda some: sum((ssim - t) ** 2 for (_, ssim), t in zip(some, targets, strict=False)),
    )
    values = [value for value, _ in chosen]
    return values + [values[-1]] * (len(targets) - len(values))


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_rounded(one) for one in value)
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")
