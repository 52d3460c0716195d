"""Before an audit runs: what its claims and gates can show with these subjects, and what it will cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.errors import InputError
from robustness.forecasts.claims import ClaimForecast, forecast_claims
from robustness.forecasts.gates import GateForecast, forecast_gates
from robustness.forecasts.planned_run import PlannedRun, changed_conditions
from robustness.forecasts.spread import SpreadModel, cases_per_subject
from robustness.metrics.verdicts.spread import subject_spread
from robustness.plans.audit import Plan
from robustness.types import Progress
from robustness.workflows.loading import load_data, load_spec
from robustness.workflows.run import Run, open_run

if TYPE_CHECKING:
    from robustness.gates.spec import Gates
    from robustness.runners.data.load import Dataset
    from robustness.runners.dry_run.timing import Pilot
    from robustness.runners.dry_run.workload import Workload


class Forecast(NamedTuple):
    """What is known before the run.

    Attributes:
        unit: "patient", "image" or "subject".
        works: what one model is asked, per dataset.
        pilots: measured seconds per row, per model and dataset; empty where nothing was measured.
        seconds: (estimate, of the fastest batches, of the slowest batches) for all models; None without pilots.
        spread: where spreads come from.
        claims: one per (model, dataset, condition) and claim.
        gates: one per gate.
    """

    unit: str
    works: list[Workload]
    pilots: list[Pilot]
    seconds: tuple[float, float, float] | None
    spread: SpreadModel
    claims: list[ClaimForecast]
    gates: list[GateForecast]

    @property
    def undecidable(self) -> list[GateForecast]:
        """The gates that cannot pass whatever the model does."""
        return [gate for gate in self.gates if gate.never]


def forecast(
    plan: Plan,
    *,
    folder: Path | None = None,
    gates: Gates | None = None,
    like: str | Path | Run | None = None,
    batches: int = 3,
    progress: Progress | None = None,
) -> Forecast:
    """Say what an audit by `plan` can show, and what it will cost. Every case is read; nothing is kept.

    Args:
        plan: as `load_plan` returns it.
        folder: where the plan's paths are looked up first.
        gates: of a gates file.
        like: a finished run of a similar model on similar data: how much its subjects differ replaces the assumptions.
        batches: measured batches of images, after one to warm up; 0: no model is opened and no time is measured.
        progress: called with (rows counted, rows in all).

    Returns:
        Rows and predictions to come, seconds where they were measured, and for each claim the verdicts within reach
        and the smallest effect that it would find; ``print`` shows it as text. Power is a normal approximation from
        the spread of a similar run, or from the assumptions that the text names.

    Raises:
        InputError: an argument that cannot be used.
    """
    from robustness.runners.dry_run.workload import workload

    if batches < 0:
        raise InputError(f"batches: expected 0 or more, got {batches}")
    datasets = [load_data(spec, seed=plan.seed, folder=folder) for spec in plan.data]
    sample = plan.engine.image_batch * max(batches, 1)
    # Measured first: what the counting loads once would be missing from the time.
    pilots = _measure(plan, datasets, folder, batches) if batches else []
    works = [workload(plan, data, index, images=sample, progress=progress) for index, data in enumerate(datasets)]
    names = [spec.label or spec.name for spec in plan.model]
    planned = PlannedRun(plan, works, list(dict.fromkeys(names)), [d.facts() for d in datasets])
    spread = _spread(plan, planned, like)
    return Forecast(
        planned.unit,
        works,
        pilots,
        _seconds(works, pilots),
        spread,
        forecast_claims(planned, spread),
        forecast_gates(planned, spread, gates) if gates else [],
    )


def _spread(plan: Plan, planned: PlannedRun, like: str | Path | Run | None) -> SpreadModel:
    per_subject = cases_per_subject(planned.results())
    if like is None:
        return SpreadModel({}, per_subject)
    run = like if isinstance(like, Run) else open_run(like)
    table = run.results()
    if not set(changed_conditions(table)) & set(changed_conditions(planned.results())):
        raise InputError(f"like: {run.path.name!r} shares no condition with the plan; choose a run of a similar plan")
    metrics = [*dict.fromkeys(("dice", *plan.metrics.names, *plan.statistics.margins, "mask_change"))]
    return SpreadModel(subject_spread(table, metrics), per_subject, run.path.name)


def _measure(plan: Plan, datasets: Sequence[Dataset], folder: Path | None, batches: int) -> list[Pilot]:
    from robustness.runners.dry_run.timing import measure

    pilots = []
    for model_place, spec in enumerate(plan.model):
        started = time.perf_counter()
        model: Any = load_spec(spec, folder=folder)
        loading = time.perf_counter() - started
        for data_place, data in enumerate(datasets):
            one = measure(plan, model, data, model_place=model_place, data_place=data_place, batches=batches)
            pilots.append(one._replace(start=one.start + loading))
            loading = 0.0
    return pilots


def _seconds(works: Sequence[Workload], pilots: Sequence[Pilot]) -> tuple[float, float, float] | None:
    if not pilots:
        return None
    rows = [works[number % len(works)].n_rows for number in range(len(pilots))]
    start = sum(pilot.start for pilot in pilots)
    whole = [start + sum(n * seconds for n, seconds in zip(rows, each, strict=True)) for each in _columns(pilots)]
    return whole[0], whole[1], whole[2]


def _columns(pilots: Sequence[Pilot]) -> tuple[list[float], list[float], list[float]]:
    return [p.mean for p in pilots], [p.low for p in pilots], [p.high for p in pilots]
