"""`wrong_class`: the target's words become those of a class that is not in the image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from robustness.perturb.language.edit import swap
from robustness.perturb.language.grammar.vocabulary import kind_of
from robustness.perturb.language.inflection import is_mass, is_plural, plural_form
from robustness.perturb.language.lexicon import Class, find_class, singular
from robustness.perturb.language.ontology.relatives import (
    is_akin,
    is_other,
    may_be_seen,
    other_findings,
    others,
    regions_of,
)
from robustness.perturb.language.ontology.terms import Term, find_term
from robustness.perturb.language.proper import is_proper
from robustness.perturb.modality import canonical_modality
from robustness.perturb.prompt.base import PromptPerturbation, places_of
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params, Prompt

# Two labels of one finding.
_ALIASES = {"lung opacity": "airspace opacity", "airspace opacity": "lung opacity"}
# A polyp or a melanoma may rightly be called by these.
BROAD = frozenset({"tumor", "Lung Lesion", "Edema"})


@PERTURBATIONS.add("wrong_class")
class WrongClass(PromptPerturbation):
    """Ask for another class: of the same dataset where one is absent from the image, else one of the ontology.

    A class of the ontology is plausible in the modality and the part of the body, and is never a synonym, a kind, a
    whole, a part or an overlap of what is asked for; `note` names it. The whole target phrase is replaced (and a/an
    before it); a plural stays a plural, and of a prompt that asks for two things both are replaced. Drawn from the
    case's own generator. Expectation: "abstain" for a class that the dataset draws and that is not on the image;
    "change" for one that may well be in the image though nobody drew it: one of the ontology, or anatomy of the part
    of the body that the image shows. Params: as `antonym`, and
    `note`, `origin`.
    """

    name = "wrong_class"
    expectation = "abstain"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.kind = "target"
        self._all = {name: value for info in self.context.infos for name, value in _named(info.prompts, info.target)}
        self._present: dict[str, set[str]] = {}
        for info in self.context.infos:
            names = self._present.setdefault(info.image_id, set())
            names.update(name for name, _ in _named(info.prompts, info.target))
            names.add(singular(info.target))

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; the class is drawn."""
        old = self.target_to_change(case)
        if isinstance(old, NotApplicable):
            return old
        here = self.present(case, old.value)
        own = sorted(name for name in self._all if name not in here and not any(is_akin(name, other) for other in here))
        own = [name for name in own if fits_side(case, name)]
        if own:
            name = own[int(rng.integers(len(own)))]
            extra = {"origin": "region"} if may_be_seen(name, here) else {}
            source = "another class of the dataset"
            return self.record(case, old, self._all[name], find_class(name), source=source, **extra)
        return self._from_ontology(case, old, here, rng)

    def expect(self, case: Case, params: Params) -> str:
        """Return "change" for a class that may be in the image though nobody drew it; "abstain" for an absent one."""
        return "change" if params.get("origin") in ("ontology", "region") else self.expectation

    def target_to_change(self, case: Case) -> Attribute | NotApplicable:
        """Return the target that the prompt asks for, or why there is none."""
        target = case.prompt.get("target")
        if target is None:
            return NotApplicable("the prompt states no target that is known")
        if self.is_denied(case):
            return NotApplicable("the prompt says already that nothing is there")
        return target

    def is_denied(self, case: Case) -> bool:
        """Tell whether the prompt says that its target is not there."""
        number = case.prompt.get("number")
        denied = case.prompt.get("negation")
        target = case.prompt.get("target")
        # "no ulcer but an erosion" denies another thing.
        own = denied is not None and denied.role == "target"
        before = own and denied is not None and target is not None and denied.start < target.start
        return before or (number is not None and number.value.lower() == "no")

    def present(self, case: Case, value: str) -> set[str]:
        """Return the classes that are known to be in the case's image, singular and in small letters."""
        drawn = self._present.get(str(case.metadata.get("image_id", "")), set())
        requested = {singular(a.value) for a in case.prompt.attributes if a.kind == "target"}
        return drawn | requested | {singular(value)} | self._mentioned(case)

    def unlike(self, here: set[str], among: Iterable[Class]) -> list[Class]:
        """Return the classes that share no noun with what is there, nor with what the dataset draws."""
        avoid = here | set(self._all)
        return [c for c in among if not _akin(c, avoid) and all(_is_apart(c.name, name) for name in avoid)]

    def _mentioned(self, case: Case) -> set[str]:
        """Return the classes that any text of the case names, such as a list of the findings that are present."""
        listed = [case.prompt.text]
        for value in (case.metadata.get("siblings") or {}).values():
            several = value if isinstance(value, list | tuple) else [value]
            listed += [v for v in several if isinstance(v, str)]
        text = " ".join(dict.fromkeys(listed)).lower()
        names = {name for name in self._all if name in text}
        return names | {_ALIASES[name] for name in _ALIASES if name in text}

    def _from_ontology(
        self, case: Case, old: Attribute, here: set[str], rng: np.random.Generator
    ) -> Params | NotApplicable:
        row = find_class(old.value)
        modality = canonical_modality(str(case.metadata.get("modality") or "")) or stated_modality(case.prompt)
        modality = modality or (row.modality if row else "")
        avoid = here | set(self._all)
        places = places_of(case.prompt)
        terms = others(old.value, modality, regions=regions_of(places))
        if _says_what_no_organ_is(case.prompt):
            terms = other_findings(old.value, modality) or terms
        pool = [t for t in terms if all(is_other(t.name, name) for name in avoid)]
        if not pool:
            return NotApplicable("the ontology has no class that is surely another thing than what is asked for")
        # "Left kidney" becomes a paired organ, where the ontology has one: no "left pancreas".
        pool = [t for t in pool if fits_side(case, t.name, paired=t.lateral)] or pool
        pool = [t for t in pool if fits_article(case, old, t.name, t.plural)] or pool
        if is_plural(old.value):
            # No "aortas" and no "three thyroid glands".
            pool = [t for t in pool if _comes_in_numbers(t)] or pool
        # No "maxillary sinus in the right maxillary sinus" and no "pancreas in the pancreatic head".
        text = case.prompt.text.lower()
        pool = [t for t in pool if t.name.lower() not in text and not any(is_akin(t.name, p) for p in places)] or pool
        chosen = pool[int(rng.integers(len(pool)))]
        note = f"no class of this dataset is absent: {chosen.name!r} is one of the ontology ({chosen.region})"
        counted = case.prompt.get("number") is not None
        several = is_plural(old.value) and (counted or _comes_in_numbers(chosen))
        new = chosen.plural if several else chosen.name
        return self._set(case, old, new, source=chosen.source, note=note, origin="ontology")

    def _set(self, case: Case, old: Attribute, new: str, **extra: Any) -> Params | NotApplicable:
        """Return the record of every target set to `new`, in the case of the old words; a list is one request."""
        new = _cased(new, old.value)
        names = [a for a in case.prompt.attributes if a.kind == "target"]
        if len({a.value.lower() for a in names}) == 1:
            return swap(case.prompt, "target", new, **extra)
        first, last = names[0], names[-1]
        text = case.prompt.text
        if _says_more(case.prompt, names):
            return NotApplicable("what the prompt says of one target stands before the next: one class cannot be both")
        whole = Attribute("target", text[first.start : last.stop], first.start, last.stop)
        remaining = tuple(a for a in case.prompt.attributes if a.stop <= first.start or a.start >= last.stop)
        return swap(Prompt(text, (*remaining, whole)), "target", new, **extra)

    def record(
        self, case: Case, old: Attribute, value: str, row: Class | None, *, source: str, note: str = "", **more: Any
    ) -> Params | NotApplicable:
        """Return the record of the target set to a class, in the number and case of the old words."""
        new = (row.plural if is_plural(old.value) else row.name) if row is not None else value
        number = case.prompt.get("number")
        if row is None and number is not None and is_plural(old.value):
            # "two polyps" gives "two gastric ulcers"; "polyps" may well give "bowel wall".
            new = plural_form(value)
        extra: dict[str, Any] = {"note": note, **more} if note else more
        return self._set(case, old, new, source=source, **extra)


