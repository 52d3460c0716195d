"""Assertions on a run, for tests: the gates of a gates file as methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, Unpack

from robustness.errors import InputError, RobustnessError, printable
from robustness.gates.assertion_settings import AssertionSettings, Policy, current
from robustness.runs.stored import StoredRun

if TYPE_CHECKING:
    from robustness.gates.baselines import Baseline
    from robustness.gates.evidence import Evidence
    from robustness.gates.judge import Judged

    Earlier: TypeAlias = StoredRun | Baseline | str | Path


class GateError(RobustnessError, AssertionError):
    """A run does not keep what an assertion states, or the data do not decide it (`judged.outcome`)."""

    def __init__(self, message: str, judged: Judged) -> None:
        super().__init__(message)
        # Other errors are one line; this one is read in a test's report, line by line.
        self.args = ("\n".join(printable(line) for line in message.splitlines()),)
        self.judged = judged

    @property
    def summary(self) -> str:
        """The outcome first, then what was found: for the one line that pytest cuts."""
        return f"{self.judged.worst.outcome.upper()} {self.judged.worst.message}"


class InconclusiveWarning(UserWarning):
    """An assertion that neither holds nor fails."""


class Cells(TypedDict, total=False):
    """Keywords of every assertion; globs, as in a gates file. `inconclusive`: "fail", "skip" or "warn"."""

    name: str
    subgroup: str
    model: str
    dataset: str
    inconclusive: Policy
    certified: bool


class Conditions(Cells, total=False):
    """Which conditions."""

    condition: str
    attribute: str


class Narrowed(Cells, total=False):
    """Of the named conditions those with this attribute, and another metric than Dice."""

    attribute: str
    metric: str


class Claims(Cells, total=False):
    """Of the named attribute's claims those on these conditions."""

    condition: str


class Where(Conditions, total=False):
    """Which conditions, and another metric than Dice."""

    metric: str


class Assertions(StoredRun):
    """Assertions of `Run`: each returns its findings.

    All call the judges of `robustness gate`. An interval decides; where it cannot, the outcome is inconclusive, which
    fails, skips or warns as `inconclusive` says, or else the test's marker, pytest's option, its ini file ("fail" if
    none does). Conditions, attributes, models and datasets are globs. Margins and scores are in the metric's own unit
    (Dice in [0, 1], distances in mm); "noise" is what a second identical run moves. Fewer subjects than the plan's
    `min_subjects` decide nothing. The tests and their error rates: docs/gates.md.

    Raises (every assertion):
        GateError: it does not hold, or is inconclusive under the policy "fail"; `error.judged` has the numbers.
        InputError: an unknown keyword, a glob that matches nothing, or no baseline where one is needed.
    """

    _evidences: dict[int, tuple[Any, Evidence]]

    def assert_no_proven_drop(
        self,
        baseline: Earlier | None = None,
        metric: str = "dice",
        *,
        margin: float | Literal["noise"] = 0.0,
        direction: Literal["drop", "rise"] | None = None,
        **where: Unpack[Conditions],
    ) -> Judged:
        """The metric has not been proven to be worse than in the baseline by more than `margin`: a gate for merges."""
        __tracebackhide__ = True
        more = {"metric": metric, "margin": margin, "direction": direction}
        return self._hold("no_proven_drop", where, more, baseline=baseline)

    def assert_noninferior(
        self,
        baseline: Earlier | None = None,
        margin: float | Literal["noise"] = 0.02,
        *,
        direction: Literal["drop", "rise"] | None = None,
        **where: Unpack[Where],
    ) -> Judged:
        """A loss of `margin` against the baseline is ruled out: a gate for releases."""
        __tracebackhide__ = True
        return self._hold("noninferior", where, {"margin": margin, "direction": direction}, baseline=baseline)

    def assert_drop_below(self, condition: str, margin: float | Literal["noise"], **where: Unpack[Narrowed]) -> Judged:
        """The conditions cost less than `margin` against clean."""
        __tracebackhide__ = True
        return self._hold("drop_below", where, {"condition": condition, "margin": margin})

    def assert_invariant(
        self, condition: str, margin: float | Literal["noise"] = 0.02, **where: Unpack[Narrowed]
    ) -> Judged:
        """The conditions change the metric by less than `margin`, up or down."""
        __tracebackhide__ = True
        return self._hold("invariant", where, {"condition": condition, "margin": margin})

    def assert_directional(
        self, condition: str, direction: Literal["drop", "rise"], *, at_least: float = 0.0, **where: Unpack[Narrowed]
    ) -> Judged:
        """The conditions move the metric's own value down ("drop") or up ("rise") by more than `at_least`."""
        __tracebackhide__ = True
        return self._hold(
            "directional", where, {"condition": condition, "direction": direction, "at_least": float(at_least)}
        )

    def assert_minimum(
        self, at_least: float | None = None, *, at_most: float | None = None, **where: Unpack[Where]
    ) -> Judged:
        """The mean score (of clean images, where no condition is named) is at least, or at most, this much."""
        __tracebackhide__ = True
        return self._hold("minimum", where, {"at_least": at_least, "at_most": at_most})

    def assert_retention(self, condition: str, at_least: float, **where: Unpack[Narrowed]) -> Judged:
        """The conditions keep at least this share of the clean score."""
        __tracebackhide__ = True
        return self._hold("retention", where, {"condition": condition, "at_least": float(at_least)})

    def assert_follows(self, attribute: str, **where: Unpack[Claims]) -> Judged:
        """The model follows the words of this attribute (a glob) to another object on the same image."""
        __tracebackhide__ = True
        return self._hold("follows", where, {"attribute": attribute})

    def assert_ignores(self, attribute: str, **where: Unpack[Claims]) -> Judged:
        """The words of this attribute (a glob) are certified to leave the mask as it is."""
        __tracebackhide__ = True
        return self._hold("ignores", where, {"attribute": attribute})

    def assert_abstains(self, condition: str = "*", **where: Unpack[Cells]) -> Judged:
        """Asked for what is not there (a glob over conditions), the model leaves the mask empty."""
        __tracebackhide__ = True
        return self._hold("abstains", where, {"condition": condition})

    def _hold(
        self, test: str, where: Mapping[str, Any], more: Mapping[str, Any], *, baseline: Earlier | None = None
    ) -> Judged:
        __tracebackhide__ = True
        from robustness.gates.criterion import criterion_of
        from robustness.gates.judge import judge_gate
        from robustness.gates.spec import GateSpec
        from robustness.plans.validation import validated

        settings = current()
        policy = where.get("inconclusive") or settings.inconclusive
        given = {k: v for k, v in {**where, **more, "test": test, "inconclusive": policy}.items() if v is not None}
        gate = validated(GateSpec, given, source=f"assert_{test}")
        earlier = None
        if criterion_of(gate).baseline:
            earlier = _earlier(self, baseline, settings, source=f"assert_{test}")
        judged = judge_gate(self._evidence(earlier), gate, policy)
        _record(settings, judged, self)
        _conclude(judged, policy, _explain(judged, self, earlier))
        return judged

    def _evidence(self, earlier: Any) -> Evidence:
        """Return the evidence against `earlier`; several assertions of one run pair its rows once."""
        from robustness.gates.evidence import Evidence
        from robustness.gates.judge import warn_of_other_rules
        from robustness.runs.measured import refuse_other

        cached = self.__dict__.setdefault("_evidences", {})
        if id(earlier) not in cached:
            if earlier is not None:
                refuse_other(self.measured, earlier)
                warn_of_other_rules(self, earlier, stacklevel=6)
            # The object is kept beside its number, which is free again once the object is gone.
            cached[id(earlier)] = earlier, Evidence(self, earlier)
        evidence: Evidence = cached[id(earlier)][1]
        return evidence


