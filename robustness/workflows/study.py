"""A study: every cell finetuned and audited, each resuming by itself, then one table and one page over all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import CaseError, InputError, one_line
from robustness.files import make_folder, write_text
from robustness.plans.study import Cell, StudyPlan

if TYPE_CHECKING:
    import pandas as pd

CELLS, GROUPS, PAGE, PLAN = "cells.csv", "groups.csv", "report.html", "study.toml"
# A page over more runs than this is no longer read; the tables hold all.
MOST_ON_A_PAGE = 8
Say = Callable[[str], None]


@dataclass(frozen=True)
class Study:
    """A finished study.

    Attributes:
        folder: one folder per cell (``checkpoint/``, ``audit/``), ``cells.csv``, ``groups.csv``, ``report.html``.
        cells: one row per cell and audited data set; `error` says why a cell has no numbers.
        groups: means over seeds and folds.
        page: the comparison page; None where no cell could be audited, or more than `MOST_ON_A_PAGE` were.
    """

    folder: Path
    cells: pd.DataFrame
    groups: pd.DataFrame
    page: Path | None

    @property
    def failed(self) -> list[str]:
        """Names of the cells that have no numbers."""
        return sorted(set(self.cells.loc[self.cells["error"] != "", "cell"]))


def run_study(
    plan: StudyPlan, *, out: str | Path, base_dir: Path | None = None, quiet: bool = False, say: Say | None = None
) -> Study:
    """Run every cell that is not finished, and conclude over all.

    A cell that fails for a mistake in the plan or in the data is reported in the table; the others run on. Calling it
    again goes on where it stopped; a changed plan is refused by the cells that it changes.

    Args:
        plan: the study.
        out: its folder.
        base_dir: where relative paths are looked up before the current folder.
        quiet: no progress bars.
        say: called with one line for each cell.

    Raises:
        InputError: the plan has no cell, or the folder cannot be written.
    """
    import pandas as pd

    from robustness.workflows.study_table import cell_rows, group_rows

    folder = make_folder(Path(out), "out")
    write_text(folder / PLAN, plan_text(plan))
    cells = plan.cells(folder.resolve())
    rows: list[dict[str, Any]] = []
    table = pd.DataFrame()
    for number, cell in enumerate(cells, start=1):
        error = _run(cell, folder / cell.name, base_dir=base_dir, quiet=quiet)
        rows += cell_rows(cell, folder / cell.name, error=error)
        if say is not None:
            say(f"cell {number} of {len(cells)}: {cell.name}: {error or _scores(rows, cell)}")
        table = pd.DataFrame(rows)
        write_text(folder / CELLS, table.to_csv(index=False))
    groups = group_rows(table)
    write_text(folder / GROUPS, groups.to_csv(index=False))
    return Study(folder, table, groups, _page(folder, cells, table))


def plan_text(plan: StudyPlan) -> str:
    """Return the plan as TOML; reading it back gives an equal plan."""
    import tomli_w

    return tomli_w.dumps(plan.model_dump(exclude_none=True))


def _run(cell: Cell, folder: Path, *, base_dir: Path | None, quiet: bool) -> str:
    """Finetune and audit one cell; return why it could not be done, or ""."""
    from robustness.progress import bar
    from robustness.runners.training.finetune import run_training
    from robustness.workflows.audit import audit_plan
    from robustness.workflows.finetune import write_curves

    try:
        if cell.train is not None:
            run_training(cell.train, out=folder / "checkpoint", base_dir=base_dir, quiet=quiet)
            write_curves(folder / "checkpoint")
        if quiet:
            audit_plan(cell.audit, out=folder / "audit", folder=base_dir)
        else:
            with bar(f"{cell.name}: audit rows") as progress:
                audit_plan(cell.audit, out=folder / "audit", folder=base_dir, progress=progress)
    except (InputError, CaseError) as error:
        return one_line(error)
    return ""


def _scores(rows: Sequence[dict[str, Any]], cell: Cell) -> str:
    mine = [row for row in rows if row["cell"] == cell.name]
    return ", ".join(f"Dice {row['dice']:.3f} on {row['tested_on']}" for row in mine)


def _page(folder: Path, cells: Sequence[Cell], table: pd.DataFrame) -> Path | None:
    from robustness.reports.html.page import write_report

    failed = set(table.loc[table["error"] != "", "cell"])
    runs = [folder / cell.name / "audit" for cell in cells if cell.name not in failed]
    if not runs or len(runs) > MOST_ON_A_PAGE:
        return None
    return write_report(runs, folder / PAGE)
