"""Base of the surface changes: severities 1 to 5, records of splices, expectation "invariant"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.perturb.language.edit import Edit, record
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.types import Case, NotApplicable, Params

WORD = re.compile(r"[^\W\d_]+")


class SurfacePerturbation(PromptPerturbation):
    """A change of the letters that a reader overlooks; subclasses fill `changes`.

    Params: `text kind old new start stop source edits repairs`; old and new are the whole texts.
    """

    expectation = "invariant"
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    source: ClassVar[str] = ""
    reason: ClassVar[str] = "nothing in the prompt can be changed"

    def changes(self, text: str, severity: int, rng: np.random.Generator) -> Sequence[Edit]:
        """Return the edits of `text` at `severity`; none where nothing can be changed."""
        raise NotImplementedError(f"{type(self).__name__} must define changes()")

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the edits, or why there is none."""
        text = case.prompt.text
        edits = [e for e in self.changes(text, severity, rng) if e.new != e.old]
        if not edits:
            return NotApplicable(self.reason)
        params = record(text, edits, kind="", old=text, new="", source=self.source)
        params["new"] = params["text"]
        return params


def words_of(text: str, shortest: int = 1) -> list[re.Match[str]]:
    """Return the words of letters alone that have at least `shortest` letters."""
    return [m for m in WORD.finditer(text) if len(m.group()) >= shortest]


def share(severity: int, count: int) -> int:
    """Return how many of `count` places a severity changes: a fifth of them each, at least one."""
    return max(1, round(severity * count / 5)) if count else 0
