"""Evidence of the gates of one judgement, computed once: paired values, rerun noise, the earlier scores."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from robustness.errors import InputError
from robustness.gates.findings import Unit, unit_of_dataset
from robustness.gates.spec import GateSpec
from robustness.results import CLEAN, CONDITION, FLAGS, IDENTITY, PROMPT, RERUN
from robustness.runs.measured import Earlier

if TYPE_CHECKING:
    import pandas as pd

    from robustness.metrics.pairing.before_after import BeforeAfter, Change
    from robustness.metrics.pairing.contrasts import Contrast
    from robustness.metrics.pairing.rows import Rows
    from robustness.metrics.verdicts.settings import Settings
    from robustness.runs.stored import StoredRun


# Columns that say which prediction a row is, and what happened to it.
_KEYS = {*IDENTITY, *CONDITION, *PROMPT, *FLAGS, "other_case_id", "error"}


Floors: TypeAlias = Literal["none", "trivial", "score", "all"]


class Noise(NamedTuple):
    """How far two clean runs of the same model may differ on average; `measured` is False without a rerun."""

    value: float
    measured: bool


class Evidence:
    """The tables behind the gates of one run; every pairing is made once per metric."""

    def __init__(self, run: StoredRun, earlier: Earlier | None) -> None:
        self.run, self.earlier = run, earlier
        self.statistics, self.seed = run.plan.statistics, run.plan.seed
        self._kept: dict[tuple[Any, ...], Any] = {}

    @cached_property
    def results(self) -> pd.DataFrame:
        """The run's rows."""
        return self.run.results()

    @cached_property
    def rows(self) -> Rows:
        """The run's rows, coded."""
        from robustness.metrics.pairing.rows import read_rows

        return read_rows(self.results)

    @cached_property
    def before(self) -> pd.DataFrame:
        """The earlier rows."""
        if self.earlier is None:
            raise InputError("baseline: expected a run or a baseline file to compare with, got none")
        return self.earlier.results()

    def unit(self, dataset: str) -> Unit:
        """Return what the subjects of a dataset are: data whose patients are known may stand beside others."""
        unit: Unit = self._once(
            ("unit", dataset), lambda: unit_of_dataset(self.run.manifest.get("datasets") or (), dataset)
        )
        return unit

    @cached_property
    def attributes(self) -> dict[str, set[str]]:
        """The attributes that each condition touches."""
        changed = self.results[~self.results["condition"].isin([CLEAN, RERUN])]
        names: dict[str, set[str]] = {}
        for condition, attribute in set(zip(changed["condition"], changed["attribute"].fillna(""), strict=True)):
            names.setdefault(str(condition), set()).add(str(attribute))
        return names

    def contrasts(self, gate: GateSpec, *, raw: bool = False) -> list[Contrast]:
        """Return the changed conditions that a gate is about, against clean; `raw`: changed - clean, not oriented.

        Raises:
            InputError: nothing matches, or the run lacks the metric or the column.
        """
        from robustness.metrics.pairing.contrasts import contrasts
        from robustness.metrics.pairing.direction import orientation_of

        self._check(gate)
        column, orientation = gate.column, orientation_of(gate.metric)
        if raw and orientation == "clean - perturbed":
            orientation = "perturbed - clean"
        cells = self._once(
            ("contrast", gate.metric, column, orientation),
            lambda: contrasts(self.rows, gate.metric, orientation, by=column),
        )
        return self._matching(cells, gate, self.conditions(gate))

    def scores(self, gate: GateSpec) -> list[Contrast]:
        """Return the plain scores of the conditions that a gate is about; of clean where it names none."""
        from robustness.metrics.pairing.contrasts import scores

        self._check(gate)
        column = gate.column
        cells = self._once(("scores", gate.metric, column), lambda: scores(self.rows, gate.metric, by=column))
        return self._matching(cells, gate, self.conditions_or_clean(gate))

    def changes(self, gate: GateSpec) -> list[Change]:
        """Return the conditions that a gate is about, in the earlier run against this one."""
        self._check(gate)
        if gate.metric not in self.before:
            raise InputError(
                f"{gate.label}: the baseline has no metric {gate.metric!r}; save it again with that metric"
            )
        column, partners = gate.column, self.partners(gate)
        conditions = self.conditions_or_clean(gate)
        key = (*sorted(partners.items()), *sorted(conditions))
        both: BeforeAfter = self._once(("before", key), lambda: self._before_after(partners, conditions))
        orientation = _against(gate)
        available = self._once(
            ("changes", key, gate.metric, column, orientation),
            lambda: both.changes(gate.metric, orientation, by=column),
        )
        matching = {id(cell) for cell in self._matching([change.contrast for change in available], gate, conditions)}
        return [change for change in available if id(change.contrast) in matching]

    def noise(self, gate: GateSpec, model: str, dataset: str, *, before: bool = False) -> Noise:
        """Return the largest mean difference of two clean runs that the interval (1 - 2 alpha) allows."""
        if not before:
            return self._noises(self.rows, gate.metric, "now").get((model, dataset), Noise(0.0, False))
        from robustness.metrics.pairing.rows import read_rows

        rows = self._once(("rows before",), lambda: read_rows(self.before))
        partner = self.partners(gate)[model]
        return self._noises(rows, gate.metric, "before").get((partner, dataset), Noise(0.0, False))

    def floor(self, model: str, dataset: str, gate: GateSpec, floors: Floors) -> str:
        """Return why the clean score of a model shows nothing (`robustness.metrics.verdicts.floors`), or "".

        `floors`: "trivial": it must beat trivial masks; "score": also the margin of Dice; "all": also the model's own
        score under other prompts, and the gate's margin must be one that it can lose.
        """
        if floors == "none":
            return ""
        from robustness.metrics.verdicts.floors import floor_reason, headroom_reason, trivial_reason

        margin = gate.margin if isinstance(gate.margin, float) else 0.0

        def measure() -> str:
            models = self.run.manifest.get("models") or []
            if any(model in (m.get("label"), m.get("name")) and (m.get("weights") or {}).get("random") for m in models):
                return f"{model} has random weights"
            unknown, mine, settings = self.unknown(model, dataset), *self._asked(model, dataset)
            if unknown or floors == "trivial":
                return unknown or trivial_reason(self.rows, mine, settings)
            reason = floor_reason(self.rows, mine, settings, own=floors == "all")
            if floors == "score":
                return reason
            return reason or headroom_reason(self.rows, mine, gate.metric, margin, settings)

        reason: str = self._once(("floor", model, dataset, gate.metric, margin, floors), measure)
        return reason

    def unknown(self, model: str, dataset: str) -> str:
        """Return that too few clean scores of a model are known to decide anything; "" where there are enough."""
        from robustness.metrics.verdicts.floors import unknown_reason

        return unknown_reason(self.rows, *self._asked(model, dataset))

    def _asked(self, model: str, dataset: str) -> tuple[pd.DataFrame, Settings]:
        """Return the conditions of a model on a dataset, and the settings of what is asked of them."""
        from robustness.metrics.verdicts.settings import Settings

        cells, s, unit = self.rows.cells, self.statistics, self.unit(dataset).name
        settings = Settings(s.alpha, s.margin_dice, s.margin_change, s.resamples, self.seed, unit, s.min_subjects)
        return cells[(cells["model"] == model) & (cells["dataset"] == dataset)], settings

    def pairs(self, gate: GateSpec) -> list[tuple[str, str]]:
        """Return every (model, dataset) of the run whose names a gate's globs match, in order of first appearance."""
        pairs = self.results[["model", "dataset"]].astype("str").drop_duplicates().itertuples(index=False, name=None)
        return [
            (model, dataset)
            for model, dataset in pairs
            if fnmatch.fnmatchcase(model, gate.model) and fnmatch.fnmatchcase(dataset, gate.dataset)
        ]

    def partners(self, gate: GateSpec) -> dict[str, str]:
        """Return the earlier model for each model: the one of the same name, or the only one."""
        new = sorted(m for m in self.results["model"].unique() if fnmatch.fnmatchcase(m, gate.model))
        old = sorted(self.before["model"].unique())
        if len(new) == len(old) == 1:
            return {new[0]: old[0]}
        missing = [name for name in new if name not in old]
        if missing or not new:
            raise InputError(
                f"{gate.label}: the baseline has no model {missing[0] if missing else gate.model!r} "
                f"(it has {', '.join(old)}); choose one with model = ..."
            )
        return {name: name for name in new}

    def conditions_or_clean(self, gate: GateSpec) -> set[str]:
        """Return the conditions that a gate names; clean where it names none."""
        from robustness.metrics.pairing.direction import CHANGE

        conditions = self.conditions(gate) if gate.condition or gate.attribute else {CLEAN}
        if conditions == {CLEAN} and gate.metric == CHANGE:
            raise InputError(f"{gate.label}: {CHANGE} is 0 on clean whatever the model does; name a condition")
        return conditions

    def conditions(self, gate: GateSpec) -> set[str]:
        """Return the conditions that a gate names; all but clean and the rerun where it names none."""
        if gate.condition == CLEAN:
            return {CLEAN}
        conditions = {
            condition
            for condition, attributes in self.attributes.items()
            if fnmatch.fnmatchcase(condition, gate.condition or "*")
            and (not gate.attribute or any(fnmatch.fnmatchcase(a, gate.attribute) for a in attributes))
        }
        if not conditions:
            raise InputError(nothing(gate, [CLEAN, *sorted(self.attributes)]))
        return conditions

    def _before_after(self, partners: dict[str, str], conditions: set[str]) -> BeforeAfter:
        from robustness.metrics.pairing.before_after import BeforeAfter

        return BeforeAfter(self.before, self.results, partners, conditions)

    def _noises(self, rows: Rows, metric: str, when: str) -> dict[tuple[str, str], Noise]:
        from robustness.metrics.inference.intervals import t_interval
        from robustness.metrics.pairing.contrasts import contrasts
        from robustness.metrics.pairing.direction import orientation_of

        def measure() -> dict[tuple[str, str], Noise]:
            noises = {}
            for again in contrasts(rows, metric, orientation_of(metric)):
                if again.condition == RERUN:
                    bounds = t_interval(again.effect, level=1 - 2 * self.statistics.alpha)[1:]
                    value = max((abs(b) for b in bounds if b == b), default=0.0)
                    # The bounds of a few subjects lie so far apart that any change would pass for noise.
                    measured = again.n_subjects >= self.statistics.min_subjects
                    noises[again.model, again.dataset] = Noise(value if measured else 0.0, measured)
            return noises

        cached: dict[tuple[str, str], Noise] = self._once(("noise", when, metric), measure)
        return cached

    def _check(self, gate: GateSpec) -> None:
        from robustness.metrics.pairing.rows import refuse_out_of_range

        if gate.metric not in self.results:
            raise InputError(f"{gate.label}: the run has no metric {gate.metric!r}")
        if gate.metric in _KEYS:
            raise InputError(
                f"{gate.label}: metric: {gate.metric!r} is a column of the run and no score; name a metric"
            )
        refuse_out_of_range(self.rows, gate.metric)

    def _matching(self, cells: Sequence[Contrast], gate: GateSpec, conditions: set[str]) -> list[Contrast]:
        group = (gate.subgroup or "").partition("=")[2].strip() or "*"

        def fits(cell: Contrast) -> bool:
            names = (cell.model, gate.model), (cell.dataset, gate.dataset), (cell.group, group)
            return cell.condition in conditions and all(fnmatch.fnmatchcase(name, glob) for name, glob in names)

        matching = [cell for cell in cells if fits(cell)]
        if not matching:
            available = sorted(
                {f"{cell.model} on {cell.dataset}{f' [{cell.group}]' * bool(cell.group)}" for cell in cells}
            )
            raise InputError(
                f"{gate.label}: model {gate.model!r}, dataset {gate.dataset!r}, subgroup {gate.subgroup!r} match no "
                f"rows of {', '.join(sorted(conditions))}; the run has {', '.join(available)}"
            )
        return matching

    def _once(self, key: tuple[Any, ...], make: Any) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


def nothing(gate: GateSpec, available: list[str]) -> str:
    """Return the message for a gate that matches no condition."""
    known = f"; it has {', '.join(available)}" if available else f" that {gate.test} can judge"
    return f"{gate.label}: {gate.condition or gate.attribute or '*'!r} matches no condition of the run{known}"


def _against(gate: GateSpec) -> Any:
    """Return how a comparison with a baseline is oriented: worse is positive; without a direction a drop is."""
    from robustness.metrics.pairing.direction import CHANGE, orientation_of
    from robustness.registry import METRICS

    if gate.direction is not None:
        return "clean - perturbed" if gate.direction == "drop" else "perturbed - clean"
    directed = gate.metric != CHANGE and METRICS.get(gate.metric).higher_is_better is not None
    return orientation_of(gate.metric) if directed else "clean - perturbed"