# What may stand between the items of a list: "kidneys; the left adrenal", "OD: disc; OS: macula".
_LINKS = re.compile(r"\b(?:and|or|the|an?|left|right|both|o[ds]|[lr]e|[lr])\b", re.IGNORECASE)


def _says_more(prompt: Prompt, names: list[Attribute]) -> bool:
    """Tell whether a statement of its own stands between two targets: "root 41 mm; arch dilated"."""
    gaps = [(a.stop, b.start) for a, b in pairwise(names)]
    texts = [prompt.text[start:stop] for start, stop in gaps]
    if any(re.search(r"[.;:?]", gap) and re.search(r"[a-z]", _LINKS.sub("", gap), re.IGNORECASE) for gap in texts):
        return True
    kinds = ("measure", "pathology", "relation", "place", "certainty")
    own = [a for a in prompt.attributes if a.kind in kinds]
    inside = [(a, stop) for start, stop in gaps for a in own if start < a.start and a.stop < stop]
    return any(", " in prompt.text[a.stop : stop] for a, stop in inside)


_RANKED = re.compile(r"(?:[\w-]*RADS|stage|grade|Paris|Gleason|Bosniak)\b", re.IGNORECASE)
_OF_FINDINGS = frozenset("pedunculated sessile flat raised polypoid spiculated flame-shaped".split())


