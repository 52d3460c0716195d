"""Words of a prompt whose target moves: kept, rewritten, or the reason why neither can be.

A word is judged before and after by the truth check. One that stays what it was (true, false or unknown) is kept, a
true one that is no longer true is rewritten from the moved mask, and everything else cannot be decided.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from robustness.perturb.language.edit import Edit, article_repair, match_case, noun_repairs, same_value
from robustness.perturb.language.grammar.numerals import spell
from robustness.perturb.language.lexicon import singular
from robustness.perturb.language.measured import measure, place_of, shape_of
from robustness.perturb.language.mirror_words import CLOCK, holder_of, names_both
from robustness.perturb.language.truth import facts, judge
from robustness.types import Attribute, Case, Mask, NotApplicable, Prompt

_DIRECTIONS = re.compile(
    r"(?<![a-z])(left|right|top|bottom|upper|lower|above|below)(?=most|wards?|[^a-z]|$)", re.IGNORECASE
)
_RELATIVE = re.compile(
    r"\b(borders?|edges?|corners?|rims?|largest|biggest|smallest|longest|widest|nearest|closest)\b", re.IGNORECASE
)
_VERBS = re.compile(r"\b(are|were|do|have)\b", re.IGNORECASE)
_SIZES = ("small", "medium", "large", "tiny")
# Resampling alone changes an area by less than this.
_SAME_AREA = 0.02


class Move(NamedTuple):
    """A target before and after a move.

    Attributes:
        before, after: masks (H, W).
        components: how many it had; `left`: how many of them have left the frame altogether.
        attributes: what the data stated, without what the move may have made false.
    """

    before: Mask
    after: Mask
    components: int
    left: int
    attributes: Mapping[str, Any]

    @property
    def growth(self) -> float:
        """Area after by area before; 1 for an empty mask."""
        area = int(self.before.sum())
        return int(self.after.sum()) / area if area else 1.0


def move_of(case: Case, after: Mask, *, left: int, components: int) -> Move:
    """Return the move of a case's mask, with the stated attributes that are sure to be true still."""
    attributes = dict(case.metadata.get("attributes") or {})
    move = Move(case.mask, after, components, left, attributes)
    if "area_fraction" in attributes:
        attributes["area_fraction"] = round(float(after.mean()), 5)
    if abs(move.growth - 1) > _SAME_AREA:
        attributes.pop("size", None)
    if left:
        attributes.pop("number", None)
        for key in ("instances", "components"):
            if isinstance(attributes.get(key), int):
                attributes[key] = components - left
    place = attributes.get("location")
    if isinstance(place, str) and judge("location", place, mask=after) != "true":
        del attributes["location"]
    if "shape" in attributes and _shape(case.mask) != _shape(after):
        del attributes["shape"]
    return move


def words_after(case: Case, move: Move) -> list[Edit] | NotApplicable:
    """Return the edits that keep a case's prompt as true of the moved image as it was, or why that cannot be."""
    prompt = case.prompt
    relative = _unattributed(prompt)
    if relative is not None:
        return relative
    edits: list[Edit] = []
    for kind, follow in (("location", _location), ("size", _size), ("number", _number)):
        stated = prompt.get(kind)
        location = follow(case, stated, move) if stated else None
        if isinstance(location, NotApplicable):
            return location
        if stated is not None and location is not None:
            edits += _replaced(prompt, stated, location)
    side, target = prompt.get("side"), prompt.get("target")
    if side is not None and names_both(side.value) and move.left:
        return NotApplicable(f"{side.value!r} is false once a part of the target has left the frame")
    plural = target is not None and prompt.get("number") is None and singular(target.value) != target.value.lower()
    if plural and move.left and move.components - move.left == 1:
        return NotApplicable("the target is named in the plural and one part of it is left in the frame")
    if prompt.get("shape") is not None and _shape(move.before) != _shape(move.after):
        return NotApplicable("the move changes the shape that the prompt names")
    return sorted(set(edits))


