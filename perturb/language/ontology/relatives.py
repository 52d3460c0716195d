"""Relatives of a target: synonyms, kinds, wholes and parts of it, and terms that are surely another thing."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import cache, lru_cache

from robustness.perturb.language.ontology.terms import Term, find_term, forget_on_extend, spellings, term_index, terms

# What a modality shows where no word tells: an endoscope that sees the liver is a laparoscope.
_HOME = {"endoscopy": "bowel lumen"}
_SHORT_PLACES = {
    **dict.fromkeys("rul rml rll lul lll lingula".split(), "chest"),
    **dict.fromkeys("ruq luq rlq llq rif lif".split(), "abdomen"),
}
# Words that two names may share without being akin: "left atrium", "right ventricle".
_SHARED = frozenset("left right of the upper lower main common small large cavity chamber".split())
NEIGHBOURS = {
    "chest": ("heart", "breast"),
    "heart": ("chest",),
    "breast": ("chest", "heart", "abdomen"),
    "abdomen": ("chest", "pelvis", "spine"),
    "pelvis": ("abdomen", "limb"),
    "head": ("neck",),
    "neck": ("head", "chest"),
    "limb": ("pelvis", "chest"),
    "spine": ("abdomen", "chest"),
    "bowel lumen": ("abdomen",),
    "mouth": ("head",),
}


def term_of(name: str) -> Term | None:
    """Return the term of a name, or of its longest known end: "large thyroid nodule" is a thyroid nodule."""
    words = name.lower().split()
    named, joint, _ = name.lower().partition(" of ")
    if joint and " " in named and (own := find_term(named)) is not None:
        # "Purkinje cell layer of the cerebellar cortex"
        return own
    for i in range(len(words)):
        term = find_term(" ".join(words[i:]))
        if term is not None:
            return term
    # "rim of the optic disc": the part's own name first, then the whole.
    head, of, rest = name.lower().partition(" of ")
    return (term_of(head) or term_of(rest.removeprefix("the "))) if of else None


@lru_cache(maxsize=4096)
def kin(name: str) -> frozenset[str]:
    """Return the small-letter names of the terms that are the same as `name`, kinds, wholes or parts of it."""
    term = term_of(name)
    if term is None:
        return frozenset()
    up = _closure(term.name.lower(), _above())
    down = _closure(term.name.lower(), _below())
    # What its kinds are parts of, and what is a part or kind of its own kinds' same names.
    return frozenset({*up, *down, *(n for n in _closure_of(up, _wholes()))})


@lru_cache(maxsize=65536)
def is_other(candidate: str, name: str) -> bool:
    """Tell whether a term's name is surely another thing than `name`: not akin, no shared word, no possible overlap."""
    other, ours = find_term(candidate), term_of(name)
    if other is None:
        return False
    if _content(spellings(other)) & _content([name, *(spellings(ours) if ours else ())]):
        return False
    if ours is None:
        return True
    if _content(spellings(other)) & _content(_closure(ours.name.lower(), _kinds())):
        # A "portal vein" may be called a vein, as the vena cava may.
        return False
    if other.name.lower() in kin(ours.name) or ours.name.lower() in kin(other.name):
        return False
    if _may_hold(other, ours) or _may_hold(ours, other):
        return False
    if "finding" in (other.category, ours.category) and other.category == ours.category:
        return not _may_be_one(other, ours)
    return True


def _may_hold(whole: Term, part: Term) -> bool:
    """Tell whether a term is a kind of what the other is a part of: no bone is surely free of a fracture."""
    return bool({_canonical(n) for n in part.part_of} & _closure(whole.name.lower(), _kinds()))


def is_kind_of(a: str, b: str) -> bool:
    """Tell whether two names are of one term, or one is a kind of the other; False where one is unknown."""
    one, two = find_term(a), find_term(b)
    if one is None or two is None:
        return False
    return two.name.lower() in _closure(one.name.lower(), _kinds()) or one.name.lower() in _closure(
        two.name.lower(), _kinds()
    )


@lru_cache(maxsize=8192)
def has_kinds(term: Term) -> bool:
    """Tell whether other terms are kinds of one, as of "nerve"."""
    return any(term.name.lower() in kinds for kinds in _kinds().values())


