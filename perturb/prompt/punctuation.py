"""`punctuation@1..5`: marks and blanks that change no word."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from robustness.perturb.language.edit import Edit
from robustness.perturb.prompt.surface import SurfacePerturbation
from robustness.registry import PERTURBATIONS

_BLANK = re.compile(r"(?<=\S) (?=\S)")
_MARK = re.compile(r"[,;](?= )|(?<=\w)-(?=\w)")


@PERTURBATIONS.add("punctuation")
class Punctuation(SurfacePerturbation):
    """Change marks and blanks: the full stop (1), one doubled blank (2), commas and hyphens (3), quotes (4), all (5).

    1: a full stop at the end is added, or taken away where there is one; 2: and a drawn blank is doubled; 3: and commas
    and hyphens become blanks; 4: and the text stands in quotation marks; 5: and every blank is doubled. Expectation:
    "invariant". Params: as `antonym`, kind "".
    """

    name = "punctuation"
    source: ClassVar[str] = "punctuation and blanks"
    reason: ClassVar[str] = "the prompt has no word to set marks around"

    def changes(self, text: str, severity: int, rng: np.random.Generator) -> Sequence[Edit]:
        """Return the edits; each severity makes the kinds of change of the weaker ones."""
        body = text.rstrip()
        if not any(character.isalnum() for character in body):
            return ()
        stop = len(body)
        quote = '"' if severity >= 4 else ""
        end = Edit(stop - 1, stop, ".", quote) if body.endswith(".") else Edit(stop, stop, "", "." + quote)
        edits = [end]
        blanks = [m.start() for m in _BLANK.finditer(body)]
        drawn = blanks[int(rng.integers(len(blanks)))] if blanks else -1
        if severity >= 2:
            doubled = blanks if severity == 5 else [drawn] if blanks else []
            edits += [Edit(i, i + 1, " ", "  ") for i in doubled]
        if severity >= 3:
            edits += [Edit(*m.span(), m.group(), " " if m.group() == "-" else "") for m in _MARK.finditer(body)]
        if quote:
            edits.append(Edit(0, 0, "", quote))
        return edits
