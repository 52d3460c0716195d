"""Achievable outcomes of each gate of a gates file with these subjects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from robustness.errors import InputError, counted
from robustness.forecasts.planned_run import PlannedRun
from robustness.forecasts.spread import Sd, SpreadModel
from robustness.gates.criterion import criterion_of
from robustness.metrics.inference.upper_bound import subjects_for_zero_reactions
from robustness.metrics.verdicts.selectivity import rows_with_second_target

if TYPE_CHECKING:
    from robustness.gates.findings import Finding
    from robustness.gates.spec import Gates, GateSpec


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
    if criterion_of(gate).by_verdict:
        return GateForecast(
            gate.title,
            gate.test,
            conditions,
            n,
            Sd(math.nan, ""),
            math.nan,
            math.nan,
            _uncounted(planned, gate, cells) or _never_verdict(planned, gate, cells),
            "reads the verdicts; see the claims above",
        )
    alpha = planned.plan.statistics.alpha
    each = [_powers(gate, cell, _spread_of(spread, gate, cell), alpha, len(cells)) for cell in cells]
    weakest = min(each, key=lambda point: (math.inf if math.isnan(point[1]) else point[1], -_or_zero(point[2])))
    never = _too_few(planned, gate, n) or _uncounted(planned, gate, cells)
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


def _uncounted(planned: PlannedRun, gate: GateSpec, cells: Sequence[Finding]) -> str:
    """Return why no certificate counts, though the gate asks for one; "" where one could."""
    from robustness.gates.findings import unit_of_dataset

    units = [unit_of_dataset(planned.manifest["datasets"], cell.dataset) for cell in cells]
    unknown = next((unit for unit in units if gate.certified and not unit.stated), None)
    return "" if unknown is None else f"{unknown.why}, so that no certificate counts (certified = true)"


def _too_few(planned: PlannedRun, gate: GateSpec, n: int) -> str:
    least = planned.plan.statistics.min_subjects
    if n >= least:
        return ""
    return (
        f"a subgroup of {counted(n, planned.unit)}; it takes {least} to decide"
        if gate.subgroup
        else (f"{counted(n, planned.unit)}; it takes {least} to decide")
    )


def _spread_of(spread: SpreadModel, gate: GateSpec, cell: Finding) -> Sd:
    source = criterion_of(gate).spread
    if source == "models":
        return spread.between_models(gate.metric)
    if source == "none":
        return Sd(math.nan, "not forecast: it depends on the scores themselves")
    return spread.of(cell.condition, gate.metric)


def _powers(gate: GateSpec, cell: Finding, sd: Sd, alpha: float, family: int) -> tuple[Sd, float, float]:
    """Return (spread, how often it passes where nothing changed, true change that fails with 80%)."""
    if gate.margin == "noise" or math.isnan(sd.value):
        return sd, math.nan, math.nan
    power = criterion_of(gate).power(gate, sd.value, cell.n_subjects, alpha=alpha, family=family)
    return sd, power.passes, power.fails_from


def _never_verdict(planned: PlannedRun, gate: GateSpec, cells: Sequence[Finding]) -> str:
    """Return why the verdict that a gate wants cannot be reached by any (follows) or by each (ignores) condition."""
    table, stats = planned.verdicts(), planned.plan.statistics
    too_few = _too_few(planned, gate, max(cell.n_subjects for cell in cells))
    if too_few or gate.test not in ("follows", "ignores"):
        return too_few
    if gate.test == "follows":
        rows = planned.results()
        apart = rows_with_second_target(rows, stats.target_overlap)
        second = rows[rows["applicable"] & apart & (rows["family"] == "prompt")]
        conditions = {cell.condition for cell in cells}
        if set(second["condition"]) & conditions:
            return ""
        return "no second object, apart from the first, on any image, so FOLLOWS cannot be shown"
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
    return criterion_of(gate).forecast_note(gate)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _none(gate: GateSpec, reason: str) -> GateForecast:
    return GateForecast(gate.title, gate.test, (), 0, Sd(math.nan, ""), math.nan, math.nan, reason, "")
