"""Parts of an audit: some images of one model on one data set, cut before anything runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from robustness.plans.audit import Plan
from robustness.runners.audit.reader import ImageOf
from robustness.runners.data.load import Dataset
from robustness.types import Segmenter

DEFAULT_IMAGES = 8
# Of few images, parts of the default size would leave some of two or four workers without work at the end.
_EVENLY = range(2 * DEFAULT_IMAGES, 7 * DEFAULT_IMAGES + 1)


@dataclass(frozen=True)
class Part:
    """Some images of one (model, dataset); cut by plan order before anything runs."""

    index: int
    model: int
    dataset: int
    images: tuple[str, ...]

    def keys(self) -> list[ImageOf]:
        """Return what its images are read by."""
        return [ImageOf(self.index, self.dataset, image) for image in self.images]


def cut_parts(models: Sequence[Segmenter], datasets: Sequence[Dataset], images_per_part: int | None) -> list[Part]:
    """Cut (model, dataset, images) into parts by plan order; how many workers run them changes no part.

    Args:
        models, datasets: the plan's, loaded.
        images_per_part: None: 8; of 16 to 56 images, a multiple of four parts that are equally large.
    """
    parts: list[Part] = []
    for model in range(len(models)):
        for number, dataset in enumerate(datasets):
            images = list(image_places(dataset))
            for start, stop in _cuts(len(images), images_per_part):
                parts.append(Part(len(parts), model, number, tuple(images[start:stop])))
    return parts


def _cuts(count: int, images_per_part: int | None) -> list[tuple[int, int]]:
    if images_per_part is None and count in _EVENLY:
        parts = 4 * -(-count // (4 * DEFAULT_IMAGES))
        edges = [count * part // parts for part in range(parts + 1)]
    else:
        edges = [*range(0, count, images_per_part or DEFAULT_IMAGES), count]
    return list(pairwise(edges))


def first_parts(parts: Sequence[Part]) -> dict[tuple[int, int], int]:
    """Return the number of the first part of every (model, dataset)."""
    firsts: dict[tuple[int, int], int] = {}
    for part in parts:
        firsts.setdefault((part.model, part.dataset), part.index)
    return firsts


def model_names(plan: Plan, models: Sequence[Segmenter]) -> list[str]:
    """Return one distinct name per model: its label, else its name, else name and place."""
    names = [spec.label or model.name for spec, model in zip(plan.model, models, strict=True)]
    return [name if names.count(name) == 1 else f"{name}-{place + 1}" for place, name in enumerate(names)]


def image_places(dataset: Dataset) -> dict[str, list[int]]:
    """Return, for every image of a data set, the numbers of its cases."""
    places: dict[str, list[int]] = {}
    for number, info in enumerate(dataset.infos):
        places.setdefault(info.image_id, []).append(number)
    return places