def _earlier(run: StoredRun, baseline: Earlier | None, settings: AssertionSettings, *, source: str) -> Any:
    """Return what the run is compared with; with `update` a named baseline becomes the run itself first."""
    from robustness.gates.baselines import files_of, is_baseline, open_earlier, save_baseline

    chosen = baseline if baseline is not None else settings.baseline
    if chosen is None:
        raise InputError(
            f"{source}: expected a baseline, got none; pass a run or a baseline file, or use --robustness-compare NAME"
        )
    if not isinstance(chosen, str | Path):
        return chosen
    chosen = settings.root / chosen if settings.root is not None else chosen
    if settings.update and (is_baseline(chosen) or not Path(chosen).is_dir()):
        file = files_of(chosen)[0].resolve()
        holder = settings.updated.setdefault(file, run.path.resolve())
        if holder != run.path.resolve():
            raise InputError(
                f"baseline: {file.name} was just saved from {holder}; give {run.path} a baseline of its own"
            )
        save_baseline(run, file)
    elif not is_baseline(chosen) and not Path(chosen).exists():
        raise InputError(
            f"baseline: expected a run's folder or a baseline file, found none at {str(chosen)!r}; save it with "
            "pytest --robustness-update or robustness gate RUN --save-baseline"
        )
    opened = run.__dict__.setdefault("_earlier", {})
    key = str(Path(chosen).resolve())
    if key not in opened or settings.update:
        opened[key] = open_earlier(chosen)
    return opened[key]


def _explain(judged: Judged, run: StoredRun, earlier: Any) -> str:
    from robustness.gates.output import details, next_commands

    name = f" {judged.gate.name!r}" if judged.gate.name else ""
    commands = [f"next: {line}" for line in next_commands([judged], run.path, getattr(earlier, "path", None))]
    outcome = judged.worst.outcome.upper()
    # pytest cuts its summary line: what happened comes before where.
    return "\n  ".join([f"{outcome}: assert_{judged.gate.test}{name}", *details(judged), *commands])


def _conclude(judged: Judged, policy: str, message: str) -> None:
    __tracebackhide__ = True
    outcome = judged.worst.outcome
    if outcome == "fail" or (outcome == "inconclusive" and policy == "fail"):
        raise GateError(message, judged)
    if outcome == "inconclusive" and policy == "skip":
        import unittest

        raise unittest.SkipTest(message)
    if outcome == "inconclusive":
        import warnings

        warnings.warn(message, InconclusiveWarning, stacklevel=4)


def _record(settings: AssertionSettings, judged: Judged, run: StoredRun) -> None:
    if settings.record is not None:
        from robustness.gates.output import as_json

        settings.record(as_json([judged], run=run.path, earlier=None)["gates"][0] | {"run": str(run.path)})
