"""Truth of relating words ("adjacent to the liver", "anterior to the trachea") from the landmark's own mask.

Masks come from the other targets of the same image. Distances are shares of the image's diagonal, and between "true"
and "false" lies a wide "unknown": outlines leave rims, and no word has a sharp limit. A direction in the patient needs
the display's orientation, stated as in the DICOM field Patient Orientation ("LP": columns run to the patient's left,
rows to the back); without it, and for what the plane cannot show, nothing is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.perturb.language.ontology.modifiers import phrases
from robustness.perturb.language.ontology.terms import find_term, plural_of
from robustness.types import Mask

Truth = Literal["true", "false", "unknown"]
# Shares of the diagonal: up to the first a word is true, from the second on it is false.
_TOUCHING = (0.005, 0.03)
_NEAR = (0.05, 0.25)
_RIM = 0.03
_INSIDE = 0.5
_AROUND = 0.8
_EDGE = (5, 95)

_CONTACT = frozenset({"abutting", "touching", "contacting", "in contact with", "adherent to", "attached to", "kissing"})
_CLOSE = frozenset(
    {"close to", "near", "near to", "next to", "beside", "adjacent to", "alongside", "in the vicinity of", "adjoining"}
    | {"in close proximity to", "neighbouring", "neighboring", "nearby", "bordering", "not far from"}
)
_REMOTE = frozenset({"far from", "remote from", "away from", "distant from", "separate from", "detached from"})
_WITHIN = frozenset({"surrounded by", "enclosed by", "encircled by", "encased by", "in", "within", "inside"})
_AROUND_IT = frozenset({"surrounding", "encircling", "enclosing", "encasing", "engulfing", "around"})
_OUT = frozenset({"outside", "outside of"})
# Where a word points in the patient, as the letter of its end (S and I are written H and F in DICOM).
_AXES = dict(
    pair.split(">")
    for pair in "anterior>A ventral>A posterior>P dorsal>P behind>P superior>H cranial>H cephalad>H inferior>F "
    "caudal>F caudad>F".split()
) | {"in front": "A"}
_OPPOSITE = {"A": "P", "P": "A", "H": "F", "F": "H", "L": "R", "R": "L"}
_IN_THE_IMAGE = {"above": "up", "below": "down", "left of": "left", "right of": "right"}
_ARTICLE = re.compile(r"^(?:the|a|an|its|this|that)\s+", re.IGNORECASE)


class Landmark(NamedTuple):
    """Another target of the same image: its name (without a side), its side or "", its mask (H, W)."""

    name: str
    side: str
    mask: Mask


def judge_relation(
    value: str, mask: Mask, landmarks: Sequence[Landmark], *, display: str = "", is_surface: bool = False
) -> Truth:
    """Tell whether a relation ("close to the liver") is true of a target, by the masks of what it names.

    Args:
        value: the relating words with their landmark, as the reader gives them.
        mask: of the target, bool (H, W).
        landmarks: the other targets of the image; one of the same name and side as in `value` must be among them.
        display: where columns and rows run to in the patient ("LP"), or "".
        is_surface: the image shows a surface, so that above and left are the viewer's.

    Returns:
        "unknown" for words without a rule, names that no landmark has, empty masks, and the band between the limits.
    """
    relating, name = _parted(value.lower().strip())
    found = [mark.mask for mark in landmarks if _is_named(name, mark) and mark.mask.shape == mask.shape]
    found = [other for other in found if other.any()]
    if not found or not mask.any():
        return "unknown"
    judged = {_judge(relating, mask, other, display.upper(), is_surface) for other in found}
    # "Adjacent to the kidney" holds where one of two kidneys is near, and fails where neither is.
    return "true" if "true" in judged else "false" if judged == {"false"} else "unknown"


def _parted(value: str) -> tuple[str, str]:
    """Return ("close to", "liver") of "close to the liver"."""
    value = re.sub(r"^(?:just|immediately|directly|located|lying|situated)\s+", "", value)
    words = value.split()
    for parts in (*phrases("relation"), ("in", "front", "of")):
        if tuple(words[: len(parts)]) == parts:
            return " ".join(parts), _ARTICLE.sub("", " ".join(words[len(parts) :]))
    return words[0] if words else "", _ARTICLE.sub("", " ".join(words[1:]))


def _is_named(name: str, mark: Landmark) -> bool:
    """Tell whether words name a landmark: the same term, singular or plural, and no other side."""
    side, bare = "", name
    for word in ("left", "right"):
        if name.startswith(f"{word} ") and not mark.name.lower().startswith(word):
            side, bare = word, name.removeprefix(f"{word} ")
    if side and mark.side and side != mark.side:
        return False
    if side and not mark.side:
        # Nobody says which one was drawn.
        return False
    ours, theirs = find_term(bare), find_term(mark.name)
    same = ours is not None and theirs is not None and ours.name == theirs.name
    return same or bare in (mark.name.lower(), plural_of(mark.name.lower()))


def _judge(relating: str, mask: Mask, other: Mask, display: str, is_surface: bool) -> Truth:
    diagonal = float(np.hypot(*mask.shape))
    if relating in _CONTACT:
        return _within(_gap(mask, other) - 1.5, _TOUCHING, diagonal)
    if relating in _CLOSE:
        return _within(_gap(mask, other), _NEAR, diagonal)
    if relating in _REMOTE:
        return _opposite(_within(_gap(mask, other), _NEAR, diagonal))
    if relating in _WITHIN:
        return _contained(mask, other, _INSIDE, diagonal)
    if relating in _AROUND_IT:
        return _contained(other, mask, _AROUND, diagonal)
    if relating in _OUT:
        return _opposite(_contained(mask, other, _INSIDE, diagonal))
    way = _way(relating, display, is_surface)
    return _beyond(mask, other, way) if way else "unknown"


def _within(gap: float, limits: tuple[float, float], diagonal: float) -> Truth:
    return "true" if gap <= limits[0] * diagonal else "false" if gap >= limits[1] * diagonal else "unknown"


def _opposite(truth: Truth) -> Truth:
    return "false" if truth == "true" else "true" if truth == "false" else "unknown"


def _gap(mask: Mask, other: Mask) -> float:
    """Return the smallest distance between two masks in pixels; 0 where they overlap."""
    from scipy import ndimage

    distances: npt.NDArray[np.float64] = ndimage.distance_transform_edt(~other)
    return float(distances[mask].min())


def _contained(inner: Mask, outer: Mask, least: float, diagonal: float) -> Truth:
    """Tell whether `inner` lies in the filled `outer`; false where it lies wholly outside of its grown box."""
    from scipy import ndimage

    filled = ndimage.binary_fill_holes(outer)
    if filled[inner].mean() >= least:
        return "true"
    rows, columns = np.nonzero(outer)
    box = np.zeros_like(outer)
    box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
    return "false" if _gap(inner, box) > _RIM * diagonal else "unknown"


def _way(relating: str, display: str, is_surface: bool) -> str:
    """Return where in the image relating words point ("up", "left"), or "" where that is not known."""
    if relating.removeprefix("to the ") in _IN_THE_IMAGE and is_surface:
        return _IN_THE_IMAGE[relating.removeprefix("to the ")]
    letter = _AXES.get(relating.split(" ")[0]) or _AXES.get(" ".join(relating.split(" ")[:2]))
    if letter is None or len(display) != 2:
        return ""
    letters = display.replace("S", "H").replace("I", "F")
    columns, rows = letters[0], letters[1]
    ways = {columns: "right", _OPPOSITE[columns]: "left", rows: "down", _OPPOSITE[rows]: "up"}
    return ways.get(letter, "")


def _beyond(mask: Mask, other: Mask, way: str) -> Truth:
    """Tell whether the centroid of `mask` lies beyond `other` on one side; false where beyond the other side."""
    axis = 0 if way in ("up", "down") else 1
    centre = float(np.nonzero(mask)[axis].mean())
    low, high = np.percentile(np.nonzero(other)[axis], _EDGE)
    before, after = centre < low, centre > high
    first = way in ("up", "left")
    if before or after:
        return "true" if before == first else "false"
    return "unknown"
