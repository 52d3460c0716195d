"""Parts of an audit, some images of one model on one data set, cut before anything runs; and which run twice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from robustness.plans.audit import EngineSpec, Plan
from robustness.results import RERUN
from robustness.runners.audit.reader import ImageOf
from robustness.runners.data.load import Dataset
from robustness.seeds import generator
from robustness.types import Segmenter

if TYPE_CHECKING:
    import pandas as pd

# So many images at least are run twice; where there are fewer, all.
SAMPLE = 30
DEFAULT_IMAGES = 8
# Of few images, parts of the default size would leave some of two or four workers without work at the end, as would
# parts of as many images where one image holds many cases: what a part takes goes by its cases.
_EVENLY = range(2 * DEFAULT_IMAGES, 7 * DEFAULT_IMAGES + 1)
# So many parts for each process come largest first at the end.
_LAST = 4


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


def cut_parts(
    models: Sequence[Segmenter], datasets: Sequence[Dataset], images_per_part: int | None, *, image_batch: int = 1
) -> list[Part]:
    """Cut (model, dataset, images) into parts by plan order; how many workers run them changes no part.

    Args:
        models, datasets: the plan's, loaded.
        images_per_part: None: 8; of 16 to 56 images, a multiple of four parts with about as many cases each.
        image_batch: images per encoding; where more than 8, a part that nobody states holds as many.
    """
    images_per_part = _images_per_part(images_per_part, image_batch)
    parts: list[Part] = []
    for model in range(len(models)):
        for number, dataset in enumerate(datasets):
            places = image_places(dataset)
            images, cases = list(places), [len(each) for each in places.values()]
            for start, stop in _cuts(cases, images_per_part):
                parts.append(Part(len(parts), model, number, tuple(images[start:stop])))
    return parts


def _cuts(cases: Sequence[int], images_per_part: int | None) -> list[tuple[int, int]]:
    """Return where parts begin and end among images that hold so many cases each; none is empty."""
    count = len(cases)
    if images_per_part is None and count in _EVENLY:
        parts = 4 * -(-count // (4 * DEFAULT_IMAGES))
        upto = [0, *accumulate(cases)]
        edges = sorted({0, *(_nearest(upto, upto[-1] * part / parts) for part in range(1, parts)), count})
    else:
        edges = [*range(0, count, images_per_part or DEFAULT_IMAGES), count]
    return list(pairwise(edges))


def cut_facts(parts: Sequence[Part], datasets: Sequence[Dataset], engine: EngineSpec) -> dict[str, Any]:
    """Return what a resume must find unchanged of how an audit was cut: how many parts, and which images they hold.

    The latter where cases decide it: a run that an older version began has other images in its parts.
    """
    facts: dict[str, Any] = {"parts": len(parts)}
    if _images_per_part(engine.images_per_part, engine.image_batch) is None and any(
        len(image_places(dataset)) in _EVENLY for dataset in datasets
    ):
        facts["images_of_parts"] = [len(part.images) for part in parts]
    return facts


def _images_per_part(stated: int | None, image_batch: int) -> int | None:
    return image_batch if stated is None and image_batch > DEFAULT_IMAGES else stated


def _nearest(values: Sequence[int], target: float) -> int:
    """Return the place of the value nearest to `target` among rising ones, the first of two that are as near."""
    place = bisect_left(values, target)
    return place if place == 0 or values[place] - target < target - values[place - 1] else place - 1


def taking_order(pending: Sequence[int], rows: Sequence[int], workers: int) -> list[int]:
    """Return the order in which several processes take parts: as the plan lists them, but the last ones largest first.

    The smallest then come last, and the processes end at about the same time (R. L. Graham, Bounds on multiprocessing
    timing anomalies, SIAM J. Appl. Math. 17, 1969, doi:10.1137/0117039).

    Args:
        pending: the numbers of the parts.
        rows: for every part of the audit, how many rows it is expected to hold.
        workers: how many processes take them.
    """
    early = max(0, len(pending) - _LAST * workers)
    return [*pending[:early], *sorted(pending[early:], key=lambda part: -rows[part])]


def first_parts(parts: Sequence[Part]) -> dict[tuple[int, int], int]:
    """Return the number of the first part of every (model, dataset)."""
    firsts: dict[tuple[int, int], int] = {}
    for part in parts:
        firsts.setdefault((part.model, part.dataset), part.index)
    return firsts


def model_names(plan: Plan, models: Sequence[Segmenter]) -> list[str]:
    """Return one distinct name per model: its label, else its name, else name and place."""
    names = [spec.label or model.name for spec, model in zip(plan.model, models, strict=True)]
    return [name if names.count(name) == 1 else f"{name}-{number + 1}" for number, name in enumerate(names)]


def image_places(dataset: Dataset) -> dict[str, list[int]]:
    """Return, for every image of a data set, the numbers of its cases."""
    places: dict[str, list[int]] = {}
    for number, info in enumerate(dataset.infos):
        places.setdefault(info.image_id, []).append(number)
    return places


def sampled_images(images: Sequence[str], *, first: int, seed: int) -> frozenset[str]:
    """Return the images that every audit predicts a second time.

    The first part's images are among them, so that noise is seen early; the others are drawn, each by (seed, image)
    alone, so that the sample depends on no order.

    Args:
        images: all images of a data set, in the order of the plan.
        first: how many of them the first part holds.
        seed: the plan's.
    """
    drawn = sorted(images[first:], key=lambda image: (float(generator(seed, "rerun", image).random()), image))
    return frozenset([*images[:first], *drawn[: max(SAMPLE - first, 0)]])


def shows_noise(first_part: pd.DataFrame) -> bool:
    """Return whether a second run of any image of the first part gave another mask than the first run."""
    again = first_part[first_part["condition"] == RERUN]
    return bool((again["mask_change"] > 0).any())
