"""`absent`: the target becomes a structure of another part of the body, which cannot be in the image."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np

from robustness.perturb.language.lexicon import Class, classes, find_class
from robustness.perturb.language.ontology.relatives import NEIGHBOURS, has_kinds, regions_of, term_of
from robustness.perturb.language.ontology.terms import Term, find_term, forget_on_extend
from robustness.perturb.modality import canonical_modality, family
from robustness.perturb.prompt.base import places_of
from robustness.perturb.prompt.wrong_class import BROAD, WrongClass, fits_article, fits_side
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, NotApplicable, Params

# What shows the inside of the body: a heart is seen by each of them, whichever data set draws it.
_DEEP = frozenset({"CT", "MRI", "x-ray", "ultrasound"})
# Parts that lie in one another, besides those that lie beside one another.
_INSIDE = {"eye": ("head",), "bowel lumen": ("pelvis",), "skin": ("limb", "breast")}
_PAIRS = [(one, other) for graph in (NEIGHBOURS, _INSIDE) for one, others in graph.items() for other in others]
# Fewer of them, and structures that no data set draws are taken too.
_ENOUGH = 3


@PERTURBATIONS.add("absent")
class Absent(WrongClass):
    """Ask for a structure that the image cannot show: a polyp in an echocardiogram.

    Drawn per case from the lexicon's classes of other modalities that no case of the dataset names; where the modality
    is unknown it is the target's usual one. Of modalities that both show the inside of the body (CT and ultrasound, MRI
    and x-ray) only what lies in a distant part of it is drawn: a CT of a kidney may show a heart. `wrong_class` asks
    for a class that could be there. Only the target's words change. Expectation: "abstain". Params: as `antonym`, and
    `note`.
    """

    name = "absent"
    expectation = "abstain"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; the structure is drawn."""
        old = self.target_to_change(case)
        if isinstance(old, NotApplicable):
            return old
        row = find_class(old.value)
        modality = canonical_modality(str(case.metadata.get("modality") or "")) or (row.modality if row else "")
        if not modality:
            return NotApplicable("the modality is unknown, so no structure is certainly absent")
        here = self.present(case, old.value)
        names = [name for name in [*sorted(here), *places_of(case.prompt)] if _is_of_one_part(name)]
        never = _never_shown(modality, regions_of(names))
        drawn = [c for c in never if c.dataset]
        pool = self._fitting(case, old, self.unlike(here, drawn))
        if len(pool) < _ENOUGH:
            pool = self._fitting(case, old, self.unlike(here, never))
        if not pool:
            return NotApplicable(
                f"the lexicon has no structure of another modality that is surely another thing than {old.value!r} "
                "and agrees with the words before it"
            )
        chosen = pool[int(rng.integers(len(pool)))]
        note = f"{chosen.name!r} is a structure of {chosen.modality} images"
        return self.record(case, old, chosen.name, chosen, source=chosen.source, note=note)

    def _fitting(self, case: Case, old: Attribute, pool: list[Class]) -> list[Class]:
        return [c for c in pool if fits_side(case, c.name) and fits_article(case, old, c.name, c.plural)]


def _is_of_one_part(name: str) -> bool:
    """Tell whether a name says where in the body it is: a "sural nerve", of which only "nerve" is known, does not."""
    term = term_of(name)
    return find_term(name) is not None or term is None or not has_kinds(term)


@lru_cache(maxsize=256)
def _never_shown(modality: str, regions: tuple[str, ...]) -> tuple[Class, ...]:
    return tuple(
        c
        for c in classes()
        if _elsewhere(c.modality, modality) and c.name not in BROAD and is_never_shown(c.name, modality, regions)
    )


def is_never_shown(name: str, modality: str, regions: Iterable[str]) -> bool:
    """Tell whether an image cannot show a thing, whoever drew what: by what its modality shows, and of which part.

    Args:
        name: of the thing.
        modality: of the image.
        regions: the parts of the body that the image shows, as far as its names tell; none: any.

    Example:
        >>> is_never_shown("myocardium", "CT", ["abdomen"]), is_never_shown("myocardium", "CT", ["head"])
        (False, True)
        >>> is_never_shown("myocardium", "fundus", ["eye"])
        True
    """
    term, ours, shown = term_of(name), family(modality), tuple(regions)
    if term is None or term.category == "instrument" or term.region in ("any", "cells"):
        return False
    theirs = {family(m) for m in term.modalities}
    if ours == "microscopy":
        # A slide may hold any tissue, but no air and no fluid around an organ.
        return term.region == "chest" and term.category == "finding" and "lung" not in term.part_of
    if ours not in _DEEP:
        return ours not in theirs
    if not shown:
        # Spots of the skin and the retina are outlined by no such image, whatever part it is of.
        return term.region in ("skin", "eye") and theirs.isdisjoint(_DEEP)
    return _is_far(term, shown, steps=2 if theirs & _DEEP else 1)


def _is_far(term: Term, shown: tuple[str, ...], *, steps: int) -> bool:
    """Tell whether none of the parts `shown` is a thing's own or one that so many steps lead to."""
    near = set(term.region.split("/"))
    for _ in range(steps):
        near |= {part for pair in _PAIRS if not near.isdisjoint(pair) for part in pair}
    return near.isdisjoint(shown)


def _elsewhere(theirs: str, ours: str) -> bool:
    """Tell whether a structure's modality shows other parts of the body; skin is skin by any camera."""
    surface = ("dermoscopy", "photograph")
    return bool(theirs) and family(theirs) != family(ours) and not (theirs in surface and ours in surface)


forget_on_extend(_never_shown)
