"""`typo@1..5`: slips of the keyboard, one word each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.perturb.language.edit import Edit
from robustness.perturb.prompt.surface import SurfacePerturbation, words_of
from robustness.registry import PERTURBATIONS

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {
    letter: "".join(row[j] for j in (i - 1, i + 1) if 0 <= j < len(row))
    for row in _ROWS
    for i, letter in enumerate(row)
}
SHORTEST = 4


@PERTURBATIONS.add("typo")
class Typo(SurfacePerturbation):
    """Mistype as many words as the severity says: two letters swapped, one left out, doubled, or a neighbouring key.

    Only words of four letters or more, never their first letter, so that a reader still reads the word.
    Expectation: "invariant". Params: as `antonym`, kind "".
    """

    name = "typo"
    source: ClassVar[str] = "keyboard slip (swap, omission, doubling, neighbouring key)"
    reason: ClassVar[str] = "the prompt has no word of four letters or more"

    def changes(self, text: str, severity: int, rng: np.random.Generator) -> Sequence[Edit]:
        """Return one edit per mistyped word."""
        words = words_of(text, SHORTEST)
        drawn = [words[int(i)] for i in rng.permutation(len(words))[:severity]]
        return [_slip(word.group(), word.start(), rng) for word in drawn]


def _slip(word: str, start: int, rng: np.random.Generator) -> Edit:
    at = int(rng.integers(1, len(word) - 1))
    form = int(rng.integers(4))
    pair = word[at : at + 2]
    key = _NEIGHBOURS.get(word[at].lower(), "")
    if form == 0 and pair[0] != pair[1]:
        return Edit(start + at, start + at + 2, pair, pair[::-1])
    if form == 1:
        return Edit(start + at, start + at + 1, word[at], "")
    if form == 2 and key:
        return Edit(start + at, start + at + 1, word[at], key[int(rng.integers(len(key)))])
    return Edit(start + at, start + at + 1, word[at], word[at] * 2)
