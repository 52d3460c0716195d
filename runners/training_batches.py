"""Batches of training cases as tensors, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from robustness.runners.segmenter import NetworkSegmenter, Tokens
from robustness.runners.training_cases import Sample, TrainingCases
from robustness.runners.training_module import Batch
from robustness.seeds import generator


class EpochOrder(Sampler[tuple[int, int]]):
    """(epoch, index) of every case once; Lightning sets the epoch, also after a resume."""

    def __init__(self, cases: TrainingCases) -> None:
        self.cases, self.epoch = cases, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is drawn for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(itertools.repeat(self.epoch), self.cases.order(self.epoch))


class _Drawn:
    """Training cases under (epoch, index)."""

    def __init__(self, cases: TrainingCases) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        return self.cases.drawn(index, epoch)


class _Plain:
    """Validation cases under their index."""

    def __init__(self, cases: TrainingCases) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, index: int) -> Sample:
        return self.cases.plain(index)


def training_batches(
    cases: TrainingCases, segmenter: NetworkSegmenter, *, batch_size: int, spell: float = 0.0
) -> DataLoader[Any]:
    """Return shuffled batches of changed cases; the last one may be smaller."""
    return DataLoader(
        _Drawn(cases),  # type: ignore[arg-type]
        batch_size=batch_size,
        sampler=EpochOrder(cases),
        collate_fn=partial(to_batch, segmenter=segmenter, spell=spell),
    )


def validation_batches(cases: TrainingCases, segmenter: NetworkSegmenter, *, batch_size: int) -> DataLoader[Any]:
    """Return batches of unchanged cases in the order of the data."""
    collate = partial(to_batch, segmenter=segmenter)
    return DataLoader(_Plain(cases), batch_size=batch_size, collate_fn=collate)  # type: ignore[arg-type]


def to_batch(samples: Sequence[Sample], *, segmenter: NetworkSegmenter, spell: float = 0.0) -> Batch:
    """Return samples as one batch.

    Args:
        samples: pairs at network size.
        segmenter: its preparation of images and texts.
        spell: share of known words that are spelled, for a tokenizer that can (`ByteTokenizer.spelled`).
    """
    pixel_values = segmenter.preprocess.pixel_values([sample.image for sample in samples])
    masks = torch.from_numpy(np.stack([sample.mask for sample in samples]))[:, None].float()
    if not segmenter.takes_text:
        return Batch(_by_channel(pixel_values), masks, None, None)
    ids, attention = _tokens(samples, segmenter, spell)
    if segmenter.trims_text:
        longest = max(int(attention.sum(1).max()), 1)
        ids, attention = ids[:, :longest], attention[:, :longest]
    return Batch(_by_channel(pixel_values), masks, ids, attention)


def _tokens(samples: Sequence[Sample], segmenter: NetworkSegmenter, spell: float) -> Tokens:
    texts = [sample.text for sample in samples]
    spelled = getattr(segmenter.tokenizer, "spelled", None)
    if not spell or spelled is None:
        return segmenter.tokenize(texts)
    tokens: Tokens = spelled(texts, spell, [generator(0, *sample.key, "spell") for sample in samples])
    return tokens


def _by_channel(pixel_values: torch.Tensor) -> torch.Tensor:
    # Convolutions of few channels are half as fast again in this memory layout on a CPU.
    return pixel_values.contiguous(memory_format=torch.channels_last)
