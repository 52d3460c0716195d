"""What a gate can ask of a run: the base of every criterion, and their registry."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal, NamedTuple

from robustness.errors import InputError
from robustness.gates.evidence import Evidence
from robustness.gates.findings import Finding
from robustness.gates.spec import GateSpec
from robustness.registry import Registry
from robustness.results import CLEAN

NO_MARGIN = "margin 0: passes where no score moves at all, or something got provably better"


class Power(NamedTuple):
    """What a gate can show with so many subjects; NaN where it cannot be estimated.

    Attributes:
        passes: how often it passes where nothing changed.
        fails_from: true difference from which it fails with 80%.
    """

    passes: float = math.nan
    fails_from: float = math.nan


def noninferiority_power(margin: float, sd: float, n: int, *, alpha: float, family: int) -> Power:
    """Return the power of a one-sided test that a loss stays below `margin`.

    Args:
        margin, sd: in units of the metric; `sd` is the spread of the subjects' values.
        n: subjects.
        alpha: error rate of one side.
        family: comparisons that are judged together.
    """
    from robustness.metrics.inference.power import bound_power, gap_found

    return Power(bound_power(margin, sd, n, alpha=alpha), margin + gap_found(sd, n, alpha=alpha / family))


class GateCriterion(ABC):
    """One `test` of a gates file; its file registers it with `GATE_CRITERIA`.

    Attributes:
        baseline: it compares with an earlier run.
        against_clean: it compares a condition with clean, so that it cannot be asked of clean.
        by_verdict: it reads the run's verdicts, which know no subgroups.
        directed: `direction` says which way is meant.
        signed: estimates are differences, shown with their sign.
        required: keys that a gate must state, each with an example.
        spread: what a forecast takes for the spread of its values: that of a condition's effects, that of the
            difference between two models, or none.
    """

    baseline: ClassVar[bool] = False
    against_clean: ClassVar[bool] = False
    by_verdict: ClassVar[bool] = False
    directed: ClassVar[bool] = False
    signed: ClassVar[bool] = True
    required: ClassVar[tuple[tuple[str, str], ...]] = ()
    spread: ClassVar[Literal["condition", "models", "none"]] = "condition"

    def check(self, gate: GateSpec) -> None:  # noqa: B027 - most criteria have nothing to refuse
        """Refuse a gate with values that the criterion cannot use; keys are checked before.

        Raises:
            InputError: it has one.
        """

    @abstractmethod
    def findings(self, evidence: Evidence, gate: GateSpec) -> list[Finding]:
        """Return one finding for each comparison that the gate asks for; at least one.

        Raises:
            InputError: nothing matches, or the metric is none that the criterion can judge.
        """

    def power(self, gate: GateSpec, sd: float, n: int, *, alpha: float, family: int) -> Power:
        """Return what a gate with a margin in numbers can show.

        Args:
            gate: the gate.
            sd: spread of the subjects' values, in units of the metric.
            n: subjects.
            alpha: error rate of one side.
            family: comparisons that are judged together.
        """
        return Power()

    def forecast_note(self, gate: GateSpec) -> str:
        """Return what a forecast says beside the power, or why there is none."""
        return "power not estimable: it depends on the scores themselves"


GATE_CRITERIA: Registry[type[GateCriterion]] = Registry("gate", "robustness.gates.criteria")


def criterion_of(gate: GateSpec) -> GateCriterion:
    """Return the criterion that a gate's `test` names.

    Raises:
        UnknownNameError: there is none of that name.
    """
    return GATE_CRITERIA.get(gate.test)()


def check_gate(gate: GateSpec) -> None:
    """Raise InputError where a gate lacks a key that its test needs, or has one that it would not use."""
    criterion = criterion_of(gate)
    for key, example in criterion.required:
        if getattr(gate, key) is None:
            raise InputError(f"{gate.label}: {gate.test} needs {key}, for example {example}")
    if gate.direction is not None and not criterion.directed:
        raise InputError(f"{gate.label}: direction is for directional and for comparisons with a baseline")
    if gate.subgroup is not None and criterion.by_verdict:
        raise InputError(
            f"{gate.label}: {gate.test} reads the run's verdicts, which know no subgroups; remove subgroup"
        )
    if gate.condition == CLEAN and criterion.against_clean:
        raise InputError(f"{gate.label}: {gate.test} compares a condition with clean; name another condition")
    criterion.check(gate)
