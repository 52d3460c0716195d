"""Cases of one split at network size, with the prompt that a key draws for each."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PILImage

from robustness.errors import InputError
from robustness.plans.finetune import RANDOM, TrainDataSpec
from robustness.runners.data.load import Dataset, load_dataset
from robustness.seeds import generator
from robustness.types import Case, Image, Mask, Prompt

_CACHE_BYTES = 1 << 30
_DEEP = ("image_float", "full_scale")
_RANDOM_KEYS = tuple(f"p{index}" for index in range(1, 10))


class Sample(NamedTuple):
    """One training pair at network size.

    Attributes:
        image: uint8 (S, S, 3).
        mask: bool (S, S).
        text: the prompt.
        key: what the sample's own draws are keyed by.
        rewordings: other texts that ask for the same mask.
    """

    image: Image
    mask: Mask
    text: str
    key: tuple[object, ...]
    rewordings: tuple[str, ...] = ()


class ResizedCases:
    """The cases of one split, resized to the network.

    Args:
        datasets: prompt key to the split read with that key; all list the same cases.
        size: side of the network's input in pixels.
        interpolation: PIL's filter for images; masks are resized by the nearest pixel.
        seed: of all draws.
        empty: share of prompts replaced by the empty text.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        *,
        size: int,
        interpolation: str = "bilinear",
        seed: int = 0,
        empty: float = 0.0,
    ) -> None:
        self.datasets = dict(datasets)
        self.first = next(iter(self.datasets.values()))
        self.size, self.seed, self.empty = size, seed, empty
        self._filter = PILImage.Resampling[interpolation.upper()]
        self._cache: OrderedDict[int, Case] = OrderedDict()
        self._cache_length = max(1, _CACHE_BYTES // (4 * size * size))

    def __len__(self) -> int:
        return len(self.first)

    def with_prompt(self, index: int, key: tuple[object, ...]) -> Case:
        """Return a case at network size with the prompt that `key` draws for it."""
        return dataclasses.replace(self._case(index), prompt=self._prompt(index, key))

    def _prompt(self, index: int, key: tuple[object, ...]) -> Prompt:
        rng = generator(self.seed, *key, "prompt")
        keys = list(self.datasets)
        prompts = self.datasets[keys[int(rng.integers(len(keys)))]].infos[index].prompts
        chosen = prompts[int(rng.integers(len(prompts)))]
        return Prompt("") if rng.random() < self.empty else chosen

    def _case(self, index: int) -> Case:
        resized = self._cache.pop(index, None)
        if resized is None:
            case = self.first[index]
            square = (self.size, self.size)
            image = np.array(PILImage.fromarray(case.image).resize(square, self._filter))
            mask = np.array(PILImage.fromarray(case.mask).resize(square, PILImage.Resampling.NEAREST))
            rows, columns = case.spacing_mm or (1.0, 1.0)
            spacing_mm = (rows * case.mask.shape[0] / self.size, columns * case.mask.shape[1] / self.size)
            # Deep pixels of the original size would belong to another image now.
            metadata = {k: v for k, v in case.metadata.items() if k not in _DEEP}
            resized = dataclasses.replace(case, image=image, mask=mask, metadata=metadata, spacing_mm=spacing_mm)
        self._cache[index] = resized
        while len(self._cache) > self._cache_length:
            self._cache.popitem(last=False)
        return resized


def open_split(spec: TrainDataSpec, split: str, keys: Sequence[str]) -> dict[str, Dataset]:
    """Return `split` read once for each prompt key; "random" stands for those of p1..p9 that every case has.

    Raises:
        InputError: the data, the split or a key does not exist, or "random" finds no key.
    """
    options: dict[str, Any] = {"split": split, "subject": spec.subject, "modality": spec.modality, "limit": spec.limit}
    options |= {"splits": spec.splits, **spec.reading()}
    path = Path(spec.path)
    chosen = [key for key in keys if key != RANDOM]
    if RANDOM in keys:
        offered = _keys_of_all(load_dataset(path, prompt=spec.validation_prompt, **options))
        chosen += [key for key in offered if key not in chosen]
    if not chosen:
        raise InputError(
            f"data.prompt: expected prompt keys among p1..p9 in {spec.path}, found none that all cases have"
        )
    return {key: load_dataset(path, prompt=key, **options) for key in chosen}


def _keys_of_all(dataset: Dataset) -> list[str]:
    siblings = [info.metadata.get("siblings", {}) for info in dataset.infos]
    return [key for key in _RANDOM_KEYS if all(entry.get(key) for entry in siblings)]