def _says_what_no_organ_is(prompt: Prompt) -> bool:
    """Tell whether a prompt states what only findings are: no "pedunculated orifice", no "benign ink marking"."""
    return any(
        a.role == "target"
        and (
            (a.kind == "pathology" and a.value.lower() != "normal" and kind_of(a.value.lower()) == "pathology")
            or (a.kind == "measure" and _RANKED.match(a.value))
            or a.value.lower() in _OF_FINDINGS
        )
        for a in prompt.attributes
    )


def _comes_in_numbers(term: Term) -> bool:
    """Tell whether a body may hold several of a thing: paired parts, findings, vessels, ribs."""
    if term.name == term.plural:
        return False
    paired = term.lateral and term.region != "eye"
    return paired or term.category != "anatomy" or term.name.lower().split(" ")[-1] in _MANY


_MANY = frozenset(
    "vessel fibre fiber cell rib vertebra muscle nerve artery vein tooth node follicle nucleus duct tubule villus "
    "crypt fold loop disc phalanx glomerulus globule layer".split()
)


def fits_side(case: Case, name: str, *, paired: bool = True) -> bool:
    """Tell whether a class may stand behind the side that the prompt states of its target: no "left left ventricle"."""
    side = next((a for a in case.prompt.attributes if a.kind == "side" and a.role == "target"), None)
    return side is None or (paired and not name.lower().startswith(("left ", "right ")))


def fits_article(case: Case, old: Attribute, name: str, plural: str) -> bool:
    """Tell whether a class agrees with "a" or a number before the target: no "a support devices", no "two edema"."""
    if name != plural:
        return True
    if is_plural(old.value):
        return name.endswith("s") and not name.endswith(("is", "us"))
    number = case.prompt.get("number")
    counted = number is not None and number.stop <= old.start and number.value.lower() != "no"
    return not _ARTICLED.search(case.prompt.text[: old.start]) and not (
        counted and (name.endswith("s") or is_mass(name))
    )


_ARTICLED = re.compile(r"\ban?\s+(?:[\w-]+,?\s+){0,4}$", re.IGNORECASE)


def stated_modality(prompt: Prompt) -> str:
    """Return the modality that a prompt names ("H&E section", "on CT"), or ""."""
    words = prompt.get("modality")
    if words is None:
        return ""
    lower = words.value.lower()
    if _STAINED.search(lower):
        return "microscopy"
    return canonical_modality(lower) or next((m for w in lower.split() if (m := canonical_modality(w))), "")


_STAINED = re.compile(r"h&e|stain|trichrome|giemsa|histolog|immuno|smear|microscop|ki-67|\bpas\b")


def _cased(new: str, old: str) -> str:
    """Return `new` in the letters of `old`: capitals throughout, small throughout, else as it is."""
    if old.isupper() and len(old) > 4:
        return new.upper()
    if any(w.isupper() for w in new.split()) or is_proper(new):
        return new
    return new.lower() if old[1:].islower() else new


# Air, fluid and the size of an organ: no one calls them a mass, a tumor or a lesion.
_NO_MASS = frozenset({"pneumothorax", "pleural effusion", "cardiomegaly"})
_MASS = frozenset("mass tumor tumour lesion nodule neoplasm".split())


def _is_apart(name: str, other: str) -> bool:
    if name.lower() in _NO_MASS and other.split(" ")[-1] in _MASS:
        return True
    return is_other(name, other) if find_term(name) else True


def _named(prompts: object, target: str) -> Iterator[tuple[str, str]]:
    """Yield (singular, as written) of the targets that prompts state; the case's target where they state none."""
    stated = False
    for prompt in prompts if isinstance(prompts, tuple) else ():
        for attribute in prompt.attributes:
            if attribute.kind == "target":
                stated = True
                yield singular(attribute.value), attribute.value
    if not stated and target:
        yield singular(target), target


def _akin(row: Class, names: set[str]) -> bool:
    """Tell whether a class is one of `names` or shares a noun with one: a melanoma is no absent "skin melanoma"."""
    mine = set(row.name.lower().split())
    return any(mine & set(name.split()) for name in names)
