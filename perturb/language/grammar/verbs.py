"""Verbs behind a subject: "the cleft separates the retina", "the snare enters from the left"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache

from robustness.perturb.language.grammar.tokens import Token
from robustness.perturb.language.grammar.vocabulary import category_of, is_adverb, is_participle, kind_of, words
from robustness.perturb.language.ontology.modifiers import modifiers
from robustness.perturb.language.ontology.terms import term_index

_NO_VERBS = frozenset({"following", "during"})
_PLURALS = ("drusen", "ae", "foci", "nuclei", "sulci", "septa", "bronchi", "thrombi", "emboli", "bacteria")
_SINGULAR_S = ("ss", "us", "is", "os", "as", "itis", "osis")
_PARTICLES = frozenset("up out off down away back apart together".split())
# Adjectives that relate by "to", "from" or "with": "buccal to", "separable from", "concentric with".
_RELATING = {
    "to": ("al", "ar", "ary", "er", "ior", "ous", "due"),
    "from": ("able", "ible", "ther", "thest", "ward", "inct", "erent"),
    "with": ("ous", "ent", "ric", "inous", "ate"),
    "of": ("board", "north", "south", "east", "west"),
    "against": ("flush", "snug", "tight", "flat", "hard"),
}


@cache
def finite_forms(parts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return "displaces", "abuts" for "displacing", "abutting": the forms that stand after a subject."""
    verb = parts[0]
    if not verb.endswith("ing") or verb in _NO_VERBS or len(verb) < 6:
        return ()
    stem = verb.removesuffix("ing")
    single = stem[:-1] if stem[-1] == stem[-2] and stem[-1] not in "sl" else stem
    forms = {single + "s", stem + "s", stem + "es"}
    if stem.endswith("y"):
        forms.add(stem[:-1] + "ies")
    return tuple((form, *parts[1:]) for form in sorted(forms))


@cache
def finite_verbs() -> frozenset[str]:
    """Return the relating verbs as they stand after a subject: displaces, abuts, overlies."""
    values = (tuple(v.split(" ")) for v in modifiers()["relation"])
    return frozenset(form[0] for parts in values for form in finite_forms(parts))


@cache
def _bases() -> frozenset[str]:
    """Return the relating verbs as they stand after a plural subject: displace, abut, overlie."""
    bases: set[str] = set()
    for value in modifiers()["relation"]:
        verb = value.split(" ")[0]
        if verb.endswith("ing") and verb not in _NO_VERBS and len(verb) > 5:
            stem = verb.removesuffix("ing")
            bases |= {stem, stem + "e", stem.removesuffix("y") + "ie"}
            if stem[-1] == stem[-2] and stem[-1] not in "sl":
                bases.add(stem[:-1])
    return frozenset(bases)


def relates_here(tokens: Sequence[Token], tags: Sequence[str], i: int, end: int) -> bool:
    """Tell whether relating words at [i, end) relate what stands before them, and are no noun and no adjective."""
    return is_finite_here(tokens, i, end) and not is_adjective_here(tokens, tags, i, end)


def is_finite_here(tokens: Sequence[Token], i: int, end: int) -> bool:
    """Tell whether "displaces" at `i` is a verb: a landmark follows and no article or adjective stands before."""
    if tokens[i].lower not in finite_verbs():
        return True
    before = tokens[i - 1].lower if i else ""
    if not before or before in words("classes.determiner") or kind_of(before):
        # "irregular borders" names an edge.
        return False
    # "tumour invades muscularis propria": what is a verb alone needs no landmark that is known.
    sure = category_of(before) == "finding" and tokens[i].lower not in words("classes.verb_noun")
    return (
        end > i + 1
        or (sure and tokens[end : end + 1] != [] and tokens[end].is_word)
        or _opens(tokens, end, strictly=tokens[i].lower in words("classes.verb_noun"))
    )


