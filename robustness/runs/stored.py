"""A run as it is stored: its plan, its tables, and the checks of both against its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robustness.errors import InputError
from robustness.plans.audit import Plan
from robustness.remote import local_copy
from robustness.run_folder import EFFECTS, MANIFEST, PLAN, VERDICTS, RunFolder, read_table
from robustness.run_integrity import finished_manifest, read_manifest
from robustness.runs.conclude import derive, stored_plan, table_hashes, units_of
from robustness.runs.measured import Measured, measured_by

if TYPE_CHECKING:
    import pandas as pd


R = TypeVar("R", bound="StoredRun")


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

        Returns:
            One row per check: `check`, `ok`, `detail`.
        """
        import pandas as pd

        manifest = read_manifest(self.path)
        checks = _hash_checks(manifest["tables"], table_hashes(self.folder))
        checks.append(self._plan_check(manifest["plan_sha256"]))
        checks += self._derivation_checks(units_of(manifest["datasets"]))
        return pd.DataFrame(checks, columns=["check", "ok", "detail"])

    def _plan_check(self, recorded: str) -> tuple[str, bool, str]:
        try:
            return "plan hash", recorded == stored_plan(self.folder).sha256(), PLAN
        except InputError as error:
            return "plan can be read", False, str(error)

    def _derivation_checks(self, unit: Mapping[str, str]) -> list[tuple[str, bool, str]]:
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
            (f"{what} follow from the rows", _same(again, existing), file)
            for (what, file), again, existing in zip(names, derived, stored, strict=True)
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


def _hash_checks(recorded: dict[str, str], digests: dict[str, str]) -> list[tuple[str, bool, str]]:
    names = sorted({*recorded, *digests})
    return [(f"sha256 {name}", recorded.get(name) == digests.get(name), digests.get(name, "missing")) for name in names]


def _same(derived: pd.DataFrame, stored: pd.DataFrame) -> bool:
    import pandas as pd

    try:
        pd.testing.assert_frame_equal(
            derived.reset_index(drop=True), stored.reset_index(drop=True), check_dtype=False, rtol=1e-9, atol=1e-12
        )
    except AssertionError:
        return False
    return True