def with_edits(prompt: Prompt, edits: list[Edit]) -> Prompt:
    """Return the prompt with every edit made; spans of its attributes move along, other listed phrasings go."""
    if not edits:
        return Prompt(prompt.text, prompt.attributes)
    text, attributes = prompt.text, []
    for edit in reversed(edits):
        text = text[: edit.start] + edit.new + text[edit.stop :]
    for a in prompt.attributes:
        shift = sum(len(e.new) - len(e.old) for e in edits if e.stop <= a.start)
        inside = sum(len(e.new) - len(e.old) for e in edits if a.start <= e.start and e.stop <= a.stop)
        start, stop = a.start + shift, a.stop + shift + inside
        attributes.append(Attribute(a.kind, text[start:stop], start, stop))
    return Prompt(text, tuple(attributes))


def _unattributed(prompt: Prompt) -> NotApplicable | None:
    """Return why words outside of the known attributes may become false; None where there are none."""
    for pattern in (CLOCK, _RELATIVE, _DIRECTIONS):
        for match in pattern.finditer(prompt.text):
            holder = holder_of(prompt, match.start(), match.end())
            if (
                pattern is CLOCK
                or holder is None
                or holder.kind not in ("location", "side", "target", "place", "margin", "direction")
            ):
                return NotApplicable(
                    f"{match.group(0)!r} speaks of the frame or of other objects, which a move changes"
                )
    return None


def _replaced(prompt: Prompt, stated: Attribute, new: str) -> list[Edit]:
    edits = [Edit(a.start, a.stop, a.value, match_case(new, a.value)) for a in same_value(prompt, stated.kind)]
    articles = [article for e in edits if (article := article_repair(prompt.text, e.start, e.old, e.new))]
    nouns = noun_repairs(prompt, new) if stated.kind == "number" else []
    return [*edits, *articles, *nouns]


def _location(case: Case, stated: Attribute, move: Move) -> str | NotApplicable | None:
    before, after = (judge("location", stated.value, mask=mask) for mask in (move.before, move.after))
    if before == after:
        return None
    if before == "true":
        new = _place(stated.value, move.after)
        if judge("location", new, mask=move.after) == "true":
            return new
    return NotApplicable(f"the location {stated.value!r} was {before} before the move and is {after} after it")


def _place(old: str, mask: Mask) -> str:
    """Return a mask's place in words: a list where the old words were one, else the middle of all components."""
    if "," in old or " and " in old:
        return str(measure(mask)["location"])
    measured = facts(mask)
    centres = np.array(measured.centroids if measured else ())
    return place_of(*(float(v) for v in centres.mean(axis=0))) if centres.size else old


def _size(case: Case, stated: Attribute, move: Move) -> str | NotApplicable | None:
    word, growth = stated.value.lower(), move.growth
    if abs(growth - 1) <= _SAME_AREA or (word == "tiny" and growth < 1) or (word == "large" and growth > 1):
        return None
    before = judge("size", word, mask=move.before, attributes=case.metadata.get("attributes"))
    after = judge("size", word, mask=move.after, attributes=move.attributes)
    if before == after != "unknown":
        return None
    if before == "true":
        sure = [name for name in _SIZES if judge("size", name, mask=move.after, attributes=move.attributes) == "true"]
        if sure:
            return sure[0]
    return NotApplicable(
        f"the size {stated.value!r} was {before} before the move; at {100 * move.after.mean():.2g}% of the image"
        " conventions differ"
    )


def _number(case: Case, stated: Attribute, move: Move) -> str | NotApplicable | None:
    if not move.left:
        return None
    before = judge("number", stated.value.lower(), mask=move.before, attributes=case.metadata.get("attributes"))
    after = judge("number", stated.value.lower(), mask=move.after, attributes=move.attributes)
    if before == after != "unknown":
        return None
    there = move.components - move.left
    if before != "true" or (there == 1 and _VERBS.search(case.prompt.text)):
        return NotApplicable(f"{move.left} of {move.components} parts leave the frame, {stated.value!r} cannot follow")
    return str(there) if stated.value.isdigit() else spell(there)


def _shape(mask: Mask) -> str:
    from scipy import ndimage

    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if not count:
        return ""
    return shape_of(labels == int(np.argmax(np.bincount(labels.ravel())[1:])) + 1).name