def is_adjective_here(tokens: Sequence[Token], tags: Sequence[str], i: int, end: int) -> bool:
    """Tell whether the one word at `i` stands before the noun that it describes: "an infiltrating carcinoma"."""
    lower = tokens[i].lower
    if end != i + 1 or end >= len(tokens) or not lower.endswith("ing") or tags[end] or not tokens[end].is_word:
        return False
    before = tokens[i - 1].lower if i else ""
    leads = before in ("", ".", ";") or before in words("classes.determiner") or before in words("classes.request")
    leads = leads or (bool(kind_of(before)) and not category_of(before))
    if not leads and before == "," and i > 1:
        leads = bool(kind_of(tokens[i - 2].lower)) and not category_of(tokens[i - 2].lower)
    after = tokens[end].lower
    opens = (
        after in words("classes.determiner") or after in words("classes.preposition") or after in words("classes.opens")
    )
    return leads and not opens and lower not in words("classes.beside") and lower not in _NO_VERBS


@lru_cache(maxsize=16384)
def may_relate(lower: str) -> bool:
    """Tell whether a word may begin what `verb_at` or `relating_at` read; most nouns may not."""
    if lower.endswith(("s", "ed", "ing", *(ending for endings in _RELATING.values() for ending in endings))):
        return True
    if (
        lower in words("classes.irregular")
        or kind_of(lower) == "direction"
        or lower in finite_verbs()
        or lower in _bases()
    ):
        return True
    return lower in words("classes.motion") or lower + "s" in words("classes.motion")


def says_at(tokens: Sequence[Token], tags: Sequence[str], i: int, hi: int, *, free: bool) -> bool:
    """Tell whether the word at `i` says something of the name before it: "suture line dehisced", "opacity persists"."""
    if tags[i] != "word" or not free:
        # Inside a name that the ontology knows.
        return False
    lower, following = tokens[i].lower, tags[i + 1] if i + 1 < hi else "sign"
    if following == "word":
        after = tokens[i + 1].lower
        if after in _PARTICLES and (is_participle(lower) or lower in words("classes.motion")):
            # "vessels washed out"
            return True
        if not (is_adverb(after) or kind_of(after) == "direction"):
            return False
    elif following == "determiner" or (following == "preposition" and tokens[i + 1].lower == "of"):
        return False
    goes = lower in words("classes.motion") and lower.endswith("s") and category_of(tokens[i - 1].lower) == "finding"
    if lower in words("classes.state_verb") or goes:
        return following != "sign" or lower not in ("ends", "end", "starts", "stops")
    if lower in words("classes.state_word") or (lower.endswith("er") and kind_of(lower) == "size"):
        return True  # "RNFL thinner superiorly"
    return is_participle(lower) and "-" not in lower and kind_of(lower) in ("", "pathology") and not category_of(lower)


def is_noun_use(tokens: Sequence[Token], tags: Sequence[str], i: int, hi: int, *, named: bool) -> bool:
    """Tell whether a word such as "mark", "contour" or "present" begins a name here: after a determiner or modifier."""
    before, lower = tags[i - 1] if i else "", tokens[i].lower
    ends = i + 1 >= hi or tags[i + 1] == "sign" or tokens[i + 1].lower == "of"
    if (before == "word" and ends and lower == "segment") or (i and tokens[i - 1].lower.endswith("'s")):
        return True  # "Barrett's segment without nodules"
    if named:
        following = tags[i + 1] if i + 1 < hi else "sign"
        # "foveal contour lost"
        is_state = following == "word" and says_at(tokens, tags, i + 1, hi, free=True)
        marks = lower in words("classes.request_mark") and before == "word"
        return marks and (is_state or following in ("sign", "preposition", "auxiliary", "relation"))
    no_names = ("", "side") if tags[i] == "report" else ("",)
    return before == "determiner" or (before == "word" and kind_of(tokens[i - 1].lower) not in no_names)


