"""Predictions as an audit scores them: masks, not maps, thresholded, counted and packed where they were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from robustness.errors import CaseError
from robustness.metrics.scores.pair import Overlap
from robustness.runners.inference.devices import to_device
from robustness.runners.inference.engine import Encoded, Engine
from robustness.runners.inference.model_errors import finite_or_error
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import NetworkSegmenter, resized_maps
from robustness.types import Mask, Probability

# Bits of a byte, the first pixel in the highest, as numpy packs them.
_WEIGHTS = (128, 64, 32, 16, 8, 4, 2, 1)

PackedMask = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Answer:
    """One prediction as it is scored.

    Attributes:
        masks: bool (H, W), the pixels above each threshold; the first is the model's.
        high, low: the largest and the smallest probability.
        probability: the map (H, W); None where no metric reads it.
        overlaps: for each mask, its pixel counts with each reference that the request brought; () where nobody counted.
    """

    masks: tuple[Mask, ...]
    high: float
    low: float
    probability: Probability | None = None
    overlaps: tuple[tuple[Overlap, ...], ...] = ()

    def overlap(self, mask: int, reference: int) -> Overlap | None:
        """Return the pixel counts of a mask with a reference, by their places; None where nobody counted."""
        return self.overlaps[mask][reference] if self.overlaps else None

    @classmethod
    def of(cls, probability: Probability, thresholds: Sequence[float]) -> Answer:
        """Return what a map (H, W) in [0, 1] says above each threshold."""
        masks = tuple(probability > threshold for threshold in thresholds)
        return cls(masks, float(probability.max()), float(probability.min()), probability)


class PackedAnswer(NamedTuple):
    """An `Answer` as it travels: bits (T, bytes) of T masks of one shape, and counts (T, R, 3) with R references."""

    shape: tuple[int, int]
    bits: PackedMask
    high: float
    low: float
    probability: Probability | None
    counts: npt.NDArray[np.int64]

    def unpacked(self) -> Answer | CaseError:
        """Return the answer; an error where the map was not finite."""
        finite = finite_or_error(np.array([self.high, self.low], dtype=np.float32))
        if isinstance(finite, CaseError):
            return finite
        pixels = self.shape[0] * self.shape[1]
        masks = np.unpackbits(self.bits, axis=-1, count=pixels).view(np.bool_).reshape(-1, *self.shape)
        overlaps = tuple(tuple(Overlap(*map(int, counts)) for counts in by_mask) for by_mask in self.counts)
        return Answer(tuple(masks), self.high, self.low, self.probability, overlaps)


@dataclass(eq=False)
class MaskBatch:
    """Masks of equally large maps (N, H, W) of one decoding, on the device that made them.

    Attributes:
        bits: uint8 (N, T, bytes), the pixels of each map above each of T thresholds.
        ranges: float32 (N, 2), largest and smallest value; NaN where a map is not finite.
        probabilities: the maps, where a metric reads them.
    """

    shape: tuple[int, int]
    bits: torch.Tensor
    ranges: torch.Tensor
    probabilities: torch.Tensor | None

    @classmethod
    def of(cls, maps: torch.Tensor, thresholds: Sequence[float], *, whole: bool) -> MaskBatch:
        """Threshold maps; `whole` keeps them as well."""
        flat = maps.flatten(1)
        bits = torch.stack([packed(flat > threshold) for threshold in thresholds], dim=1)
        ranges = torch.stack([flat.amax(1), flat.amin(1)], dim=1)
        return cls((maps.shape[1], maps.shape[2]), bits, ranges, maps if whole else None)

    def counts(self, rows: Sequence[int], references: torch.Tensor) -> torch.Tensor:
        """Return int64 counts (J, T, R, 3) as in `Overlap` of the masks of `rows` with references (J, R, bytes)."""
        masks = self.bits.index_select(0, to_device(torch.tensor(list(rows)), self.bits.device))[:, :, None]
        others = references[:, None]
        shared = _ones(masks & others)
        predicted, reference = (_ones(one).expand_as(shared) for one in (masks, others))
        return torch.stack([predicted, reference, shared], dim=-1)


class Row(NamedTuple):
    """One map of a batch."""

    batch: MaskBatch
    row: int


class MaskEngine(Engine):
    """An engine whose outcomes are masks on the model's device: rows of `MaskBatch` instead of maps.

    Attributes:
        thresholds: what masks lie above; the first is the model's.
        whole: maps travel too.
    """

    thresholds: tuple[float, ...] = (0.5,)
    whole: bool = False

    def encoded_texts(self, texts: Sequence[str], *, fresh: bool) -> Encoded:
        """Encode the texts of one call, as the call would."""
        with torch.inference_mode():
            return self._encode_texts([self._read(text) for text in texts], fresh)

    def group_outcomes(
        self, requests: Sequence[Request], encoded: Encoded, *, fresh: bool
    ) -> list[tuple[int, Any | CaseError]]:
        """Return the `Row`, or the error, of each request on one batch of images; nothing waits for the device."""
        texts = [self._read(request.text) for request in requests]
        return list(self._predict_group(requests, range(len(requests)), texts, encoded, fresh))

    def _maps(self, image: Any, text: Any, sizes: Sequence[tuple[int, int]] | None) -> list[Any]:
        model = self.model
        if not isinstance(model, NetworkSegmenter) or (sizes is not None and model.enlarges_instances):
            return [
                one if isinstance(one, CaseError) else self._rows(torch.from_numpy(np.array(one))[None])[0]
                for one in super()._maps(image, text, sizes)
            ]
        maps = model.maps(image, text)
        if sizes is None:
            return list(self._rows(maps[:, 0].float()))
        out: list[Any] = [None] * len(sizes)
        for members, part in resized_maps(maps, sizes):
            for member, row in zip(members, self._rows(part), strict=True):
                out[member] = row
        return out

    def _rows(self, maps: torch.Tensor) -> list[Row]:
        batch = MaskBatch.of(maps, self.thresholds, whole=self.whole)
        return [Row(batch, row) for row in range(len(maps))]

    def _checked(self, outcome: Any) -> Any:
        # Whether a map is finite is known when its range has come; see `PackedAnswer.unpacked`.
        return outcome


@dataclass(eq=False)
class Shipment:
    """The answers of one group of requests, on their way to the host; `take` waits for them.

    Args:
        outcomes: from `MaskEngine.group_outcomes`.
        references: for each request, its references as bits (R, bytes).
    """

    outcomes: Sequence[tuple[int, Any]]
    references: Sequence[npt.NDArray[np.uint8]]
    _arrived: dict[int, tuple[torch.Tensor | None, ...]] = field(default_factory=dict, init=False, repr=False)
    _counts: dict[int, tuple[torch.Tensor, int]] = field(default_factory=dict, init=False, repr=False)
    _event: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        rows: dict[int, tuple[MaskBatch, list[tuple[int, int]]]] = {}
        for number, outcome in self.outcomes:
            if isinstance(outcome, Row):
                rows.setdefault(id(outcome.batch), (outcome.batch, []))[1].append((number, outcome.row))
        for key, (batch, members) in rows.items():
            self._arrived[key] = tuple(map(_to_host, (batch.bits, batch.ranges, batch.probabilities)))
            self._count(batch, members)
        if any(batch.bits.is_cuda for batch, _ in rows.values()):
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._event.record()

    def _count(self, batch: MaskBatch, members: Sequence[tuple[int, int]]) -> None:
        by_count: dict[int, list[tuple[int, int]]] = {}
        for number, row in members:
            by_count.setdefault(len(self.references[number]), []).append((number, row))
        for same in by_count.values():
            bits = torch.from_numpy(np.stack([self.references[number] for number, _ in same]))
            counts = _to_host(batch.counts([row for _, row in same], to_device(bits, batch.bits.device)))
            assert counts is not None
            self._counts |= {number: (counts, position) for position, (number, _) in enumerate(same)}

    def take(self) -> dict[int, PackedAnswer | CaseError]:
        """Return the answer of each request by its number."""
        if self._event is not None:
            self._event.synchronize()
        return {
            number: self._packed(number, outcome) if isinstance(outcome, Row) else outcome
            for number, outcome in self.outcomes
        }

    def _packed(self, number: int, outcome: Row) -> PackedAnswer:
        bits, ranges, maps = self._arrived[id(outcome.batch)]
        assert bits is not None
        assert ranges is not None
        counts, position = self._counts[number]
        high, low = map(float, ranges[outcome.row])
        probability = None if maps is None else maps[outcome.row].numpy()
        return PackedAnswer(
            outcome.batch.shape, bits[outcome.row].numpy(), high, low, probability, counts[position].numpy()
        )


def packed(bits: torch.Tensor) -> torch.Tensor:
    """Return bool (..., P) as uint8 (..., ceil(P / 8)), as ``numpy.packbits`` does; free bits are 0."""
    padding = -bits.shape[-1] % 8
    padded = torch.nn.functional.pad(bits.to(torch.uint8), (0, padding))
    eights = padded.reshape(*bits.shape[:-1], -1, 8)
    return (eights * _weights(bits.device)).sum(-1, dtype=torch.uint8)


@lru_cache(maxsize=16)
def _weights(device: torch.device) -> torch.Tensor:
    with torch.inference_mode(mode=False):
        return to_device(torch.tensor(_WEIGHTS, dtype=torch.uint8), device)


def packed_references(masks: Sequence[Mask]) -> PackedMask:
    """Return masks (H, W) of one shape as bits (R, bytes)."""
    return np.stack([np.packbits(mask.reshape(-1)) for mask in masks])


def counter_changes(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much counters rose."""
    return {name: value - before.get(name, 0) for name, value in now.items() if value != before.get(name, 0)}


def add_counter_changes(counters: Any, changes: Mapping[str, int]) -> None:
    """Raise counters, the fields of an object, by `changes`."""
    for name, rise in changes.items():
        setattr(counters, name, getattr(counters, name) + rise)


def _ones(bits: torch.Tensor) -> torch.Tensor:
    """Return how many bits of uint8 (..., bytes) are 1."""
    pairs = bits - ((bits >> 1) & 0x55)
    fours = (pairs & 0x33) + ((pairs >> 2) & 0x33)
    return ((fours + (fours >> 4)) & 0x0F).sum(-1, dtype=torch.int64)


def _to_host(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """Begin to copy a tensor into pinned memory, where it lies on CUDA."""
    if tensor is None or not tensor.is_cuda:
        return None if tensor is None else tensor.cpu()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
