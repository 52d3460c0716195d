"""Comparability of two runs: the same data, by content, under the same plan. Models may differ."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from robustness.errors import InputError
from robustness.plans.differences import flat

if TYPE_CHECKING:
    import pandas as pd

    from robustness.plans.audit import Plan


class Measured(NamedTuple):
    """What a run measured.

    Attributes:
        plan: everything of the plan that decides which rows there are and what a score means, as "key.sub": value.
        data: one hash of all files of each dataset, by (name, split); empty while a run is unfinished.
    """

    plan: dict[str, Any]
    data: dict[tuple[str, str], str]


def measured_by(plan: Plan, manifest: Mapping[str, Any]) -> Measured:
    """Return what a run measured, from its plan and its manifest."""
    facts = manifest.get("datasets", [])
    return Measured(
        dict(flat(measured_plan(plan))), {(str(f["name"]), str(f["split"])): files_hash(f["files"]) for f in facts}
    )


def measured_plan(plan: Plan) -> dict[str, Any]:
    """Return the part of a plan that two comparable runs share: no model, no paths, no engine, no error rates."""
    tree = plan.model_dump()
    data = [{k: v for k, v in spec.items() if k not in ("path", "name")} for spec in tree["data"]]
    return {"seed": tree["seed"], "data": data, "perturbations": tree["perturbations"], "metrics": tree["metrics"]}


def files_hash(files: Mapping[str, str]) -> str:
    """Return one hash of the names and hashes of a dataset's files, wherever they lie."""
    # A file outside the dataset's folder is recorded with its full path, which differs between machines.
    named = sorted((PurePosixPath(n).name if n.startswith("/") else n, digest) for n, digest in files.items())
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()


def refuse_other(now: Measured, earlier: Earlier | None, *, source: str = "baseline") -> None:
    """Raise InputError unless the earlier run or baseline file measured the same as this run (`now`)."""
    if earlier is None:
        raise InputError(f"{source}: it compares with a baseline; use --baseline RUN")
    then = earlier.measured
    # A key that the baseline's version did not know yet stood at its default.
    defaults = _defaults(len({key.partition(".")[0] for key in now.plan if key.startswith("data[")}))
    for key in [*now.plan, *(k for k in then.plan if k not in now.plan)]:
        before, after = (measured.get(key, defaults.get(key)) for measured in (then.plan, now.plan))
        if before != after:
            raise InputError(
                f"baseline: it was made under another plan: {key} is {_shown(before)} there and "
                f"{_shown(after)} here; nothing was compared. Compare runs of one plan, or save the baseline again"
            )
    if then.data and now.data:
        _refuse_other_data(then.data, now.data)


def _refuse_other_data(then: dict[tuple[str, str], str], now: dict[tuple[str, str], str]) -> None:
    for key in sorted({*then, *now}):
        if then.get(key) == now.get(key):
            continue
        how = "has other files there" if key in then and key in now else "is only in one of them"
        raise InputError(
            f"baseline: it was made on other data: dataset {key[0]!r} ({key[1]}) {how}; nothing was compared. "
            "Compare runs of the same data, or save the baseline again"
        )


def _defaults(datasets: int) -> dict[str, Any]:
    from robustness.plans.audit import parse_plan

    bare = parse_plan({"model": {"name": "any"}, "data": [{"path": "any"}] * max(datasets, 1)})
    return dict(flat(measured_plan(bare)))


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


class Earlier(Protocol):
    """A run, or a baseline file: scores to compare with."""

    @property
    def manifest(self) -> dict[str, Any]:
        """What is recorded of the run."""
        ...

    @property
    def measured(self) -> Measured:
        """What the scores were measured on."""
        ...

    def results(self) -> pd.DataFrame:
        """Return one row per prediction."""
        ...
