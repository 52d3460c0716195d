"""Annotation files of the reference benchmark: its splits by name, and its prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.results import case_id_of
from robustness.runners.data.benchmark_folder import read_entries
from robustness.runners.data.prepare.base import Sample, Target

Found = tuple[Sample, Target]


def read_reference(folder: str | Path) -> dict[str, list[dict[str, Any]]]:
    """Return the entries of each annotation file in a folder (or in its `anns`), by split.

    Raises:
        InputError: there is no annotation file.
    """
    source = Path(folder).expanduser()
    source = source / "anns" if (source / "anns").is_dir() else source
    files = sorted(source.glob("*.json"))
    if not files:
        raise InputError(f"annotations: expected files SPLIT.json in {source}, found none")
    return {file.stem: read_entries(file) for file in files}


def matched(
    splits: Mapping[str, Sequence[Mapping[str, Any]]], samples: Sequence[Sample]
) -> Iterator[tuple[str, Mapping[str, Any], Found]]:
    """Yield (split, entry, what of the download it is), in the order of the annotation files.

    Raises:
        InputError: an entry names an image or a mask that the download lacks.
    """
    images: dict[str, Sample] = {sample.stem: sample for sample in samples}
    for split, entries in splits.items():
        for number, entry in enumerate(entries):
            where = f"{split}.json entry {number}"
            stem, mask = case_id_of(entry["img_name"]), case_id_of(entry["mask_name"])
            sample = images.get(stem)
            if sample is None:
                raise InputError(
                    f"annotations: {where} names the image {entry['img_name']!r}, which the download lacks"
                )
            target = _target(sample, mask)
            if target is None:
                stems = ", ".join(target.mask_stem for target in sample.targets) or "none"
                raise InputError(
                    f"annotations: {where} names the mask {entry['mask_name']!r}; the download has {stems}"
                )
            yield split, entry, (sample, target)


def _target(sample: Sample, mask_id: str) -> Target | None:
    for target in sample.targets:
        if mask_id in {case_id_of(name) for name in (target.mask_stem, *target.aliases)}:
            return target
    return None
