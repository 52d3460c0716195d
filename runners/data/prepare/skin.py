"""Skin and feet: ISIC 2016 and 2018 (task 1) and DFUC 2022."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target, by_stem, find_folder, first_folder, image_files
from robustness.types import Mask

Options = Mapping[str, Any]

_FACTS = {"sex": "sex", "age_approx": "age", "anatom_site_general": "anatomical_site", "diagnosis": "diagnosis"}
_IMAGE_COLUMNS = ("isic_id", "image_id", "image", "image_name")

# Official split -> folders of images and masks, and what follows the image's name in a mask's.
_ISIC_2016 = {
    "train": ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
    "test": ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
}
_ISIC_2018 = {
    "train": ("ISIC2018_Task1-2_Training_Input", "ISIC2018_Task1_Training_GroundTruth"),
    "val": ("ISIC2018_Task1-2_Validation_Input", "ISIC2018_Task1_Validation_GroundTruth"),
    "test": ("ISIC2018_Task1-2_Test_Input", "ISIC2018_Task1_Test_GroundTruth"),
}


def _isic(source: Path, options: Options, *, folders: Mapping[str, tuple[str, str]], layout: str) -> Iterator[Sample]:
    facts = _metadata(source)
    splits = [name for name, (images, _) in folders.items() if first_folder(source, [images])]
    if not splits:
        find_folder(source, [images for images, _ in folders.values()], layout)
    for split in splits:
        images = find_folder(source, [folders[split][0]], layout)
        masks = {stem.lower(): path for stem, path in by_stem(find_folder(source, [folders[split][1]], layout)).items()}
        for image in image_files(images):
            mask = masks.get(f"{image.stem}_segmentation".lower())
            if mask is None:
                raise InputError(f"source: expected a mask {image.stem}_Segmentation.png for {image.name}, found none")
            yield _lesion(image, mask, split, facts.get(image.stem, {}))


def _lesion(image: Path, mask: Path, split: str, row: Mapping[str, str]) -> Sample:
    target = Target(
        name="skin lesion",
        mask_stem=f"{image.stem}_Segmentation",
        read=partial(_binary, mask),
        aliases=(mask.stem,),
    )
    subject = row.get("patient_id") or row.get("lesion_id") or ""
    facts = {name: row[column] for column, name in _FACTS.items() if row.get(column)}
    return Sample(stem=image.stem, image=image, targets=(target,), split=split, subject=subject, facts=facts)


def _metadata(source: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a metadata table of the ISIC Archive beside the folders, by image."""
    for table in sorted([*source.glob("*.csv"), *source.glob("*/*.csv")]):
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        key = next((column for column in _IMAGE_COLUMNS if rows and column in rows[0]), None)
        if key and {"patient_id", "lesion_id", *_FACTS} & set(rows[0]):
            return {row[key].strip(): row for row in rows}
    return {}


def _dfu(source: Path, options: Options) -> Iterator[Sample]:
    images = find_folder(source, ["DFUC2022_train_images"], "dfu-2022")
    masks = by_stem(find_folder(source, ["DFUC2022_train_masks"], "dfu-2022"))
    for image in image_files(images):
        if image.stem not in masks:
            raise InputError(f"source: expected a mask {image.stem}.png for {image.name}, found none")
        target = Target(name="foot ulcer", mask_stem=image.stem, read=partial(_binary, masks[image.stem]))
        yield Sample(stem=image.stem, image=image, targets=(target,))


def _binary(path: Path) -> Mask:
    return read_mask(path).mask


_LESIONS = "patient_id or lesion_id where a metadata table of the ISIC Archive lies beside the folders; else not known"

LAYOUTS = (
    Layout(
        name="isic-2016",
        title="ISIC 2016, part 1 (lesion segmentation)",
        modality="dermoscopy",
        tree="ISBI2016_ISIC_Part1_{Training,Test}_Data/ID.jpg, ..._{Training,Test}_GroundTruth/ID_Segmentation.png",
        licence="CC0 1.0; one list says CC BY-NC 4.0",
        source="Gutman et al., arXiv:1605.01397",
        subjects=_LESIONS,
        traps=("the challenge has no validation split",),
        samples=partial(_isic, folders=_ISIC_2016, layout="isic-2016"),
    ),
    Layout(
        name="isic-2018",
        title="ISIC 2018, task 1 (lesion boundaries)",
        modality="dermoscopy",
        tree="ISIC2018_Task1-2_{Training,Validation,Test}_Input/ID.jpg, ..._GroundTruth/ID_segmentation.png",
        licence="CC BY-NC 4.0",
        source="Codella et al., arXiv:1902.03368; Tschandl et al., Scientific Data 2018, doi:10.1038/sdata.2018.161",
        subjects=_LESIONS,
        traps=(
            "masks are called _segmentation here and _Segmentation in 2016",
            "several images show one lesion: a split by image leaks",
        ),
        samples=partial(_isic, folders=_ISIC_2018, layout="isic-2018"),
    ),
    Layout(
        name="dfu-2022",
        title="Diabetic Foot Ulcers Challenge 2022",
        modality="photograph",
        tree="DFUC2022_train_release/DFUC2022_train_images/N.jpg, DFUC2022_train_masks/N.png",
        licence="by permission of the organisers; terms not read here",
        source="Kendrick et al., arXiv:2204.11618",
        subjects="not known: images of one patient may lie in several splits",
        traps=("only the training images have masks", "images are real photographs of patients"),
        samples=_dfu,
    ),
)
