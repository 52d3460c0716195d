"""State of a run's folder besides its rows: what a resume must match, and what the parts cost."""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError, OtherRunError
from robustness.files import write_text
from robustness.plans.audit import NOT_HASHED, Plan, parse_plan
from robustness.plans.differences import differing_keys
from robustness.plans.toml import read_toml
from robustness.run_folder import PLAN, SHA256, STATE, RunFolder
from robustness.types import Segmenter

# In a run's state: where the relative paths of its plan lie.
PLAN_FOLDER = "plan_folder"
# In its environment: the accelerators that changed images; none where the processor did.
CHANGED_ON = "images_changed_on"
# In its packages.
SUITE = "vlsm-robustness"
# What a model says of the machine it runs on: a change of these is drift, not another model.
HARDWARE = ("device", "device_name", "precision", "threads")


def work_of(run: RunFolder) -> dict[str, float]:
    """Return the cost of all parts of a run, whatever session made them."""
    total: dict[str, float] = {}
    for path in sorted(run.pictures.glob("work-*.json")):
        for key, value in run.read_json(f".gallery/{path.name}").items():
            if key != SHA256:
                total[key] = round(total.get(key, 0) + value, 3)
    return total


def without(facts: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return the facts but those of `keys`."""
    return {k: v for k, v in facts.items() if k not in keys}


def only(facts: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return the facts of `keys`."""
    return {k: v for k, v in facts.items() if k in keys}


def describe(model: Segmenter) -> dict[str, Any]:
    """Return what a manifest records of a model."""
    describe = getattr(model, "describe", None)
    return dict(describe()) if describe else {"name": model.name}


def digest(fingerprint: dict[str, str]) -> str:
    """Return one hash of the hashes of a dataset's files."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()


def compare(stored: dict[str, Any], now: dict[str, Any], *, allow_drift: bool, plan_keys: str = "") -> None:
    """Compare a run's stored state with the present one.

    Args:
        plan_keys: in which keys the plans differ, for the message.

    Raises:
        OtherRunError: another run, or (unless `allow_drift`) another version of this suite, or a machine that changed.
    """
    names = {
        "plan_sha256": "plan",
        "datasets": "state of the data",
        "models": "model or checkpoint",
        "conditions": "list of conditions",
        "parts": "number of parts",
        "images_of_parts": "sharing of its images among parts",
    }
    drift = _drift(stored["environment"], now["environment"])
    is_older = any(name == SUITE or name.startswith("rules of ") for name in drift)
    for key, name in names.items():
        if stored.get(key) != now.get(key):
            name += " by another version of this suite" if is_older else ""
            keys = f" ({plan_keys})" if key == "plan_sha256" and plan_keys else ""
            raise OtherRunError(
                f"out: the folder holds a run with another {name}{keys}; "
                f"choose a new folder, or go back to the {PLAN} inside it"
            )
    if drift and not allow_drift:
        what = "; ".join(f"{name} was {before!r}, is {after!r}" for name, (before, after) in drift.items())
        if is_older:
            raise OtherRunError(
                f"out: another version of this suite began the run in this folder ({what}); choose another folder, "
                "or go on with the version that began it (robustness audit --allow-drift mixes both)"
            )
        raise OtherRunError(
            f"resume: the machine changed since the run began ({what}); use --allow-drift to continue regardless"
        )


def _drift(stored: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return, by name, what of an environment changed: (before, now); single packages and rules, not all of them."""
    drift: dict[str, tuple[Any, Any]] = {}
    for key, value in now.items():
        before = stored.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            one = {"packages": ""}.get(key, f"{key} of ")
            drift |= {
                f"{one}{name}": (before.get(name), value.get(name))
                for name in {**before, **value}
                if before.get(name) != value.get(name)
            }
        elif before != value and not (key == "rules" and before is None):
            # Runs of older versions do not record rules.
            drift[key] = before, value
    return drift


def record_state(
    run: RunFolder, plan: Plan, state: dict[str, Any], *, allow_drift: bool, plan_folder: Path | None = None
) -> None:
    """Write a run's state, or compare it with the one that is there.

    `plan_folder`, where the plan's relative paths lie, is noted for a replay and never compared.
    """
    stored = run.read_json(STATE)
    if stored:
        same = stored["plan_sha256"] == state["plan_sha256"]
        compare(stored, state, allow_drift=allow_drift, plan_keys="" if same else differing_plan(run, plan))
        keep_plan(run, plan, stored["plan_sha256"])
        return
    write_text(run.path / PLAN, plan.to_toml())
    where = {} if plan_folder is None else {PLAN_FOLDER: str(plan_folder.resolve())}
    run.write_json(STATE, {**state, **where})


def differing_plan(run: RunFolder, plan: Plan) -> str:
    """Return in which keys a plan differs from the one that lies in a run's folder; "" where that cannot be read."""
    try:
        stored = read_toml(run.path / PLAN)
    except InputError:
        return ""
    return differing_keys(stored, tomllib.loads(plan.to_toml()), leave_out=NOT_HASHED)


def keep_plan(run: RunFolder, plan: Plan, sha256: str) -> None:
    """See that the run's plan is the one that its rows were made by: the conclusions are drawn from it."""
    if not os.path.lexists(run.path / PLAN):
        write_text(run.path / PLAN, plan.to_toml())
    stored = parse_plan(read_toml(run.path / PLAN), source=PLAN)
    if stored.sha256() != sha256:
        raise InputError(
            f"out: {PLAN} was changed since the audit began; restore it, or delete it and run the same audit "
            "again, which writes it again"
        )
