"""The gates file: which promises a run is held to (TOML)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from robustness.errors import InputError
from robustness.plans.toml import StrictModel, read_toml

Policy = Literal["fail", "warn", "skip"]


class GateSpec(StrictModel):
    """One ``[[gate]]``.

    `test` names a criterion of `robustness.gates.criteria`. `condition`, `attribute`, `model`, `dataset` are globs;
    `subgroup` is a column of the results, or ``column=GLOB``.
    `margin` is a number in units of the metric, or "noise": what two runs of the same model may differ by.
    `certified`: a pass needs a distribution-free test that agrees.
    """

    name: str = ""
    test: str
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
    def column(self) -> str:
        """The column of the results whose values are the subgroups; "" where none are asked for."""
        return (self.subgroup or "").partition("=")[0].strip()

    @property
    def label(self) -> str:
        """The gate as error messages name it."""
        return f"gate {self.name or self.test!r}"


class Gates(StrictModel):
    """A gates file."""

    inconclusive: Policy = "fail"
    gate: list[GateSpec] = Field(min_length=1)


def read_toml_gates(path: str | Path) -> dict[str, object]:
    """Read the TOML of a gates file, with an error that speaks of gates."""
    if not Path(path).is_file():
        raise InputError(
            f"gates: expected a TOML file with [[gate]] tables, found none at {str(path)!r}; use --gates FILE"
        )
    return read_toml(path, what="gates")
