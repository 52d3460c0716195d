"""Places: in the image (location), in the patient (place), or one of two sides."""

from __future__ import annotations

import re
from typing import NamedTuple

from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.vocabulary import kind_of, words

_ROWS = frozenset("top bottom upper lower uppermost lowermost topmost bottommost lowest highest".split())
_MIDDLE = frozenset("foreground background off-centre off-center centre center middle central mid centrally".split())
# "top-left"; "left/right" stands for both sides joined.
_PARTS = re.compile("[-/]")
_COMPASS = re.compile(r"(?:north|south)-?(?:east|west)(?:ern)?")
# On its own a side with one of these is the picture's: "at the left edge".
_OF_THE_PICTURE = frozenset("edge edges corner corners half halves column third".split())
_SIDES = frozenset({"left", "right", "leftmost", "rightmost"})
_FRAMES = frozenset(
    "half part side corner quadrant third portion region area edge border margin periphery end"
    " ends zone hand section row rows quarter sides halves edges borders corners column columns".split()
)
_DEGREES = frozenset(
    "very extreme far exact dead precise absolute immediate most nearest just roughly about near".split()
)
_SURFACE = frozenset({"endoscopy", "dermoscopy", "photograph", "microscopy"})


# "the fourth left rib"
_COUNTED = frozenset("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split())
_PAIRED = frozenset("meniscus menisci condyle condyles plateau compartment".split())


class Placed(NamedTuple):
    """Readings (kind, start, stop, role) and the index after their last token."""

    spans: tuple[tuple[str, int, int, str], ...]
    stop_token: int


def is_location_word(word: str) -> bool:
    """Tell whether a word (small letters) states a row, a column or the middle of an image."""
    if word in _MIDDLE:
        return True
    if _COMPASS.fullmatch(word):
        return True
    parts = _PARTS.split(word)
    if len(parts) > 1 and parts[-1] in ("hand", "most"):
        # "the top left-hand corner"
        parts = parts[:-1]
    return all(p in _ROWS or p in _MIDDLE or p in _SIDES for p in parts)


def is_place_phrase(tagged: Tagged, phrase: Phrase) -> bool:
    """Tell whether a phrase names a part of the body by its level, side or direction: "right upper lobe"."""
    if phrase.name is None:
        return False
    last = phrase.name[1]
    head = tagged.tokens[last - 1].lower
    leads = {tagged.tokens[k].lower for k in range(phrase.start, last)}
    if head in ("segment", "segments") and last - phrase.name[0] > 1:
        # "left upper lobe, lingular segment"
        return True
    placed = any(w in _ROWS or w in _MIDDLE or w in _SIDES or kind_of(w) == "direction" for w in leads)
    return (placed and (phrase.category == "anatomy" or head in words("classes.part"))) or kind_of(head) == "place"


def read_location(tagged: Tagged, phrase: Phrase, stop: int, modality: str) -> Placed | None:
    """Return a place in the image, or a side, where a phrase holds nothing but such words; else None.

    "the lower half of the frame" is a location, "the upper pole" is not; "on the left" is the patient's side unless a
    frame is named or the image shows a surface.
    """
    tokens = tagged.tokens
    if stop <= phrase.start:
        return None
    # "Two lesions: one top left": a number that stands for the target.
    if tokens[phrase.start].lower in ("one", "two", "three", "another") and stop - phrase.start > 1:
        phrase = phrase._replace(start=phrase.start + 1)
    inside = [k for k in range(phrase.start, stop) if tagged.tags[k] not in ("determiner", "sign")]
    owner = next((tokens[k].lower[:-2] for k in reversed(inside) if tokens[k].lower.endswith("'s")), "")
    rest = [k for k in inside if _may_locate(tokens[k].lower)]
    pictures = [k for k in rest if tokens[k].lower in words("classes.picture")]
    if pictures and tokens[inside[-1]].lower in _FRAMES:
        # "near the image border", "at the left image edge"
        rest = [k for k in rest if k not in pictures]
        if not rest:
            return Placed((("location", tokens[inside[0]].start, tokens[inside[-1]].stop, "target"),), stop)
        owner = "image"
    if pictures == rest[:1] and len(rest) > 1 and all(is_location_word(tokens[k].lower) for k in rest[1:]):
        # "at image left"
        return Placed((("location", tokens[rest[1]].start, tokens[rest[-1]].stop, "target"),), stop)
    if rest and (part := _part_of_frame(tagged, inside, rest, stop)):
        return part
    if side := _side_alone(tagged, inside, rest):
        return Placed((("side", *side, "target"),), stop)
    if not rest or not all(is_location_word(tokens[k].lower) for k in rest):
        return _bare_frame(tagged, phrase, stop) if not rest and inside else None
    after, frame = frame_behind(tagged, stop)
    parts = [p for k in rest for p in _PARTS.split(tokens[k].lower)]
    start, end = tokens[rest[0]].start, tokens[rest[-1]].stop
    relative = 0 if frame else _of_the_centre(tagged, stop) if _of_something(tagged, stop) else 0
    if relative:
        return Placed((("location", start, tokens[relative - 1].stop, "target"),), relative)
    if not frame and after == stop and _of_something(tagged, stop) and not owner and not _of_a_row(tagged, stop):
        return None
    if not frame and (row := _of_a_row(tagged, stop)):
        return Placed((("location", start, tokens[row - 1].stop, "target"),), row)
    if not frame and _is_zone(tagged, inside):
        return None
    edged = tokens[inside[-1]].lower in _OF_THE_PICTURE or tokens[inside[0]].lower in ("far", "extreme")
    image = (
        frame
        or edged
        or owner in ("viewer", "observer", "image", "screen", "picture", "reader")
        or not set(parts) <= _SIDES
    )
    if owner in ("patient", "subject"):
        first = next(k for k in inside if tokens[k].lower.endswith("'s"))
        return Placed((("side", tokens[first].start, tokens[inside[-1]].stop, "target"),), stop)
    if image:
        if after < len(tokens) and frame and tagged.tokens[after - 1].lower == "to":
            after -= 1
        return Placed((("location", start, end, "target"),), after)
    if modality in _SURFACE:
        return Placed((), stop)
    return Placed((("side", start, end, "target"),), stop)


def _part_of_frame(tagged: Tagged, inside: list[int], rest: list[int], stop: int) -> Placed | None:
    """Read "the superior edge of the image", "the apex of the sector", "both ends of the image"; else None."""
    tokens = tagged.tokens
    after, frame = frame_behind(tagged, stop)
    if not frame:
        return None
    if _names_the_frame(tagged, rest, stop):
        return Placed((("location", tokens[rest[0]].start, tokens[rest[-1]].stop, "target"),), after)
    if all(tokens[k].lower in ("both", "either", "all") for k in rest):
        return Placed((("location", tokens[inside[0]].start, tokens[inside[-1]].stop, "target"),), after)
    return None


def _names_the_frame(tagged: Tagged, rest: list[int], stop: int) -> bool:
    """Tell whether the words `rest` tell a part of a picture once one is named behind them: directions, or one part."""
    lower = [tagged.tokens[k].lower for k in rest]
    directed = [kind_of(word) == "direction" for word in lower]
    if any(directed):
        return all(d or is_location_word(word) for d, word in zip(directed, lower, strict=True))
    return len(lower) == 1 and lower[0] in words("classes.part") and _of_something(tagged, stop)


def sweep_at(tagged: Tagged, i: int, hi: int) -> int:
    """Return the index after "left to right" at token `i`, or `i`; longer ends are places of their own."""
    lower = [t.lower for t in tagged.tokens[i : min(hi, i + 3)]]
    return i + 3 if len(lower) == 3 and lower[1] == "to" and {lower[0], lower[2]} <= _SIDES else i


def _may_locate(lower: str) -> bool:
    """Tell whether a word decides what a phrase locates: no degree, no owner, no frame noun."""
    return not lower.endswith("'s") and lower not in _DEGREES and lower not in _FRAMES


def _side_alone(tagged: Tagged, inside: list[int], rest: list[int]) -> tuple[int, int] | None:
    """Return the characters of "both sides" or "rt side", or None."""
    tokens = tagged.tokens
    if not rest:
        return None
    lower = [tokens[k].lower for k in rest]
    both = all(word in ("both", "either", "each") for word in lower) and len(inside) > len(rest)
    if both and tokens[inside[-1]].lower in ("side", "sides"):
        return tokens[inside[0]].start, tokens[inside[-1]].stop
    sided = tokens[inside[-1]].lower in ("side", "sides")
    if sided and all(kind_of(word) == "side" and not is_location_word(word) for word in lower):
        return tokens[rest[0]].start, tokens[inside[-1]].stop
    return None


def _is_zone(tagged: Tagged, inside: list[int]) -> bool:
    """Tell whether "left lower zone", "right upper quadrant" names a part of the body: the side stands first."""
    lower = [tagged.tokens[k].lower for k in inside]
    return len(lower) > 2 and lower[0] in _SIDES and lower[-1] in ("zone", "zones", "quadrant", "quadrants")


def _bare_frame(tagged: Tagged, phrase: Phrase, stop: int) -> Placed | None:
    """Read "at the edge of the image": a frame word alone is a location where an image is named."""
    after, frame = frame_behind(tagged, stop)
    if not frame:
        return None
    tokens = [
        t for k, t in enumerate(tagged.tokens[phrase.start : stop], phrase.start) if tagged.tags[k] != "determiner"
    ]
    return Placed((("location", tokens[0].start, tokens[-1].stop, "target"),), after)


def frame_behind(tagged: Tagged, stop: int) -> tuple[int, bool]:
    """Return the index after "of the image" (an image is named then), or `stop`."""
    tokens, tags = tagged.tokens, tagged.tags
    if stop >= len(tokens) or tokens[stop].lower not in ("of", "in", "on"):
        return stop, False
    k = stop + 1
    while k < len(tokens) and tags[k] == "determiner":
        k += 1
    first = k
    while k < len(tokens) and k - first < 4 and (tags[k] in ("scan", "word", "measure")):
        k += 1
        word = tokens[k - 1].lower
        if (
            word in words("classes.picture")
            or word == "patch"
            or (tags[k - 1] == "scan" and (k == len(tokens) or tags[k] != "scan"))
        ):
            # What is named as a modality is read on its own.
            return (first if tags[first] == "scan" else k), True
    return stop, False


def _of_something(tagged: Tagged, stop: int) -> bool:
    return stop < len(tagged.tokens) and tagged.tokens[stop].lower == "of"


def _of_a_row(tagged: Tagged, stop: int) -> int:
    """Return the index after "of the top row", or 0."""
    tokens = tagged.tokens
    if not _of_something(tagged, stop):
        return 0
    k = stop + 1
    while k < len(tokens) and (tagged.tags[k] == "determiner" or is_location_word(tokens[k].lower)):
        k += 1
    leads = k > stop + 1 and is_location_word(tokens[k - 1].lower)
    return k + 1 if leads and k < len(tokens) and tokens[k].lower in ("row", "column", "half") else 0


def _of_the_centre(tagged: Tagged, stop: int) -> int:
    """Return the index after "of (the) centre", or 0."""
    k = stop + 1
    while k < len(tagged.tokens) and tagged.tags[k] == "determiner":
        k += 1
    return (
        k + 1 if k < len(tagged.tokens) and tagged.tokens[k].lower in ("centre", "center", "midline", "middle") else 0
    )


def place_of_phrase(tagged: Tagged, phrase: Phrase, hi: int) -> Placed:
    """Return a phrase, with "of ..." behind it, as one place in the patient; its sides are a landmark's."""
    tokens = tagged.tokens
    first = phrase.start
    while first < phrase.stop - 1 and tagged.tags[first] == "determiner":
        first += 1
    for k in range(first, phrase.name[0] if phrase.name else first):
        if tokens[k].lower == "," and kind_of(tokens[k - 1].lower) == "side":
            # "OS, inferior hemiretina"
            first = k + 1
    stop = phrase.stop
    landmarks = list(_landmark_words(tagged, phrase))
    while stop < hi - 1 and tokens[stop].lower == "of":
        more = read_phrase(tagged, stop + 1, hi)
        if more.name is None or more.category in ("patient", "picture") or more.stop <= stop + 1:
            break
        landmarks += _landmark_words(tagged, more)
        stop = more.stop
    if stop + 1 < hi and tokens[stop].lower == "of" and tagged.tags[stop + 1] == "level":
        # "level of T10"
        stop = tagged.marks[stop + 1][1]
    end = tokens[stop - 1].stop
    if stop == phrase.stop and phrase.name and tagged.tokens[phrase.name[1] - 1].stop < end:
        # "radius lt": a side behind the name is no part of it.
        end = tokens[phrase.name[1] - 1].stop
    return Placed((("place", tokens[first].start, end, "target"), *landmarks), stop)


def _landmark_words(tagged: Tagged, phrase: Phrase) -> list[tuple[str, int, int, str]]:
    modifiers = [(m.kind, m.start, m.stop, "landmark") for m in phrase.mods if m.kind in ("side", "direction")]
    if phrase.name:
        first, last = phrase.name
        if kind_of(tagged.tokens[first].lower) == "direction" and tagged.tokens[last - 1].lower in _PAIRED:
            modifiers.append(("direction", tagged.tokens[first].start, tagged.tokens[first].stop, "landmark"))
        modifiers += _sides_in_name(tagged, *phrase.name)
    return modifiers


def _sides_in_name(tagged: Tagged, first: int, last: int) -> list[tuple[str, int, int, str]]:
    """Return the sides inside "upper left lung zone", where the side is no part of a chamber's name."""
    sides = []
    opening = tagged.tokens[first].lower
    if first in tagged.name_at and opening in ("left", "right") and tagged.tokens[last - 1].lower.startswith("lobe"):
        # "right hepatic lobe"
        sides.append(("side", tagged.tokens[first].start, tagged.tokens[first].stop, "landmark"))
    if first not in tagged.name_at and (opening in _ROWS | _MIDDLE | _COUNTED or opening.endswith("'s")):
        for token in tagged.tokens[first + 1 : last - 1]:
            if token.lower in ("left", "right", "r", "l", "r/l"):
                sides.append(("side", token.start, token.stop, "landmark"))
    return sides
