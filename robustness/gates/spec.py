"""The gates file: which promises a run is held to (TOML)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from robustness.errors import InputError
from robustness.plans.toml import StrictModel, read_toml
from robustness.plans.validation import validated

Policy = Literal["fail", "warn", "skip"]
Test = Literal[
    "drop_below",
    "noninferior",
    "no_proven_drop",
    "invariant",
    "follows",
    "ignores",
    "abstains",
    "retention",
    "minimum",
    "directional",
]
BY_VERDICT = ("follows", "ignores", "abstains")
AGAINST_BASELINE = ("noninferior", "no_proven_drop")
_NEEDED = {
    "retention": ("at_least", "at_least = 0.9"),
    "directional": ("direction", 'direction = "drop"'),
}


class GateSpec(StrictModel):
    """One ``[[gate]]``.

    `condition`, `attribute`, `model`, `dataset` are globs; `subgroup` is a column of the results, or ``column=GLOB``.
    `margin` is a number in units of the metric, or "noise": what two runs of the same model may differ by.
    `certified`: a pass needs a distribution-free test that agrees.
    """

    name: str = ""
    test: Test
    condition: str | None = None
    attribute: str | None = None
    subgroup: str | None = None
    model: str = "*"
    dataset: str = "*"
    metric: str = "dice"
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["noise"] = 0.0
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    at_most: float | None = Field(default=None, allow_inf_nan=False)
    direction: Literal["drop", "rise"] | None = None
    severity: Literal["error", "warn"] = "error"
    certified: bool = False
    inconclusive: Policy | None = None

    @property
    def title(self) -> str:
        """What the gate is called: its name, else what it tests."""
        return self.name or f"{self.test} {self.condition or self.attribute or ''}".strip()

    @property
    def label(self) -> str:
        """The gate as error messages name it."""
        return f"gate {self.name or self.test!r}"


class Gates(StrictModel):
    """A gates file."""

    inconclusive: Policy = "fail"
    gate: list[GateSpec] = Field(min_length=1)


def load_gates(path: str | Path) -> Gates:
    """Read a gates file.

    Raises:
        InputError: no such file, not TOML, an unknown key or a bad value.
    """
    gates = validated(Gates, read_toml_gates(path), source=str(path))
    for gate in gates.gate:
        check_gate(gate)
    return gates


def check_gate(gate: GateSpec) -> None:
    """Raise InputError where a gate lacks a key that its test needs, or has one that it would not use."""
    key, example = _NEEDED.get(gate.test, ("", ""))
    if key and getattr(gate, key) is None:
        raise InputError(f"{gate.label}: {gate.test} needs {key}, for example {example}")
    if gate.test == "minimum" and (gate.at_least is None) == (gate.at_most is None):
        raise InputError(f"{gate.label}: minimum needs at_least or at_most (one of them), for example at_least = 0.8")
    if gate.test == "retention" and not (gate.at_least or 0) > 0:
        raise InputError(f"{gate.label}: at_least: retention needs a share above 0, got {gate.at_least!r}")
    if gate.test == "directional" and (gate.at_least or 0) < 0:
        raise InputError(f"{gate.label}: at_least: directional needs an amount of at least 0, got {gate.at_least!r}")
    if gate.direction is not None and gate.test not in ("directional", *AGAINST_BASELINE):
        raise InputError(f"{gate.label}: direction is for directional and for comparisons with a baseline")
    if gate.subgroup is not None and gate.test in BY_VERDICT:
        raise InputError(
            f"{gate.label}: {gate.test} reads the run's verdicts, which know no subgroups; remove subgroup"
        )


def read_toml_gates(path: str | Path) -> dict[str, object]:
    """Read the TOML of a gates file, with an error that speaks of gates."""
    if not Path(path).is_file():
        raise InputError(
            f"gates: expected a TOML file with [[gate]] tables, found none at {str(path)!r}; use --gates FILE"
        )
    return read_toml(path)
