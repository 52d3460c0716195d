"""`case@1..5`: capital and small letters changed, which many tokenizers do not even see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.perturb.language.edit import Edit
from robustness.perturb.prompt.surface import SurfacePerturbation, words_of
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("case")
class LetterCase(SurfacePerturbation):
    """Change the case of letters: the first (1), one drawn word in capitals (2), Every Word (3), ALL (4), mIxEd (5).

    A tokenizer that lowers its text makes all of these no change at all; the tokenizer report shows which. Expectation:
    "invariant". Params: as `antonym`, kind "".
    """

    name = "case"
    source: ClassVar[str] = "letter case"
    reason: ClassVar[str] = "the prompt has no letter whose case this changes"

    def changes(self, text: str, severity: int, rng: np.random.Generator) -> Sequence[Edit]:
        """Return the edits; at severity 5 every other letter changes."""
        words = words_of(text)
        if not words:
            return ()
        if severity == 1:
            return _edits(text, [words[0].start()], str.swapcase)
        if severity == 2:
            word = words[int(rng.integers(len(words)))]
            return _edits(text, range(*word.span()), str.upper)
        if severity == 3:
            return _edits(text, [w.start() for w in words], str.upper)
        letters = [i for w in words for i in range(*w.span())]
        return _edits(text, letters if severity == 4 else letters[1::2], str.upper if severity == 4 else str.swapcase)


def _edits(text: str, places: Sequence[int], change: object) -> list[Edit]:
    # Some letters have no other case, some become two ("ß" -> "SS").
    letters = ((i, text[i], change(text[i])) for i in places)  # type: ignore[operator]
    return [Edit(i, i + 1, old, new) for i, old, new in letters if new != old and len(new) == 1]
