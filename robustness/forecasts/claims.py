"""Achievable verdicts of each claim of an audit with these subjects."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.forecasts.planned_run import PlannedRun
from robustness.forecasts.spread import Sd, SpreadModel
from robustness.metrics.inference.power import bound_power, gap_found, smallest_p
from robustness.metrics.inference.upper_bound import subjects_for_zero_reactions
from robustness.metrics.verdicts.robustness import measure_of
from robustness.metrics.verdicts.selectivity import rows_with_second_target
from robustness.metrics.verdicts.spread import EXCESS

if TYPE_CHECKING:
    import pandas as pd

    from robustness.plans.audit import StatisticsSpec


class ClaimForecast(NamedTuple):
    """One claim.

    Attributes:
        n_subjects: that the condition applies to.
        alpha: of each side of its interval, the family of its claims paid for.
        sd: of the subjects' values.
        found_from: true value from which the claim that the model is moved (REACTS, FRAGILE) is made with 80%.
        shown_up_to: largest true value up to which ROBUST is shown with 80%; negative: not even for an
            invariant model. NaN for prompt claims.
        unmoved: how often ROBUST is shown for an invariant model; NaN for prompt claims.
        needed: subjects from which IGNORES can be certified; None for robustness claims.
        never: verdicts that cannot be reached, with the reason.
    """

    claim: str
    model: str
    dataset: str
    condition: str
    metric: str
    n_subjects: int
    alpha: float
    margin: float
    sd: Sd
    found_from: float
    shown_up_to: float
    unmoved: float
    needed: int | None
    never: dict[str, str]


def forecast_claims(planned: PlannedRun, spread: SpreadModel) -> list[ClaimForecast]:
    """Return the forecast of every claim that the audit would make."""
    table = planned.verdicts()
    table = table[table["claim"] != "abstention"]
    forecasts = []
    for row in table.to_dict("records"):
        family = _family(table, row, planned.plan.statistics.min_subjects)
        make = _prompt if row["claim"] == "prompt" else _robustness
        forecasts.append(make(planned, spread, row, planned.plan.statistics.alpha / family))
    return forecasts


def _family(table: pd.DataFrame, row: dict[Any, Any], least: int) -> int:
    """Return how many claims share the error rate with this one."""
    same = (table["claim"] == row["claim"]) & (table["model"] == row["model"]) & (table["dataset"] == row["dataset"])
    if row["claim"] == "robustness":
        same &= table["metric"] == row["metric"]
    return max(1, int((same & (table["n_subjects"] >= least)).sum()))


def _prompt(planned: PlannedRun, spread: SpreadModel, row: dict[Any, Any], alpha: float) -> ClaimForecast:
    stats, n = planned.plan.statistics, int(row["n_subjects"])
    margin = stats.margin_change
    sd = spread.of(row["condition"], EXCESS)
    # Claims that all hold share no error rate: closed means of e-values.
    needed = subjects_for_zero_reactions(margin, alpha=stats.alpha)
    return ClaimForecast(
        "prompt",
        row["model"],
        row["dataset"],
        row["condition"],
        "mask_change",
        n,
        alpha,
        margin,
        sd,
        margin + gap_found(sd.value, n, alpha=alpha),
        math.nan,
        math.nan,
        needed,
        _never_prompt(planned, row, n, needed),
    )


def _never_prompt(planned: PlannedRun, row: dict[Any, Any], n: int, needed: int) -> dict[str, str]:
    stats = planned.plan.statistics
    if n < stats.min_subjects:
        return {"any verdict": _too_few(row)}
    never = {}
    rows = planned.results()
    here = rows[(rows["condition"] == row["condition"]) & (rows["dataset"] == row["dataset"]) & rows["applicable"]]
    if not rows_with_second_target(here).any():
        never["FOLLOWS"] = "no second object on the image"
    elif not rows_with_second_target(here, stats.target_overlap).any():
        share = f"{100 * stats.target_overlap:g}%"
        never["FOLLOWS"] = f"in every case more than {share} of the smaller of the two objects lies in the other"
    if "no paraphrase baseline" in str(row["rule"]):
        never["REACTS, UNSTABLE, IGNORES"] = (
            f"no paraphrase baseline: paraphrases of fewer than {stats.min_subjects} {planned.unit}s"
        )
    elif n < needed:
        best = "IGNORES*" if n >= _subjects_for_a_star(stats, stats.margin_change) else "INCONCLUSIVE"
        never["IGNORES"] = f"{n} of the {needed} {planned.unit}s that certify it ({best} at best)"
    smallest = smallest_p(n, resamples=stats.resamples)
    if smallest >= stats.alpha:
        never["detectable"] = f"the smallest p value of {n} {planned.unit}s is {smallest:.3g}"
    return never


def _too_few(row: dict[Any, Any]) -> str:
    """Return why a claim of too few subjects is not judged; what its rule says of shifts, no model has shown yet."""
    return str(row["rule"]).partition("; ")[0]


def _subjects_for_a_star(stats: StatisticsSpec, margin: float) -> int:
    if stats.star_alpha >= 1:
        return stats.min_subjects
    return subjects_for_zero_reactions(margin, alpha=stats.star_alpha)


def _robustness(planned: PlannedRun, spread: SpreadModel, row: dict[Any, Any], alpha: float) -> ClaimForecast:
    n, margin = int(row["n_subjects"]), float(row["margin"])
    sd = spread.of(row["condition"], row["metric"])
    gap = gap_found(sd.value, n, alpha=alpha)
    stats = planned.plan.statistics
    never = {"any verdict": _too_few(row)} if n < stats.min_subjects else {}
    if not never and measure_of(row["metric"], margin).bounded:
        least = _subjects_for_a_star(stats, margin)
        if n < least:
            never["ROBUST"] = f"{n} of the {least} {planned.unit}s that even ROBUST* takes (INCONCLUSIVE at best)"
    return ClaimForecast(
        "robustness",
        row["model"],
        row["dataset"],
        row["condition"],
        row["metric"],
        n,
        alpha,
        margin,
        sd,
        margin + gap,
        margin - gap,
        bound_power(margin, sd.value, n, alpha=alpha),
        None,
        never,
    )
