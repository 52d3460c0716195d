"""Acquisition and patient: marks of the scan, its modality, sex and age, as runs of tokens."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.measures import Mark
from robustness.perturb.language.grammar.picture import (
    HEADS,
    LONGEST,
    PLANES,
    before_modality,
    next_word,
    read_phase,
    read_quality,
    read_view,
)
from robustness.perturb.language.grammar.preambles import preambles
from robustness.perturb.language.grammar.tokens import Token, match_phrase
from robustness.perturb.language.grammar.vocabulary import is_adverb, phrase_table, tables, words
from robustness.perturb.language.ontology.terms import Term

_PLAIN_FILM = frozenset({"film", "films"})


def scans(tokens: Sequence[Token], free: Sequence[bool]) -> Iterator[tuple[Mark, int, int]]:
    """Yield the marks of the scan, each with its tokens [first, last); `free` tells which tokens may be read."""
    heads = [k for k, token in enumerate(tokens) if token.lower in HEADS]
    leads = {i for k in heads for i in range(k - 3, k)}
    i = 0
    while i < len(tokens):
        may_begin = free[i] and (i in leads or _may_begin(tokens[i].lower) or _is_scan_acronym(tokens, i))
        mark = _one(tokens, free, i) if may_begin else None
        if mark is None:
            i += 1
            continue
        kind, first, last = mark
        role = "patient" if kind in ("sex", "age") else "scan"
        group = "patient" if role == "patient" else "scan"
        owner = 2 * (role == "patient" and tokens[last - 1].lower.endswith("'s"))
        yield Mark(kind, tokens[first].start, tokens[last - 1].stop - owner, group, role), first, last
        i = max(last, i + 1)


def pass_over(
    text: str,
    tokens: Sequence[Token],
    tags: list[str],
    marks: dict[int, tuple[Mark, int]],
    names: dict[int, tuple[int, Term]],
) -> None:
    """Let headings and history say nothing but of the scan and the patient."""
    starts = [t.start for t in tokens]
    for start, stop in preambles(text):
        for i in range(bisect_left(starts, start), bisect_left(starts, stop)):
            if tags[i] not in ("scan", "patient"):
                tags[i] = "filler"
                marks.pop(i, None)
                names.pop(i, None)


@lru_cache(maxsize=16384)
def _may_begin(lower: str) -> bool:
    """Tell whether a mark may begin with a word; most words begin none."""
    lower = lower.removesuffix("'s")
    if (
        lower in PLANES
        or lower.startswith("trans")
        or lower.endswith((*_COMPOUNDS, "-stained", "-phase"))
        or is_adverb(lower)
    ):
        return True
    if _is_stain_word(lower, first=True) or is_core(lower):
        return True
    keys = [k for k in tables() if k.partition(".")[0] in ("modality", "view", "phase", "quality")]
    keys += ["classes.body_part", "classes.sex", "classes.age", "classes.adverb"]
    return any(lower in (t.lower() for t in _first_words(key)) for key in keys)


@cache
def _first_words(key: str) -> frozenset[str]:
    return frozenset(entry if isinstance(entry, str) else entry[0] for entry in tables()[key])


_COMPOUNDS = ("-weighted", "-sensitive", "-suppressed", "-saturated", "-enhanced", "-gated", "-sparing")


def _one(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    lower = tokens[i].lower
    for reader in (read_quality, read_phase, read_view, _modality):
        mark = reader(tokens, free, i)
        if mark is not None:
            return mark
    if lower.removesuffix("'s") in words("classes.sex"):
        return ("sex", i, i + 1)
    of_any_part = lower in ("paediatric", "pediatric", "geriatric", "elderly")
    if lower in words("classes.age") and (of_any_part or next_word(tokens, i) not in words("classes.body_part")):
        return ("age", i, i + 1)
    return None


@lru_cache(maxsize=16384)
def is_core(lower: str) -> bool:
    """Tell whether a word (small letters) names a modality, by the list or by its form: "videocapillaroscopy"."""
    if lower in words("modality.core"):
        return True
    return (
        len(lower) > 9
        and lower.endswith(("ography", "oscopy", "oscintigraphy", "ogram", "metabograph"))
        and (lower not in _NO_MODALITIES)
    )


_NO_MODALITIES = frozenset("topography demography geography nephrogram bronchogram histogram stereography".split())


def _modality(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    after = words("modality.after")
    before = before_modality()
    stop = match_phrase(tokens, i, phrase_table("modality.head_phrases"))
    if stop == i:
        j = i
        while (
            j < min(len(tokens), i + LONGEST) and free[j] and not is_core(tokens[j].lower) and tokens[j].lower in before
        ):
            j += 1
        # "coronary CT angiography": what stands before counts where a modality follows.
        if j < len(tokens) and free[j] and is_core(tokens[j].lower):
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
        elif _is_scan_acronym(tokens, i):
            return ("modality", i, i + 2)
        elif (named := _named_stain(tokens, i)) > i and all(free[i:named]):
            return ("modality", i, named)
        else:
            return _weighted(tokens, free, i)
    while stop < len(tokens) and free[stop]:
        more = stop
        while (
            more < min(len(tokens) - 1, stop + LONGEST)
            and free[more]
            and tokens[more].lower in before
            and not is_core(tokens[more].lower)
        ):
            more += 1
        if more > stop and tokens[stop].lower in after and not is_core(tokens[more].lower):
            # "T1 post-gadolinium"
            more = stop
        if not free[more] or not (is_core(tokens[more].lower) or (more == stop and tokens[more].lower in after)):
            break
        stop = more + 1
    if stop == i + 1 and is_core(tokens[i].lower) and next_word(tokens, i) in ("chest", "abdomen"):
        stop += 1
    elif _of_a_body_part(tokens, stop):
        stop += 3
    if stop == i + 1 and not _is_modality(tokens, i):
        return None
    return ("modality", i, stop)


def _stands_alone(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether a word that only qualifies a modality stands between commas."""
    before, after = tokens[i - 1].lower if i else ",", next_word(tokens, i) or ","
    if tokens[i].lower not in words("modality.alone"):
        return False
    return after in _PICTURES or (not before.isalnum() and not after[0].isalnum())


