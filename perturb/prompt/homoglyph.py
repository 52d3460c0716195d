"""`homoglyph@1..5`: letters of other scripts that look the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.perturb.language.edit import Edit
from robustness.perturb.prompt.surface import SurfacePerturbation, share
from robustness.registry import PERTURBATIONS

# Cyrillic and Greek letters that most fonts draw as the Latin ones (Unicode Technical Standard 39, confusables).
LOOKALIKES = dict(
    zip(
        "aceijopsxyABCEHIKMOPTX",
        "\u0430\u0441\u0435\u0456\u0458\u043e\u0440\u0455\u0445\u0443"
        "\u0410\u0412\u0421\u0415\u041d\u0406\u041a\u041c\u041e\u0420\u0422\u0425",
        strict=True,
    )
)


@PERTURBATIONS.add("homoglyph")
class Homoglyph(SurfacePerturbation):
    """Replace Latin letters by look-alikes of other scripts: a fifth of those that have one per severity, all at 5.

    A reader sees no change, a tokenizer sees other words: text copied from PDF files and web pages holds such letters.
    Expectation: "invariant". Params: as `antonym`, kind "".
    """

    name = "homoglyph"
    source: ClassVar[str] = "Unicode confusables (UTS 39)"
    reason: ClassVar[str] = "no letter of the prompt has a look-alike in another script"

    def changes(self, text: str, severity: int, rng: np.random.Generator) -> Sequence[Edit]:
        """Return one edit per letter."""
        places = [i for i, character in enumerate(text) if character in LOOKALIKES]
        order = rng.permutation(len(places))[: share(severity, len(places))]
        return [Edit(places[i], places[i] + 1, text[places[i]], LOOKALIKES[text[places[i]]]) for i in order]