def verb_at(tokens: Sequence[Token], tags: Sequence[str], i: int) -> int:
    """Return the index after a verb that begins at token `i` with its adverbs and prepositions, or `i`.

    Such a verb stands behind a noun or "which" and before what it relates the noun to.
    """
    lower = tokens[i].lower
    if i == 0 or i + 1 >= len(tokens) or tags[i] != "word" or not lower.isalpha():
        return i
    relative = tags[i - 1] == "relative"
    if not relative and (tags[i - 1] != "word" or not tokens[i - 1].is_word):
        return i
    is_known = lower in finite_verbs() or lower in words("classes.motion")
    is_base = lower in _bases() or lower + "s" in words("classes.motion")
    before = tokens[i - 1].lower
    plural = (before.endswith("s") and not before.endswith(_SINGULAR_S)) or before.endswith(_PLURALS)
    # "tumour crosses midline": a finding in the singular is the subject, where "tumour borders" alone is a name.
    subject = category_of(before) == "finding" and not plural and lower.endswith("s") and _is_body(tokens[i + 1].lower)
    ambiguous = lower in words("classes.verb_noun") and not subject
    stop = i + 1
    while stop < min(len(tokens), i + 3) and tokens[stop].lower.endswith("ly") and tags[stop] == "word":
        # "spreads diffusely over", "extends superiorly into"
        stop += 1
    along = stop < len(tokens) and tags[stop] == "relation" and (stop > i + 1 or not ambiguous)
    leads = along or (stop < len(tokens) and tags[stop] == "preposition" and tokens[stop].lower != "of")
    is_question = is_base and any(t.lower in words("classes.modal") for t in tokens[max(0, i - 5) : i - 1])
    if is_known or (is_base and (relative or plural or is_question)):
        if not relative and kind_of(tokens[i - 1].lower) and not category_of(tokens[i - 1].lower):
            # "irregular borders the": no subject stands before.
            return i
        over = leads and plural and tokens[stop].lower in words("classes.path")
        if leads and (over or not ambiguous):
            while stop < len(tokens) and tags[stop] in ("preposition", "relation"):
                # "screws pass through", "runs under"
                stop += 1
            return stop
        goes_on = is_known and not ambiguous and stop < len(tokens) and tokens[stop].lower == "but"
        # "the cyst abuts but does not invade"
        return stop if (goes_on and category_of(before)) or _opens(tokens, stop, strictly=ambiguous) else i
    return stop if _is_unknown_verb(tokens, i, stop, relative=relative) else i


def _is_body(lower: str) -> bool:
    """Tell whether a word (small letters) is of the body: "liver", "midline"."""
    return category_of(lower) == "anatomy" or kind_of(lower) == "place"


def _is_unknown_verb(tokens: Sequence[Token], i: int, stop: int, *, relative: bool) -> bool:
    """Tell whether an unknown word in -s is a verb: "that" or a noun in the singular before it, a landmark behind."""
    before = tokens[i - 1].lower
    singular = not before.endswith("s") or before.endswith(_SINGULAR_S)
    bodily = any(_is_body(t.lower) for t in tokens[stop : stop + 2])
    if not singular or not _looks_like_a_verb(tokens[i].lower) or not (relative or category_of(before)):
        return False
    opens = stop < len(tokens) and tokens[stop].lower in ("the", "a", "an", "both", "its")
    # "effusion blunts costophrenic angle"
    return opens or (category_of(before) == "finding" and bodily)


@lru_cache(maxsize=8192)
def _looks_like_a_verb(lower: str) -> bool:
    if not lower.endswith("s") or lower.endswith(_SINGULAR_S) or len(lower) < 5:
        return False
    return lower not in term_index() and not category_of(lower) and not kind_of(lower) and not is_adverb(lower)


