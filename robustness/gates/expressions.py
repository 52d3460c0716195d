"""Expressions such as ``dice:drop>0.02``: when a comparison with a baseline fails a test session."""

from __future__ import annotations

import re

from robustness.errors import InputError
from robustness.gates.spec import GateSpec

_FORM = re.compile(
    r"\s*(?P<metric>\w+)(?:\[(?P<condition>[^\]]+)\])?:(?P<kind>drop|rise|possible-drop|possible-rise)"
    r"\s*>\s*(?P<margin>[0-9]*\.?[0-9]+)\s*"
)
HELP = "METRIC[CONDITION]:drop>NUMBER, for example dice:drop>0.02, dice[image:*]:possible-drop>0.05"


def parse_expression(text: str) -> GateSpec:
    """Return the gate that an expression stands for; the gate fails where the expression holds.

    ``dice:drop>0.02``: a loss of more than 0.02 is proven (lower bound above it). ``dice:possible-drop>0.02``: it is
    not ruled out (upper bound above it). For a metric with a direction "drop" means worse; ``rise`` and
    ``possible-rise`` ask for a growing value. ``[GLOB]`` names conditions; without it clean is compared.

    Raises:
        InputError: another form.

    Example:
        >>> gate = parse_expression("dice[antonym:*]:drop>0.02")
        >>> gate.test, gate.condition, gate.margin
        ('no_proven_drop', 'antonym:*', 0.02)
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise InputError(f"--robustness-compare-fail: expected {HELP}; got {text!r}")
    possible = match["kind"].startswith("possible-")
    return GateSpec(
        name=text.strip(),
        test="noninferior" if possible else "no_proven_drop",
        metric=match["metric"],
        condition=match["condition"],
        margin=float(match["margin"]),
        direction="rise" if match["kind"].endswith("rise") else None,
    )
