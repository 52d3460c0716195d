"""Notes of several statements: what a finding in one of them sets aside in the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

from robustness.perturb.language.grammar.asking import ABNORMAL, is_asked
from robustness.perturb.language.grammar.measures import Mark
from robustness.perturb.language.grammar.noun_phrase import Phrase, read_phrase
from robustness.perturb.language.grammar.picture import things_beside
from robustness.perturb.language.grammar.places import is_location_word
from robustness.perturb.language.grammar.state import Target
from robustness.perturb.language.grammar.tagger import Tagged
from robustness.perturb.language.grammar.vocabulary import category_of, kind_of, words

Run = tuple[int, int]
_MOST_STATEMENTS = 40  # No one writes longer notes; a text of signs alone must cost no more than its length.
_PROPERTIES = ("margin", "texture", "signal", "shape", "colour", "size")
_DESCRIBES = ABNORMAL | {"location", "number"}
_ANSWERS = frozenset({"negation", "position", "auxiliary", "pronoun", "sign", "filler"})
# "breast 3 o'clock:", "disc L4/5:"
_OF_A_FIELD = frozenset("word determiner sign filler clock level measure".split())
_FORM = frozenset(":=")  # What opens a field of a form: "side: left".


def set_aside(tagged: Tagged, parts: Sequence[Run], normal: Sequence[Run]) -> list[Run]:
    """Return the statements that are not asked for beside what another one finds.

    Device, technique, history, what did not change and what was only asked stand back behind a finding; so does a
    statement of unknown words before it. Where nothing is found, or something is asked for, nothing stands back.

    Args:
        tagged: the note.
        parts: its statements as tokens [first, last).
        normal: the tokens that are known to tell of normal and absent things.
    """
    parts = [part for part in parts if part[0] < part[1]]
    if len(parts) > _MOST_STATEMENTS or any(is_asked(tagged, *part) for part in parts):
        return []
    passed = {k for first, last in normal for k in range(first, last)}
    runs = _statements_aside(tagged, parts, passed) if len(parts) > 1 else []
    rest = [part for part in parts if part not in runs and part[0] not in passed]
    return runs + [run for part in rest for run in _piece_aside(tagged, *part, passed)]


def _statements_aside(tagged: Tagged, parts: Sequence[Run], passed: set[int]) -> list[Run]:
    """Return the whole statements that stand back."""
    heads = [[k for k in _findings(tagged, *part) if k not in passed] for part in parts]
    denied = {n - 1 for n, part in enumerate(parts) if n and _is_an_answer(tagged, *part)}
    old = denied | {n for n, part in enumerate(parts) if _stands_back(tagged, part, heads[n], _is_old)}
    old |= {n for n, part in enumerate(parts) if _is_no_finding(tagged, *part)}
    steady = {n for n, part in enumerate(parts) if _stands_back(tagged, part, heads[n], _is_steady)}
    altered = {n for n, part in enumerate(parts) if not heads[n] and _is_altered(tagged, *part, passed)}
    # What did not change is asked for where nothing else is found.
    for behind in (old | steady, old):
        telling = [n for n, head in enumerate(heads) if head and n not in behind]
        first = min(telling or altered - behind, default=-1)
        if first >= 0:
            unknown = {n for n in range(first) if n not in behind | altered and _names_no_part(tagged, *parts[n])}
            unknown = {n for n in unknown if telling or _is_beside(tagged, *parts[n])}
            unknown -= {n for n in unknown if _tells_of_the_last(tagged, *parts[n + 1])}
            return [part for n, part in enumerate(parts) if n in behind | unknown]
    ignored = [part for part in parts if _is_ignored(tagged, *part)]
    return ignored if len(ignored) < len(parts) else []


def _piece_aside(tagged: Tagged, first: int, last: int, passed: set[int]) -> list[Run]:
    """Return what stands before the first comma where it tells of a disease, the technique or an old thing.

    "Glaucoma, cup large", "Staining uneven, atypical nuclei", "Scar from prior EMR, recurrent adenoma".
    """
    comma = next((k for k in range(first + 1, last - 1) if tagged.tokens[k].lower == ","), 0)
    if not comma or comma in passed or tagged.tags[comma + 1] == "negation":
        return []
    if tagged.tokens[comma + 1].lower in ("a", "an"):
        return []  # "Psoriasis, a skin disease with plaques": what it is
    lower, following = ({t.lower for t in tagged.tokens[a:b]} for a, b in ((first, comma), (comma + 1, last)))
    phrase = read_phrase(tagged, _opening(tagged, first, comma), comma)
    head = tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
    sick = head in words("classes.condition") and phrase.stop == comma
    technical = head in words("classes.technique") and phrase.category == ""
    old = not words("classes.past").isdisjoint(lower) and not words("classes.news").isdisjoint(following)
    more = read_phrase(tagged, comma + 1, last)
    names = more.category in ("finding", "anatomy") if technical else more.category == "finding"
    goes_on = names or _is_altered(tagged, comma + 1, last, passed)
    return [(first, comma + 1)] if (sick or technical or old) and goes_on else []


def _findings(tagged: Tagged, first: int, last: int) -> Iterator[int]:
    """Yield the tokens that name a finding which is neither denied nor a device."""
    denied = False
    for k in range(first, last):
        lower, kind = tagged.tokens[k].lower, tagged.tags[k]
        denied = kind == "negation" or (denied and lower not in (",", "but"))
        if kind == "word" and not denied and _is_a_finding(lower) and not _is_technique(tagged, k, last):
            yield k


@lru_cache(maxsize=16384)
def _is_a_finding(lower: str) -> bool:
    """Tell whether a word (small letters) names what is found in a patient: no device, residue, symptom, disease."""
    beside = things_beside() | words("classes.condition") | words("classes.symptom")
    return category_of(lower) == "finding" and lower not in beside


def _is_technique(tagged: Tagged, k: int, last: int) -> bool:
    """Tell whether a name at `k` tells how the picture was made: "PE protocol", "good opacification"."""
    after = tagged.tokens[k + 1].lower if k + 1 < last else ""
    led = k > 0 and tagged.tokens[k - 1].lower in words("quality.before_picture")
    of_it = tagged.tokens[k].lower in words("classes.technique")
    return (led and of_it) or after in words("classes.technique") or after in things_beside()


def _is_an_answer(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement only denies what stands before it: "None seen", "Not found"."""
    tags = set(tagged.tags[first:last])
    return "negation" in tags and tags <= _ANSWERS


