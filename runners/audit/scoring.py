"""From predictions to rows: thresholds, metrics against the references, change against the clean prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image as PILImage

from robustness.metrics.scores.base import checked_value
from robustness.metrics.scores.boundary_distances import ReferenceEdge, edge_pixels
from robustness.metrics.scores.empty import Emptiness, flags_of_prompt
from robustness.metrics.scores.mask_change import mask_change
from robustness.metrics.scores.masks import mask_metrics
from robustness.metrics.scores.pair import Overlap
from robustness.registry import METRICS
from robustness.results import CLEAN
from robustness.runners.audit.jobs import Job
from robustness.runners.audit.rows import ResultRow
from robustness.runners.inference.mask_answers import Answer
from robustness.types import Mask, Probability

# More cases than one image has; a geometric change brings masks of its own, which are soon let go.
REFERENCES_AT_ONCE = 32
BOOKKEEPING = ("area_fraction", "components", "centroid_row", "centroid_col")


@dataclass(frozen=True)
class Scored:
    """A job's rows, filled, the masks that an image of it needs, and the clean prediction's Dice.

    `clean` (in the clean image's frame) and `dice_clean` are None where the clean prediction failed; `mask_change` is
    missing then.
    """

    job: Job
    rows: tuple[ResultRow, ...]
    dice_clean: float | None
    predicted: Mask
    clean: Mask | None


@dataclass
class MapCounts:
    """Counts over maps: all, those whose mask is empty or full, and the lowest and highest probability of any."""

    n_maps: int = 0
    n_empty: int = 0
    n_full: int = 0
    highest: float = 0.0
    lowest: float = 1.0

    def add(self, high: float, low: float, threshold: float) -> None:
        """Count one map whose values lie between `low` and `high`."""
        self.n_maps += 1
        self.n_empty += high <= threshold
        self.n_full += low > threshold
        self.highest, self.lowest = max(self.highest, high), min(self.lowest, low)


@dataclass(frozen=True, eq=False)
class ReferenceMask:
    """A reference as it is compared, with its edge pixels found once and equal predictions scored once.

    `source` is the case's mask: held here, its identity stands for it as long as this lives. `scores` holds what
    predictions scored by spacing and digest; a prompt that changes nothing gives the clean mask again.
    """

    source: Mask
    mask: Mask
    scores: dict[tuple[Any, ...], dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def fraction(self) -> float:
        """Share of the image that it covers."""
        return float(self.mask.mean())

    @cached_property
    def edges(self) -> ReferenceEdge:
        """Edge pixels, and what is found once for all predictions."""
        return ReferenceEdge(edge_pixels(self.mask), self.mask.shape)


class Scorer:
    """Scores the jobs of one part; remembers the clean masks that later jobs are compared with.

    Attributes:
        counts: over all maps so far.
    """

    def __init__(
        self,
        *,
        threshold: float,
        metrics: Sequence[str],
        nsd_tolerance_mm: float,
        at_network_size: bool = False,
        thresholds: Sequence[float] = (),
    ) -> None:
        self.threshold = threshold
        needs = {name: METRICS.get(name).needs for name in dict.fromkeys(("dice", *metrics, *BOOKKEEPING))}
        self.names = tuple(name for name, need in needs.items() if need == "masks")
        self.of_probability = tuple(name for name, need in needs.items() if need == "probability")
        self.nsd_tolerance_mm = nsd_tolerance_mm
        self.at_network_size = at_network_size
        self.thresholds = tuple(thresholds)
        self.counts = MapCounts()
        self._clean: dict[tuple[str, int], Mask] = {}
        self._clean_dice: dict[tuple[str, int], float] = {}
        self._references: dict[tuple[int, tuple[int, ...]], ReferenceMask] = {}

    def references(self, job: Job, shape: tuple[int, int]) -> list[Mask]:
        """Return the masks that a job's prediction of `shape` is compared with, as `Answer.overlaps` counts them."""
        compared = [job.reference, *(other for other in job.other_references if other is not None)]
        return [self._reference(mask, shape).mask for mask in compared]

    def score(self, job: Job, prediction: Probability | Answer) -> Scored:
        """Return the job's rows with every measured column."""
        answer = prediction
        if not isinstance(answer, Answer):
            answer = Answer.of(answer, (self.threshold, *self.thresholds))
        predicted = answer.masks[0]
        self.counts.add(answer.high, answer.low, self.threshold)
        is_clean = job.rows[0].condition == CLEAN
        if is_clean:
            self._clean[job.baseline] = predicted
        baseline = self._baseline(job)
        scored_against = self._reference(job.reference, predicted.shape)
        reference = scored_against.mask
        measured = self._measured(predicted, scored_against, self._spacing(job, predicted.shape), answer.overlap(0, 0))
        measured["reference_fraction"] = scored_against.fraction
        measured["image_height"], measured["image_width"] = map(float, predicted.shape)
        for index, threshold in enumerate(self.thresholds, 1):
            measured[f"dice_at_{threshold:.2f}"] = _dice_of(answer.masks[index], reference, answer.overlap(index, 0))
        for name in self.of_probability:
            measured[name] = checked_value(name, METRICS.get(name), answer.probability, reference)
        measured["mask_change"] = float("nan") if baseline is None else mask_change(baseline, predicted)
        if is_clean:
            self._clean_dice[job.baseline] = float(measured["dice"])
        rows = [
            replace(
                row,
                measured={**measured, **_flags(row, measured, predicted)},
                dice_other=dice_other,
            )
            for row, dice_other in zip(job.rows, self._other_dices(job, answer), strict=True)
        ]
        return Scored(job, tuple(rows), self._clean_dice.get(job.baseline), predicted, self._clean.get(job.baseline))

    def _measured(
        self,
        predicted: Mask,
        reference: ReferenceMask,
        spacing: tuple[float, float] | None,
        overlap: Overlap | None,
    ) -> dict[str, Any]:
        key = spacing, hashlib.blake2b(np.packbits(predicted).tobytes(), digest_size=16).digest()
        if key not in reference.scores:
            reference.scores[key] = mask_metrics(
                predicted,
                reference.mask,
                spacing_mm=spacing,
                nsd_tolerance_mm=self.nsd_tolerance_mm,
                names=self.names,
                reference_edges=reference.edges,
                overlap=overlap,
            )
        return dict(reference.scores[key])

    def _baseline(self, job: Job) -> Mask | None:
        clean = self._clean.get(job.baseline)
        return clean if clean is None or job.perturbation is None else job.perturbation.apply_mask(clean, job.params)

    def _other_dices(self, job: Job, answer: Answer) -> list[float | None]:
        predicted, index = answer.masks[0], 0
        dices: list[float | None] = []
        for other in job.other_references:
            if other is None:
                dices.append(None)
                continue
            index += 1
            reference = self._reference(other, predicted.shape).mask
            dices.append(_dice_of(predicted, reference, answer.overlap(0, index)))
        return dices

    def _reference(self, mask: Mask, shape: tuple[int, ...]) -> ReferenceMask:
        """Return a reference at the size that it is compared at; asked again for the same mask, the same object."""
        key = id(mask), shape
        recent = self._references.pop(key, None)
        if recent is None:
            resized = resize_nearest(mask, shape) if self.at_network_size else mask
            recent = ReferenceMask(mask, resized)
        self._references[key] = recent
        while len(self._references) > REFERENCES_AT_ONCE:
            self._references.pop(next(iter(self._references)))
        return recent

    def _spacing(self, job: Job, shape: tuple[int, ...]) -> tuple[float, float] | None:
        if job.spacing_mm is None or not self.at_network_size:
            return job.spacing_mm
        (row, column), (height, width) = job.spacing_mm, job.reference.shape
        return row * height / shape[0], column * width / shape[1]


def resize_nearest(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """Return a copy of `mask` (H, W) at `shape` by the nearest pixel, as PIL and with it the reference benchmark do.

    Where a pixel's centre falls between two source pixels, PIL's running sum decides, and exact centres may not.
    """
    if mask.shape == tuple(shape):
        return mask.astype(np.bool_)
    image = PILImage.fromarray(np.ascontiguousarray(mask).astype(np.uint8))
    return np.asarray(image.resize((shape[1], shape[0]), PILImage.Resampling.NEAREST)).astype(np.bool_)


def _dice_of(predicted: Mask, reference: Mask, overlap: Overlap | None) -> float:
    return float(mask_metrics(predicted, reference, names=("dice",), overlap=overlap)["dice"])


def _flags(row: ResultRow, measured: Mapping[str, Any], predicted: Mask) -> dict[str, bool]:
    """Return the empty-mask flags of a row, against what its prompt asks for."""
    flags = Emptiness(*(bool(measured[name]) for name in Emptiness._fields))
    by_prompt = flags_of_prompt(flags, painted=bool(predicted.any()), expectation=row.expectation)
    return by_prompt._asdict()