def _is_scan_acronym(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether "FAST scan", "HIDA scan" begins at `i`: capitals among small letters, and "scan" behind them."""
    text = tokens[i].text
    if not (text.isupper() and 3 <= len(text) <= 5 and text.isalpha()):
        return False
    return i + 1 < len(tokens) and tokens[i + 1].text in ("scan", "scans")


def _is_view_of_a_scan(tokens: Sequence[Token], free: Sequence[bool], i: int) -> bool:
    j = i
    while j < min(len(tokens), i + 3) and free[j] and tokens[j].lower in words("view.always") | words("view.framed"):
        j += 1
    return i < j < len(tokens) and free[j] and is_core(tokens[j].lower)


def _of_a_body_part(tokens: Sequence[Token], stop: int) -> bool:
    """Tell whether "of the chest" follows and ends there: the scan's own field."""
    if stop + 2 >= len(tokens) or tokens[stop].lower != "of" or tokens[stop + 1].lower != "the":
        return False
    rest = tokens[stop + 3].lower if stop + 3 < len(tokens) else "."
    return tokens[stop + 2].lower in words("classes.body_part") and not (rest.isalnum() and rest not in _AFTER_FIELD)


_PICTURES = frozenset("image images sequence sequences series slice slices scan scans".split())
_AFTER_FIELD = frozenset("with without showing shows demonstrates reveals and in at on from".split())


def _is_modality(tokens: Sequence[Token], i: int) -> bool:
    """Tell whether a single word names a modality: "US" and "Pet" only as written, "echo" not in "echo complex"."""
    token = tokens[i]
    if token.lower == "pd" and i and tokens[i - 1].lower == "the" and not next_word(tokens, i)[:1].isalpha():
        # "the CBD and the PD" are ducts.
        return False
    if token.lower == "mr" and i and tokens[i - 1].lower in _OF_A_VALVE:
        return False  # "trivial MR": mitral regurgitation
    if token.lower in _AS_WRITTEN:
        return token.text.isupper()
    return token.lower not in _PLAIN_FILM


_OF_A_VALVE = frozenset("trivial trace mild moderate severe physiological eccentric functional significant".split())
_AS_WRITTEN = frozenset(
    "mr us pet pd pas sem tem ffa fa slo gram cine adc toe opt vibe haste dce fish hida dmsa".split()
)


def _weighted(tokens: Sequence[Token], free: Sequence[bool], i: int) -> tuple[str, int, int] | None:
    """Read "neuromelanin-sensitive MRI" and "fat-suppressed T2": any compound before a modality."""
    lower = tokens[i].lower
    dyes = re.split(r"[-/&+]", lower)
    if len(dyes) > 1 and free[i] and all(d in words("modality.stain") for d in dyes):
        # "haematoxylin-eosin"
        return ("modality", i, i + 1)
    if lower.endswith("-stained") and free[i]:
        stain = lower.removesuffix("-stained")
        if is_core(stain) or stain in words("modality.before"):
            return ("modality", i, i + 1 + _is_at(tokens, i + 1, ("smear", "section", "sections", "slide", "film")))
    if not lower.endswith(_COMPOUNDS) or not free[i]:
        return None
    j = i + 1
    while (
        j < min(len(tokens), i + LONGEST)
        and free[j]
        and tokens[j].lower in words("modality.before")
        and not is_core(tokens[j].lower)
    ):
        j += 1
    if j < len(tokens) and free[j] and is_core(tokens[j].lower):
        stop = j + 1
        while stop < len(tokens) and free[stop] and tokens[stop].lower in words("modality.after"):
            stop += 1
        return ("modality", i, stop)
    return ("modality", i, i + 1) if lower.endswith("-weighted") else None


def _stain(tokens: Sequence[Token], i: int, j: int) -> tuple[str, int, int] | None:
    """Read "Ki-67 immunostain", "fluorescein angiogram": a qualifier and a word that only follows one."""
    if j < len(tokens) and tokens[j].lower in words("modality.after"):
        return ("modality", i, j + 1)
    if (stop := _named_stain(tokens, i)) > i:
        return ("modality", i, stop)
    if tokens[j - 1].lower.startswith("trans") and _is_at(tokens, j, ("scan", "scans", "view", "views", "sweep")):
        return ("modality", i, j + 1)
    return None


def _named_stain(tokens: Sequence[Token], i: int) -> int:
    """Return the index after "PAS-alcian blue stain", "Von Kossa staining", "CD31 immunostain" at token `i`, or `i`."""
    j = i
    while j < min(len(tokens), i + 4) and _is_stain_word(tokens[j].lower, first=j == i):
        j += 1
    return j + 1 if j > i and j < len(tokens) and tokens[j].lower in _STAINED else i


@lru_cache(maxsize=4096)
def _is_stain_word(lower: str, *, first: bool) -> bool:
    parts = [p for p in re.split(r"[-/]", lower) if p]
    stains = words("modality.stain")
    if not first and lower in ("blue", "red", "green", "black", "silver", "violet", "and", "fast", "s", "o"):
        return True
    return bool(parts) and any(p in stains or _ANTIBODY.fullmatch(p) for p in parts)


_STAINED = frozenset(
    "stain stained staining immunostain immunostaining immunohistochemistry ihc section sections slide smear".split()
)
_ANTIBODY = re.compile(r"(?:cd|ck|p|er|pr|her|pax|sox|ttf|gata|mib|hmb|s|wt)\d{1,3}[a-z]?|er|pr|ki|ema|sma|gfap|neun")


def _is_at(tokens: Sequence[Token], i: int, lower: tuple[str, ...]) -> bool:
    return i < len(tokens) and tokens[i].lower in lower