def _tells_of_the_last(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement says what the one before it names is: "Psoriasis. It is a red plaque."."""
    return tagged.tags[first] == "pronoun" and tagged.tags[first + 1 : min(first + 2, last)] == ["auxiliary"]


def _is_altered(tagged: Tagged, first: int, last: int, passed: set[int]) -> bool:
    """Tell whether a statement says something abnormal of a part of the body: "LA dilated", "Nodular area"."""
    if first in passed or "negation" in tagged.tags[first:last]:
        return False
    phrase = read_phrase(tagged, _opening(tagged, first, last), last)
    if phrase.name is None:
        return False
    if tagged.tokens[first].lower in words("classes.news"):
        return True  # "Residual soft tissue"
    bodily = phrase.category in ("anatomy", "generic") or any(
        category_of(t.lower) == "anatomy" for t in tagged.tokens[slice(*phrase.name)]
    )
    behind = tagged.tokens[phrase.stop : min(last, phrase.stop + 4)]
    kinds = [m.kind for m in phrase.mods] + [kind_of(t.lower) for t in behind if t.lower not in words("classes.normal")]
    return bodily and not ABNORMAL.isdisjoint(kinds)


def _stands_back(tagged: Tagged, part: Run, heads: Sequence[int], tells: Callable[[Sequence[str]], bool]) -> bool:
    """Tell whether all that a statement finds is what `tells` says of the words between its commas.

    A word behind the last of these pieces tells of all of them: "Nodule, apical, stable".
    """
    first, last = part
    ends = [k for k in range(first, last) if tagged.tokens[k].lower == ","] + [last]
    pieces = [(a, b) for a, b in zip([first, *(k + 1 for k in ends)], ends, strict=False) if a < b]
    telling = [(a, b) for a, b in pieces if any(a <= k < b for k in heads)]
    if not pieces or (not heads and "negation" in tagged.tags[first:last]):
        return _is_ignored(tagged, first, last)  # "No polyp was seen before; this frame shows a polyp."
    telling = telling or [(a, b) for a, b in pieces if "word" in tagged.tags[a:b]] or pieces[:1]
    lower = [[t.lower for t in tagged.tokens[a:b]] for a, b in telling]
    lower[-1] += [t.lower for t in tagged.tokens[telling[-1][1] : last]]
    return _is_ignored(tagged, first, last) or all(tells(words) for words in lower)


def _is_ignored(tagged: Tagged, first: int, last: int) -> bool:
    return first < last - 1 and tagged.tokens[last - 1].lower in words("classes.ignored")


def _is_old(lower: Sequence[str]) -> bool:
    """Tell whether words tell of what was there, or is no question of this examination: "excised in 2021"."""
    own = lower[: lower.index(",")] if "," in lower else lower
    if lower[0] in words("classes.treated") | words("classes.felt") | words("classes.old"):
        return True
    dated = not words("classes.past").isdisjoint(lower) or any(w.isdigit() and len(w) == 4 for w in lower)
    if dated and not (words("classes.treated") | words("classes.procedure")).isdisjoint(lower):
        return True
    if any(piece.strip() in words("classes.queried") for piece in " ".join(lower).split(",")[1:]):
        return True  # "polyps, numerous, known"
    return len(own) > 1 and own[-1] in words("classes.queried") | words("classes.settled")


def _is_steady(lower: Sequence[str]) -> bool:
    """Tell whether words say that nothing changed: "stable since 2022", "as before"; a new thing beside it did."""
    if "no change in" in " ".join(lower) or "no interval change" in " ".join(lower):
        return True
    same = not words("classes.steady").isdisjoint(lower[1:]) or list(lower[-2:]) == ["as", "before"]
    return same and words("classes.news").isdisjoint(lower)


def _names_no_part(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement names only what is no part of the body and no finding, and does not describe it."""
    if _is_field(tagged, first, last):
        return False
    phrase = read_phrase(tagged, _opening(tagged, first, last), last)
    lower = [t.lower for t in tagged.tokens[first:last]]
    if phrase.name is None or phrase.category in ("generic", "picture", "patient"):
        return phrase.category == "generic" and any(m.kind == "quality" for m, _ in marks_of(tagged, first, last))
    named = [k for k, t in enumerate(lower, first) if tagged.tags[k] == "word" and _is_a_finding(t)]
    if any(not _is_technique(tagged, k, last) for k in named):
        return False
    head = tagged.tokens[phrase.name[1] - 1].lower
    if phrase.category == "anatomy" and head not in words("classes.specimen") | words("classes.sample"):
        return not words("classes.taken").isdisjoint(lower)
    if _is_beside(tagged, first, last):
        return True
    behind = [t.lower for t in tagged.tokens[phrase.stop : last]]
    described = any(m.kind in _DESCRIBES for m in phrase.mods) or any(kind_of(t) or is_location_word(t) for t in behind)
    return not (_is_of_a_target(phrase, head) or described or "of" in behind[:1])


def _is_field(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement fills a field of a form: "side: left", "Target = adrenal"."""
    keys = words("classes.header") | words("classes.key") | {"organ", "anatomy", "modality", "plane", "stain", "view"}
    signs = (k for k in range(first + 1, last) if tagged.tokens[k].lower in _FORM)
    return any(tagged.tokens[k - 1].lower in keys for k in signs)


def marks_of(tagged: Tagged, first: int, last: int) -> list[tuple[Mark, int]]:
    """Return the marks that begin in a statement."""
    return [tagged.marks[k] for k in range(first, last) if k in tagged.marks]


def _opening(tagged: Tagged, first: int, last: int) -> int:
    """Return the first token of a statement that is a word of it."""
    passed = ("sign", "scan", "patient", "filler", "measure", "certainty")
    return next((k for k in range(first, last) if tagged.tags[k] not in passed), first)


def _is_beside(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement begins with a device, residue, specimen, disease or technique: it asks for none."""
    phrase = read_phrase(tagged, _opening(tagged, first, last), last)
    head = tagged.tokens[phrase.name[1] - 1].lower if phrase.name else ""
    changed = [t.lower for t in tagged.tokens[first:last] if t.lower in words("classes.damaged")]
    classes = ("condition", "ground", "specimen", "technique", "procedure")
    beside = head in things_beside() or any(head in words(f"classes.{name}") for name in classes)
    lower = {t.lower for t in tagged.tokens[first:last]}
    beside |= head in words("classes.sample") and not lower.isdisjoint(words("classes.specimen"))
    if phrase.name and tagged.name_at.get(phrase.name[0], (0, None))[0] == phrase.name[1]:
        beside &= phrase.category != "finding"  # "Kerley B lines"
    return beside and not changed and not any(m.kind == "pathology" for m in phrase.mods)


def _is_no_finding(tagged: Tagged, first: int, last: int) -> bool:
    """Tell whether a statement tells of what is not seen, what was done, or a device that is in its place.

    "Pancreas tail obscured by gas", "Water jet used", "Aortic stent graft in place".
    """
    lower = [t.lower for t in tagged.tokens[first:last]]
    if not any(word in words(f"classes.{name}") for word in lower for name in ("hidden", "done", "device")):
        return False
    phrase = read_phrase(tagged, first, last)
    if phrase.name is None:
        return False
    if phrase.category == "anatomy" and not words("classes.hidden").isdisjoint(lower[1:]):
        return True
    named = {t.lower for t in tagged.tokens[slice(*phrase.name)]}
    device = not words("classes.device").isdisjoint(named) and words("classes.damaged").isdisjoint(lower)
    return not words("classes.done").isdisjoint(lower[1:]) or (device and lower[-1] in words("classes.in_place"))


def _is_of_a_target(phrase: Phrase, head: str) -> bool:
    """Tell whether a phrase says how something else is: "irregular margin", "thickness 3 mm"."""
    of_it = any(head in words(f"classes.{name}_noun") for name in _PROPERTIES)
    return of_it or head in words("classes.quantity") or (phrase.part and phrase.category != "anatomy")


def heads_a_name(tagged: Tagged, i: int) -> bool:
    """Tell whether the first colon of a text stands at `i`, a place before it and a name behind it: "pole: cyst"."""
    before = list(zip(tagged.tags, tagged.tokens[:i], strict=False))
    tags = {tag for tag, t in before if t.lower != "of"}
    if not tags <= _OF_A_FIELD or ("sign", ":") in [(tag, t.lower) for tag, t in before]:
        return False
    return read_phrase(tagged, i + 1, len(tagged.tokens)).category in ("finding", "anatomy")


def opens_statement(tagged: Tagged, phrase: Phrase, last: Target) -> bool:
    """Tell whether a finding at `phrase` begins a statement of its own, behind at most a heading: "Antrum: erosion".

    What the target `last` does or shows is no finding of its own: "Mass in the liver. Washout in the late phase."
    """
    tokens, k = tagged.tokens, phrase.start
    while k > 0 and k > phrase.start - 6 and tokens[k - 1].lower != ".":
        k -= 1
    heading = [t.lower for t in tokens[k : phrase.start]]
    leads = not heading or heading[-1] in (":", "of")  # "Patch of alopecia"
    if k < 2 or tokens[k - 1].lower != "." or tokens[k - 2].lower == "vs" or not leads:
        return False
    if last.category == "anatomy":
        return True
    head = tokens[phrase.stop - 1].lower
    return head not in words("classes.state_noun") and tagged.tags[phrase.start] == "word" and head != last.head


def instead(tagged: Tagged, first: int, last: int) -> list[Run]:
    """Return what "rather than the left lung, the right one" does not ask for: the left, or all that has a name."""
    tokens, stop = tagged.tokens, tagged.spans.get(first, first)
    if [t.lower for t in tokens[first:stop]] not in (["rather", "than"], ["instead", "of"], ["as", "opposed", "to"]):
        return []
    phrase = read_phrase(tagged, stop, last)
    if phrase.name is None or phrase.stop >= last - 1 or tokens[phrase.stop].lower != ",":
        return []
    other = read_phrase(tagged, phrase.stop + 1, last)
    if other.name is None or other.category == "generic":
        return [(stop, phrase.name[0])]
    return [(first, phrase.stop + 1)]
