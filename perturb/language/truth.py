"""Truth of a word of a case, from the reference mask and from what the data state: true, false or unknown.

Only what is clearly wrong is called false: conventions differ between datasets (thirds or a 40/20/40 grid for
locations, other limits for sizes), so a word is false where no common convention would allow it.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from robustness.perturb.language.clinical_opposites import clinical_opposites
from robustness.perturb.language.grammar.numerals import count_holds, unspell
from robustness.perturb.language.landmarks import Landmark, Truth, judge_relation
from robustness.perturb.language.lexicon import singular
from robustness.perturb.language.mirror_words import mirrored_text, named_sides, names_another_place
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.modality import canonical_modality
from robustness.types import Attribute, Case, Mask, Prompt

_SURFACES = frozenset({"endoscopy", "dermoscopy", "photograph", "microscopy"})
# Share of the image that a size word certainly means, and the widest share that any convention allows.
_SIZE_CERTAIN = {"tiny": (0.0, 0.0025), "small": (0.0, 0.01), "medium": (0.01, 0.05), "large": (0.3, 1.0)}
_SIZE_ALLOWED = {"tiny": (0.0, 0.02), "small": (0.0, 0.1), "medium": (0.005, 0.3), "large": (0.05, 1.0)}
_SIZE_ALIASES = {"little": "small", "moderate": "medium", "medium-sized": "medium", "big": "large", "huge": "large"}
_ROWS = {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
_COLUMNS = {"left": 0, "right": 2}
_MIDDLES = frozenset({"center", "centre", "middle", "central"})
# Grid lines as shares of the side: thirds, and the 40/20/40 grid.
_GRIDS = ((1 / 3, 2 / 3), (0.4, 0.6))


class Facts(NamedTuple):
    """What a mask shows: its share of the image; per 8-connected component, the centroid as shares (row, column)."""

    area_fraction: float
    centroids: tuple[tuple[float, float], ...]


# The changes of one case ask for the same mask again and again.
_HELD: dict[int, tuple[weakref.ref[Mask], Facts]] = {}
_MOST_HELD = 256


def facts(mask: Mask) -> Facts | None:
    """Return the facts of a mask (H, W), components by falling area; None for an array without pixels."""
    if mask.size == 0:
        return None
    cached = _HELD.get(id(mask))
    if cached is None or cached[0]() is not mask:
        cached = (weakref.ref(mask), _measure(mask))
        if len(_HELD) >= _MOST_HELD:
            _HELD.clear()
        _HELD[id(mask)] = cached
    return cached[1]


def _measure(mask: Mask) -> Facts:
    from scipy import ndimage

    occupied = [np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0)]
    if not len(occupied[0]):
        return Facts(0.0, ())
    # Components lie in the mask's bounding box, a small part of most images.
    top, left = (int(lines[0]) for lines in occupied)
    inside = mask[top : occupied[0][-1] + 1, left : occupied[1][-1] + 1]
    labels, _ = ndimage.label(inside, structure=np.ones((3, 3)))
    within = np.nonzero(labels)
    of, places = labels[within], (within[0] + top, within[1] + left)
    areas = np.bincount(of)[1:]
    rows, columns = (np.bincount(of, weights=place)[1:] / areas for place in places)
    height, width = mask.shape
    order = np.argsort(-areas, kind="stable")
    shares = tuple(((rows[i] + 0.5) / height, (columns[i] + 0.5) / width) for i in order)
    return Facts(float(mask.mean()), shares)


def judge(kind: str, value: str, *, mask: Mask, attributes: Mapping[str, Any] | None = None) -> Truth:
    """Tell whether the attribute `kind` = `value` is true of a case.

    Args:
        kind: an attribute kind; size, number and location are read from the mask, side, view, phase, sex, age,
            pathology, quality, shape and colour from `attributes`; the other kinds are unknown.
        value: the words, in any case; a comma list is one value.
        mask: bool (H, W); without pixels nothing is known from it.
        attributes: what the data state of the case.
    """
    stated = {str(k).lower(): v for k, v in (attributes or {}).items()}
    words = value.lower().strip()
    if kind == "size":
        return _size(words, facts(mask), stated)
    if kind == "number":
        return _number(words, facts(mask), stated)
    if kind == "location":
        return _location(words, facts(mask))
    if kind == "side":
        return _side(value, stated)
    if kind in ("view", "sex", "phase", "pathology", "quality", "colour", "shape") and isinstance(
        stated.get(kind), str
    ):
        return _same(words, stated[kind].lower())
    if kind in ("place", "direction") and isinstance(stated.get(kind), str):
        return _placed(words, stated[kind].lower())
    if kind == "age" and stated.get("age") is not None:
        return _age(words, stated["age"])
    return "unknown"


def judge_value(
    case: Case, attribute: Attribute, value: str | None = None, landmarks: Sequence[Landmark] = ()
) -> Truth:
    """Tell whether an attribute, or another value in its place, is true of a case, by the convention of its data.

    The data may state whose left is meant (`convention`: kind -> "patient" or "viewer"). Without it a location is the
    viewer's and a side the patient's. A place or direction is unknown unless the data state it, a relation unless
    `landmarks` (the other targets of the image) hold what it names; see `landmarks.judge_relation`. The side of another
    thing than the target (`role` "landmark") is always unknown.
    """
    words = attribute.value if value is None else value
    stated = case.metadata.get("attributes") or {}
    whose = dict(case.metadata.get("convention") or {})
    if attribute.role == "landmark":
        return "unknown"
    if attribute.kind == "relation" and landmarks:
        surface = canonical_modality(str(case.metadata.get("modality") or "")) in _SURFACES
        return judge_relation(words, case.mask, landmarks, display=str(whose.get("display", "")), is_surface=surface)
    if attribute.kind == "location" and whose.get("location") == "patient":
        words = mirrored_text(words)
    if attribute.kind == "side" and whose.get("side") == "viewer":
        return judge("location", words.lower().removesuffix("-sided"), mask=case.mask)
    return judge(attribute.kind, words, mask=case.mask, attributes=stated)


def judge_prompt(case: Case, text: str | None = None, *, landmarks: Sequence[Landmark] = ()) -> dict[str, Truth]:
    """Return kind -> truth for the first attribute of each kind that a prompt states.

    Args:
        case: gives the mask, what the data state, and the target's name.
        text: another prompt for the same case, such as a changed one; None: the case's own.
        landmarks: the other targets of the image, by which relating words are judged.
    """
    attributes = case.metadata.get("attributes") or {}
    prompt = case.prompt
    if text is not None and text != prompt.text:
        modality = str(case.metadata.get("modality") or "")
        prompt = parse_prompt(text, modality=modality, attributes=attributes, target=case.target)
    truths: dict[str, Truth] = {}
    several = sum(a.kind == "target" for a in prompt.attributes) > 1
    for a in prompt.attributes:
        if a.kind not in truths and a.role != "landmark":
            # What tells of one of two targets is not decided by the mask of both.
            unsure = several and a.kind in ("location", "side", "size", "number", "relation")
            unsure = unsure or names_another_place(prompt, a)
            truths[a.kind] = "unknown" if unsure else judge_value(case, a, landmarks=landmarks)
    if "target" in truths and truths["target"] == "unknown":
        truths["target"] = _target(prompt, case)
    return truths


def whole(truths: Mapping[str, Truth]) -> Truth:
    """Return what a prompt is as a whole: false where one attribute is, true where all are, else unknown."""
    values = set(truths.values())
    return "false" if "false" in values else "true" if values == {"true"} else "unknown"


def _target(prompt: Prompt, case: Case) -> Truth:
    """Judge a target by its name: the case's own is there where the mask is not empty; of others nothing is known."""
    stated, number = prompt.get("target"), prompt.get("number")
    if stated is None or case.mask.size == 0 or singular(stated.value) != singular(case.target):
        return "unknown"
    denied = number is not None and number.value.lower() in ("no", "without any")
    return "true" if bool(case.mask.any()) != denied else "false"


