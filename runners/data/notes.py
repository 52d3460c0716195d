"""Notes of a dataset: what its reader decided or left out, one sentence each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from robustness.runners.data.masks.mask_pixels import LOSSY_SUFFIXES
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.read_records import several_of_one
from robustness.runners.data.records import Record
from robustness.runners.data.set_scale import SetScale
from robustness.runners.data.subjects import Subjects
from robustness.runners.data.volumes.orientation import CONVENTIONS

# Directions of the patient by the letters of the DICOM field Patient Orientation.
_TOWARD = {"R": "right", "L": "left", "A": "front", "P": "back", "H": "head", "S": "head", "F": "feet", "I": "feet"}


def joined_notes(records: Sequence[Record], *, declared: bool) -> list[str]:
    """Return what should be known of cases with several mask files; `declared`: the plan says how they count."""
    groups = [] if declared else several_of_one(records)
    joined = sum(record.mask_source.count() > 1 for record in records)
    notes = [f"cases whose mask is the union of several: {joined}"] if joined else []
    if groups:
        notes.append(
            f"images with several masks for one text: {len(groups)}, the first {groups[0][0].image_name}; a model that "
            'shows all of them is scored against each alone; state masks = {combine = "union"} or "instances"'
        )
    return notes


def notes_of(records: Sequence[Record], repeats: int, *, subjects: Subjects, modality: str, origin: str) -> list[str]:
    """Return what a reader of the results should know about how the data was read."""
    jpeg = sum(record.mask_path.suffix.lower() in LOSSY_SUFFIXES for record in records)
    problems = [record for record in records if record.problem]
    notes = []
    if not subjects.are_images and len(set(subjects.ids)) == 1 and len(records) > 1:
        notes.append("all cases belong to one subject, so no interval exists; subject = 'image' speaks about images")
    if repeats:
        notes.append(f"exact repeats of entries that were left out: {repeats}")
    if jpeg:
        notes.append(f"masks stored as JPEG: {jpeg}; foreground is what lies at or above 50% of the range")
    if problems:
        notes.append(f"cases that cannot be used: {len(problems)}; the first: {problems[0].problem}")
    if modality:
        notes.append(f"modality {modality!r} is known from {origin}")
    return notes


def slices_note(records: Sequence[Record]) -> str:
    """Return how volumes were cut into slices and how these are shown, in a sentence; "" where there are no volumes."""
    cut = [record for record in records if record.slice is not None and not record.problem]
    ways = sorted({(r.slice.plane, r.slice.orientation) for r in cut if r.slice is not None})
    if not ways:
        return ""
    slices = {(record.image_path, record.slice) for record in cut}
    volumes = len({record.image_path for record in cut})
    counted = f"{len(slices)} slice{'s' * (len(slices) != 1)} of {volumes} file{'s' * (volumes != 1)}"
    return f"slices: {counted}, {' and '.join(_shown(*way) for way in ways)}"


def _shown(plane: str, orientation: str) -> str:
    if plane == "stored":
        return "as stored, nothing turned"
    letters = CONVENTIONS.get(orientation, {}).get(plane, orientation).upper()
    called = f"{orientation}: " if orientation in CONVENTIONS else ""
    return f"{plane}, {called}columns run to the patient's {_TOWARD[letters[0]]}, rows to the {_TOWARD[letters[1]]}"


def dataset_notes(
    chosen: Sequence[Record],
    repeats: int,
    subjects: Subjects,
    source: Path,
    options: ReadingOptions,
    scale: SetScale,
    *,
    modality: str,
    origin: str,
) -> list[str]:
    """Return what a reader of results must know of the data; `modality` is that of the set where no case states one."""
    convention = options.convention(source)
    return [
        *notes_of(chosen, repeats, subjects=subjects, modality=modality, origin=origin),
        *filter(None, [slices_note(chosen)]),
        *scale.notes(),
        *filter(None, [convention.note()]),
        *options.cache.remarks(),
        *joined_notes(chosen, declared=convention.combine is not None),
    ]
