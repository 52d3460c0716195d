"""Calibration on a dataset: its images, its kinds, and the table that is printed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from robustness.errors import CaseError, InputError
from robustness.files import IMAGE_SUFFIXES
from robustness.types import Case, DataContext, NotApplicable, Progress, Prompt

if TYPE_CHECKING:
    from robustness.perturb.severity.calibration import Calibration


class ImageSet(NamedTuple):
    """What is calibrated on: the images, as cases, and the dataset that they come from."""

    cases: tuple[Case, ...]
    context: DataContext


class Calibrated(NamedTuple):
    """The calibrations, and kind -> reason where there is none."""

    calibrations: tuple[Calibration, ...]
    skipped: dict[str, str]


def image_set(data: Path, *, split: str, prompt: str, modality: str | None, limit: int) -> ImageSet:
    """Return up to `limit` distinct images, evenly through a split of a dataset or through a folder of images.

    Raises:
        InputError: there is no such dataset, or no image can be read.
    """
    if data.is_dir() and not (data / "anns").is_dir():
        return _of_folder(data, modality=modality, limit=limit)
    from robustness.runners.data.load import load_dataset

    dataset = load_dataset(data, split, prompt, modality=modality)
    first = {info.image_id: number for number, info in reversed(list(enumerate(dataset.infos)))}
    places = sorted(first.values())
    cases = [
        dataclasses.replace(case, case_id=str(case.metadata.get("image_id", case.case_id)))
        for case in _readable(lambda n: dataset[n], [places[i] for i in _evenly(len(places), limit)])
    ]
    return ImageSet(tuple(cases), dataset.context(0))


def _of_folder(folder: Path, *, modality: str | None, limit: int) -> ImageSet:
    from robustness.runners.data.decode import read_image

    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise InputError(f"data: expected a dataset (with anns/) or images in {str(folder)!r}, found neither")

    def read(number: int) -> Case:
        decoded = read_image(files[number])
        deep = {} if decoded.image_float is None else {"image_float": decoded.image_float}
        mask = np.zeros(decoded.image.shape[:2], dtype=np.bool_)
        return Case(
            files[number].stem, "", decoded.image, mask, Prompt(""), metadata={"modality": modality or "", **deep}
        )

    cases = list(_readable(read, _evenly(len(files), limit)))
    return ImageSet(tuple(cases), _context(folder.name, modality))


def _context(name: str, modality: str | None) -> DataContext:
    from robustness.perturb.modality import known_modality
    from robustness.types import CaseInfo

    if modality:
        known_modality(modality)
    return DataContext(name, (CaseInfo("", "", "", "", (Prompt(""),), {"modality": modality or ""}),))


def _readable(read: Callable[[int], Case], places: Sequence[int]) -> Iterator[Case]:
    problems: list[str] = []
    for path in places:
        try:
            yield read(path)
        except CaseError as error:
            problems.append(str(error))
    if len(problems) == len(places):
        raise InputError(f"data: expected at least one readable image; the first problem: {problems[0]}")


def _evenly(count: int, limit: int) -> list[int]:
    return sorted({round(i * (count - 1) / max(min(limit, count) - 1, 1)) for i in range(min(limit, count))})


def calibrated(
    chosen: ImageSet, *, kinds: Sequence[str], seed: int = 0, progress: Progress | None = None
) -> Calibrated:
    """Calibrate every kind that a list of names and groups stands for.

    Raises:
        InputError: an unknown kind, or images too small for SSIM.
    """
    from robustness.perturb.image.base import ImagePerturbation
    from robustness.perturb.select import image_names
    from robustness.perturb.severity.calibration import calibrate, shrunk
    from robustness.registry import PERTURBATIONS

    cases = [shrunk(case) for case in chosen.cases]
    names = image_names(kinds, chosen.context)
    calibrations: list[Calibration] = []
    skipped: dict[str, str] = {}
    for done, name in enumerate(names):
        entry: type[Any] = PERTURBATIONS.get(name)
        change = entry() if issubclass(entry, ImagePerturbation) else None
        result = NotApplicable("it has no values") if change is None else calibrate(change, cases, seed=seed)
        if isinstance(result, NotApplicable):
            skipped[name] = result.reason
        else:
            calibrations.append(result)
        if progress:
            progress(done + 1, len(names))
    return Calibrated(tuple(calibrations), skipped)


def report_lines(outcome: Calibrated) -> Iterator[str]:
    """Yield the table: kind, severity, value, mean SSIM and its spread over the images, and what is missing."""
    yield f"{'kind':<20}{'severity':>9}  {'value':<18}{'target':>7}{'SSIM':>7}  10% to 90% of images"
    for one in outcome.calibrations:
        for row in one.rows:
            value = ", ".join(f"{v:g}" for v in (row.value if isinstance(row.value, tuple) else (row.value,)))
            spread = f"{row.low:.3f} to {row.high:.3f}"
            yield f"{one.kind:<20}{row.severity:>9}  {value:<18}{row.target:>7.2f}{row.ssim:>7.3f}  {spread}"
    for one in outcome.calibrations:
        if not one.reached:
            yield f"{one.kind}: does not meet every target; its severities do not compare with those of other kinds"
    for kind, reason in outcome.skipped.items():
        yield f"{kind}: not calibrated: {reason}"
