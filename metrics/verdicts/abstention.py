"""Abstention: does a mask stay empty where the prompt asks for what is not there?"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Interval
from robustness.metrics.inference.planning import FURTHEST
from robustness.metrics.inference.shares import Share, clopper_pearson
from robustness.metrics.inference.upper_bound import share_bound, subjects_for_zero_reactions
from robustness.metrics.pairing.coverage import Flags, count_rows, lost_shares, missing_of
from robustness.metrics.pairing.pairs import subject_means
from robustness.metrics.pairing.rows import Rows
from robustness.metrics.verdicts.needed import Needed
from robustness.metrics.verdicts.settings import Settings
from robustness.results import CLEAN

ABSTAIN = "abstain"
AREA = "area_fraction"


class AbstentionDecision(NamedTuple):
    """What the rule says of one condition; `painted` subjects have a mask that is not empty on at least one image."""

    cell: int
    verdict: str
    rule: str
    interval: Interval
    painted: int
    n_subjects: int
    n_images: int
    n_total: int
    n_missing: int
    level: float
    m: int
    share: Share
    needed: Needed


def abstention_cells(rows: Rows, cells: pd.DataFrame) -> list[int]:
    """Return the conditions of which some rows should leave the mask empty (expectation "abstain")."""
    if not (rows.frame["expectation"] == ABSTAIN).any():
        return []
    abstaining = (rows.frame["expectation"] == ABSTAIN).to_numpy() & rows.applicable
    n_rows = np.bincount(rows.cell[abstaining], minlength=len(rows.cells))
    return [int(cell) for cell in cells.index[n_rows[cells.index] > 0]]


def abstention_decisions(rows: Rows, cells: pd.DataFrame, settings: Settings) -> list[AbstentionDecision]:
    """Judge every condition under which the mask should stay empty.

    A subject abstains where all of its masks stay empty. ABSTAINS: the exact upper bound of the share of subjects that
    paint something lies below `margin_abstain`; HALLUCINATES: its lower bound lies above it; each side errs with
    alpha / m (Clopper-Pearson). A subject of whom anything is missing counts as painting for ABSTAINS, and as
    abstaining for HALLUCINATES where it has not painted. A model that is not shown to paint when it is asked for what
    is there (clean) is UNTESTABLE instead of ABSTAINS: what never answers does not abstain.
    """
    conditions = abstention_cells(rows, cells)
    painted = _painted(rows)
    silent = _silent_reason(rows, cells, painted, settings) if conditions else ""
    counted = [_counts(rows, cell, painted) for cell in conditions]
    m = max(1, sum(not settings.too_few(count.values.size) for count in counted))
    decisions = [_decide(cell, count, settings, m) for cell, count in zip(conditions, counted, strict=True)]
    return [
        one._replace(verdict="UNTESTABLE", rule=silent) if silent and one.verdict == "ABSTAINS" else one
        for one in decisions
    ]


def _silent_reason(rows: Rows, cells: pd.DataFrame, painted: np.ndarray, settings: Settings) -> str:
    """Return why an empty mask says nothing of a model: its clean masks are empty as well; "" where they are not.

    Shown means that the lower bound (Clopper-Pearson, alpha) of the share of subjects who get a clean mask that is not
    empty lies above `margin_abstain`: a model that always paints as rarely as that would be called to abstain.
    """
    clean = np.isin(rows.cell, cells.index[cells["condition"] == CLEAN]) & np.isfinite(painted)
    indices = np.flatnonzero(clean)
    means = subject_means(painted[indices], rows.subject_of_case[rows.case[indices]])[1]
    share = clopper_pearson(int((means > 0).sum()), means.size, level=1 - 2 * settings.alpha)
    if means.size and share.low > settings.margin_abstain:
        return ""
    painting = f"{int((means > 0).sum())} of {means.size} {settings.unit}s have a clean mask that is not empty"
    return (
        f"{painting}, which does not show that it paints in more than {100 * settings.margin_abstain:g}% when it is"
        " asked for what is there"
    )


class _Counts(NamedTuple):
    """One bool per subject with a value: has it painted anything; `n_unknown`: what is missing could have done so."""

    values: Flags
    n_images: int
    n_total: int
    n_missing: int
    n_unknown: int


def _painted(rows: Rows) -> np.ndarray:
    """Return 1.0 per row with a mask that is not empty, 0.0 per empty one, NaN where it is not known."""
    if AREA in rows.frame.columns:
        area = rows.values(AREA)
        return np.where(np.isfinite(area), (area > 0).astype(float), np.nan)
    painted = np.full(len(rows.frame), np.nan)
    for flag, value in (("both_empty", 0.0), ("missed", 0.0), ("hallucinated", 1.0)):
        if flag in rows.frame.columns:
            painted[rows.frame[flag].eq(True).fillna(False).to_numpy(dtype=bool) & rows.usable] = value
    return painted


def _counts(rows: Rows, cell: int, painted: np.ndarray) -> _Counts:
    here = (rows.cell == cell) & (rows.frame["expectation"] == ABSTAIN).to_numpy() & rows.applicable
    indices = np.flatnonzero(here & np.isfinite(painted))
    cases = np.unique(rows.case[indices])
    missing = missing_of(rows, lost_shares(count_rows(rows, np.flatnonzero(here)), count_rows(rows, indices)))
    subjects, means = subject_means(painted[indices], rows.subject_of_case[rows.case[indices]])
    unknown = (missing.share > 0) & ~np.isin(missing.subjects, subjects[means > 0])
    return _Counts(means > 0, cases.size, missing.n_subjects, missing.n_images, int(unknown.sum()))


def _decide(cell: int, counts: _Counts, settings: Settings, m: int) -> AbstentionDecision:
    k, painted, alpha, margin = (
        counts.values.size,
        int(counts.values.sum()),
        settings.alpha / m,
        settings.margin_abstain,
    )
    share = clopper_pearson(painted, k, level=1 - 2 * alpha)
    summary = f"{painted} of {k} {settings.unit}s painted something: {_percent(share)}"
    decision = AbstentionDecision(
        cell,
        "INCONCLUSIVE",
        f"{summary} holds the margin {100 * margin:g}%",
        Interval(*share),
        painted,
        k,
        counts.n_images,
        counts.n_total,
        counts.n_missing,
        1 - 2 * alpha,
        m,
        clopper_pearson(painted, k, level=1 - settings.alpha),
        Needed(None, "", ""),
    )
    reason = settings.too_few(k) if k else "no case applies, or no area of the mask is known (area_fraction)"
    if reason:
        return decision._replace(verdict="UNTESTABLE", rule=reason)
    total = max(k, counts.n_total)
    low = clopper_pearson(painted, total, level=1 - 2 * alpha).low
    high = clopper_pearson(painted + counts.n_unknown, total, level=1 - 2 * alpha).high
    side = "below" if high < margin else "above" if low > margin else ""
    if side:
        rule = f"{summary} {side} the margin {100 * margin:g}%"
        abstaining = clopper_pearson(k - painted, k, level=1 - settings.alpha) if side == "below" else decision.share
        return decision._replace(verdict="ABSTAINS" if side == "below" else "HALLUCINATES", rule=rule, share=abstaining)
    if share.high < margin or share.low > margin:
        why = f"{counts.n_unknown} {settings.unit}s lack a mask, and counted as the worst they overturn the answer"
        return decision._replace(rule=f"{summary}; {why}", needed=Needed(None, "", why))
    return decision._replace(needed=_needed(painted, k, margin, alpha))


def _needed(painted: int, k: int, margin: float, alpha: float) -> Needed:
    """Return the subjects that would decide at the share seen; none within `FURTHEST` times the present ones."""
    if painted == 0:
        return Needed(subjects_for_zero_reactions(margin, alpha=alpha), "ABSTAINS", "")
    rate = painted / k
    for n in range(k + 1, FURTHEST * k + 1):
        if rate < margin and share_bound(math.ceil(rate * n), n, alpha=alpha) < margin:
            return Needed(n, "ABSTAINS", "")
        if rate > margin and clopper_pearson(math.floor(rate * n), n, level=1 - 2 * alpha).low > margin:
            return Needed(n, "HALLUCINATES", "")
    return Needed(None, "", f"the share lies too near the margin for up to {FURTHEST} x {k} to decide")


def _percent(share: Share) -> str:
    return f"{100 * share.value:.1f}% [{100 * share.low:.1f}%, {100 * share.high:.1f}%]"