def is_akin(a: str, b: str) -> bool:
    """Tell whether two names are of one term, or one is a kind, a whole or a part of the other; False if unknown.

    Where one is in the image the other may be there too: white matter is never seen without its hemisphere.
    """
    one, two = term_of(a), term_of(b)
    if one is None or two is None:
        return False
    return two.name.lower() in kin(one.name) or one.name.lower() in kin(two.name)


def may_be_seen(name: str, here: Iterable[str]) -> bool:
    """Tell whether `name` is anatomy of the part of the body that shows `here`, or of one beside it.

    Such a structure is there whether or not somebody drew it, where a finding that nobody drew is absent.
    """
    term = term_of(name)
    regions = {region for other in map(term_of, here) if other is not None for region in other.region.split("/")}
    shown = regions.union(*(NEIGHBOURS.get(region, ()) for region in regions))
    return term is not None and term.category == "anatomy" and bool(shown & set(term.region.split("/")))


# What a finding has as well: "node cortex", "ulcer mucosa".
_INNER = frozenset(
    "cortex mucosa muscle bone skin nerve lumen hilum medulla tendon membrane cartilage cord duct scar".split()
)


def organ_at(words: Sequence[str], parts: Container[str]) -> int:
    """Return how many of `words` (small letters) name an organ or a part of one: "gallbladder neck"; 0 where none do.

    Args:
        parts: words such as "neck", which alone are of a finding as well.
    """
    if len(words) > 2 and words[0] in parts and words[1] == "of":
        # "head of pancreas"
        return 2 + organ_at(words[2:], ()) if _is_organ(words[2]) else 0
    count = next((n for n in (4, 3, 2, 1) if n <= len(words) and _is_organ(" ".join(words[:n]))), 0)
    if count == 1 and words[0] in parts:
        return 0
    while 0 < count < len(words) and words[count] in parts:
        count += 1
    return count


@lru_cache(maxsize=8192)
def _is_organ(name: str) -> bool:
    """Tell whether a name is that of a part of the body which findings lie in, and of no part of a finding."""
    term = find_term(name)
    if term is None or term.category != "anatomy" or set(term.region.split("/")) & {"any", "cells"}:
        return False
    return name.removesuffix("s") not in _INNER


def _may_be_one(a: Term, b: Term) -> bool:
    """Tell whether two findings may be two names of one thing: a common kind, a common organ, or an open kind."""
    kinds = _closure(a.name.lower(), _kinds()) & _closure(b.name.lower(), _kinds())
    wholes = _closure(a.name.lower(), _above()) & _closure(b.name.lower(), _above())
    return bool(kinds or wholes) or _is_open(a) or _is_open(b) or (not a.part_of and not b.part_of)


def _is_open(term: Term) -> bool:
    """Tell whether a finding's name fits nearly any other finding: "mass", "lesion", "nodule"."""
    return term.region == "any" and "lesion" in _closure(term.name.lower(), _kinds())


def others(name: str, modality: str, *, regions: Iterable[str] = ()) -> tuple[Term, ...]:
    """Return the terms that an image of `modality` may plausibly show where `name` is asked for, salient ones first.

    Args:
        name: the target's name; an unknown name has no region.
        modality: the product's name of a modality, or "".
        regions: where the prompt says that it lies, for names of no region, and further regions to take terms from.
    """
    ours = term_of(name)
    modality = modality or (ours.modalities[0] if ours and ours.modalities else "")
    plausible, home = _plausible(modality), _HOME.get(modality, "")
    stated = tuple(regions)
    # "mass", "lesion" and "fracture" are of no region: the terms of where they lie or of the modality's usual field do.
    region = ours.region.split("/")[0] if ours and ours.region != "any" else stated[0] if stated else ""
    tool = ours is not None and ours.category == "instrument"
    if home and not tool and (ours is None or ours.region == "any" or modality not in ours.modalities):
        region = home
    near = (region, *NEIGHBOURS.get(region, ()), *stated) if region else ()
    if not region:
        # Of an unknown part of the body an ultrasound image is no echocardiogram.
        plausible = tuple(t for t in plausible if modality in t.modalities) or plausible
    pool: tuple[Term, ...] = ()
    for areas in ((region,), near, (home,), ()):
        allowed = areas if region and areas != ("",) else ()
        pool = tuple(t for t in plausible if _in(t, allowed) and is_other(t.name, name))
        if len(pool) < 3 and stated and stated[:1] == allowed:
            # Few terms of a breast are salient: "mass, left breast" becomes one of its others rather than a liver.
            pool = tuple(t for t in _shown(modality) if t.region == region and is_other(t.name, name))
        if len(pool) >= 3 or (pool and areas == (home,)):
            return pool
    return pool


