"""Read and check a gates file."""

from __future__ import annotations

from pathlib import Path

from robustness.gates.criterion import check_gate
from robustness.gates.spec import Gates, read_toml_gates
from robustness.plans.validation import validated


def load_gates(path: str | Path) -> Gates:
    """Read a gates file.

    Raises:
        InputError: no such file, not TOML, an unknown key or test, or a bad value.
    """
    gates = validated(Gates, read_toml_gates(path), source=str(path))
    for gate in gates.gate:
        check_gate(gate)
    return gates
