"""Training cases: which prompt and which change of the image each case gets in each epoch.

Every draw comes from (seed, epoch, case, what is drawn), so that order, batches, workers and a resume change nothing.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PILImage

from robustness.errors import InputError
from robustness.perturb.paraphrase import texts as reworded_texts
from robustness.registry import PERTURBATIONS
from robustness.runners.data import Dataset, load_dataset
from robustness.runners.training_counterfactual import Counterfactuals
from robustness.runners.training_words import without_words
from robustness.seeds import generator
from robustness.train_plan import RANDOM, TrainDataSpec
from robustness.types import Case, Image, Mask, Prompt

_SHIFT, _GAIN, _MISWORDED, _REWORDED = 0.06, 0.15, 0.4, 0.25
# What the mask itself shows: a wrong word of these kinds need not mislead anybody.
_MISWORDED_KINDS = ("size", "number", "location", "view")
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
    """

    image: Image
    mask: Mask
    text: str
    key: tuple[object, ...]


class TrainingCases:
    """The cases of one split, resized to the network and changed anew in each epoch.

    Args:
        datasets: prompt key to the split read with that key; all list the same cases.
        size: side of the network's input in pixels.
        interpolation: PIL's filter for images; masks are resized by the nearest pixel.
        seed: of all draws.
        augment: names among "flip", "rotate", "shift", "gain", "misword", "reword".
        empty: share of prompts replaced by the empty text.
        attribute_dropout: chance of a word that is not needed to be left out.
        others: asks for other targets of the image now and then.
        redraw: validation draws one of the listed texts anew for each pass, as the reference benchmark does.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        *,
        size: int,
        interpolation: str = "bilinear",
        seed: int = 0,
        augment: Sequence[str] = (),
        empty: float = 0.0,
        attribute_dropout: float = 0.0,
        others: Counterfactuals | None = None,
        redraw: bool = False,
    ) -> None:
        self.datasets = dict(datasets)
        self.first = next(iter(self.datasets.values()))
        self.size, self.seed, self.augment, self.empty = size, seed, tuple(augment), empty
        self.attribute_dropout, self.others, self.redraw = attribute_dropout, others, redraw
        self._filter = PILImage.Resampling[interpolation.upper()]
        self._kept: OrderedDict[int, Case] = OrderedDict()
        self._most = max(1, _CACHE_BYTES // (4 * size * size))
        self._context = (self.first if others is None else others.pool.first).context(seed)
        # Looked up only where it is used: the registry imports the whole room.
        self._flip = PERTURBATIONS.get("horizontal_flip")() if "flip" in self.augment else None
        self._rotation = PERTURBATIONS.get("rotation")() if "rotate" in self.augment else None

    def __len__(self) -> int:
        return len(self.first)

    def pools(self) -> list[Dataset]:
        """Return the data that counterfactual prompts read besides the cases themselves."""
        return [] if self.others is None else [self.others.pool.first]

    def order(self, epoch: int) -> list[int]:
        """Return the order of the cases in `epoch`."""
        return [int(i) for i in generator(self.seed, "epoch", epoch, "order").permutation(len(self))]

    def plain(self, index: int, epoch: int = 0) -> Sample:
        """Return a case as it is, with its first listed text (with `redraw` that of `epoch`): what validation sees."""
        case = self._case(index)
        text = self.first.infos[index].prompts[0].text
        if self.redraw:
            text = self._prompt(index, ("validation", epoch, case.case_id)).text
        return Sample(case.image, case.mask, text, (case.case_id,))

    def asked(self, index: int, key: tuple[object, ...]) -> Case:
        """Return a case at network size with the prompt that `key` draws for it."""
        return dataclasses.replace(self._case(index), prompt=self._prompt(index, key))

    @property
    def parts(self) -> tuple[TrainingCases, ...]:
        """The datasets' own cases: one set here, several in a pool."""
        return (self,)

    def drawn(self, index: int, epoch: int, *, turn: int = 0) -> Sample:
        """Return a case with the prompt and the changes that (seed, epoch, case) gives it.

        Args:
            index: place of the case.
            epoch: counted from 0.
            turn: how often the case came before in this epoch; each time draws anew.

        Raises:
            CaseError: its files cannot be read.
        """
        key: tuple[object, ...] = ("epoch", epoch, self.first.infos[index].case_id, *(("turn", turn) if turn else ()))
        case = self.asked(index, key)
        if self.others is not None:
            case = self.others.drawn(case, key)
        if self._flip is not None and generator(self.seed, *key, "flip").random() < 0.5:
            params = self._flip.draw(case, 1, generator(self.seed, *key, "flip", "params"))
            case = case if params is None else self._flip.apply(case, params)
        if self._rotation is not None:
            case = rotated(case, self._rotation, generator(self.seed, *key, "rotate"))
        image, mask = case.image, case.mask
        if "shift" in self.augment:
            image, mask = shifted(image, mask, generator(self.seed, *key, "shift"))
        if "gain" in self.augment:
            image = brightened(image, generator(self.seed, *key, "gain"))
        if "misword" in self.augment:
            case = self._misworded(case, key)
        if self.attribute_dropout:
            rng = generator(self.seed, *key, "words")
            case = without_words(case, self._context, chance=self.attribute_dropout, rng=rng)
        text = self._reworded(case, key) if "reword" in self.augment else case.prompt.text
        return Sample(image, mask, text, (self.seed, *key))

    def _prompt(self, index: int, key: tuple[object, ...]) -> Prompt:
        rng = generator(self.seed, *key, "prompt")
        keys = list(self.datasets)
        prompts = self.datasets[keys[int(rng.integers(len(keys)))]].infos[index].prompts
        chosen = prompts[int(rng.integers(len(prompts)))]
        return Prompt("") if rng.random() < self.empty else chosen

    def _misworded(self, case: Case, key: tuple[object, ...]) -> Case:
        rng = generator(self.seed, *key, "misword")
        kinds = [kind for kind in _MISWORDED_KINDS if case.prompt.get(kind)]
        if not kinds or rng.random() >= _MISWORDED:
            return case
        opposite = PERTURBATIONS.get("antonym")(kind=kinds[int(rng.integers(len(kinds)))])
        params = opposite.draw(case, 0, rng)
        return case if params is None else opposite.apply(case, params)

    def _reworded(self, case: Case, key: tuple[object, ...]) -> str:
        rng = generator(self.seed, *key, "reword")
        if rng.random() >= _REWORDED:
            return case.prompt.text
        rewordings = reworded_texts(case.prompt, case)
        return rewordings[int(rng.integers(len(rewordings)))] if rewordings else case.prompt.text

    def _case(self, index: int) -> Case:
        held = self._kept.pop(index, None)
        if held is None:
            case = self.first[index]
            square = (self.size, self.size)
            image = np.array(PILImage.fromarray(case.image).resize(square, self._filter))
            mask = np.array(PILImage.fromarray(case.mask).resize(square, PILImage.Resampling.NEAREST))
            rows, columns = case.spacing_mm or (1.0, 1.0)
            spacing_mm = (rows * case.mask.shape[0] / self.size, columns * case.mask.shape[1] / self.size)
            # Deep pixels of the original size would belong to another picture now.
            metadata = {k: v for k, v in case.metadata.items() if k not in _DEEP}
            held = dataclasses.replace(case, image=image, mask=mask, metadata=metadata, spacing_mm=spacing_mm)
        self._kept[index] = held
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return held


