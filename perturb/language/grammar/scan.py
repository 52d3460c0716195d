"""Acquisition and patient: modality, view, phase, quality, sex and age, as runs of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.measures import Mark
from robustness.perturb.language.grammar.tokens import Token, match_phrase
from robustness.perturb.language.grammar.vocabulary import is_adverb, phrase_table, tables, words

_Q_NOUNS = frozenset({"quality", "image-quality"})
_ACQUIRED = frozenset("scan scans acquisition acquisitions series frame frames film films".split())
_ARTEFACTS = frozenset({"artefact", "artefacts", "artifact", "artifacts"})
_PLAIN_FILM = frozenset({"film", "films"})


def scans(tokens: Sequence[Token], free: Sequence[bool]) -> Iterator[tuple[Mark, int, int]]:
    """Yield the marks of the scan, each with its tokens [first, last); `free` tells which tokens may be read."""
    i = 0
    while i < len(tokens):
        mark = _one(tokens, free, i) if free[i] and _may_begin(tokens[i].lower) else None
        if mark is None:
            i += 1
            continue
        kind, first, last = mark
        role = "patient" if kind in ("sex", "age") else "scan"
        group = "patient" if role == "patient" else "scan"
        owner = 2 * (role == "patient" and tokens[last - 1].lower.endswith("'s"))
        yield Mark(kind, tokens[first].start, tokens[last - 1].stop - owner, group, role), first, last
        i = max(last, i + 1)


@lru_cache(maxsize=16384)
def _may_begin(lower: str) -> bool:
    """Tell whether a mark may begin with a word; most words begin none."""
    lower = lower.removesuffix("'s")
    if lower.endswith((*_COMPOUNDS, "-stained")) or lower.endswith("-phase") or is_adverb(lower):
        return True
    keys = [k for k in tables() if k.partition(".")[0] in ("modality", "view", "phase", "quality")]
    keys += ["classes.body_part", "classes.sex", "classes.age", "classes.adverb"]
    return any(lower in (t.lower() for t in _first_words(key)) for key in keys)


@cache
def _first_words(key: str) -> frozenset[str]:
    return frozenset(entry if isinstance(entry, str) else entry[0] for entry in tables()[key])


# A run of more words that may begin a view or a modality is none; without a bound the work would grow with the square.
_LONGEST = 8
_COMPOUNDS = ("-weighted", "-sensitive", "-suppressed", "-saturated", "-enhanced", "-gated", "-sparing")


def _one(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    lower = tokens[i].lower
    for reader in (_quality, _phase, _view, _modality):
        mark = reader(tokens, free, i)
        if mark is not None:
            return mark
    if lower.removesuffix("'s") in words("classes.sex"):
        return ("sex", i, i + 1)
    if lower in words("classes.age") and _next(tokens, i) not in words("classes.body_part"):
        return ("age", i, i + 1)
    return None


def _next(tokens: Sequence[Token], i: int) -> str:
    return tokens[i + 1].lower if i + 1 < len(tokens) else ""


@cache
def _before_modality() -> frozenset[str]:
    return words("modality.before") | words("classes.body_part")


def _modality(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    core, after = words("modality.core"), words("modality.after")
    before = _before_modality()
    stop = match_phrase(tokens, i, phrase_table("modality.head_phrases"))
    if stop == i:
        j = i
        while (
            j < min(len(tokens), i + _LONGEST) and free[j] and tokens[j].lower not in core and tokens[j].lower in before
        ):
            j += 1
        # "coronary CT angiography": what stands before counts where a modality follows.
        if j < len(tokens) and free[j] and tokens[j].lower in core:
            stop = j + 1
        elif j == i + 1 and _stands_alone(tokens, i):
            # "retina, spectral-domain, 6 mm"
            return ("modality", i, j)
        elif j > i and _is_view_of_a_scan(tokens, free, j):
            # "non-contrast coronal CT"
            return ("modality", i, j)
        elif j > i:
            phrase = (
                match_phrase(tokens, j, phrase_table("modality.head_phrases")) if j < len(tokens) and free[j] else j
            )
            if phrase == j:
                return _stain(tokens, i, j)
            stop = phrase
        else:
            return _weighted(tokens, free, i)
    while stop < len(tokens) and free[stop]:
        more = stop
        while (
            more < min(len(tokens) - 1, stop + _LONGEST)
            and free[more]
            and tokens[more].lower in before
            and tokens[more].lower not in core
        ):
            more += 1
        if more > stop and tokens[stop].lower in after and tokens[more].lower not in core:
            # "T1 post-gadolinium"
            more = stop
        if not free[more] or not (tokens[more].lower in core or (more == stop and tokens[more].lower in after)):
            break
        stop = more + 1
    if stop == i + 1 and tokens[i].lower in core and _next(tokens, i) in ("chest", "abdomen"):
        stop += 1
    elif _of_a_body_part(tokens, stop):
        stop += 3
    if stop == i + 1 and not _is_modality(tokens, i):
        return None
    return ("modality", i, stop)


def _stands_alone(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether a word that only qualifies a modality stands between commas."""
    before, after = tokens[i - 1].lower if i else ",", _next(tokens, i) or ","
    return tokens[i].lower in words("modality.alone") and not before.isalnum() and not after[0].isalnum()


def _is_view_of_a_scan(tokens: Sequence[Token], free: Sequence[bool], i: int) -> bool:
    j = i
    while j < min(len(tokens), i + 3) and free[j] and tokens[j].lower in words("view.always") | words("view.framed"):
        j += 1
    return i < j < len(tokens) and free[j] and tokens[j].lower in words("modality.core")


