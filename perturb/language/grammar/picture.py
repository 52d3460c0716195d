"""View, phase and quality of a picture, as runs of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.tokens import Token, match_phrase
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, kind_of, phrase_table, words

_Q_NOUNS = frozenset({"quality", "image-quality"})
_ACQUIRED = frozenset("scan scans acquisition acquisitions series frame frames film films".split())
ARTEFACTS = frozenset({"artefact", "artefacts", "artifact", "artifacts"})
_VIEWS = ("view", "views", "projection", "projections")
# Up to three words before one of these may name it.
HEADS = frozenset({*ARTEFACTS, *_VIEWS, "phase", "phases"})
_PHASES = frozenset(
    "arterial venous portal portal-venous delayed equilibrium nephrographic corticomedullary excretory hepatobiliary "
    "early late parenchymal late-arterial early-arterial".split()
)
_OF_PHASES = frozenset("ct mri mr cect image images".split())
_AFTER_QUALITY = words("classes.preposition") | words("classes.auxiliary") | words("classes.conjunction")
# Planes as they are written before a sequence: "sag T2".
PLANES = frozenset({"sag", "cor", "ax", "tra"})
# A run of more words that may begin a view or a modality is none; without a bound the work would grow with the square.
LONGEST = 8


def next_word(tokens: Sequence[Token], i: int) -> str:
    """Return the token behind `i` in small letters, or ""."""
    return tokens[i + 1].lower if i + 1 < len(tokens) else ""


@cache
def before_modality() -> frozenset[str]:
    """Return the words that may stand before a modality and belong to it."""
    return words("modality.before") | words("classes.body_part")


@cache
def _leads_to_a_picture() -> frozenset[str]:
    views = words("view.always") | words("view.framed")
    return words("classes.picture") | words("modality.core") | before_modality() | views


def read_view(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    """Return ("view", first, last) of a view ("parasternal long-axis", "sunrise") that begins at token `i`, or None."""
    always, framed, frame = words("view.always"), words("view.framed"), words("view.frame")
    token = tokens[i]
    stop = match_phrase(tokens, i, phrase_table("view.phrases"))
    if stop > i:
        return ("view", i, stop)
    if token.lower in _POSTURES and (
        _stands_apart(tokens, i, i + 1) or (i > 0 and tokens[i - 1].lower in words("modality.core"))
    ):
        return ("view", i, i + 1)
    named = i + 1 < len(tokens) and match_phrase(tokens, i + 1, phrase_table("modality.head_phrases")) > i + 1
    if (named and _sure(token)) or (token.lower in PLANES and next_word(tokens, i) in words("modality.core")):
        # "sagittal maximum intensity projection": the plane, then how the image was made.
        return ("view", i, i + 1)
    if token.lower.startswith("trans") and next_word(tokens, i) in ("plane", "planes"):
        # "the transthalamic plane": through what the body is cut.
        return ("view", i, i + 1)
    if (stop := _run_to(tokens, free, i, _VIEWS)) > i:
        through = [k for k in range(i + 1, stop) if tokens[k].lower.startswith("trans") and _sure(tokens[i])]
        # "sagittal transvaginal view": the plane, then how it was scanned.
        return ("view", i, through[0] if through else stop)
    j = i
    sure = False
    while j < min(len(tokens), i + LONGEST) and free[j]:
        lower = tokens[j].lower
        is_sure = lower in always or tokens[j].text in words("view.capitals")
        if not is_sure and lower not in framed:
            break
        sure = sure or is_sure
        j += 1
    if j == i:
        return None
    k = j
    while k < min(len(tokens), j + LONGEST) and (
        (tokens[k].lower in words("modality.before") and tokens[k].lower not in ("x-ray", "mri", "ct"))
        or tokens[k].lower.startswith("trans")
        or (tokens[k].lower in ("line", "raster", "cube") and next_word(tokens, k) in ("scan", "scans"))
    ):
        k += 1
    following = tokens[k].lower if k < len(tokens) else ""
    if following in frame and (
        sure or following not in ("image", "images", "film") or token.lower not in ("left", "right")
    ):
        while j > i + 1 and tokens[i].lower in ("left", "right"):
            i += 1
        if tokens[i].lower in ("left", "right"):
            return None
        return ("view", i, j)
    if not sure:
        return None
    while i < j and not (tokens[i].lower in always or tokens[i].text in words("view.capitals")):
        if tokens[i].lower in ("erect", "supine", "upright", "prone", "apical"):
            break
        i += 1
    while j > i and not _sure(tokens[j - 1]) and tokens[j - 1].lower != "oblique":
        j -= 1
    return ("view", i, j)


def _sure(token: Token) -> bool:
    return token.lower in words("view.always") or token.text in words("view.capitals")


def read_phase(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    """Return ("phase", first, last) of a phase ("portal venous", "end-diastole") that begins at token `i`, or None."""
    lower = tokens[i].lower
    stop = match_phrase(tokens, i, phrase_table("phase.phrases"))
    if stop > i:
        return ("phase", i, stop)
    if lower.endswith("-phase") and len(lower) > 8:
        return ("phase", i, i + 1)
    if (stop := _run_to(tokens, free, i, ("phase", "phases"))) > i and lower not in words("phase.words"):
        return ("phase", i, stop + 1)
    j = i
    while j < min(len(tokens), i + LONGEST) and free[j] and tokens[j].lower in words("phase.words"):
        j += 1
    if j > i and j < len(tokens) and tokens[j].lower in ("phase", "phases"):
        return ("phase", i, j + 1)
    if j > i and j < len(tokens) and tokens[j].lower in _ACQUIRED:
        return ("phase", i, j)
    if j > i and next_word(tokens, j - 1) in _OF_PHASES and all(t.lower in _PHASES for t in tokens[i:j]):
        # "portal venous CT", "arterial images"
        return ("phase", i, j)
    if lower in ("expiratory", "inspiratory") and _stands_apart(tokens, i, i + 1):
        return ("phase", i, i + 1)
    always = words("phase.always")
    if lower in words("phase.degree") and next_word(tokens, i) in always:
        return ("phase", i, i + 2)
    if lower in always and next_word(tokens, i) not in words("modality.core"):
        return ("phase", i, i + 1)
    return None


def read_quality(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    """Return ("quality", first, last) of a quality that begins at token `i` ("slightly blurred"), or None."""
    stop = match_phrase(tokens, i, phrase_table("quality.phrases"))
    if stop > i:
        return ("quality", i, stop)
    subject = words("quality.subject")
    pair = {tokens[i].lower, next_word(tokens, i)}
    alone = (i == 0 or not tokens[i - 1].is_word) and (i + 2 >= len(tokens) or not tokens[i + 2].is_word)
    if alone and pair & subject and pair & words("quality.before_picture"):
        return ("quality", i, i + 2)  # "Prep poor", "limited windows"
    stop = match_phrase(tokens, i, phrase_table("quality.apart"))
    blurred = (
        tokens[stop - 1].lower == "focus" and stop < len(tokens) and tokens[stop].lower in words("classes.generic")
    )
    if stop > i and (blurred or _stands_apart(tokens, i, stop)):
        return ("quality", i, stop)  # "out of focus area top left"
    if tokens[i + 2 : i + 3] and tokens[i + 2].lower in ARTEFACTS and _may_name(tokens, free, i, i + 2):
        # "air bubble artefact"
        return ("quality", i, i + 3)
    signs = ("comet-tail", "ring-down", "twinkle", "twinkling")  # These tell of the thing, not of the picture.
    lower = tokens[i].lower
    if next_word(tokens, i) in ARTEFACTS and lower not in words("classes.determiner") and lower not in signs:
        return ("quality", i, i + 2)
    start = i
    if is_adverb(lower) and i + 1 < len(tokens) and free[i + 1]:
        i += 1
        lower = tokens[i].lower
    if lower in words("quality.before_picture") and next_word(tokens, i) != "power":
        rest = [t.lower for t in tokens[i + 1 : i + 4]]
        if rest[:2] == ["signal", "strength"]:
            return ("quality", start, i + 3)
        if rest[:1] and (rest[0] in _Q_NOUNS or (rest[0] in ("image", "picture", "scan") and "quality" in rest[1:2])):
            return ("quality", start, i + 1)
        listed = [t.lower for t in tokens[i + 1 : i + 7]]
        if listed[:1] == [","]:
            # "Rotated, underexposed AP radiograph"
            rest = [w for w in listed if w != "," and w not in words("quality.before_picture")][:3]
        rest = [w for w in rest if w not in words("view.always") and w.upper() not in words("view.capitals")]
        near = [w for w in rest if w not in words("modality.before") and w not in words("modality.core")]
        scan = len(near) < len(rest) or (rest and rest[0] in words("classes.picture"))
        if (
            rest
            and scan
            and (rest[0] in words("classes.picture") or rest[0] in words("modality.before") | words("modality.core"))
        ):
            return ("quality", start, i + 1)
    # "blurred margins" speaks of an edge, no picture.
    after = next_word(tokens, i)
    of_a_picture = not after.isalpha() or after in _leads_to_a_picture()
    edge = i > 0 and tokens[i - 1].lower in words("classes.margin_noun")
    if lower in words("quality.words") and not edge and (of_a_picture or after in _AFTER_QUALITY):
        return ("quality", start, i + 1)
    return None


_POSTURES = frozenset("supine erect prone upright standing sitting semi-erect".split())
# What stands before "view" and tells of no plane: "the endoscopic view", "a limited view", "the same view".
_NO_VIEWS = frozenset(
    "endoscopic microscopic dermoscopic laparoscopic sonographic ultrasound doppler colour color x-ray full partial "
    "same another other first second third next last only single clear good whole entire complete zoomed magnified "
    "field plain best worst better current available given present provided particular certain image left right top "
    "bottom upper lower central photographic standard same-day intraoperative operative surgical clinical".split()
)


def _run_to(tokens: Sequence[Token], free: Sequence[bool], i: int, heads: tuple[str, ...]) -> int:
    """Return the index of a head such as "view" behind up to three words from `i` that name it, or `i`."""
    before = tokens[i - 1].lower if i else ","
    opens = before in words("classes.determiner") or before in words("classes.preposition") or not before[-1].isalnum()
    j = i
    while opens and j < min(len(tokens) - 1, i + 3) and tokens[j].lower not in heads:
        j += 1
    named = j > i and tokens[j].lower in heads and _may_name(tokens, free, i, j)
    return j if named and next_word(tokens, j) != "of" else i


def _may_name(tokens: Sequence[Token], free: Sequence[bool], i: int, j: int) -> bool:
    return all(free[i:j]) and all(_is_name_word(t.lower) for t in tokens[i:j])


@lru_cache(maxsize=4096)
def _is_name_word(lower: str) -> bool:
    """Tell whether a word (small letters) may name a view, a phase or an artefact: no function word, no property."""
    closed = (
        "determiner",
        "preposition",
        "conjunction",
        "auxiliary",
        "relative",
        "pronoun",
        "filler",
        "report",
        "hinders",
    )
    if (
        not lower[0].isalpha()
        or lower in _NO_VIEWS
        or lower.endswith("-assisted")
        or any(lower in words(f"classes.{name}") for name in closed)
    ):
        return False
    if is_adverb(lower) or lower in ("with", "without", "no", "not") or lower in words("quality.before_picture"):
        return False
    return kind_of(lower) not in ("size", "colour", "number", "pathology", "margin", "side")


def _stands_apart(tokens: Sequence[Token], i: int, stop: int) -> bool:
    """Tell whether tokens [i, stop) stand between signs, or behind "with" and "despite": they tell of the picture."""
    before = tokens[i - 1].lower if i else ","
    after = tokens[stop].lower if stop < len(tokens) else "."
    opens = not before[-1].isalnum() or before in ("with", "despite", "and", "by", "some")
    return (i > 0 or stop > i + 1) and opens and (not after[0].isalnum() or after in ("and", "but"))


def in_the_picture(tokens: Sequence[Token], i: int, end: int) -> bool:
    """Tell whether "left of" speaks of the image: "the top left of", "to the left of the image"."""
    before = tokens[i - 1].lower if i else ""
    after = {t.lower for t in tokens[end : end + 2]}
    level = before in ("top", "bottom", "upper", "lower", "middle", "centre", "center", "the", "far")
    return level or bool(after & words("classes.picture"))


def picture_category(head: str, before: str, *, alone: bool) -> str | None:
    """Return "picture" where a name is that of a picture, "" where it only looks so, None where it is of no picture.

    Args:
        head: the last word of the name.
        before: the word before it.
        alone: the name has no other word.
    """
    if head in words("classes.picture") and alone:
        return "picture"
    if head in words("classes.picture_head") and category_of(before) != "finding":
        # "transperineal scan", "fetal brain scan"
        return "picture"
    if head in words("classes.picture_field") and not category_of(before):
        # "oil immersion field"; "lung field" is anatomy.
        return "" if kind_of(before) or head.startswith("section") else "picture"
    return None


@cache
def things_beside() -> frozenset[str]:
    """Return what lies in a picture and is no part of the patient: devices, tools, residue, what lies over it."""
    return words("classes.device") | words("classes.residue") | words("classes.tool")


def hinders(lower: Sequence[str]) -> bool:
    """Tell whether "cataract limits view", "movement degrades the study" only tells how the picture is."""
    k = next((k for k, w in enumerate(lower) if w in words("classes.hinders")), 0)
    seen = words("classes.picture") | words("classes.sight_noun")
    return k > 0 and lower[-1] in seen and "which" not in lower and "that" not in lower