def open_split(spec: TrainDataSpec, split: str, keys: Sequence[str]) -> dict[str, Dataset]:
    """Return `split` read once for each prompt key; "random" stands for those of p1..p9 that every case has.

    Raises:
        InputError: the data, the split or a key does not exist, or "random" finds no key.
    """
    options: dict[str, Any] = {"split": split, "subject": spec.subject, "modality": spec.modality, "limit": spec.limit}
    options["splits"] = spec.splits
    path = Path(spec.path)
    wanted = [key for key in keys if key != RANDOM]
    if RANDOM in keys:
        known = _keys_of_all(load_dataset(path, prompt=spec.validation_prompt, **options))
        wanted += [key for key in known if key not in wanted]
    if not wanted:
        raise InputError(
            f"data.prompt: expected prompt keys among p1..p9 in {spec.path}, found none that all cases have"
        )
    return {key: load_dataset(path, prompt=key, **options) for key in wanted}


def shifted(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Return both moved by the same whole pixels, up to 6% of the side; what comes in repeats the edge."""
    size = mask.shape[0]
    most = round(_SHIFT * size)
    rows, columns = (np.clip(np.arange(size) - int(d), 0, size - 1) for d in rng.integers(-most, most + 1, 2))
    return image[rows][:, columns], mask[rows][:, columns]


def rotated(case: Case, rotation: Any, rng: np.random.Generator) -> Case:
    """Return half of the cases turned by 5, 10 or 15 degrees with mask and location words, where these stay true."""
    if rng.random() >= 0.5:
        return case
    params = rotation.draw(case, int(rng.integers(1, 4)), rng)
    return case if params is None else rotation.apply(case, params)


def brightened(image: Image, rng: np.random.Generator) -> Image:
    """Return `image` times a factor within 15% of 1."""
    factor = rng.uniform(1 - _GAIN, 1 + _GAIN)
    return np.clip(np.rint(image * factor), 0, 255).astype(np.uint8)


def _keys_of_all(dataset: Dataset) -> list[str]:
    siblings = [info.metadata.get("siblings", {}) for info in dataset.infos]
    return [key for key in _RANDOM_KEYS if all(entry.get(key) for entry in siblings)]
