"""Tell whether a prompt is one of the reference benchmark's templates, all of whose words the template reader knows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise

from robustness.perturb.language.grammar.vocabulary import category_of
from robustness.perturb.language.lexicon import descriptions, find_class
from robustness.perturb.language.ontology.terms import term_index
from robustness.types import Attribute

# What may stand between the values of a template; everything else is language and read by the grammar.
_FRAMES = (
    r"an image (?:showing|of)(?: the following:)?",
    "this image shows the following:",
    "segment(?: the)?",
    "there (?:is|are)",
    "(?:and )?(?:located|situated) in",
    "part of the image",
    "of the image",
    "in the image",
    "in the breast ultrasound image",
    "at the",
    "-shaped",
    "shaped?",
    "of shape",
    "of",
    "in an? chest x-?ray",
    "(?:view )?of an? chest x-?ray",
    "in (?:the|an?)",
    "in",
    "(?:is|are) present",
    "in an? (?:frontal|lateral)? ?chest x-?ray",
    "view",
    "at the end of",
    "of the heart",
    "of the",
    "in the cardiac ultrasound",
    "at (?:the )?end of the",
    "cycle",
    "of an?",
    "with",
    "image quality",
    "it is an?",
    "it is",
    "it's an?",
    "an?",
    "the",
    "and",
    "t1 brain mri",
    "brain mri",
    "head ct",
    "in separate regions",
    "regions?",
    "parts?",
    "separate",
    "nearest to the",
    "corner",
    "brightest",
    "largest",
    "smallest",
    "on a dark background",
    "in a fluorescence microscopy image",
    "that do not touch the border",
    "[-,.: ]",
)

# Kinds that no template states.
_LANGUAGE = frozenset(
    {"place", "direction", "relation", "texture", "margin", "signal", "modality", "measure", "certainty", "negation"}
)
_SKIN = frozenset("wound wounds ulcer ulcers sore sores burn burns scar scars rash lesion lesions".split())
_BODY = frozenset("foot hand leg arm toe heel ear nose face head finger thumb knee elbow eye mouth tongue lip".split())
_LOCATED = " located in "
_PLACES_OF_THE_IMAGE = re.compile(r"(?:\w+[ ,-]+)+of the image")


def is_template(text: str, attributes: Sequence[Attribute], *, is_stated: bool) -> bool:
    """Tell whether `attributes` and the frames of the templates are all that `text` holds.

    Args:
        text: the prompt.
        attributes: what the template reader found, in order.
        is_stated: the siblings or the data name the target, so that no lexicon has to know it.
    """
    target = next((a for a in attributes if a.kind == "target"), None)
    if (
        any(a.role != "target" or a.kind in _LANGUAGE for a in attributes)
        or sum(a.kind == "target" for a in attributes) > 1
    ):
        return False
    if target is None or not (is_stated or find_class(target.value)):
        return False
    row = find_class(target.value)
    if row is not None and row.dataset and _ends_in_a_location(text) and attributes[0].kind != "pathology":
        return True
    if any(a.kind == "description" and not _is_known_description(a.value) for a in attributes):
        return False
    if any(
        f"{a.value} {target.value}".lower() in term_index()
        for a in attributes
        if a.stop == target.start - 1 and a.kind in ("colour", "direction")
    ):
        # "red nucleus" is a name.
        return False
    if target.value.lower() in _SKIN and any(a.kind == "shape" and a.value.lower() in _BODY for a in attributes):
        # "foot wound" tells where, "heart polyp" what it looks like.
        return False
    if any(a.kind == b.kind == "colour" and b.start == a.stop + 1 for a, b in pairwise(attributes)) and _TINT.search(
        text
    ):
        # "dark brown" is one colour.
        return False
    if _CORNER.search(text) and all(a.kind != "location" for a in attributes):
        # "polyp in the corner": a place that the templates do not have.
        return False
    at = 0
    for a in attributes:
        if not _is_frame(text[at : a.start]):
            return False
        at = a.stop
        # "upper left lung" is a place in the patient; "X is present." alone names its target.
        is_sentence = a.kind == "pathology" and "present" in text[a.stop : target.start].lower()
        if a.start < target.start and (
            is_sentence or a.kind == "description" or (a.kind == "location" and _is_body(target))
        ):
            return False
    return _is_frame(text[at:])


def is_framed(text: str) -> bool:
    """Tell whether a text is a sentence or a request already ("Segment the left lung"), which no frame goes around."""
    return _SENTENCE.match(text) is not None


_TINT = re.compile(r"\b(?:dark|light|pale|bright|deep) [a-z]+", re.IGNORECASE)
_CORNER = re.compile(r"\b(?:in|at|of) (?:the|an?) corner\b", re.IGNORECASE)
_SENTENCE = re.compile(r"\s*(?:segment|there (?:is|are)|an image (?:showing|of)|this image shows)\b", re.IGNORECASE)


def _ends_in_a_location(text: str) -> bool:
    """Tell whether ", located in top left of the image" ends the text."""
    at = text.rfind(_LOCATED)
    word = text[at - 1 : at] if text[at - 1 : at] != "," else text[at - 2 : at - 1]
    return at > 0 and word.isalnum() and _PLACES_OF_THE_IMAGE.fullmatch(text, at + len(_LOCATED)) is not None


def _is_body(target: Attribute) -> bool:
    row = find_class(target.value)
    return row is None or category_of(target.value.lower().rsplit(" ", 1)[-1]) == "anatomy"


@lru_cache(maxsize=1024)
def _is_known_description(text: str) -> bool:
    texts = {row.text.lower() for rows in descriptions().values() for row in rows}
    lower = text.lower()
    return lower in texts or ("," not in lower and re.search(r"\b(?:an?|the|of|in)\b", lower) is not None)


@lru_cache(maxsize=8192)
def _is_frame(gap: str) -> bool:
    """Tell whether frames, one behind another, are all that `gap` holds; the work grows with its length."""
    lower = gap.lower()
    reached = {0}
    for at in range(len(lower)):
        if at in reached:
            reached.update(at + len(f) for f in _frames_by_letter().get(lower[at], ()) if lower.startswith(f, at))
    return len(lower) in reached


@cache
def _frames_by_letter() -> dict[str, tuple[str, ...]]:
    """Return first letter -> the frames written out, in small letters."""
    by_letter: dict[str, tuple[str, ...]] = {}
    for frame in dict.fromkeys(f for pattern in _FRAMES for f in written_out(pattern)):
        by_letter[frame[0]] = (*by_letter.get(frame[0], ()), frame)
    return by_letter


def written_out(pattern: str) -> list[str]:
    """Return every text that a pattern of letters, ``(?:a|b)``, ``[ab]`` and ``?`` matches.

    Example:
        >>> written_out("in an? (?:CT|MRI)")
        ['in an CT', 'in an MRI', 'in a CT', 'in a MRI']
    """
    texts = [""]
    for piece in _PIECE.finditer(pattern):
        group, letters, letter, optional = piece.groups()
        choices = [w for p in group.split("|") for w in written_out(p)] if group else list(letters or letter)
        texts = [text + choice for text in texts for choice in ([*choices, ""] if optional else choices)]
    return texts


_PIECE = re.compile(r"(?:\(\?:([^()]*)\)|\[([^\]]*)\]|(.))(\??)")
