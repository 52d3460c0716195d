"""Opposites of what clinicians write: by the table of modifiers, by rule for figures, places and levels."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from robustness.perturb.language.grammar.measures import other_measure
from robustness.perturb.language.grammar.numerals import another_count
from robustness.perturb.language.mirror_words import reflected
from robustness.perturb.language.ontology.modifiers import modifiers, pairs
from robustness.perturb.language.ontology.relatives import is_other, kin, term_of
from robustness.perturb.language.ontology.terms import find_term, forget_on_extend, terms
from robustness.perturb.language.proper import breaks_a_name

_LEVELS = pairs(
    "upper>lower; lower>upper; middle>upper; mid>upper; top>bottom; bottom>top; inner>outer; outer>inner; "
    "lesser>greater; greater>lesser; apex>base; base>apex; apical>basal; basal>apical; superior>inferior; "
    "inferior>superior; major>minor; ascending>descending; descending>ascending; minor>major; head>tail; "
    "tail>head; proximal>distal; distal>proximal; anterior>posterior; posterior>anterior; medial>lateral; "
    "lateral>medial; dorsal>ventral; ventral>dorsal; cranial>caudal; caudal>cranial"
)
_MODALITY = pairs(
    "t1-weighted>T2-weighted; t2-weighted>T1-weighted; t1>T2; t2>T1; contrast-enhanced>non-contrast; "
    "non-contrast>contrast-enhanced; transvaginal>transabdominal; transabdominal>transvaginal; ct>MRI; "
    "transthoracic>transesophageal; transesophageal>transthoracic; white-light>narrow-band; bone>lung; "
    "narrow-band>white-light; red-free>colour; mri>CT; ultrasound>CT; x-ray>CT; radiograph>CT scan; flair>T1; "
    "dwi>T1; stir>T1; colonoscopy>capsule endoscopy; dermoscopy>reflectance confocal microscopy; lung>bone; "
    "mammogram>breast ultrasound; cbct>MRI; h&e>PAS; photograph>ultrasound image"
)
_SITES = pairs(
    "scalp>forearm; thigh>forearm; calf>forearm; back>chest; cheek>forehead; forehead>cheek; chin>forehead; "
    "shin>forearm; forearm>shin; elbow>knee; knee>elbow; shoulder>calf; face>trunk; trunk>face; heel>palm; palm>heel; "
    "eyelid>earlobe; earlobe>eyelid; lip>eyelid; nose>ear; ear>nose"
)
# A foot and a hand have two faces.
_FACES = {
    "foot": pairs("dorsum>sole; sole>dorsum; plantar>dorsal; dorsal>plantar"),
    "hand": pairs("dorsum>palm; palm>dorsum; palmar>dorsal; dorsal>palmar"),
}
_SIDED = re.compile(r"(left|right) (?=\w)", re.IGNORECASE)
_CLOCK = re.compile(r"(\d{1,2})(?=(?::\d\d)?\s*o|:)", re.IGNORECASE)
_VERTEBRAE = [f"{r}{n}" for r, size in (("C", 7), ("T", 12), ("L", 5), ("S", 5)) for n in range(1, size + 1)]
_KEEPS_ADVERB = ("shape", "colour", "texture")
_AGES = pairs(
    "infant>elderly; neonate>elderly; newborn>elderly; child>adult; elderly>young; adolescent>elderly; "
    "teenager>elderly; toddler>elderly"
)


class Clinical(NamedTuple):
    """A candidate value and where it comes from."""

    value: str
    source: str


@lru_cache(maxsize=8192)
def clinical_opposites(kind: str, value: str) -> tuple[Clinical, ...]:
    """Return what contradicts a value that the benchmark's lexicon has no row for, best first; empty where unknown.

    A relation, place, margin ... of several words changes in the one word that has an opposite; figures are scaled,
    clock hours reflected, levels of the spine moved by one.
    """
    if kind == "view":
        value = value.replace(" chamber", "-chamber")
    words = value.lower().strip()
    table = modifiers().get(kind, {})
    row = table.get(words)
    if row is not None and row.opposites:
        return tuple(Clinical(new, row.source) for new in row.opposites)
    if words.startswith("non-") and kind == "pathology":
        return (Clinical(value[4:], "curated; non-X <-> X"),)
    for rule in (_by_rule, _compound, _longest, _within):
        candidates = rule(kind, value)
        if candidates:
            return tuple(candidates)
    return ()


def _by_rule(kind: str, value: str) -> list[Clinical]:
    if kind == "location" and _CLOCK.search(value):
        return [Clinical(_other_hour(value), "the opposite hour of the clock")]
    if kind == "location" and "," not in value:
        return _located(value)
    if kind == "place":
        return _placed(value)
    if kind == "measure":
        return [Clinical(*other)] if (other := other_measure(value)) else []
    if kind == "modality":
        return _swapped(value, _MODALITY, "another way to make the image; curated")
    if kind == "age" and value.lower() in _AGES:
        return [Clinical(_AGES[value.lower()], "another age; curated")]
    if kind == "direction":
        return _directed(value)
    return [Clinical(*another)] if kind == "number" and (another := another_count(value)) else []


_DEGREES = pairs("high>low; low>high; increased>decreased; decreased>increased; raised>reduced; reduced>raised")


def _compound(kind: str, value: str) -> list[Clinical]:
    """Change a compound of two words as the one with a hyphen: "thin walled", "ring enhancing", "low signal"."""
    first, _, rest = value.partition(" ")
    if kind == "signal" and rest and first.lower() in _DEGREES:
        return [Clinical(f"{_DEGREES[first.lower()]} {rest}", "the opposite degree; curated")]
    row = modifiers().get(kind, {}).get(f"{first}-{rest}".lower()) if rest.isalpha() else None
    if row is None:
        return []
    # Written as the old one is: "thick walled", but "non-enhancing".
    return [
        Clinical(new.replace(f"-{rest.lower()}", f" {rest}").replace("non ", "non-"), row.source)
        for new in row.opposites
    ]


_PREFIXES = pairs(
    "antero>postero; postero>antero; supero>infero; infero>supero; dorso>ventro; ventro>dorso; cranio>caudo; "
    "caudo>cranio; medio>latero; latero>medio"
)


def _directed(value: str) -> list[Clinical]:
    """Exchange both axes of a compound direction: "ventrolateral" gives "dorsomedial"."""
    table = modifiers()["direction"]
    for prefix, other in _PREFIXES.items():
        rest = value.lower().removeprefix(prefix).lstrip("-")
        row = table.get(rest)
        if value.lower().startswith(prefix) and row is not None and row.opposites:
            return [Clinical(other + row.opposites[0], row.source)]
    return []


_LEADS = re.compile(r"^(?:into|onto|through|against|on|over)\s+", re.IGNORECASE)
_ONWARD = re.compile(r" (?:in|on)?to (?=(?:the|an?|both|left|right)\b)", re.IGNORECASE)


def _longest(kind: str, value: str) -> list[Clinical]:
    """Change the longest beginning that the table knows: "close to the liver" gives "far from the liver"."""
    table = modifiers().get(kind, {})
    words = value.split(" ")
    for stop in range(len(words) - 1, 0, -1):
        row = table.get(" ".join(words[:stop]).lower())
        if row is not None:
            rest = " ".join(words[stop:])
            # "extending from the psoas into the thigh" gives "separate from the psoas and the thigh".
            both = _ONWARD.sub(" and ", rest).removeprefix("from ")
            # "pushing into the fat" gives "sparing the fat".
            bare = _LEADS.sub("", rest)
            return [
                Clinical(f"{new} {both if new.endswith('from') else bare if new.endswith('ing') else rest}", row.source)
                for new in row.opposites
            ]
    return []


def _within(kind: str, value: str) -> list[Clinical]:
    """Change the word of a value that the table knows: "roughly circular", "irregular margins"."""
    table = modifiers().get(kind, {}) | (modifiers()["shape"] if kind == "margin" else {})
    words = value.split(" ")
    lead = words[0].lower()
    if kind == "margin" and lead in ("poorly", "well", "sharply", "clearly"):
        return [Clinical(" ".join(["well" if lead == "poorly" else "poorly", *words[1:]]), "curated; edges")]
    for i in range(len(words)):
        row = table.get(words[i].lower()) or table.get(words[i].lower().removesuffix("-shaped"))
        if row is None or not row.opposites:
            continue
        first = words[:i] if kind in _KEEPS_ADVERB or i == 0 else [w for w in words[:i] if not w.endswith("ly")]
        # "pure ground-glass" gives "purely solid": an adjective takes the adverb.
        first = [w + "ly" if w.lower() == "pure" else w for w in first]
        return [Clinical(" ".join([*first, new, *words[i + 1 :]]), row.source) for new in row.opposites]
    for i, word in enumerate(words):
        head, dash, tail = word.rpartition("-")
        row = table.get(tail.lower()) or table.get(head.lower())
        if kind == "colour" and row is not None and row.opposites:
            return [Clinical(" ".join([*words[:i], row.opposites[0], *words[i + 1 :]]), row.source)]
        if dash and row is not None and row.opposites:
            new = f"{head}-{row.opposites[0]}" if tail.lower() in table else f"{row.opposites[0]}-{tail}"
            return [Clinical(" ".join([*words[:i], new, *words[i + 1 :]]), row.source)]
    if kind == "shape" and words[-1].lower().endswith("-shaped"):
        return [Clinical(" ".join([*words[:-1], "square"]), "another shape; curated")]
    return []


def _swapped(value: str, table: dict[str, str], source: str) -> list[Clinical]:
    words = value.split(" ")
    for i, word in enumerate(words):
        for piece, new in ((word, table.get(word.lower())), *_pieces(word, table)):
            if new:
                changed = new if piece == word else word.replace(piece, new)
                return [Clinical(" ".join([*words[:i], changed, *words[i + 1 :]]), source)]
    return []


def _pieces(word: str, table: dict[str, str]) -> list[tuple[str, str | None]]:
    return [(p, table.get(p.lower())) for p in word.split("-") if p != word]


def _other_hour(value: str) -> str:
    both = re.match(r"\d{1,2}\s*(?:-|to|and|\u2013)\s*\d{1,2}\s*o", value, re.IGNORECASE)
    hours = re.compile(r"(\d{1,2})") if both else _CLOCK
    return hours.sub(lambda m: str((int(m[1]) + 5) % 12 + 1), value, count=2 if both else 1)


def _located(value: str) -> list[Clinical]:
    """Reflect every word of a place in the image; an edge alone becomes the centre."""
    new = reflected(value)
    if new.lower() == value.lower():
        edge = re.search(r"\b(edge|border|margin|periphery)\b", value, re.IGNORECASE)
        return [Clinical("centre", "the middle of the image")] if edge else []
    return [Clinical(new, "reflection in the image centre")]


# What stands on either side of a middle one where that is neither called upper nor lower.
_BESIDE_MIDDLE = pairs(
    "fossa>posterior; fossae>posterior; artery>anterior; arteries>anterior; ear>inner; gyrus>superior; "
    "meatus>inferior; turbinate>inferior; turbinates>inferior; concha>inferior; peduncle>superior; phalanx>distal; "
    "phalanges>distal; finger>index; toe>little; vein>left; colic>left; scalene>anterior; constrictor>inferior; "
    "mediastinum>anterior; trunk>upper; ganglion>superior; frontal>superior; temporal>superior; cerebral>anterior; "
    "cranial>posterior; hepatic>left; meningeal>posterior; cerebellar>superior; suprarenal>inferior; rectal>superior"
)


def _beside_middle(value: str) -> list[Clinical]:
    """Return what lies beside "middle fossa", "middle cerebral artery": no upper one is known by name."""
    words = value.split(" ")
    at = next((i for i, word in enumerate(words[:-1]) if word.lower() == "middle"), len(words))
    found = [_BESIDE_MIDDLE[w.lower()] for w in words[at + 1 : at + 3] if w.lower() in _BESIDE_MIDDLE]
    return [Clinical(" ".join([*words[:at], found[0], *words[at + 1 :]]), "its neighbour by name")] if found else []


def _placed(value: str) -> list[Clinical]:
    """Move a place in the patient: a level or direction, a vertebra, a segment, else another part of the same whole."""
    for whole, faces in _FACES.items():
        if re.search(rf"\b{whole}\b", value, re.IGNORECASE) and (face := _swapped(value, faces, "the other face")):
            return face
    changed = _beside_middle(value) or _swapped(value, _LEVELS, "the other level or direction")
    if changed and not breaks_a_name(value, changed[0].value):
        return changed
    sided = _SIDED.match(value) if find_term(value) is None else None
    side, part = (sided[0], value[sided.end() :]) if sided else ("", value)
    if part.lower() in _SITES:
        site = _SITES[part.lower()]
        return [Clinical(site if site in ("forehead", "trunk") else side + site, "another part of the body's surface")]
    if _CLOCK.search(value):
        return [Clinical(_other_hour(value), "the opposite hour of the clock")]
    between = re.fullmatch(r"([CTLS])(\d+)(\s?[-/\u2013]\s?)(\d+)", value)
    if between and int(between[4]) == int(between[2]) + 1:
        # "L3-4" gives "L2-3"
        shift = -1 if int(between[2]) > 1 else 1
        new = f"{between[1]}{int(between[2]) + shift}{between[3]}{int(between[4]) + shift}"
        return [Clinical(new, "the next level of the spine")]
    segment = re.fullmatch(r"(.*?\b)(\d+)([ab]?)", value)
    if segment and value[:1].isalpha() and not re.fullmatch(r"[CTLS]\d+", value):
        number = int(segment[2])
        return [Clinical(f"{segment[1]}{number - 4 if number > 4 else number + 4}", "another segment")]
    levels = re.findall(r"[CTLS]\d+", value)
    if levels and all(level in _VERTEBRAE for level in levels):
        shift = -1 if _VERTEBRAE.index(levels[0]) else 1
        new = re.sub(r"[CTLS]\d+", lambda m: _VERTEBRAE[_VERTEBRAE.index(m[0]) + shift], value)
        return [Clinical(new, "the next level of the spine")]
    return [Clinical(side + new, source) for new, source in _other_part(part, paired=bool(side))]


def _other_part(value: str, *, paired: bool = False) -> list[Clinical]:
    term = term_of(value)
    if term is None or term.category != "anatomy":
        return []
    head = term.name.lower().split(" ")[-1]
    near = [
        t
        for t in terms()
        if t.category == "anatomy"
        and t.region == term.region
        and t.name.lower() not in kin(term.name)
        and (not term.modalities or not t.modalities or set(t.modalities) & set(term.modalities))
        and (
            set(t.part_of) & set(term.part_of)
            or (paired and t.lateral and t.name.lower().split(" ")[-1] == head)
            or (not paired and t.salient and is_other(t.name, term.name))
        )
    ]
    ranked = sorted(
        (t for t in near if head in _TUBES or t.name.lower().split(" ")[-1] not in _TUBES),
        key=lambda t: (t.name.lower().split(" ")[-1] != head, not set(t.part_of) & set(term.part_of), not t.salient),
    )
    whole = value.lower() in (term.name.lower(), term.plural.lower(), *(s.lower() for s in term.synonyms))
    plural = value.lower() == term.plural.lower() != term.name.lower()
    # No "livers" for "kidneys"; "the macula" for "the vascular arcades".
    ranked = [t for t in ranked if t.lateral] if paired or (plural and term.lateral) else ranked
    plural = plural and term.lateral
    return [Clinical(t.plural if plural else t.name, t.source) for t in ranked[:3]] if whole else []


# What lies in an organ may lie in its vessels: "within the retinal vessel" does not contradict "within the macula".
_TUBES = frozenset("vessel artery vein duct nerve arcade canal bronchus trunk".split())


forget_on_extend(clinical_opposites)
