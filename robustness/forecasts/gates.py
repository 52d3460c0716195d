"""Achievable outcomes of each gate of a gates file with these subjects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from robustness.errors import InputError
from robustness.forecasts.planned_run import PlannedRun
from robustness.forecasts.spread import Sd, SpreadModel
from robustness.gates.spec import BY_VERDICT
from robustness.metrics.inference.power import bound_power, gap_found, inside_power
from robustness.metrics.inference.upper_bound import subjects_for_zero_reactions

if TYPE_CHECKING:
    from robustness.gates.findings import Finding
    from robustness.gates.spec import Gates, GateSpec

# The mean score of a clean model, for shares of it, where no earlier run tells.
_CLEAN_MEAN = 0.8


class GateForecast(NamedTuple):
    """One gate.

    Attributes:
        conditions: that it judges, over all models, datasets and subgroups.
        n_subjects: of the condition with the fewest.
        sd: the largest of the conditions' spreads.
        passes: how often the condition with the least power passes where nothing changed; NaN where that is not
            estimable.
        fails_from: true drop (or change) from which it fails with 80%; NaN where that is not estimable.
        never: why it can never pass, or "".
        note: what else to know.
    """

    name: str
    test: str
    conditions: tuple[str, ...]
    n_subjects: int
    sd: Sd
    passes: float
    fails_from: float
    never: str
    note: str


def forecast_gates(planned: PlannedRun, spread: SpreadModel, gates: Gates) -> list[GateForecast]:
    """Return the forecast of every gate; a gate that matches nothing is one that can never pass."""
    from robustness.gates.evidence import Evidence
    from robustness.gates.judge import judge_gate

    evidence, forecasts = Evidence(planned, planned), []  # type: ignore[arg-type]
    for gate in gates.gate:
        try:
            # On scores of an invariant model: which cells there are does not depend on scores.
            cells = judge_gate(evidence, gate).findings
        except InputError as error:
            forecasts.append(_none(gate, str(error)))
        else:
            forecasts.append(_forecast(planned, spread, gate, cells))
    return forecasts


def _forecast(planned: PlannedRun, spread: SpreadModel, gate: GateSpec, cells: Sequence[Finding]) -> GateForecast:
    conditions = tuple(dict.fromkeys(cell.condition for cell in cells))
    n = min(cell.n_subjects for cell in cells)
    if gate.test in BY_VERDICT:
        return GateForecast(
            gate.title,
            gate.test,
            conditions,
            n,
            Sd(math.nan, ""),
            math.nan,
            math.nan,
            _never_verdict(planned, gate, cells),
            "reads the verdicts; see the claims above",
        )
    alpha = planned.plan.statistics.alpha
    each = [_powers(gate, cell, _spread_of(spread, gate, cell), alpha, len(cells)) for cell in cells]
    weakest = min(each, key=lambda point: (math.inf if math.isnan(point[1]) else point[1], -_or_zero(point[2])))
    never = _too_few(planned, gate, n)
    return GateForecast(
        gate.title,
        gate.test,
        conditions,
        n,
        weakest[0],
        math.nan if never else weakest[1],
        weakest[2],
        never,
        _note(gate),
    )


def _too_few(planned: PlannedRun, gate: GateSpec, n: int) -> str:
    least = planned.plan.statistics.min_subjects
    if n >= least:
        return ""
    return (
        f"a subgroup of {n} {planned.unit}s; it takes {least} to decide"
        if gate.subgroup
        else (f"{n} {planned.unit}s; it takes {least} to decide")
    )


def _spread_of(spread: SpreadModel, gate: GateSpec, cell: Finding) -> Sd:
    if gate.test in ("noninferior", "no_proven_drop"):
        return spread.between_models(gate.metric)
    if gate.test == "minimum":
        return Sd(math.nan, "not forecast: it depends on the scores themselves")
    return spread.of(cell.condition, gate.metric)


def _powers(gate: GateSpec, cell: Finding, sd: Sd, alpha: float, family: int) -> tuple[Sd, float, float]:
    """Return (spread, how often it passes where nothing changed, true change that fails with 80%)."""
    n, wide = cell.n_subjects, alpha / family
    if gate.margin == "noise" or math.isnan(sd.value):
        return sd, math.nan, math.nan
    margin, gap = float(gate.margin), gap_found(sd.value, n, alpha=wide)
    if gate.test == "no_proven_drop":
        return sd, 1 - bound_power(-margin, sd.value, n, alpha=wide), margin + gap
    if gate.test == "invariant":
        return sd, inside_power(margin, sd.value, n, alpha=alpha), margin + gap
    if gate.test == "retention":
        room = (1 - float(gate.at_least or 0)) * _CLEAN_MEAN
        return sd, bound_power(room, sd.value, n, alpha=alpha), room + gap
    if gate.test == "directional":
        return sd, math.nan, math.nan
    return sd, bound_power(margin, sd.value, n, alpha=alpha), margin + gap


def _never_verdict(planned: PlannedRun, gate: GateSpec, cells: Sequence[Finding]) -> str:
    """Return why the verdict that a gate wants cannot be reached by any (follows) or by each (ignores) condition."""
    table, stats = planned.verdicts(), planned.plan.statistics
    too_few = _too_few(planned, gate, max(cell.n_subjects for cell in cells))
    if too_few or gate.test == "abstains":
        return too_few
    if gate.test == "follows":
        rows = planned.results()
        second = rows[rows["applicable"] & (rows["other_case_id"].fillna("") != "") & (rows["family"] == "prompt")]
        conditions = {cell.condition for cell in cells}
        return (
            "" if set(second["condition"]) & conditions else "no second object on any image, so FOLLOWS cannot be shown"
        )
    prompt = table[table["claim"] == "prompt"]
    floor = prompt["rule"].str.contains("no paraphrase baseline") & prompt["condition"].isin(
        [c.condition for c in cells]
    )
    if floor.any():
        return f"no paraphrase baseline: the plan has paraphrases of fewer than {stats.min_subjects} {planned.unit}s"
    needed = subjects_for_zero_reactions(stats.margin_change, alpha=stats.alpha)
    for cell in cells:
        if cell.n_subjects < needed:
            return f"IGNORES needs {needed} {planned.unit}s, {cell.condition} has {cell.n_subjects}"
    return ""


def _note(gate: GateSpec) -> str:
    if gate.margin == "noise":
        return "margin from rerun noise: known after the run"
    if gate.margin == 0 and gate.test in ("noninferior", "drop_below", "invariant"):
        return "margin 0: passes where no score moves at all, or something got provably better"
    if gate.test in ("minimum", "directional"):
        return "power not estimable: it depends on the scores themselves"
    if gate.test == "retention":
        return f"a clean mean of {_CLEAN_MEAN:g} is assumed"
    if gate.test in ("noninferior", "no_proven_drop"):
        return "needs a baseline"
    return ""


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _none(gate: GateSpec, reason: str) -> GateForecast:
    return GateForecast(gate.title, gate.test, (), 0, Sd(math.nan, ""), math.nan, math.nan, reason, "")
