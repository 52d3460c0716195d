"""A finished (or half-finished) run, read from its folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robustness.assertions import Assertions
from robustness.conclude import derive, stored_plan, table_hashes, unit_of
from robustness.errors import InputError
from robustness.plan import Plan
from robustness.store import EFFECTS, MANIFEST, PLAN, REPORT, VERDICTS, RunFolder, read_table

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from robustness.baseline_match import Measured
    from robustness.baselines import Baseline


class Run(Assertions):
    """The tables, the report and the checks of one run's folder."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.folder = RunFolder(self.path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

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

    def report(
        self, out: str | Path | None = None, *, edition: Literal["auditor", "regulatory"] = "auditor",
        images: bool = True, published: bool | None = None,
    ) -> Path:  # fmt: skip
        """Write the HTML page; by default `report.html` in the run's folder.

        Args:
            out: the HTML file.
            edition: "auditor" leads with prompt reliance, "regulatory" has the fifteen sections regulators ask for.
            images: False leaves every picture out.
            published: add the benchmark's published figures, labelled as such; None: as the plan's `published` says.
        """
        from robustness.reports.page import write_report

        self._table(VERDICTS)
        shown = bool(self.plan.published) if published is None else published
        page = Path(out) if out else self.path / REPORT
        return write_report(self.path, page, edition=edition, images=images, published=shown)

    def plot(self, kind: str = "forest", *, series: str | None = None, key: str | None = None) -> Figure:
        """Return one figure of the report for a notebook; see `robustness.reports.plots.plot` for the kinds."""
        from robustness.reports.plots import plot

        self._table(VERDICTS)
        return plot(self.path, kind, series=series, key=key)

    def verify(self) -> pd.DataFrame:
        """Check the run against its manifest: hashes first, then effects and verdicts derived anew from the rows.

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
            (f"{what} follow from the rows", _same(again, held), file)
            for (what, file), again, held in zip(names, derived, stored, strict=True)
        ]

    def gate(
        self, gates: str | Path = "gates.toml", *, baseline: str | Path | Run | Baseline | None = None
    ) -> pd.DataFrame:
        """Judge this run by a gates file; see `robustness.gate.judge`. A baseline is a run or a baseline file."""
        from robustness.baselines import open_earlier
        from robustness.gate import judge, load_gates

        other = open_earlier(baseline) if isinstance(baseline, str | Path) else baseline
        return judge(self, load_gates(gates), baseline=other)

    @property
    def measured(self) -> Measured:
        """The plan and the data that the scores belong to; see `robustness.baseline_match`."""
        from robustness.baseline_match import measured_by

        return measured_by(self)

    def save_baseline(self, path: str | Path) -> Path:
        """Save the scores as two small files, `NAME.toml` and `NAME.parquet`, to compare later runs with."""
        from robustness.baselines import save_baseline

        return save_baseline(self, path)

    def _table(self, name: str) -> pd.DataFrame:
        path = self.path / name
        if not path.is_file():
            raise InputError(
                f"run: {str(self.path)!r} has no {name}: the audit is not finished; run it again to resume it"
            )
        return read_table(path)


def open_run(path: str | Path) -> Run:
    """Open a run's folder.

    Raises:
        InputError: no run lies there.
    """
    folder = Path(path)
    if not (folder / PLAN).is_file():
        raise InputError(f"run: expected a run's folder with a {PLAN}, found none at {str(path)!r}; check the path")
    return Run(folder)


def _hash_checks(recorded: dict[str, str], found: dict[str, str]) -> list[tuple[str, bool, str]]:
    names = sorted({*recorded, *found})
    return [(f"sha256 {name}", recorded.get(name) == found.get(name), found.get(name, "missing")) for name in names]


def _same(derived: pd.DataFrame, stored: pd.DataFrame) -> bool:
    import pandas as pd

    try:
        pd.testing.assert_frame_equal(
            derived.reset_index(drop=True), stored.reset_index(drop=True), check_dtype=False, rtol=1e-9, atol=1e-12
        )
    except AssertionError:
        return False
    return True