def other_findings(name: str, modality: str) -> tuple[Term, ...]:
    """Return the findings of the same part of the body that are surely another thing than the finding `name`."""
    ours = term_of(name)
    if ours is None or ours.category != "finding":
        return ()
    region = _HOME.get(modality, "") if ours.region == "any" else ours.region.split("/")[0]
    shown = (t for t in _shown(modality or (ours.modalities or ("",))[0]) if t.category == "finding")
    return tuple(t for t in shown if t.region.split("/")[0] == region and is_other(t.name, name))


def regions_of(names: Iterable[str]) -> tuple[str, ...]:
    """Return the parts of the body that `names` lie in, in their order, each once: "left kidney" in the abdomen."""
    named = (_SHORT_PLACES.get(n.lower()) or ((t := term_of(n)) and t.region.split("/")[0]) or "any" for n in names)
    return tuple(dict.fromkeys(region for region in named if region not in ("any", "cells")))


def _in(term: Term, regions: Iterable[str]) -> bool:
    """Tell whether a term belongs to one of `regions`; what belongs anywhere does, and all do where none is given."""
    allowed = set(regions)
    return not allowed or term.region == "any" or bool(allowed & set(term.region.split("/")))


def is_shown(name: str, modality: str) -> bool:
    """Tell whether images of a modality may show a thing; True where the ontology does not know either."""
    term = term_of(name)
    return term is None or not term.modalities or not modality or modality in term.modalities


@cache
def _shown(modality: str) -> tuple[Term, ...]:
    families = {modality, "echocardiography" if modality == "ultrasound" else modality}
    return tuple(
        t for t in terms() if families & set(t.modalities) and (t.region != "any" or t.category == "instrument")
    )


@cache
def _plausible(modality: str) -> tuple[Term, ...]:
    return tuple(t for t in _shown(modality) if t.salient) or _shown(modality)


@lru_cache(maxsize=8192)
def _words_of(name: str) -> frozenset[str]:
    return frozenset(w.rstrip("s") for w in name.lower().replace("-", " ").split()) - _SHARED


def _content(names: Iterable[str]) -> frozenset[str]:
    return frozenset(w for name in names for w in _words_of(name) if len(w) > 2)


def _closure(name: str, graph: dict[str, frozenset[str]]) -> frozenset[str]:
    return _closure_of((name,), graph)


def _closure_of(names: Iterable[str], graph: dict[str, frozenset[str]]) -> frozenset[str]:
    closure: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name not in closure:
            closure.add(name)
            queue += graph.get(name, ())
    return frozenset(closure)


def _canonical(name: str) -> str:
    """Return the term's own name where another term's column uses a synonym ("support device")."""
    terms = term_index().get(name.lower())
    return terms[0].name.lower() if terms else name.lower()


@cache
def _kinds() -> dict[str, frozenset[str]]:
    return {t.name.lower(): frozenset(_canonical(n) for n in t.is_a) for t in terms()}


@cache
def _wholes() -> dict[str, frozenset[str]]:
    return {t.name.lower(): frozenset(_canonical(n) for n in t.part_of) for t in terms()}


@cache
def _above() -> dict[str, frozenset[str]]:
    return {name: kinds | _wholes()[name] for name, kinds in _kinds().items()}


@cache
def _below() -> dict[str, frozenset[str]]:
    below: dict[str, set[str]] = {}
    for name, above in _above().items():
        for upper in above:
            below.setdefault(upper, set()).add(name)
    return {name: frozenset(group) for name, group in below.items()}


for _cached in (kin, is_other, has_kinds, _is_organ, _plausible, _kinds, _wholes, _above, _below):
    forget_on_extend(_cached)
