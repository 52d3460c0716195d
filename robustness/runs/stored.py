"""A run as it is stored: its plan, its tables, and the checks of both against its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from robustness.errors import InputError, counted
from robustness.plans.audit import Plan
from robustness.remote import local_copy
from robustness.run_folder import EFFECTS, MANIFEST, PLAN, VERDICTS, RunFolder, read_table
from robustness.run_integrity import finished_manifest, other_rules, read_manifest
from robustness.runs.conclude import derive, stored_plan, table_hashes, units_of
from robustness.runs.measured import Measured, measured_by

if TYPE_CHECKING:
    import pandas as pd


R = TypeVar("R", bound="StoredRun")

# What is checked, whether it holds, and the detail for a reader.
Check = tuple[str, bool, str]

# Columns of sentences. A rule's number decides and is compared as a number is; the words behind it are wording.
_WORDING: Final = ("rule", "sentence")
_RTOL, _ATOL = 1e-9, 1e-12


class StoredRun:
    """The tables and the checks of one run's folder.

    Whatever reads the plan or a table first makes sure that the audit is finished and that every file is the one that
    it wrote; InputError says how to go on where that is not so. `verify` reports the same, file by file.
    """

    def __init__(self, path: str | Path) -> None:
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"run: expected the path of a run's folder, got an object of type {type(path).__name__}")
        self.path = Path(path)
        self.folder = RunFolder(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @cached_property
    def plan(self) -> Plan:
        """The resolved plan."""
        self.check()
        return stored_plan(self.folder)

    def check(self) -> dict[str, Any]:
        """Return the manifest of a finished run whose hashes hold; see `robustness.run_integrity`.

        Raises:
            InputError: the run is unfinished, damaged or edited.
        """
        return finished_manifest(self.path)

    @property
    def manifest(self) -> dict[str, Any]:
        """Provenance; empty while the run is unfinished."""
        return self.folder.read_json(MANIFEST)

    def results(self) -> pd.DataFrame:
        """Return one row per prediction, in plan order, with the columns of `robustness.results`.

        Scores are missing where a row does not apply (`note` says why) or failed (`error`).

        Raises:
            InputError: the run is unfinished, damaged or edited; likewise for the other tables.
        """
        self.check()
        return self.folder.read_results()

    def effects(self) -> pd.DataFrame:
        """Return one row per (model, dataset, condition, metric), see `robustness.metrics.analyses.effects.effects`.

        Positive `effect` means worse; with fewer than two subjects interval and p values are NaN.
        """
        return self._table(EFFECTS)

    def verdicts(self) -> pd.DataFrame:
        """Return one row per claim, with the rule that decided, see `robustness.metrics.verdicts.verdicts.verdicts`."""
        return self._table(VERDICTS)

    def verify(self) -> pd.DataFrame:
        """Check the run against its manifest: hashes first, then effects and verdicts derived again from the rows.

        Where a table is not what this version derives, numbers are told from wording (`table_checks`),
        and the detail says whether the run was made by other code.

        Returns:
            One row per check: `check`, `ok`, `detail`.
        """
        import pandas as pd

        manifest = read_manifest(self.path)
        checks = _hash_checks(manifest["tables"], table_hashes(self.folder))
        checks.append(self._plan_check(manifest["plan_sha256"]))
        checks += self._derivation_checks(units_of(manifest["datasets"]), _code_note(manifest))
        return pd.DataFrame(checks, columns=["check", "ok", "detail"])

    def _plan_check(self, recorded: str) -> Check:
        try:
            return "plan hash", recorded == stored_plan(self.folder).sha256(), PLAN
        except InputError as error:
            return "plan can be read", False, str(error)

    def _derivation_checks(self, unit: Mapping[str, str], code: str) -> list[Check]:
        try:
            derived = derive(self.folder.read_results(), stored_plan(self.folder), unit=unit)
            stored = read_table(self.path / EFFECTS), read_table(self.path / VERDICTS)
        except InputError as error:
            return [("tables can be read", False, str(error))]
        except (KeyError, TypeError, ValueError) as error:
            # Columns that are lost or of another type.
            return [("tables can be read", False, f"the rows cannot be concluded from ({error})")]
        names = ("effects", EFFECTS), ("verdicts", VERDICTS)
        return [
            check
            for (what, file), again, existing in zip(names, derived, stored, strict=True)
            for check in table_checks(again, existing, what=what, file=file, code=code)
        ]

    @property
    def measured(self) -> Measured:
        """The plan and the data that the scores belong to; see `robustness.runs.measured`."""
        return measured_by(self.plan, self.manifest)

    def _table(self, name: str) -> pd.DataFrame:
        self.check()
        return read_table(self.path / name)


def open_stored(path: str | Path, kind: type[R] = StoredRun) -> R:  # type: ignore[assignment]
    """Open a run's folder, or a copy of the one at a URL, as `kind`.

    Raises:
        InputError: no run lies there.
    """
    folder = local_copy(path, "run")
    if not (folder / PLAN).is_file():
        raise InputError(f"run: expected a run's folder with a {PLAN}, found none at {str(path)!r}; check the path")
    return kind(folder)


def _hash_checks(recorded: dict[str, str], digests: dict[str, str]) -> list[Check]:
    names = sorted({*recorded, *digests})
    return [(f"sha256 {name}", recorded.get(name) == digests.get(name), digests.get(name, "missing")) for name in names]


def _code_note(manifest: Mapping[str, Any]) -> str:
    """Say whether the code that derives again is the one that made the run."""
    import robustness
    from robustness.runners.environment import rule_hashes

    here = {"suite_version": robustness.__version__, "rules": rule_hashes()}
    advice = "the difference may come from that; verify with the version that made the run to be sure"
    other = other_rules(here, manifest, names=("this installation", "the run"), advice=advice)
    if other or not manifest.get("rules"):
        return other or advice
    return "the run was made by this very code, so the difference does not come from the version: the table was changed"


def table_checks(derived: pd.DataFrame, stored: pd.DataFrame, *, what: str, file: str, code: str) -> Iterator[Check]:
    """Yield one check of the rows, numbers and verdicts; then one each of wording and columns, where these differ.

    Args:
        derived, stored: the table as this code derives it, and as it lies in the run.
        what: what its rows are called.
        file: where it lies.
        code: whether this code made the run, said beside what differs.
    """
    label = f"{what} follow from the rows"
    if len(derived) != len(stored):
        yield label, False, f"{file}: has {counted(len(stored), 'row')}, derived again {len(derived)}; {code}"
        return
    derived, stored = derived.reset_index(drop=True), stored.reset_index(drop=True)
    shared = [name for name in derived.columns if name in stored.columns]
    differing = {name: rows for name in shared if (rows := _differing(derived[name], stored[name]))}
    if "rule" in shared:
        numbers = _differing(_numbers(derived["rule"]), _numbers(stored["rule"]))
        if numbers:
            differing["number of the rule"] = numbers
    worded = {name: differing.pop(name) for name in _WORDING if name in differing}
    yield label, not differing, f"{file}: {_listed(differing, len(stored))}; {code}" if differing else file
    if worded:
        rest = "" if differing else "; every number, verdict and number of a rule is equal"
        yield f"wording of {what}", False, f"{file}: {_listed(worded, len(stored))}{rest}; {code}"
    columns = [*(f"{name} is missing" for name in derived.columns if name not in stored.columns)]
    columns += [f"{name} is not derived" for name in stored.columns if name not in derived.columns]
    if columns:
        yield f"columns of {what}", False, f"{file}: {', '.join(columns)}; {code}"


def _differing(again: pd.Series, existing: pd.Series) -> list[int]:
    """Return the rows in which two columns differ; two missing values are equal."""
    import numpy as np
    import pandas as pd

    missing = again.isna().to_numpy(), existing.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(again) and pd.api.types.is_numeric_dtype(existing):
        left, right = (column.to_numpy(dtype=float, na_value=np.nan) for column in (again, existing))
        equal = np.isclose(left, right, rtol=_RTOL, atol=_ATOL)
    else:
        equal = again.astype(object).to_numpy() == existing.astype(object).to_numpy()
        equal = np.where(missing[0] | missing[1], False, equal).astype(bool)
    return [int(row) for row in np.flatnonzero(~(equal | (missing[0] & missing[1])))]


def _numbers(rules: pd.Series) -> pd.Series:
    return rules.astype("str").str.split(" ", n=1).str[0]


def _listed(differing: dict[str, list[int]], total: int) -> str:
    names = ", ".join(f"{name} in {len(rows)}" for name, rows in differing.items())
    first = min(rows[0] for rows in differing.values())
    return f"differs in {names} of {counted(total, 'row')} (first: row {first})"
