"""Attributes that never vary, and groups with too few subjects for the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from robustness.errors import counted
from robustness.metrics.inference.upper_bound import subjects_for_zero_reactions
from robustness.runners.data.cases import UNKNOWN
from robustness.runners.data.check.findings import Finding, Splits
from robustness.runners.data.records import Record, is_absent

# Below so many cases one value is no surprise.
_LEAST_CASES = 10


class RequiredSubjects(NamedTuple):
    """How many subjects verdicts need, whatever the model does.

    Attributes:
        judged: fewer are judged by no test.
        robust, ignores: fewer cannot certify that a change of the image, or of a word, has no effect.
    """

    judged: int
    robust: int
    ignores: int


def required_subjects(
    min_subjects: int = 10, margin_dice: float = 0.10, margin_change: float = 0.05
) -> RequiredSubjects:
    """Return how many subjects the verdicts of a plan need; the defaults are those of ``[statistics]``."""
    robust, ignores = (subjects_for_zero_reactions(margin) for margin in (margin_dice, margin_change))
    return RequiredSubjects(min_subjects, robust, ignores)


def check_attributes(splits: Splits) -> Iterator[Finding]:
    """Yield the attributes that every case states with one value: the model's use of their words cannot be seen."""
    records = [record for group in splits.values() for record in group]
    values: dict[str, Counter[str]] = {}
    for record in records:
        for key, value in record.attributes.items():
            if not is_absent(value) and isinstance(value, str):
                values.setdefault(key, Counter())[value] += 1
    for key, counts in sorted(values.items()):
        if len(counts) == 1 and len(records) >= _LEAST_CASES and sum(counts.values()) == len(records):
            message = f"{key} is {next(iter(counts))!r} in all {len(records)} cases: reliance on it cannot be seen here"
            yield Finding("info", "constant_attribute", message)


def check_groups(
    split: str,
    records: Sequence[Record],
    subjects: Mapping[str, str],
    groups: Sequence[str],
    *,
    required: RequiredSubjects,
) -> Iterator[Finding]:
    """Yield the groups of a split with too few subjects.

    Args:
        split: its name.
        records: its annotations.
        subjects: case id -> subject; {} where each image counts as one.
        groups: columns, attributes or header fields, as ``[data] groups`` names them.
        required: how many the verdicts need.
    """
    for name in groups:
        members: dict[str, set[str]] = {}
        for record in records:
            value = record.states(name) or UNKNOWN
            members.setdefault(value, set()).add(subjects.get(record.case_id) or record.image_name)
        if set(members) == {UNKNOWN}:
            message = f"no case states {name!r}: the plan's groups ask for it"
            yield Finding("error", "group_missing", message, split)
            continue
        if UNKNOWN in members:
            message = f"no {name!r} is stated for {counted(len(members[UNKNOWN]), 'subject')}: the group {UNKNOWN!r}"
            yield Finding("info", "group_unknown", message, split)
        for value, own in sorted(members.items()):
            yield from _few(split, f"{name} = {value}", len(own), required)


def check_size(
    split: str, records: Sequence[Record], subjects: Mapping[str, str], *, required: RequiredSubjects
) -> Iterator[Finding]:
    """Yield that a split has too few subjects; arguments as in `check_groups`."""
    whole = {subjects.get(record.case_id) or record.image_name for record in records}
    yield from _few(split, "this split", len(whole), required)


def _few(split: str, what: str, count: int, required: RequiredSubjects) -> Iterator[Finding]:
    if count < required.judged:
        message = f"{what} has {counted(count, 'subject')}: nothing is judged below {required.judged}"
        yield Finding("warning", "few_subjects", message, split)
    elif count < max(required.robust, required.ignores):
        message = (
            f"{what} has {counted(count, 'subject')}: a change can be found; that there is none is certified from "
            f"{required.robust} subjects on for images (ROBUST), from {required.ignores} on for words (IGNORES)"
        )
        yield Finding("info", "few_subjects_for_no_effect", message, split)
