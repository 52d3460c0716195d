"""Workload of an audit: rows, encodes and decodes, counted without a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from robustness.perturb.joint import chosen_of, prompt_names
from robustness.plans.audit import Plan
from robustness.results import CLEAN, RERUN, parse_condition
from robustness.runners.data.load import Dataset
from robustness.runners.dry_run.recorder import record
from robustness.runners.exchange.package import image_digest
from robustness.runners.inference.request import Request
from robustness.types import Progress

if TYPE_CHECKING:
    import pandas as pd

_SEARCHES = ("worst_case",)


class Workload(NamedTuple):
    """What one model will be asked on one dataset.

    Attributes:
        sampled: images on which the image changes were made; what concerns them is scaled to all images.
        n_rows: rows of the table.
        n_image_encodes, n_text_encodes, n_decodes: distinct images, texts and pairs, the second clean run on top.
        by_model: conditions that look for their inputs with the model, whose cost only a measurement tells.
        rows: prompt rows of all cases, and image rows of the sampled images.
    """

    dataset: str
    n_cases: int
    n_images: int
    n_subjects: int
    subject_is_image: bool
    sampled: int
    n_rows: int
    n_image_encodes: int
    n_text_encodes: int
    n_decodes: int
    by_model: tuple[str, ...]
    rows: pd.DataFrame


class _Tally:
    def __init__(self) -> None:
        self.images: dict[str, str] = {}
        self.texts: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()

    def take(self, request: Request) -> str:
        # Equal keys mean equal images, so each is hashed once.
        digest = self.images.setdefault(request.image_key, "") or image_digest(request.image)
        self.images[request.image_key] = digest
        self.texts.add(request.text)
        self.pairs.add((digest, request.text))
        return request.condition


def workload(plan: Plan, dataset: Dataset, index: int, *, images: int, progress: Progress | None = None) -> Workload:
    """Count what the audit of the plan's data number `index` will ask; every case is read, no model is.

    Args:
        images: image changes are made on so many images, spread over the data.
    """
    import pandas as pd

    prompt_tally, image_tally = _Tally(), _Tally()
    prompt_rows = record(_only(plan, image=False), dataset, index, prompt_tally.take, progress=progress)
    sample = dataset.subset(spread_images(dataset, images))
    image_rows = record(_only(plan, image=True), sample, index, _changed_only(image_tally))
    # The prompt halves of joint grids are among the prompt plan's rows.
    counted = image_rows["condition"].isin([CLEAN, RERUN]) | (image_rows["family"] == "prompt")
    image_rows = image_rows[~counted]
    n_images = len({info.image_id for info in dataset.infos})
    sampled = len({info.image_id for info in sample.infos})
    rerun = prompt_rows[prompt_rows["condition"] == RERUN]
    image_of = {info.case_id: info.image_id for info in dataset.infos}
    twice = len({image_of[case_id] for case_id in rerun["case_id"]})
    scale = n_images / max(sampled, 1)
    # The image plan's own clean requests are among those of the prompt plan.
    changed = len(image_tally.images) - sampled, len(image_tally.pairs) - len(rerun_of(sample))
    chosen = chosen_of(plan.perturbations, dataset.context(plan.seed)).single
    return Workload(
        dataset.name,
        len(dataset),
        n_images,
        len({info.subject_id for info in dataset.infos}),
        dataset.subject_is_image,
        sampled,
        len(prompt_rows) + round(scale * len(image_rows)),
        len(prompt_tally.images) + twice + round(scale * max(changed[0], 0)),
        len(prompt_tally.texts | image_tally.texts),
        len(prompt_tally.pairs) + len(rerun) + round(scale * max(changed[1], 0)),
        tuple(s.condition for s in chosen if _needs_model(s.perturbation)),
        pd.concat([prompt_rows, image_rows], ignore_index=True),
    )


def rerun_of(dataset: Dataset) -> set[tuple[str, str]]:
    """Return the distinct pairs of image and listed text."""
    return {(info.image_id, prompt.text) for info in dataset.infos for prompt in info.prompts}


def spread_images(dataset: Dataset, images: int) -> list[int]:
    """Return the cases on at most `images` images, evenly spread over the data, in its order."""
    image_ids = list(dict.fromkeys(info.image_id for info in dataset.infos))
    places = np.unique(np.linspace(0, len(image_ids) - 1, min(images, len(image_ids))).round().astype(int))
    chosen = {image_ids[index] for index in places}
    return [number for number, info in enumerate(dataset.infos) if info.image_id in chosen]


def _changed_only(tally: _Tally) -> Callable[[Request], str]:
    def take(request: Request) -> str:
        of_words = parse_condition(request.condition).family == "prompt"
        return request.condition if of_words else tally.take(request)

    return take


def _only(plan: Plan, *, image: bool) -> Plan:
    spec = plan.perturbations
    update: dict[str, Any] = {"prompt": []}
    if not image:
        words = [*spec.prompt, *(name for grid in spec.joint or () for name in prompt_names(grid))]
        update = {"prompt": words, "image": spec.image.model_copy(update={"kinds": []}), "joint": None}
    return plan.model_copy(update={"perturbations": spec.model_copy(update=update)})


def _needs_model(perturbation: Any) -> bool:
    return bool(getattr(perturbation, "needs_model", False)) or perturbation.name in _SEARCHES


def seconds_per_row(batches: Sequence[dict[str, float]]) -> tuple[float, float, float]:
    """Return the mean, smallest and largest seconds a row of measured batches ({"seconds", "rows"})."""
    each = [batch["seconds"] / max(batch["rows"], 1) for batch in batches]
    total = sum(batch["seconds"] for batch in batches) / max(sum(batch["rows"] for batch in batches), 1)
    return total, min(each), max(each)
