"""Prompts that are false of their masks, and the one change of masks or words that would make most of them true."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from robustness.errors import counted
from robustness.perturb.language.measured import place_of
from robustness.perturb.language.mirror_words import mirrored_text
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.truth import facts, judge
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.records import Record
from robustness.types import Image, Mask

_LISTED = 10
# Share of false places that one change must make true to be named as their cause, and how many there must be.
_CAUSE_SHARE = 0.8
_FALSE_SHARE = 0.3
_LEAST = 5
Change = Callable[[Mask], Mask]
_CHANGES: Mapping[str, Change] = {
    "the axes of masks were exchanged (rows for columns)": lambda mask: mask.T,
    "left and right were the patient's, not the image's (or masks are mirrored)": lambda mask: mask[:, ::-1],
    "masks or words were upside down": lambda mask: mask[::-1],
    "masks or words were turned by half": lambda mask: mask[::-1, ::-1],
}
_KINDS = ("location", "number", "size")
# What the data state of touching parts, which a mask shows as one.
_COUNTS = ("instances", "components")


class _False(NamedTuple):
    split: str
    record: Record
    words: str
    shown: str
    cures: frozenset[str]


class FalsePrompts:
    """Compares words with masks; see `robustness.runners.data.check.files.PixelRule`.

    Args:
        convention: whose left is meant, by kind of word; a location is the viewer's where nothing is stated.
    """

    def __init__(self, convention: Mapping[str, str] | None = None) -> None:
        self._patient = (convention or {}).get("location") == "patient"
        self._false: dict[str, list[_False]] = {kind: [] for kind in _KINDS}
        self._judged: dict[str, int] = {}

    def see(self, split: str, record: Record, subject: str, image: Image, mask: Mask | None) -> None:
        """Judge the words of a case's first text that its mask can tell about."""
        if mask is None or not record.texts or not mask.any():
            return
        prompt = parse_prompt(record.texts[0], target=record.target, modality=record.modality)
        if sum(attribute.kind == "target" for attribute in prompt.attributes) > 1:
            return
        for kind in _KINDS:
            attribute = prompt.get(kind)
            if attribute is None or attribute.role == "landmark":
                continue
            words = mirrored_text(attribute.value) if kind == "location" and self._patient else attribute.value
            counted = {key: record.attributes[key] for key in _COUNTS if key in record.attributes}
            truth = judge(kind, words, mask=mask, attributes=counted)
            if kind == "location":
                self._judged[split] = self._judged.get(split, 0) + (truth != "unknown")
            if truth == "false":
                cures = _cures(words, mask) if kind == "location" else frozenset()
                self._false[kind].append(_False(split, record, attribute.value, _shown(kind, mask), cures))

    def findings(self) -> Iterator[Finding]:
        """Yield the cause of a split's false places where one explains them, else the false prompts."""
        explained = set()
        for split, judged in self._judged.items():
            false = [item for item in self._false["location"] if item.split == split]
            cause = _cause(false) if len(false) >= max(_LEAST, _FALSE_SHARE * judged) else None
            if cause is not None:
                explained.add(split)
                yield cause
        for kind in _KINDS:
            rest = [item for item in self._false[kind] if kind != "location" or item.split not in explained]
            for item in rest[:_LISTED]:
                message = f"the prompt says {item.words!r}, the mask shows {item.shown}"
                where = (item.split, item.record.case_id, item.record.mask_name)
                yield Finding("warning", f"false_{kind}", message, *where)
            if len(rest) > _LISTED:
                message = f"of {counted(len(rest) - _LISTED, 'more prompt')} the stated {kind} is false of the mask"
                yield Finding("warning", f"false_{kind}", message)


def _cures(words: str, mask: Mask) -> frozenset[str]:
    return frozenset(
        cause for cause, change in _CHANGES.items() if judge("location", words, mask=change(mask)) == "true"
    )


def _cause(false: list[_False]) -> Finding | None:
    for cause in _CHANGES:
        true = sum(cause in item.cures for item in false)
        if true >= _CAUSE_SHARE * len(false):
            first = false[0]
            message = (
                f"{counted(len(false), 'false prompt')}; {true} would be true if {cause} "
                f"(first: {first.words!r}, the mask shows {first.shown})"
            )
            return Finding("error", "false_location_cause", message, first.split, first.record.case_id)
    return None


def _shown(kind: str, mask: Mask) -> str:
    measured = facts(np.ascontiguousarray(mask))
    assert measured is not None
    if kind == "number":
        return counted(len(measured.centroids), "part")
    if kind == "size":
        return f"{100 * measured.area_fraction:.2g}% of the image"
    return " and ".join(dict.fromkeys(repr(place_of(row, column)) for row, column in measured.centroids[:3]))