def _age(words: str, stated: Any) -> Truth:
    claimed, age = (unspell(re.sub(r"-years?-old$", "", str(v).lower())) for v in (words, stated))
    return "unknown" if claimed is None or age is None else "true" if claimed == age else "false"


def _placed(words: str, stated: str) -> Truth:
    """Judge a place in the patient by the one that the data state: the same words, or a known opposite of them."""
    if words == stated or words in stated or stated in words:
        return "true"
    opposite = {o.value.lower() for kind in ("place", "direction") for o in clinical_opposites(kind, stated)}
    return "false" if words in opposite else "unknown"


def _same(words: str, stated: str) -> Truth:
    return "true" if words == stated else "false"


def _size(words: str, measured: Facts | None, stated: Mapping[str, Any]) -> Truth:
    names = [_SIZE_ALIASES.get(w, w) for w in re.split(r",\s*", words)]
    # The data's own convention decides where it is stated.
    if isinstance(stated.get("size"), str) and all(n in _SIZE_CERTAIN for n in names):
        # Several targets of one image may be of several sizes: "small, medium".
        sizes = {_SIZE_ALIASES.get(w, w) for w in re.split(r",\s*", stated["size"].lower().strip())}
        return "true" if sizes & set(names) else "false"
    if measured is None or len(names) != 1 or names[0] not in _SIZE_CERTAIN or len(measured.centroids) > 1:
        return "unknown"
    return _between(measured.area_fraction, _SIZE_CERTAIN[names[0]], _SIZE_ALLOWED[names[0]])


