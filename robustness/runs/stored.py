"""A run as it is stored: its plan, its tables, and the checks of both against its manifest."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from robustness.errors import InputError
from robustness.plans.audit import Plan
from robustness.run_folder import EFFECTS, MANIFEST, PLAN, VERDICTS, RunFolder, read_table
from robustness.runs.conclude import derive, stored_plan, table_hashes, unit_of
from robustness.runs.measured import Measured, measured_by

if TYPE_CHECKING:
    import pandas as pd


R = TypeVar("R", bound="StoredRun")


class StoredRun:
    """The tables and the checks of one run's folder."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.folder = RunFolder(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @cached_property
    def plan(self) -> Plan:
        """The resolved plan."""
        return stored_plan(self.folder)

    @property
    def manifest(self) -> dict[str, Any]:
        """Provenance; empty while the run is unfinished."""
        return self.folder.read_json(MANIFEST)

    def results(self) -> pd.DataFrame:
        """One row per prediction, in plan order."""
        return self.folder.read_results()

    def effects(self) -> pd.DataFrame:
        """One row per (model, dataset, condition, metric); positive `effect` means worse."""
        return self._table(EFFECTS)

    def verdicts(self) -> pd.DataFrame:
        """One row per claim, with the rule that decided."""
        return self._table(VERDICTS)

    def verify(self) -> pd.DataFrame:
        """Check the run against its manifest: hashes first, then effects and verdicts derived again from the rows.

        Returns:
            One row per check: `check`, `ok`, `detail`.
        """
        import pandas as pd

        manifest = self.manifest
        if not manifest:
            raise InputError(
                f"run: expected a finished run, but {str(self.path)!r} has no {MANIFEST}; resume the audit"
            )
        checks = _hash_checks(manifest.get("tables", {}), table_hashes(self.folder))
        checks.append(("plan hash", manifest.get("plan_sha256") == self.plan.sha256(), PLAN))
        checks += self._derivation_checks(unit_of(manifest["datasets"]))
        return pd.DataFrame(checks, columns=["check", "ok", "detail"])

    def _derivation_checks(self, unit: str) -> list[tuple[str, bool, str]]:
        try:
            derived = derive(self.results(), self.plan, unit=unit)
            stored = self.effects(), self.verdicts()
        except InputError as error:
            return [("tables can be read", False, str(error))]
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
        path = self.path / name
        if not path.is_file():
            raise InputError(
                f"run: {str(self.path)!r} has no {name}: the audit is not finished; run it again to resume it"
            )
        return read_table(path)


def open_stored(path: str | Path, kind: type[R] = StoredRun) -> R:  # type: ignore[assignment]
    """Open a run's folder as `kind`.

    Raises:
        InputError: no run lies there.
    """
    folder = Path(path)
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
