"""CheXlocalize: chest X-rays with run-length masks of ten findings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.runners.data.masks.run_lengths import pycocotools
from robustness.runners.data.masks.shapes import read_json_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target
from robustness.types import Mask

Options = Mapping[str, Any]

_FILES = {"val": "gt_segmentations_val.json", "test": "gt_segmentations_test.json"}
_ID = re.compile(r"(patient\d+)_(study\d+)_(view\d+_(frontal|lateral))")
# What the reference benchmark calls findings that newer releases name otherwise.
_ALIASES = {"pleural_effusion": ("effusion",), "lung_opacity": ("airspace_opacity",)}


def _chexlocalize(source: Path, options: Options) -> Iterator[Sample]:
    tables = {split: file for split, name in _FILES.items() if (file := next(iter(sorted(source.rglob(name))), None))}
    if not tables:
        raise InputError(f"source: expected {' or '.join(_FILES.values())} in {source}, found neither")
    images = {
        f"{path.parts[-3]}_{path.parts[-2]}_{path.stem}": path
        for path in source.rglob("view*.jpg")
        if len(path.parts) > 3
    }
    for split, table in tables.items():
        document = json.loads(table.read_text(encoding="utf-8"))
        for name, findings in document.items():
            match = _ID.fullmatch(name)
            if match is None or name not in images:
                raise InputError(f"source: expected an image for {name!r} of {table.name}, found none in {source}")
            yield _radiograph(name, images[name], table, findings, split, subject=match[1], view=match[4])


def _radiograph(
    name: str, image: Path, table: Path, findings: Mapping[str, Any], split: str, *, subject: str, view: str
) -> Sample:
    present = [finding for finding in findings if _has_pixels(findings[finding], table)]
    targets = []
    for finding in present:
        slug = finding.lower().replace(" ", "_")
        others = [other.lower() for other in present if other != finding]
        targets.append(
            Target(
                name=finding.lower(),
                mask_stem=f"{name}_{slug}",
                read=partial(_finding, table, name, finding),
                attributes={"view": view, **({"pathology": others} if others else {})},
                aliases=tuple(f"{name}_{alias}" for alias in _ALIASES.get(slug, ())),
            )
        )
    return Sample(stem=name, image=image, targets=tuple(targets), subject=subject, split=split, facts={"view": view})


def _has_pixels(code: Any, table: Path) -> bool:
    """Tell whether a compressed run-length code holds any foreground: an empty mask is one run."""
    counts = code["counts"] if isinstance(code, Mapping) else code
    if isinstance(counts, list):
        return len(counts) > 1
    return bool(pycocotools(str(table)).area({"size": code["size"], "counts": counts.encode()}) > 0)


def _finding(table: Path, name: str, finding: str) -> Mask:
    return read_json_mask(table, (name, finding), None)


LAYOUTS = (
    Layout(
        name="chexlocalize",
        title="CheXlocalize",
        modality="x-ray",
        tree="gt_segmentations_{val,test}.json, CheXpert/{val,test}/patientN/studyN/viewN_{frontal,lateral}.jpg",
        licence="Stanford University Dataset Research Use Agreement (of CheXpert), non-commercial research",
        source="Saporta et al., Nature Machine Intelligence 4, 2022, doi:10.1038/s42256-022-00536-x",
        subjects="patients, by their folders",
        traps=(
            "masks are compressed run-length codes: rows and columns are easily swapped",
            "findings without foreground are left out: an empty code says that none was drawn",
            "airspace opacity of older releases is lung opacity, effusion is pleural effusion",
        ),
        samples=_chexlocalize,
    ),
)