def _opens(tokens: Sequence[Token], i: int, *, strictly: bool) -> bool:
    """Tell whether a landmark begins at token `i`: an article, or (unless `strictly`) a known word of a name."""
    if i >= len(tokens):
        return False
    lower = tokens[i].lower
    if lower in words("classes.determiner") or lower in ("both", "that"):
        return True
    kinds = ("side", "direction", "place")
    return not strictly and (lower in words("classes.opens") or bool(category_of(lower)) or kind_of(lower) in kinds)


def relating_at(tokens: Sequence[Token], tags: Sequence[str], spans: Mapping[int, int], i: int) -> int:
    """Return the index after relating words that their form alone tells at token `i`, or `i`.

    "tucked under", "bounded laterally by", "lined up along" (a participle that leads to a preposition); "buccal to",
    "anterior and medial to", "separable from" (an adjective that does). They stand behind a noun, a verb or a comma.
    """
    if i == 0 or i + 2 >= len(tokens) or tags[i - 1] in ("determiner", "preposition", "negation", "with", "request"):
        return i
    lower = tokens[i].lower
    stop = _by_direction(tokens, tags, i)
    if stop > i:
        return stop
    after = tokens[i + 1].lower
    before_noun = tags[i - 1] == "word" and not category_of(lower)
    if before_noun and after in _RELATING and lower.endswith(_RELATING[after]) and lower not in _NO_RELATING:
        return i + 2 if _opens(tokens, i + 2, strictly=False) else i
    if not (lower in words("classes.irregular") or lower.endswith(("ed", "ing"))) or len(lower) < 3:
        return i
    k = i + 1
    while k < min(len(tokens) - 1, i + 3) and (
        (tokens[k].lower.endswith("ly") and tags[k] == "word") or tokens[k].lower in _PARTICLES
    ):
        k += 1
    return _behind_participle(tokens, tags, spans, i, k)


def _behind_participle(tokens: Sequence[Token], tags: Sequence[str], spans: Mapping[int, int], i: int, k: int) -> int:
    """Return the index after the preposition at `k` to which the participle at `i` leads, or `i`."""
    lower, leads = tokens[i].lower, tokens[k].lower
    if lower in words("classes.ing_noun") or lower in words("classes.travelling_noun") or category_of(lower):
        return i
    if tokens[k - 1].lower == "out" and leads in ("in", "at"):
        # "washed out in the arcade": how it looks, and where.
        return i
    if tags[k] == "relation" and (not kind_of(lower) or lower in words("classes.strewn")) and "-" not in lower:
        return spans.get(k, k + 1)
    if lower.endswith("ing"):
        return i
    if leads == "by" and k + 1 < len(tokens) and tags[k + 1] in ("determiner", "word"):
        # "lined by columnar epithelium"
        named = k + 2 < len(tokens) and bool(category_of(tokens[k + 2].lower))
        return k + 1 if named or _opens(tokens, k + 1, strictly=False) else i
    if (
        tags[k] == "preposition"
        and leads != "of"
        and (lower in words("classes.irregular") or k > i + 1)
        and not kind_of(lower)
    ):
        return k + 1
    return i


def _by_direction(tokens: Sequence[Token], tags: Sequence[str], i: int) -> int:
    """Return the index after "dorsomedial to", "anterior and lateral to", "ventral of" at `i`, or `i`."""
    k = i
    behind_noun = tags[i - 1] == "word" and not is_adverb(tokens[i - 1].lower)
    while k < min(len(tokens) - 1, i + 6) and tags[k] in ("word", "relation"):
        if kind_of(tokens[k].lower) != "direction":
            return i
        if tokens[k + 1].lower in ("to", "of"):
            # "of" alone may go on naming: "the anterior of the two".
            return k + 2 if tokens[k + 1].lower == "to" or behind_noun else i
        if tokens[k + 1].lower not in ("and", "or", "/", "but"):
            return i
        k += 2
    return i


_NO_RELATING = frozenset("normal equal similar central other plate slate".split())
