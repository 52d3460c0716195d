"""Subjects of cases: the unit of inference."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from robustness.errors import InputError, suggest
from robustness.runners.data.records import Record, listing

DEFAULT_KEYS = ("subject", "subject_id")


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
            whole match); None for the key `subject` (or `subject_id`) where the data has it, else each image.

    Raises:
        InputError: a key that is missing in an entry, a pattern that is wrong or does not match an image name.
    """
    by_image = [image_ids[record.image_name] for record in records]
    if subject is None:
        key = next((key for key in DEFAULT_KEYS if any(record.states(key) for record in records)), None)
        return Subjects(by_image, True) if key is None else _by_key(records, key)
    if subject == "image":
        return Subjects(by_image, True)
    if subject.startswith("regex:"):
        return _by_pattern(records, subject.removeprefix("regex:"))
    return _by_key(records, subject)


def _by_key(records: Sequence[Record], key: str) -> Subjects:
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