def _between(share: float, certain: tuple[float, float], allowed: tuple[float, float]) -> Truth:
    if certain[0] <= share <= certain[1]:
        return "true"
    return "unknown" if allowed[0] <= share <= allowed[1] else "false"


def _number(words: str, measured: Facts | None, stated: Mapping[str, Any]) -> Truth:
    count = stated.get("instances", stated.get("components"))
    if not isinstance(count, int):
        if measured is None:
            return "unknown"
        count = len(measured.centroids)
    holds = count_holds(words, count)
    return "unknown" if holds is None else "true" if holds else "false"


def _location(words: str, measured: Facts | None) -> Truth:
    places = [_cell(part) for part in re.split(r",\s*(?:and\s+)?|\s+and\s+", words)]
    centres = [place for place in places if place is not None]
    if measured is None or not measured.centroids or len(centres) != len(places):
        return "unknown"
    matched = [any(_inside(place, centre) for centre in measured.centroids) for place in centres]
    if len(centres) == 1:
        # One place for several components: the benchmark means the whole, people the main one.
        middle = (sum(c[0] for c in measured.centroids), sum(c[1] for c in measured.centroids))
        whole = (middle[0] / len(measured.centroids), middle[1] / len(measured.centroids))
        matched.append(_inside(centres[0], whole))
        return "true" if matched[1] or (matched[0] and len(measured.centroids) == 1) else _doubt(matched[0])
    return "true" if all(matched) else _doubt(any(matched))


def _doubt(some: bool) -> Truth:
    return "unknown" if some else "false"


def _cell(words: str) -> tuple[int | None, int | None] | None:
    """Return (row, column) of a place in a 3 x 3 grid; None for an axis that the words leave open."""
    row: int | None = None
    column: int | None = None
    middles = 0
    for word in re.split(r"[\s-]+", words.strip()):
        if word in _ROWS:
            row = _ROWS[word]
        elif word in _COLUMNS:
            column = _COLUMNS[word]
        elif word in _MIDDLES:
            middles += 1
        else:
            return None
    if middles:
        row, column = (1 if row is None else row), (1 if column is None else column)
    return row, column


def _inside(place: tuple[int | None, int | None], centre: tuple[float, float]) -> bool:
    """Tell whether a centroid lies where `place` says, by at least one of the common grids."""
    return any(
        all(want is None or _bin(share, grid) == want for want, share in zip(place, centre, strict=True))
        for grid in _GRIDS
    )


def _bin(share: float, grid: tuple[float, float]) -> int:
    return int(share >= grid[0]) + int(share >= grid[1])


def _side(words: str, stated: Mapping[str, Any]) -> Truth:
    side = str(stated.get("side", "")).lower()
    if side not in ("left", "right", "both") or stated.get("side_visible") is False:
        return "unknown"
    sides = named_sides(words.upper() if words in ("l", "r") else words)
    if not sides or re.search(r"\bor\b|predominant|dominant", words, re.IGNORECASE):
        # "unilateral", "ipsilateral", "left or right": the words leave open which one.
        return "unknown"
    return _same("both" if len(sides) == 2 else sides.pop(), side)
