"""A text prompt and the attributes that are read in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal

from robustness.errors import InputError, unknown_name

Kind = Literal[
    "target",
    "description",
    "shape",
    "colour",
    "size",
    "number",
    "location",
    "view",
    "phase",
    "pathology",
    "sex",
    "age",
    "quality",
    "side",
    "place",
    "direction",
    "relation",
    "texture",
    "margin",
    "signal",
    "modality",
    "measure",
    "certainty",
    "negation",
]
KINDS: tuple[str, ...] = Kind.__args__  # type: ignore[attr-defined]
_KNOWN_KINDS = frozenset(KINDS)
_ROLES = ("target", "landmark", "scan", "patient")

Expectation = Literal["invariant", "change", "abstain", "follow", "control", "none"]
EXPECTATIONS: tuple[str, ...] = Expectation.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute value of a prompt and its character span: ``text[start:stop] == value``.

    `role` is what the value tells of: the "target", another thing that only says where ("landmark": the side in "mass
    beside the left kidney"), the "scan" or the "patient".
    """

    kind: str
    value: str
    start: int
    stop: int
    role: str = "target"

    def __post_init__(self) -> None:
        if self.kind not in _KNOWN_KINDS:
            raise InputError(unknown_name("kind", str(self.kind), KINDS))
        if self.role not in _ROLES:
            raise InputError(f"role: expected one of {', '.join(_ROLES)}, got {self.role!r}")
        if not isinstance(self.value, str):
            raise InputError(f"value: expected a text, got {self.value!r}")
        span: tuple[Any, Any] = self.start, self.stop
        if not (all(isinstance(end, Integral) for end in span) and 0 <= self.start <= self.stop):
            raise InputError(f"span: expected whole numbers 0 <= start <= stop, got [{self.start!r}:{self.stop!r}]")
        # Those of NumPy are no JSON.
        object.__setattr__(self, "start", int(self.start))
        object.__setattr__(self, "stop", int(self.stop))


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text prompt, the attributes found in it, and the other listed phrasings of the same prompt.

    Raises:
        InputError: an attribute's span does not hold its value, or a field is of another type.
    """

    text: str
    attributes: tuple[Attribute, ...] = ()
    paraphrases: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InputError(f"text: expected a text, got {self.text!r}")
        _check_entries("attributes", self.attributes, Attribute, "rb.Attribute(kind, value, start, stop)")
        _check_entries("paraphrases", self.paraphrases, str, "texts")
        object.__setattr__(self, "attributes", tuple(sorted(self.attributes, key=lambda a: (a.start, a.stop))))
        object.__setattr__(self, "paraphrases", tuple(self.paraphrases))
        for a in self.attributes:
            if self.text[a.start : a.stop] != a.value:
                words = self.text[a.start : a.stop]
                raise InputError(
                    f"attribute {a.kind!r}: expected {a.value!r} at [{a.start}:{a.stop}] of the prompt, found {words!r}"
                )

    def get(self, kind: str) -> Attribute | None:
        """Return the first attribute of `kind` that tells of the target, else the first of that kind, or None."""
        matches = [a for a in self.attributes if a.kind == kind]
        return next((a for a in matches if a.role != "landmark"), matches[0] if matches else None)

    def replace(self, kind: str, value: str) -> Prompt:
        """Return a prompt with the first attribute of `kind` set to `value`; every other character stays.

        Raises:
            InputError: the prompt states no such attribute.
        """
        old = self._require(kind)
        if not isinstance(value, str):
            raise InputError(f"value: expected a text, got {value!r}")
        return self._splice(
            old.start, old.stop, value, dataclasses.replace(old, value=value, stop=old.start + len(value))
        )

    def drop(self, kind: str) -> Prompt:
        """Return a prompt without the first attribute of `kind` and without one blank beside it.

        Raises:
            InputError: the prompt states no such attribute.
        """
        old = self._require(kind)
        start, stop = old.start, old.stop
        if self.text[stop : stop + 1] == " " and (start == 0 or self.text[start - 1] == " "):
            stop += 1
        elif start > 0 and self.text[start - 1] == " " and (stop == len(self.text) or self.text[stop] in ",.;:"):
            start -= 1
        return self._splice(start, stop, "", None)

    def _require(self, kind: str) -> Attribute:
        attribute = self.get(kind)
        if attribute is None:
            stated = ", ".join(a.kind for a in self.attributes) or "none"
            raise InputError(f"kind: expected an attribute that the prompt states ({stated}), got {kind!r}")
        return attribute

    def _splice(self, start: int, stop: int, new: str, replacement: Attribute | None) -> Prompt:
        shift = len(new) - (stop - start)
        before = [a for a in self.attributes if a.stop <= start]
        moved = [
            dataclasses.replace(a, start=a.start + shift, stop=a.stop + shift)
            for a in self.attributes
            if a.start >= stop
        ]
        middle = [replacement] if replacement is not None else []
        text = self.text[:start] + new + self.text[stop:]
        # A value around the edit ("upper left lung" around "left") holds the new words.
        around = [
            dataclasses.replace(a, value=text[a.start : a.stop + shift], stop=a.stop + shift)
            for a in self.attributes
            if a.start <= start and stop <= a.stop and a.stop - a.start > stop - start
        ]
        return Prompt(text, (*before, *middle, *around, *moved), self.paraphrases)


def _check_entries(name: str, entries: object, kind: type, written: str) -> None:
    """Refuse what is no list of `kind`; a text would be taken for a list of letters."""
    if isinstance(entries, str | dict) or not isinstance(entries, Iterable):
        raise InputError(f"{name}: expected a list of {written}, got {entries!r}")
    if isinstance(entries, list | tuple):
        wrong = next((entry for entry in entries if not isinstance(entry, kind)), None)
        if wrong is not None:
            raise InputError(f"{name}: expected a list of {written}, got {wrong!r} in it")
