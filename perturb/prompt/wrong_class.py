"""`wrong_class`: the target's words become those of a class that is not in the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from robustness.perturb.language.edit import swap
from robustness.perturb.language.lexicon import Class, classes, find_class, singular
from robustness.perturb.modality import canonical_modality
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, DataContext, NotApplicable, Params

# Two labels of one finding.
_ALIASES = {"lung opacity": "airspace opacity", "airspace opacity": "lung opacity"}
# A polyp or a melanoma may rightly be called by these.
BROAD = frozenset({"tumor", "Lung Lesion", "Edema"})


@PERTURBATIONS.add("wrong_class")
class WrongClass(PromptPerturbation):
    """Ask for another class: of the same dataset where one is absent from the image, else of another dataset.

    The class of another dataset is one of the same modality where the lexicon has it, else of another modality; `note`
    says which. Only the target's words change (and a/an before them); a plural stays a plural. The class is drawn from
    the case's own generator. Expectation: "abstain". Params: as `antonym`, and `note`.
    """

    name = "wrong_class"
    expectation = "abstain"

    def __init__(self, *, context: DataContext | None = None, kind: str = "") -> None:
        super().__init__(context=context, kind=kind)
        self.kind = "target"
        self._all = {name: value for info in self.context.infos for name, value in _named(info.prompts, info.target)}
        self._present: dict[str, set[str]] = {}
        for info in self.context.infos:
            held = self._present.setdefault(info.image_id, set())
            held.update(name for name, _ in _named(info.prompts, info.target))
            held.add(singular(info.target))

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the swap; the class is drawn."""
        old = case.prompt.get("target")
        if old is None:
            return NotApplicable("the prompt states no target that is known")
        if self.is_denied(case):
            return NotApplicable("the prompt says already that nothing is there")
        here = self.held(case, old.value)
        own = sorted(name for name in self._all if name not in here)
        if own:
            name = own[int(rng.integers(len(own)))]
            return self.record(case, old, self._all[name], find_class(name), source="another class of the dataset")
        return self._from_lexicon(case, old, here, rng)

    def is_denied(self, case: Case) -> bool:
        """Tell whether the prompt says that its target is not there."""
        number = case.prompt.get("number")
        return number is not None and number.value.lower() == "no"

    def held(self, case: Case, value: str) -> set[str]:
        """Return the classes that are known to be in the case's image, singular and in small letters."""
        drawn = self._present.get(str(case.metadata.get("image_id", "")), set())
        return drawn | {singular(value)} | self._mentioned(case)

    def unlike(self, here: set[str]) -> list[Class]:
        """Return the lexicon's classes that some dataset segments and that share no noun with what is there."""
        # Names that no dataset segments ("aorta") may well be in the image, though nobody drew them.
        return [c for c in classes() if c.dataset and not _akin(c, here | set(self._all))]

    def _mentioned(self, case: Case) -> set[str]:
        """Return the classes that any text of the case names, such as a list of the findings that are present."""
        listed = [case.prompt.text]
        for value in (case.metadata.get("siblings") or {}).values():
            several = value if isinstance(value, list | tuple) else [value]
            listed += [v for v in several if isinstance(v, str)]
        text = " ".join(dict.fromkeys(listed)).lower()
        found = {name for name in self._all if name in text}
        return found | {_ALIASES[name] for name in _ALIASES if name in text}

    def _from_lexicon(
        self, case: Case, old: Attribute, here: set[str], rng: np.random.Generator
    ) -> Params | NotApplicable:
        row = find_class(old.value)
        modality = canonical_modality(str(case.metadata.get("modality") or "")) or (row.modality if row else "")
        known = self.unlike(here)
        near = [c for c in known if family(c.modality) == family(modality)]
        pool = near or [c for c in known if c.name not in BROAD]
        if not pool:
            return NotApplicable("the lexicon has no class that is absent from this image")
        chosen = pool[int(rng.integers(len(pool)))]
        where = f"same modality ({chosen.modality})" if near else f"another modality ({chosen.modality})"
        note = f"one class in this dataset: {chosen.name!r} is taken from the lexicon, {where}"
        return self.record(case, old, chosen.name, chosen, source=chosen.source, note=note)

    def record(
        self, case: Case, old: Attribute, value: str, row: Class | None, *, source: str, note: str = ""
    ) -> Params:
        """Return the record of the target set to a class, in the number and case of the old words."""
        old_row = find_class(old.value)
        is_plural = old_row is not None and old_row.plural.lower() == old.value.lower() != old_row.name.lower()
        new = (row.plural if is_plural else row.name) if row is not None else value
        new = new.lower() if old.value.islower() else new
        extra: dict[str, Any] = {"note": note} if note else {}
        return swap(case.prompt, "target", new, source=source, **extra)


def _named(prompts: object, target: str) -> Iterator[tuple[str, str]]:
    """Yield (singular, as written) of the targets that prompts state; the case's target where they state none."""
    found = False
    for prompt in prompts if isinstance(prompts, tuple) else ():
        attribute = prompt.get("target")
        if attribute is not None:
            found = True
            yield singular(attribute.value), attribute.value
    if not found and target:
        yield singular(target), target


def _akin(row: Class, names: set[str]) -> bool:
    """Tell whether a class is one of `names` or shares a noun with one: a melanoma is no absent "skin melanoma"."""
    mine = set(row.name.lower().split())
    return any(mine & set(name.split()) for name in names)


def family(modality: str) -> str:
    """Return the modality by what it shows; an echocardiogram is an ultrasound image."""
    return "ultrasound" if modality == "echocardiography" else modality
