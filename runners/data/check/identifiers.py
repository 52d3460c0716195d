"""What may tell who a patient is: dates and names in file names, and fields of DICOM, EXIF and NIfTI headers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from robustness.errors import CaseError, InputError, counted
from robustness.image_files import UNREADABLE, image_header
from robustness.regular_files import is_regular
from robustness.runners.data.check.findings import Finding, Splits
from robustness.runners.data.records import Record
from robustness.runners.data.volumes import dicom_frames, dicom_header, nifti
from robustness.runners.data.volumes.open import is_volume

_DATE = re.compile(r"(?<!\d)(19[2-9]\d|20[0-2]\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)")
# DICOM joins family and given names by "^"; mail addresses and United States social security numbers are unmistakable.
_NAME = re.compile(r"[A-Za-z]+\^[A-Za-z]+|[\w.]+@[\w.]+\.[a-z]{2,}|(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")
# EXIF: who took or owns the image, what it was taken with, and where.
_EXIF = {
    0x010E: "ImageDescription",
    0x013B: "Artist",
    0x8298: "Copyright",
    0x8825: "GPSInfo",
    0xA430: "CameraOwnerName",
    0xA431: "BodySerialNumber",
}
_PRIVATE = frozenset({"GPSInfo", "CameraOwnerName", "BodySerialNumber", "Artist"})
_EXIF_FOLDER = 0x8769


def check_identifiers(splits: Splits) -> Iterator[Finding]:
    """Yield file names and headers that may name a person, one finding for each kind and split; headers alone are read.

    A clean result proves nothing: faces, burnt-in text and rare findings identify people, too.
    """
    for split, records in splits.items():
        images = {record.image_path: record for record in records}
        yield from _names(split, list(images.values()))
        yield from _headers(split, images)


def _names(split: str, records: list[Record]) -> Iterator[Finding]:
    for code, pattern, what in (
        ("date_in_name", _DATE, "what looks like a date"),
        ("identifier_in_name", _NAME, "what looks like a person's name, address or number"),
    ):
        matches = [name for record in records for name in _texts(record) if pattern.search(name)]
        if matches:
            message = f"{what} in {counted(len(set(matches)), 'name')} of images or subjects (first: {matches[0]})"
            yield Finding("warning", code, message, split, file=matches[0])


def _texts(record: Record) -> list[str]:
    subject = record.stated_subject
    return list(dict.fromkeys(text for text in (record.image_name.partition("#")[0], subject) if text))


def _headers(split: str, images: dict[Path, Record]) -> Iterator[Finding]:
    named: dict[str, list[Record]] = {}
    burnt: list[Record] = []
    for path, record in images.items():
        if not is_regular(path) and not os.path.isdir(path):
            # Nothing, or a pipe that would wait for ever; `check_files` and the readers say so.
            continue
        fields, annotated = _of_volume(path) if is_volume(path) else (_of_exif(path), False)
        for field in fields:
            named.setdefault(field, []).append(record)
        if annotated:
            burnt.append(record)
    if named:
        listed = ", ".join(f"{field} in {len(records)}" for field, records in sorted(named.items()))
        first = next(iter(named.values()))[0]
        of = counted(len(images), "image")
        message = f"headers may name a person ({listed} of {of}); remove these fields before sharing"
        yield Finding("warning", "identifier_in_header", message, split, first.case_id, first.image_name)
    if burnt:
        of = counted(len(burnt), "image")
        message = f"headers of {of} say that patient data are burnt into the pixels (BurnedInAnnotation)"
        where = (split, burnt[0].case_id, burnt[0].image_name)
        yield Finding("warning", "burnt_in_annotation", message, *where)


def _of_volume(path: Path) -> tuple[list[str], bool]:
    """Return the fields of a volume's header that may name a person, and whether it says that pixels do."""
    if path.name.lower().endswith(nifti.SUFFIXES):
        return _of_nifti(path), False
    single = [path] if not os.path.isdir(path) and dicom_frames.is_dicom(path) else []
    files = dicom_frames.series_files(path)[:1] if os.path.isdir(path) else single
    try:
        header = dicom_frames.read_header(files[0]) if files else None
    except (CaseError, InputError):
        return [], False
    if header is None:
        return [], False
    annotated = str(getattr(header, "BurnedInAnnotation", "")).strip().upper() == "YES"
    return dicom_header.identifiers_of(header), annotated


def _of_nifti(path: Path) -> list[str]:
    """Return the free texts of a NIfTI header that hold a date or a name; converters write scan names into them."""
    try:
        import nibabel

        header: Any = nibabel.load(path).header
        texts = {key: bytes(header[key].tobytes()).rstrip(b"\0 ").decode("latin-1") for key in ("descrip", "db_name")}
    except Exception:  # a file that cannot be read, also for want of nibabel, is said by `check_files`
        return []
    return [key for key, text in texts.items() if _DATE.search(text) or _NAME.search(text)]


def _of_exif(path: Path) -> list[str]:
    try:
        with image_header(path) as image:
            tags = image.getexif()
            inner = tags.get_ifd(_EXIF_FOLDER)
    except UNREADABLE:
        return []
    there = {name: str(tags.get(tag) or inner.get(tag) or "").strip() for tag, name in _EXIF.items()}
    return [name for name, text in there.items() if text and (name in _PRIVATE or _DATE.search(text + " "))]
