"""Conditions that should be harmless: which of them carry a robustness claim, and which of their rows count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from robustness.metrics.pairing.coverage import Flags
from robustness.metrics.pairing.rows import Rows
from robustness.metrics.verdicts.evidence import base_name
from robustness.results import PARAPHRASE, is_searched


class Harmless(NamedTuple):
    """Whether each cell carries a robustness claim, and whether each row counts for it."""

    cells: Flags
    rows: Flags


def harmless_conditions(rows: Rows) -> Harmless:
    """Return image conditions whole; of prompt and joint conditions the rows that should leave the mask as it is.

    Not controls, and not the result of a search: its score is a bound, which can show harm but never robustness.
    """
    family = rows.cells["family"].to_numpy()
    is_paraphrase = np.array([base_name(c) == PARAPHRASE for c in rows.cells["condition"]], dtype=bool)
    expectation = rows.frame["expectation"].to_numpy()
    # A table from elsewhere may state no expectation: its joint conditions are changes like any other.
    unstated = (expectation == "") & (family == "joint")[rows.cell]
    invariant = (expectation == "invariant") | unstated
    some = np.bincount(rows.cell[invariant & rows.usable], minlength=len(family)) > 0
    every = np.bincount(rows.cell[~invariant], minlength=len(family)) == 0
    changes_prompt = np.isin(family, ("prompt", "joint")) & (some | every) & ~is_paraphrase
    is_control = np.bincount(rows.cell[expectation != "control"], minlength=len(family)) == 0
    claimed = ((family == "image") & ~is_control) | changes_prompt | ((family == "prompt") & is_paraphrase)
    claimed &= ~np.array([is_searched(c) for c in rows.cells["condition"]], dtype=bool)
    return Harmless(claimed, ~changes_prompt[rows.cell] | invariant)
