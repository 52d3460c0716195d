"""What is wrong with the splits of a dataset together: shared subjects and images, subjects that nobody names."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from robustness.errors import counted, verb
from robustness.perturb.modality import canonical_modality
from robustness.results import look_alikes, spelled_alike
from robustness.runners.data import benchmark_folder
from robustness.runners.data.check.findings import Finding, Splits
from robustness.runners.data.dataset import MISSING, sha256_or_missing
from robustness.runners.data.records import names_nobody
from robustness.runners.data.resplit import rows_without_split
from robustness.runners.data.subjects import subject_key

Subjects = Mapping[str, Mapping[str, str]]


def check_splits(
    source: Path, splits: Splits, subjects: Subjects, *, contents: bool, subject: str | None = None
) -> Iterator[Finding]:
    """Yield what is wrong with the splits together.

    Args:
        source: the dataset.
        splits: name -> annotations.
        subjects: split -> case id -> subject, as the plan knows them; {} where each image counts as one.
        contents: compare the bytes of images, too.
        subject: how the plan says that they are known: what other keys lack does not matter then.
    """
    yield from _identical(source, splits)
    if left_out := rows_without_split(source):
        yield Finding("warning", "row_without_split", left_out)
    yield from _subjects(splits, subjects, by_key=subject is None)
    yield from _modalities(source, splits)
    yield from _images(splits, contents=contents)


def _identical(source: Path, splits: Splits) -> Iterator[Finding]:
    """Annotation files that are byte for byte the same."""
    files = {name: f"anns/{name}.json" for name in splits}
    digests: dict[str, list[str]] = defaultdict(list)
    for name, file in files.items():
        if source.is_dir() and (source / file).is_file():
            digests[sha256_or_missing(source / file)].append(name)
    for names in digests.values():
        if len(names) > 1:
            message = f"the annotation files of {' and '.join(names)} are identical: a test on one is no test"
            yield Finding("error", "identical_splits", message, file=files[names[0]])


def _subjects(splits: Splits, subjects: Subjects, *, by_key: bool) -> Iterator[Finding]:
    records = [record for group in splits.values() for record in group]
    if not any(subjects.values()):
        message = "no entry names its subject: each image counts as one; add subject, or a regex on the image name"
        yield Finding("warning", "no_subject", message)
        return
    key = subject_key(records) if by_key else None
    without = [record for record in records if key and names_nobody(record.states(key))]
    if without:
        n = f"{len(without)} of {counted(len(records), 'entry')} {verb(len(without), 'lack')}"
        message = f"{n} a name under {key!r} (first: {without[0].where})"
        yield Finding("error", "subject_missing", message, case_id=without[0].case_id)
    named = {name: set(group.values()) - {""} for name, group in subjects.items()}
    for name, there in named.items():
        if len(there) == 1 and len(splits[name]) > 1:
            message = f"all cases belong to the subject {min(there)!r}: no interval can speak about patients"
            yield Finding("warning", "one_subject", message, split=name)
    for name, there in named.items():
        if (alike := look_alikes(there)) is not None:
            yield Finding("warning", "subject_spellings", f"subjects {alike}", split=name)
    yield from _shared("subject", "subject_in_splits", named)
    yield from _shared_in_other_words(named)


def _shared_in_other_words(named: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Subjects that another split spells otherwise: one patient may be on both sides."""
    forms: dict[str, dict[str, str]] = defaultdict(dict)
    for split, names in named.items():
        for name in sorted(names):
            forms[spelled_alike(name)].setdefault(name, split)
    for spellings in forms.values():
        if len(spellings) > 1 and len(set(spellings.values())) > 1:
            listed = " and ".join(f"{name!r} ({split})" for name, split in spellings.items())
            message = f"subjects {listed} differ in capitals, widths, blanks or leading zeros only: one, in two splits?"
            yield Finding("warning", "subject_in_splits", message, file=min(spellings))


def _modalities(source: Path, splits: Splits) -> Iterator[Finding]:
    stated = {record.modality for group in splits.values() for record in group}
    if source.is_dir():
        stated.add(benchmark_folder.modality_of_set(source)[0])
    for text in sorted(stated - {""}):
        if not canonical_modality(text):
            message = f"modality {text!r} is not known; the common image changes will be used"
            yield Finding("info", "unknown_modality", message)
    if stated <= {""}:
        yield Finding("info", "no_modality", "no modality is stated; the common image changes will be used")


def _images(splits: Splits, *, contents: bool) -> Iterator[Finding]:
    """Images that several splits share, by name, and by content under different names."""
    yield from _shared(
        "image", "image_in_splits", {name: {r.image_name for r in records} for name, records in splits.items()}
    )
    if not contents or len(splits) < 2:
        return
    digests: dict[str, dict[str, str]] = defaultdict(dict)
    for split, records in splits.items():
        for path, name in {record.image_path: record.image_name.partition("#")[0] for record in records}.items():
            digest = MISSING if os.path.isdir(path) else sha256_or_missing(path)
            if digest != MISSING:
                digests[digest].setdefault(name, split)
    for names in digests.values():
        if len(names) > 1 and len(set(names.values())) > 1:
            listed = " and ".join(f"{name} ({split})" for name, split in names.items())
            yield Finding("warning", "same_image", f"one image under several names: {listed}", file=min(names))


def _shared(what: str, code: str, named: Mapping[str, set[str]]) -> Iterator[Finding]:
    places: dict[str, list[str]] = defaultdict(list)
    for split, names in named.items():
        for name in names:
            places[name].append(split)
    for name, where in sorted(places.items()):
        if len(where) > 1:
            yield Finding("warning", code, f"{what} {name!r} is in the splits {', '.join(where)}", file=name)
