"""`absent`: the target becomes a structure of another part of the body, which cannot be in the image."""

from __future__ import annotations

import numpy as np

from robustness.perturb.language.lexicon import find_class
from robustness.perturb.modality import canonical_modality, family
from robustness.perturb.prompt.wrong_class import BROAD, WrongClass, fits_article, fits_side
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params


@PERTURBATIONS.add("absent")
class Absent(WrongClass):
    """Ask for a structure that an image of this kind never shows: a polyp in an echocardiogram.

    Drawn per case from the lexicon's classes of other modalities that no case of the dataset names; where the modality
    is unknown it is the target's usual one. `wrong_class` asks for a class that could be there. Only the target's words
    change. Expectation: "abstain". Params: as `antonym`, and `note`.
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
        pool = [c for c in self.unlike(here) if _elsewhere(c.modality, modality) and c.name not in BROAD]
        pool = [c for c in pool if fits_side(case, c.name) and fits_article(case, old, c.name, c.plural)]
        if not pool:
            return NotApplicable(
                f"the lexicon has no structure of another modality that is surely another thing than {old.value!r} "
                "and agrees with the words before it"
            )
        chosen = pool[int(rng.integers(len(pool)))]
        note = f"{chosen.name!r} is a structure of {chosen.modality} images"
        return self.record(case, old, chosen.name, chosen, source=chosen.source, note=note)


def _elsewhere(theirs: str, ours: str) -> bool:
    """Tell whether a structure's modality shows other parts of the body; skin is skin by any camera."""
    surface = ("dermoscopy", "photograph")
    return bool(theirs) and family(theirs) != family(ours) and not (theirs in surface and ours in surface)
