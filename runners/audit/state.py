"""State of a run's folder besides its rows: what a resume must match, and what the parts cost."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from robustness.errors import InputError
from robustness.run_folder import PLAN, SHA256, RunFolder
from robustness.types import Segmenter

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
        InputError: another run, or (unless `allow_drift`) a machine that changed.
    """
    names = {
        "plan_sha256": "plan",
        "datasets": "state of the data",
        "models": "model or checkpoint",
        "conditions": "list of conditions",
        "parts": "number of parts",
    }
    for key, name in names.items():
        if stored.get(key) != now[key]:
            keys = f" ({plan_keys})" if key == "plan_sha256" and plan_keys else ""
            raise InputError(
                f"out: the folder holds a run with another {name}{keys}; "
                f"choose a new folder, or go back to the {PLAN} inside it"
            )
    drift = {
        k: (stored["environment"].get(k), v) for k, v in now["environment"].items() if stored["environment"].get(k) != v
    }
    if drift and not allow_drift:
        what = "; ".join(f"{k} was {before!r}, is {after!r}" for k, (before, after) in drift.items())
        raise InputError(
            f"resume: the machine changed since the run began ({what}); use --allow-drift to continue regardless"
        )
