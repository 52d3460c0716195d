"""Ultrasound sets: BUSI (breast) and CAMUS (heart)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import InputError
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target, find_folder, first_folder, image_files, natural
from robustness.runners.data.volumes.base import Voxels
from robustness.runners.data.volumes.open import open_volume
from robustness.types import Image, Mask

Options = Mapping[str, Any]

_GRADES = ("benign", "malignant", "normal")
_BUSI_IMAGE = re.compile(r"(benign|malignant|normal) \((\d+)\)")
# Value of the label map -> structure, and the folder in which the reference benchmark keeps its masks.
_CAMUS = {1: "left ventricular cavity", 2: "myocardium", 3: "left atrium cavity"}
_VIEWS = {"2CH": "two-chamber", "4CH": "four-chamber"}
_PHASES = {"ED": "diastole", "ES": "systole"}
_CAMUS_SPLITS = {
    "train": "subgroup_training.txt",
    "val": "subgroup_validation.txt",
    "test": "subgroup_testing.txt",
}


def _busi(source: Path, options: Options) -> Iterator[Sample]:
    root = find_folder(source, ["Dataset_BUSI_with_GT/benign", "benign"], "busi").parent
    for grade in _GRADES:
        folder = root / grade
        for image in image_files(folder) if folder.is_dir() else []:
            match = _BUSI_IMAGE.fullmatch(image.stem)
            if match:
                yield _breast(image, grade, int(match[2]))


def _breast(image: Path, grade: str, number: int) -> Sample:
    masks = sorted(image.parent.glob(f"{_escaped(image.stem)}_mask*.png"), key=lambda path: natural(path.name))
    if not masks:
        raise InputError(f"source: expected {image.stem}_mask.png for {image.name}, found none")
    stem = f"{number}_{grade}"
    attributes = {} if grade == "normal" else {"pathology": grade}
    target = Target(name="tumor", mask_stem=stem, read=partial(_union, tuple(masks)), attributes=attributes)
    return Sample(stem=stem, image=image, targets=(target,), facts={"diagnosis": grade})


def _union(masks: tuple[Path, ...]) -> Mask:
    """Return the union of an image's masks: `_mask.png`, `_mask_1.png`, ... hold one tumour each."""
    return np.asarray(np.logical_or.reduce([read_mask(mask).mask for mask in masks]))


def _escaped(stem: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", stem)


def _camus(source: Path, options: Options) -> Iterator[Sample]:
    root = first_folder(source, ["database_nifti", "training"]) or source
    patients = sorted(folder for folder in root.iterdir() if re.fullmatch(r"patient\d+", folder.name))
    if not patients:
        raise InputError(
            f"source: expected folders patient0001, ... in {root}, found none; `robustness prepare --list` shows the "
            "layout"
        )
    split_of = _camus_splits(source)
    for patient in patients:
        for view in _VIEWS:
            facts = _camus_facts(patient / f"Info_{view}.cfg")
            for phase in _PHASES:
                yield from _heart(patient, view, phase, facts, split_of.get(patient.name, ""))


def _heart(patient: Path, view: str, phase: str, facts: Mapping[str, Any], split: str) -> Iterator[Sample]:
    stem = f"{patient.name}_{view}_{phase}"
    image, labels = (_existing(patient, f"{stem}{end}") for end in ("", "_gt"))
    if image is None or labels is None:
        return
    stated = {"view": _VIEWS[view], "phase": _PHASES[phase], **{k: facts[k] for k in ("sex", "age") if k in facts}}
    if "image_quality" in facts:
        stated["quality"] = str(facts["image_quality"]).lower()
    targets = tuple(
        Target(
            name=name, mask_stem=f"mask_{value}/{stem}_gt", read=partial(_structure, labels, value), attributes=stated
        )
        for value, name in _CAMUS.items()
    )
    spacing = open_volume(image).header.spacing_mm
    yield Sample(
        stem=stem,
        pixels=partial(_frame, image),
        targets=targets,
        subject=patient.name,
        split=split,
        facts=facts,
        spacing_mm=(spacing[1], spacing[0]) if spacing else None,
    )


def _existing(folder: Path, stem: str) -> Path | None:
    return next((p for end in (".nii.gz", ".nii", ".mhd") if (p := folder / f"{stem}{end}").is_file()), None)


def _frame(path: Path) -> Image:
    """Return a CAMUS image upright: the file's first axis runs along the probe, the second into depth."""
    values = open_volume(path).plane(2, 0).T
    return np.asarray(np.clip(np.rint(values), 0, 255), dtype=np.uint8)


def _structure(path: Path, value: int) -> Mask:
    return np.asarray(value == _labels(path).T)


@lru_cache(maxsize=2)
def _labels(path: Path) -> Voxels:
    return open_volume(path).plane(2, 0)


def _camus_facts(path: Path) -> dict[str, Any]:
    """Return what Info_2CH.cfg and Info_4CH.cfg say: sex, age, image quality, ejection fraction."""
    if not path.is_file():
        return {}
    lines = [line.partition(":") for line in path.read_text(encoding="utf-8").splitlines() if ":" in line]
    raw = {key.strip(): value.strip() for key, _, value in lines}
    facts: dict[str, Any] = {}
    if raw.get("Sex"):
        facts["sex"] = {"F": "female", "M": "male"}.get(raw["Sex"], raw["Sex"])
    if raw.get("Age", "").isdigit():
        facts["age"] = int(raw["Age"])
    for key, name in (("ImageQuality", "image_quality"), ("EF", "ejection_fraction"), ("LVef", "ejection_fraction")):
        if raw.get(key):
            facts[name] = raw[key]
    return facts


def _camus_splits(source: Path) -> dict[str, str]:
    folder = first_folder(source, ["database_split"]) or first_folder(source.parent, ["database_split"])
    splits: dict[str, str] = {}
    for split, name in _CAMUS_SPLITS.items():
        file = folder / name if folder else source / name
        if file.is_file():
            splits |= {line.strip(): split for line in file.read_text(encoding="utf-8").splitlines() if line.strip()}
    return splits


LAYOUTS = (
    Layout(
        name="busi",
        title="Breast Ultrasound Images (BUSI)",
        modality="ultrasound",
        tree="Dataset_BUSI_with_GT/{benign,malignant,normal}/GRADE (N).png, GRADE (N)_mask.png, GRADE (N)_mask_1.png",
        licence="not stated in the download; its paper is CC BY 4.0, mirrors state CC0 or DbCL",
        source="Al-Dhabyani et al., Data in Brief 28, 2020, doi:10.1016/j.dib.2019.104863",
        subjects="not known: 780 images of 600 women, whose images the download does not join",
        traps=(
            "several masks of one image (_mask_1, _mask_2) are one case with their union",
            "normal images have empty masks",
            "duplicates and images with callipers or text are known; `robustness check` looks for them",
        ),
        samples=_busi,
    ),
    Layout(
        name="camus",
        title="CAMUS (cardiac ultrasound)",
        modality="echocardiography",
        tree="database_nifti/patientNNNN/patientNNNN_{2CH,4CH}_{ED,ES}[_gt].nii.gz, Info_*.cfg, database_split/",
        licence="CC BY-NC-SA 4.0, citation required",
        source="Leclerc et al., IEEE TMI 38(9), 2019, doi:10.1109/TMI.2019.2900516",
        subjects="patients (500), by their folders",
        traps=(
            "label maps with values 1 cavity, 2 myocardium, 3 left atrium",
            "NIfTI axes run along the probe, then into depth: the array must be transposed to stand upright",
            "pixels are not square in the older MHD release",
        ),
        samples=_camus,
    ),
)
