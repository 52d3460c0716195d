"""Any set of images, masks and a table: files of one stem belong together, or a table says which do."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from robustness.errors import InputError, counted
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.label_map import LabelTable, label_slug, parse_labels, pick
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target, by_stem, find_folder, image_files
from robustness.types import Mask

Options = Mapping[str, Any]

_IMAGE_COLUMNS = ("image", "img_name", "image_name", "filename", "file_name", "file", "id", "image_id")
_SUBJECT_COLUMNS = ("subject", "subject_id", "patient", "patient_id", "PatientID", "case", "case_id")
_SPLIT_COLUMNS = ("split", "fold", "set")
_SPLITS = {"training": "train", "validation": "val", "valid": "val", "testing": "test"}
_MASK_ENDS = ("", "_mask", "_seg", "_segmentation", "_Segmentation", "_gt", "_label")


def _generic(source: Path, options: Options) -> Iterator[Sample]:
    target = str(options.get("target") or "")
    labels = parse_labels(options["labels"], "labels") if options.get("labels") else {}
    if not target and not labels:
        raise InputError("target: the generic layout states no class; give --target NAME or labels")
    images = find_folder(source, ["images", "image", "imgs"], "generic")
    masks = by_stem(find_folder(images.parent, ["masks", "mask", "labels", "annotations", "gt"], "generic"))
    table, rows = _table(source)
    for image in image_files(images):
        mask = next((masks[image.stem + end] for end in _MASK_ENDS if image.stem + end in masks), None)
        if mask is None:
            raise InputError(f"source: expected a mask of {image.name} in the mask folder, found none")
        row = rows.get(image.name) or rows.get(image.stem) or {}
        if table and not row:
            # One image without its subject, and all of them would count as subjects of their own.
            raise InputError(
                f"source: expected a row of {image.name} in {table}, which has {counted(len(rows), 'other row')}; "
                "complete the table, or remove it"
            )
        yield _sample(image, mask, row, target, labels)


def _sample(image: Path, mask: Path, row: Mapping[str, str], target: str, labels: LabelTable) -> Sample:
    declared = {
        name: (pick(name, labels, "labels"), f"{image.stem}_{label_slug(name, labels)}") for name in labels
    } or {target: (MaskDeclaration(), image.stem)}
    targets = tuple(
        Target(name=name, mask_stem=stem, read=partial(_read, mask, declaration))
        for name, (declaration, stem) in declared.items()
    )
    subject = next((row[column] for column in _SUBJECT_COLUMNS if row.get(column)), "")
    split = next((row[column].lower() for column in _SPLIT_COLUMNS if row.get(column)), "")
    own = {*_IMAGE_COLUMNS, *_SUBJECT_COLUMNS, *_SPLIT_COLUMNS}
    facts = {column: value for column, value in row.items() if column and column not in own and value}
    return Sample(
        stem=image.stem, image=image, targets=targets, subject=subject, split=_SPLITS.get(split, split), facts=facts
    )


def _read(path: Path, declaration: MaskDeclaration) -> Mask:
    return read_mask(path, declaration=declaration).mask


def _table(source: Path) -> tuple[str, dict[str, dict[str, str]]]:
    """Return the name of the only CSV beside the folders and its rows by the image that they name; "" for no CSV."""
    tables = sorted(source.glob("*.csv"))
    if not tables:
        return "", {}
    if len(tables) > 1:
        raise InputError(f"source: expected one CSV in {source}, found {', '.join(table.name for table in tables)}")
    with tables[0].open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), list(reader.fieldnames or [])
    key = next((column for column in _IMAGE_COLUMNS if column in columns), None)
    if key is None:
        raise InputError(
            f"source: expected a column {' or '.join(_IMAGE_COLUMNS)} in {tables[0].name}, found "
            f"{', '.join(columns) or 'nothing'}"
        )
    named: dict[str, dict[str, str]] = {}
    for row in rows:
        name = (row[key] or "").strip().split("/")[-1]
        if named.setdefault(name, row) != row:
            raise InputError(f"source: {tables[0].name} has two different rows of {name!r}; keep one")
    return tables[0].name, named


LAYOUTS = (
    Layout(
        name="generic",
        title="Images, masks and a table",
        modality="",
        tree="images/STEM.*, masks/STEM[_mask].*, one optional table *.csv (image, subject, split, further columns)",
        licence="your own",
        source="any",
        subjects="the table's column subject or patient_id; else not known",
        traps=("files belong together by name; an image without a mask, or without a row of the table, is an error",),
        samples=_generic,
        options=("target", "labels"),
    ),
)
