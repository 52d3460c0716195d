"""Batches of training cases as tensors, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from robustness.runners.inference.segmenter import NetworkSegmenter, Tokens
from robustness.runners.training.feature_cache import FeatureCache
from robustness.runners.training.module import Batch
from robustness.runners.training.pair_cache import PairCache
from robustness.runners.training.ranks import ONE, Ranks, micro_batches
from robustness.runners.training.samples.pool import Cases
from robustness.runners.training.samples.resized_cases import Sample
from robustness.seeds import generator


class Key(NamedTuple):
    """Which case, in which epoch, and the weight of the batch that it stands in."""

    epoch: int
    case: int
    weight: float = 1.0


class EpochOrder(Sampler[int]):
    """Every case once; Lightning sets the epoch, also after a resume."""

    def __init__(self, cases: Cases) -> None:
        self.cases, self.epoch = cases, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next pass is drawn for."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[int]:
        return iter(self.cases.order(self.epoch))


class EpochBatches(Sampler[list[Key]]):
    """One process's share of an epoch, as batches; `sampler` is where Lightning sets the epoch."""

    def __init__(self, sampler: EpochOrder, *, batch_size: int, accumulate: int = 1, ranks: Ranks = ONE) -> None:
        self.sampler, self.batch_size, self.accumulate, self.ranks = sampler, batch_size, accumulate, ranks

    def __len__(self) -> int:
        return len(list(self._parts(range(len(self.sampler)))))

    def __iter__(self) -> Iterator[list[Key]]:
        for part in self._parts(list(self.sampler)):
            yield [Key(self.sampler.epoch, index, part.weight) for index in part.cases]

    def _parts(self, order: Sequence[int]) -> Iterator[Any]:
        return micro_batches(order, batch_size=self.batch_size, accumulate=self.accumulate, ranks=self.ranks)


class _Drawn:
    """Training cases under their keys."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> tuple[Sample, float]:
        return self.cases.drawn(key.case, key.epoch), key.weight


class PlainOrder(Sampler[Key]):
    """One process's share of the validation cases, in the order of the data."""

    def __init__(self, cases: Cases, ranks: Ranks) -> None:
        self.own, self.epoch = ranks.share(range(len(cases))), 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, of which only randomly drawn texts depend."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.own)

    def __iter__(self) -> Iterator[Key]:
        return (Key(self.epoch, index) for index in self.own)


class _Plain:
    """Validation cases under their keys."""

    def __init__(self, cases: Cases) -> None:
        self.cases = cases

    def __len__(self) -> int:
        return len(self.cases)

    def __getitem__(self, key: Key) -> tuple[Sample, float]:
        return self.cases.plain(key.case, key.epoch), key.weight


def training_batches(
    cases: Cases,
    segmenter: NetworkSegmenter,
    *,
    batch_size: int,
    spell: float = 0.0,
    accumulate: int = 1,
    ranks: Ranks = ONE,
    cache: FeatureCache | PairCache | None = None,
) -> DataLoader[Any]:
    """Return shuffled batches of changed cases; the last ones may be smaller."""
    order = EpochBatches(EpochOrder(cases), batch_size=batch_size, accumulate=accumulate, ranks=ranks)
    collate = partial(_collate, segmenter=segmenter, spell=spell, cache=cache)
    return DataLoader(_Drawn(cases), batch_sampler=order, collate_fn=collate)  # type: ignore[arg-type]


def validation_batches(
    cases: Cases,
    segmenter: NetworkSegmenter,
    *,
    batch_size: int,
    ranks: Ranks = ONE,
    cache: FeatureCache | PairCache | None = None,
) -> DataLoader[Any]:
    """Return batches of unchanged cases in the order of the data."""
    collate = partial(_collate, segmenter=segmenter, cache=cache)
    order = PlainOrder(cases, ranks)
    return DataLoader(_Plain(cases), batch_size=batch_size, sampler=order, collate_fn=collate)  # type: ignore[arg-type]


def _collate(drawn: Sequence[tuple[Sample, float]], **options: Any) -> Batch:
    samples = [sample for sample, _ in drawn]
    return to_batch(samples, **options)._replace(weight=drawn[0][1])


def to_batch(
    samples: Sequence[Sample],
    *,
    segmenter: NetworkSegmenter,
    spell: float = 0.0,
    cache: FeatureCache | PairCache | None = None,
) -> Batch:
    """Return samples as one batch.

    Args:
        samples: pairs at network size.
        segmenter: its preparation of images and texts.
        spell: share of known words that are spelled, for a tokenizer that can (`ByteTokenizer.spelled`).
        cache: what frozen encoders gave before; what it holds is not computed again.
    """
    masks = torch.from_numpy(np.stack([sample.mask for sample in samples]))[:, None].float()
    batch = Batch(None, masks, texts=1 + len(samples[0].rewordings))
    if isinstance(cache, PairCache):
        texts = [text for text, _ in _texts(samples)]
        images = [sample.image for sample in samples for _ in range(batch.texts)]
        return batch._replace(image=cache.pairs(images, texts), text=(masks.new_empty(len(texts), 0),))
    if cache is not None and cache.holds_images:
        batch = batch._replace(image=cache.images([sample.image for sample in samples]))
    else:
        pixel_values = segmenter.preprocess.pixel_values([sample.image for sample in samples])
        batch = batch._replace(pixel_values=by_channel(pixel_values))
    if not segmenter.takes_text:
        return batch
    if cache is not None and cache.holds_texts:
        return batch._replace(text=cache.texts([text for text, _ in _texts(samples)]))
    ids, attention = segmenter.without_padding(_tokens(samples, segmenter, spell))
    return batch._replace(input_ids=ids, attention_mask=attention)


def _tokens(samples: Sequence[Sample], segmenter: NetworkSegmenter, spell: float) -> Tokens:
    texts, keys = zip(*_texts(samples), strict=True)
    spelled = getattr(segmenter.tokenizer, "spelled", None)
    if not spell or spelled is None:
        return segmenter.tokenize(texts)
    tokens: Tokens = spelled(texts, spell, [generator(0, *key, "spell") for key in keys])
    return tokens


def _texts(samples: Sequence[Sample]) -> list[tuple[str, tuple[object, ...]]]:
    """Return every text with what its own draws are keyed by: each sample's own first, then its rewordings."""
    return [
        (text, (*sample.key, *(("wording", index) if index else ())))
        for sample in samples
        for index, text in enumerate((sample.text, *sample.rewordings))
    ]


def by_channel(pixel_values: torch.Tensor) -> torch.Tensor:
    """Return images in the memory order in which convolutions of few channels are half as fast again on a CPU."""
    return pixel_values.contiguous(memory_format=torch.channels_last)
