"""Subjects of cases: the unit of inference."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from robustness.errors import InputError, suggest
from robustness.runners.data.records import SUBJECT_KEYS, Record, listing, names_nobody, refuse_nested
from robustness.runners.data.volumes.open import stem_of

# Folders that hold what many patients have in common (imagesTr and labelsTr), and are no patient's.
_OF_A_SET = re.compile(
    r"(images?|imgs?|labels?|masks?|segs?|segmentations?|annotations?|gts?|ground.?truths?|pred(iction)?s?|train(ing)?|"
    r"val(id|idation)?|test(ing)?|data|raw|derivatives)(tr|ts)?$",
    re.IGNORECASE,
)


class Subjects(NamedTuple):
    """One subject for each record, and whether a subject is just its image."""

    ids: list[str]
    are_images: bool


def subjects_of(records: Sequence[Record], image_ids: Mapping[str, str], *, subject: str | None) -> Subjects:
    """Return each record's subject.

    Args:
        records: the entries.
        image_ids: the id of each image name.
        subject: "image"; a key that every entry states; "regex:PATTERN" searched in the image name (group 1, or the
            whole match); None for the first of SUBJECT_KEYS under which the data names somebody, else each image.

    Raises:
        InputError: a key that an entry lacks or fills with "unknown", a pattern that is wrong or does not match an
            image name.
    """
    by_image = [image_ids[record.image_name] for record in records]
    if subject is None:
        key = subject_key(records)
        return Subjects(by_image, True) if key is None else _by_key(records, key)
    if subject == "image":
        return Subjects(by_image, True)
    if subject.startswith("regex:"):
        return _by_pattern(records, subject.removeprefix("regex:"))
    return _by_key(records, subject)


def subject_key(records: Sequence[Record]) -> str | None:
    """Return the first of SUBJECT_KEYS under which an entry names somebody; None: nobody is named."""
    return next((key for key in SUBJECT_KEYS if not all(names_nobody(entry.states(key)) for entry in records)), None)


def subject_of_path(path: Path, name: str) -> str:
    """Return whom a volume shows as far as folders and names tell.

    In this order: the subject of a BIDS name ("sub-01"); the folder of a patient, where folders beside it hold files of
    the same names ("p1/t1.nii.gz" and "p2/t1.nii.gz"); the name without suffix.

    Args:
        path: the file, or the folder of a DICOM series.
        name: the same as the data write it, relative to the table.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    bids = next((match[0] for part in parts if (match := re.match(r"sub-[A-Za-z0-9]+(?=_|$)", part))), None)
    if bids:
        return bids
    for level in range(min(len(parts) - 1, len(path.parents) - 1), 0, -1):
        folder = path.parents[level - 1]
        if not _OF_A_SET.match(folder.name) and _has_double(folder, path.parent.relative_to(folder)):
            return folder.name
    return stem_of(path)


@lru_cache(maxsize=4096)
def _has_double(folder: Path, inner: Path) -> bool:
    """Tell whether a folder beside this one holds a file of the same name, in the folder `inner` of both."""
    try:
        own = set(os.listdir(folder / inner))
        beside = [entry for entry in folder.parent.iterdir() if entry.name != folder.name and entry.is_dir()]
        return any(
            own & set(os.listdir(other / inner))
            for other in beside
            if not _OF_A_SET.match(other.name) and (other / inner).is_dir()
        )
    except OSError:
        return False


def _by_key(records: Sequence[Record], key: str) -> Subjects:
    refuse_nested(key, ((record.where, record.extra.get(key, record.attributes.get(key))) for record in records))
    ids = [record.states(key) for record in records]
    without = [record for record, subject in zip(records, ids, strict=True) if not subject]
    if len(without) == len(records):
        keys = sorted({name for record in records for name in (*record.extra, *record.attributes)})
        raise InputError(
            f"subject: expected 'image', 'regex:PATTERN' or a key of the data ({listing(keys)}), got {key!r}"
            f"{suggest(key, ['image', *keys])}"
        )
    if without:
        raise InputError(
            f"subject: expected {key!r} in every entry, {len(without)} of {len(records)} lack it "
            f"(first: {without[0].where}); add it or state subject = 'image'"
        )
    nobody = [record for record, subject in zip(records, ids, strict=True) if names_nobody(subject)]
    if nobody:
        said = listing(sorted({record.states(key) for record in nobody}))
        raise InputError(
            f"subject: expected the name of a patient in every {key!r}, {len(nobody)} of {len(records)} say that it is "
            f"not known ({said}; first: {nobody[0].where}), which would count as one patient; name each, or state "
            "subject = 'image'"
        )
    return Subjects(ids, False)


def _by_pattern(records: Sequence[Record], text: str) -> Subjects:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise InputError(f"subject: expected a regular expression after 'regex:', got {text!r} ({error})") from None
    ids = []
    for record in records:
        match = pattern.search(record.image_name)
        subject = (match.group(1) if pattern.groups else match.group(0)) if match else None
        if not subject:
            raise InputError(
                f"subject: expected a pattern that matches every image name, "
                f"{text!r} finds nothing in {record.image_name!r}"
            )
        ids.append(subject)
    return Subjects(ids, False)