def _of_a_body_part(tokens: Sequence[Token], stop: int) -> bool:
    """Tell whether "of the chest" follows and ends there: the scan's own field."""
    if stop + 2 >= len(tokens) or tokens[stop].lower != "of" or tokens[stop + 1].lower != "the":
        return False
    rest = tokens[stop + 3].lower if stop + 3 < len(tokens) else "."
    return tokens[stop + 2].lower in words("classes.body_part") and not (rest.isalnum() and rest not in _AFTER_FIELD)


_AFTER_FIELD = frozenset("with without showing shows demonstrates reveals and in at on from".split())


def _is_modality(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether a single word names a modality: "US" and "Pet" only as written, "echo" not in "echo complex"."""
    token = tokens[i]
    if token.lower in _AS_WRITTEN:
        return token.text.isupper()
    return token.lower not in _PLAIN_FILM


_AS_WRITTEN = frozenset("mr us pet pd pas sem tem ffa fa slo gram cine adc toe opt vibe haste dce".split())


def _weighted(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    """Read "neuromelanin-sensitive MRI" and "fat-suppressed T2": any compound before a modality."""
    lower = tokens[i].lower
    if lower.endswith("-stained") and free[i]:
        stain = lower.removesuffix("-stained")
        if stain in words("modality.core") or stain in words("modality.before"):
            return ("modality", i, i + 1 + _is_at(tokens, i + 1, ("smear", "section", "sections", "slide", "film")))
    if not lower.endswith(_COMPOUNDS) or not free[i]:
        return None
    j = i + 1
    core = words("modality.core")
    while (
        j < min(len(tokens), i + _LONGEST)
        and free[j]
        and tokens[j].lower in words("modality.before")
        and tokens[j].lower not in core
    ):
        j += 1
    if j < len(tokens) and free[j] and tokens[j].lower in core:
        stop = j + 1
        while stop < len(tokens) and free[stop] and tokens[stop].lower in words("modality.after"):
            stop += 1
        return ("modality", i, stop)
    return ("modality", i, i + 1) if lower.endswith("-weighted") else None


def _stain(tokens: Sequence[Token], i: int, j: int) -> tuple[str, int, int] | None:
    """Read "Ki-67 immunostain", "fluorescein angiogram": a qualifier and a word that only follows one."""
    if j < len(tokens) and tokens[j].lower in words("modality.after"):
        return ("modality", i, j + 1)
    if j == i + 1 and tokens[i].lower.startswith("trans") and _is_at(tokens, j, ("scan", "scans", "view", "views")):
        return ("modality", i, j + 1)
    return None


def _is_at(tokens: Sequence[Token], i: int, lower: tuple[str, ...]) -> bool:
    return i < len(tokens) and tokens[i].lower in lower


def _view(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    always, framed, frame = words("view.always"), words("view.framed"), words("view.frame")
    token = tokens[i]
    stop = match_phrase(tokens, i, phrase_table("view.phrases"))
    if stop > i:
        return ("view", i, stop)
    j = i
    sure = False
    while j < min(len(tokens), i + _LONGEST) and free[j]:
        lower = tokens[j].lower
        is_sure = lower in always or tokens[j].text in words("view.capitals")
        if not is_sure and lower not in framed:
            break
        sure = sure or is_sure
        j += 1
    if j == i:
        return None
    k = j
    while k < min(len(tokens), j + _LONGEST) and (
        tokens[k].lower in words("modality.before") or tokens[k].lower.startswith("trans")
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


def _phase(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    lower = tokens[i].lower
    stop = match_phrase(tokens, i, phrase_table("phase.phrases"))
    if stop > i:
        return ("phase", i, stop)
    if lower.endswith("-phase") and len(lower) > 8:
        return ("phase", i, i + 1)
    j = i
    while j < min(len(tokens), i + _LONGEST) and free[j] and tokens[j].lower in words("phase.words"):
        j += 1
    if j > i and j < len(tokens) and tokens[j].lower in ("phase", "phases"):
        return ("phase", i, j + 1)
    if j > i and j < len(tokens) and tokens[j].lower in _ACQUIRED:
        return ("phase", i, j)
    always = words("phase.always")
    if lower in words("phase.degree") and _next(tokens, i) in always:
        return ("phase", i, i + 2)
    if lower in always and _next(tokens, i) not in words("modality.core"):
        return ("phase", i, i + 1)
    return None


def _quality(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    stop = match_phrase(tokens, i, phrase_table("quality.phrases"))
    if stop > i:
        return ("quality", i, stop)
    if _next(tokens, i) in _ARTEFACTS and tokens[i].lower not in words("classes.determiner"):
        return ("quality", i, i + 2)
    lower = tokens[i].lower
    start = i
    if is_adverb(lower) and i + 1 < len(tokens) and free[i + 1]:
        i += 1
        lower = tokens[i].lower
    if lower in words("quality.before_picture"):
        rest = [t.lower for t in tokens[i + 1 : i + 4]]
        if rest[:1] and (rest[0] in _Q_NOUNS or (rest[0] in ("image", "picture", "scan") and "quality" in rest[1:2])):
            return ("quality", start, i + 1)
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
    if lower in words("quality.words") and _next(tokens, i) not in words("classes.margin_noun"):
        return ("quality", start, i + 1)
    return None
