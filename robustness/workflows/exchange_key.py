"""The private half of an export: which request is which case and condition, with hashes of all that was exported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import robustness
from robustness.errors import InputError, counted
from robustness.files import sha256_file, write_text
from robustness.plans.audit import Plan, parse_plan
from robustness.plans.paths import resolve
from robustness.plans.toml import read_toml
from robustness.run_folder import read_table
from robustness.workflows.loading import load_data

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runners.data.load import Dataset

PUBLIC, KEY = "public", "key"
PLAN, REQUESTS, FACTS = "plan.toml", "requests.parquet", "export.json"
_COLUMNS = ["id", "dataset", "split", "case_id", "subject_id", "condition", "prompt_index", "prompt"]


class ExportKey(NamedTuple):
    """What says which request of an export is what; it stays with whoever exported.

    Attributes:
        plan: the plan of the export, with the paths of its data.
        facts: of ``export.json``.
        requests: one row per request, with its case, condition and prompt.
    """

    plan: Plan
    facts: dict[str, Any]
    requests: pd.DataFrame

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Return (height, width) of each request by its id."""
        table = self.requests.drop_duplicates("id")
        return {n: (int(h), int(w)) for n, h, w in zip(table["id"], table["height"], table["width"], strict=True)}

    def datasets(self) -> list[Dataset]:
        """Open the data.

        Raises:
            InputError: they changed since the export.
        """
        from robustness.runners.audit.state import digest

        loaded = [load_data(spec, seed=self.plan.seed) for spec in self.plan.data]
        for dataset, exported in zip(loaded, self.facts["data"], strict=True):
            if digest(dataset.fingerprint()) != exported:
                raise InputError(f"data: {dataset.name!r} changed since the export (other file hashes); export again")
        return loaded


def write_key(
    folder: Path,
    plan: Plan,
    base_dir: Path | None,
    datasets: list[Dataset],
    rows: pd.DataFrame,
    asks: dict[str, Any],
    sums: dict[str, str],
) -> None:
    """Write the key of an export: plan, requests, and the hashes of all files of both folders."""
    from robustness.runners.audit.state import digest
    from robustness.runners.environment import package_versions

    folder.mkdir()
    data = [spec.model_copy(update={"path": str(Path(resolve(spec.path, base_dir)).resolve())}) for spec in plan.data]
    write_text(folder / PLAN, plan.model_copy(update={"data": data}).to_toml())
    table = rows.loc[rows["id"] != "", _COLUMNS].copy()
    for column in ("image", "height", "width"):
        table[column] = [getattr(asks[name], column) for name in table["id"]]
    table.to_parquet(folder / REQUESTS, index=False)
    facts = {
        "format": "vlsm-robustness key",
        "version": 1,
        "suite_version": robustness.__version__,
        "packages": package_versions(),
        "plan_sha256": plan.sha256(),
        "requests": len(asks),
        "data": [digest(dataset.fingerprint()) for dataset in datasets],
        "left_out": conditions_left_out(rows),
        "key": {name: sha256_file(folder / name) for name in (PLAN, REQUESTS)},
        "public": sums,
    }
    write_text(folder / FACTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")


def open_key(exported: Path) -> ExportKey:
    """Return the key of an export whose files are as they were written.

    Raises:
        InputError: there is no key, or a file of the export changed since.
    """
    from robustness.runners.exchange.package import changed_files

    folder = exported / KEY
    if not (folder / FACTS).is_file():
        raise InputError(
            f"export: expected a folder made by `robustness export` with {KEY}/{FACTS}, found none at {str(exported)!r}"
        )
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        private, sent = dict(facts["key"]), dict(facts["public"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"export: {KEY}/{FACTS} is damaged ({error}); export again") from error
    changed = [f"{KEY}/{name}" for name in changed_files(folder, private)]
    if (exported / PUBLIC).is_dir():
        changed += [f"{PUBLIC}/{name}" for name in changed_files(exported / PUBLIC, sent)]
    if changed:
        raise InputError(
            f"export: {counted(len(changed), 'file')} {'is' if len(changed) == 1 else 'are'} not what was exported "
            f"(other hashes), the first: {changed[0]}; "
            "predictions for changed inputs cannot be scored"
        )
    return ExportKey(parse_plan(read_toml(folder / PLAN), source=PLAN), facts, read_table(folder / REQUESTS))


def conditions_left_out(rows: pd.DataFrame) -> dict[str, str]:
    """Return the conditions of which no row is a request, with the most frequent reason."""
    reasons = {}
    for condition, group in rows.groupby("condition", sort=False):
        if (group["id"] == "").all() and (group["error"] == "").all():
            reasons[str(condition)] = str(group["note"].mode().iloc[0])
    return reasons
