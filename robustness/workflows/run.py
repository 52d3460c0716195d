"""A finished (or half-finished) run, read from its folder."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from robustness.arguments import checks_methods
from robustness.errors import InputError
from robustness.gates.assertions import Assertions
from robustness.run_folder import GALLERY, REPORT
from robustness.runs.stored import open_stored

if TYPE_CHECKING:
    import pandas as pd
    from plotly.graph_objects import Figure

    from robustness.gates.baselines import Baseline
    from robustness.reports.data.frames import Frames
    from robustness.reports.figures.figure import FigureText
    from robustness.runners.audit.processes import Aside
    from robustness.runners.data.dataset import Dataset
    from robustness.types import Segmenter
    from robustness.workflows.replay import Replayed

# Rows of a run whose tables are copied to the process that draws: a hundred megabytes.
_COPIED_ROWS = 200_000


@checks_methods
class Run(Assertions):
    """The tables, the report and the checks of one run's folder; ``print(run)`` gives its summary."""

    def __str__(self) -> str:
        from robustness.reports.data.run_tables import read_runs
        from robustness.reports.exports.console import run_summary

        try:
            return "\n".join((repr(self), *run_summary(read_runs(self.path))))
        except InputError as error:
            # A run that is unfinished or damaged can still be printed.
            return f"{self!r}: {error}"

    def report(
        self,
        out: str | Path | None = None,
        *,
        edition: Literal["auditor", "regulatory"] = "auditor",
        images: bool = True,
        published: bool | None = None,
        answers: str | Path | None = None,
    ) -> Path:
        """Write the HTML page; by default `report.html` in the run's folder.

        Args:
            out: the HTML file.
            edition: "auditor" leads with prompt reliance, "regulatory" has the fifteen sections regulators ask for.
            images: False leaves every image out.
            published: add the benchmark's published figures, labelled as such; None: as the plan's `published` says.
            answers: a TOML file whose table ``[report]`` fills blanks of the regulatory edition; it goes before the
                plan's.

        The regulatory edition also writes ``NAME-annex.json``: hashes, versions and plans.

        Returns:
            The HTML file, which opens without a network.

        Raises:
            InputError: the run is unfinished or damaged, or `answers` cannot be read.
        """
        from robustness.reports.html.page import write_report

        self.check()
        shown = bool(self.plan.published) if published is None else published
        page = Path(out) if out else self.path / REPORT
        stated = _answers(answers) if answers is not None else None
        written = write_report(self.path, page, edition=edition, images=images, published=shown, answers=stated)
        if edition == "regulatory":
            from robustness.reports.exports.annex import write_annex

            write_annex(self.path, page)
        return written

    def plot(self, kind: str = "forest", *, series: str | None = None, key: str | None = None) -> Figure:
        """Return one figure of the report for a notebook.

        Args:
            kind: name of a figure; see `robustness.reports.figures.plots.plot`.
            series: the model, where a figure shows one.
            key: what else chooses among several of one kind: an image perturbation, "clean" or "images".

        Raises:
            InputError: no such figure, series or key, or the run is unfinished.
        """
        from robustness.reports.figures.plots import plot

        self.check()
        return plot(self.path, kind, series=series, key=key)

    def gate(
        self, gates: str | Path = "gates.toml", *, baseline: str | Path | Run | Baseline | None = None
    ) -> pd.DataFrame:
        """Judge this run by a gates file; see `robustness.gates.judge.judge`.

        Args:
            gates: a TOML file of ``[[gate]]`` tables.
            baseline: the run or baseline file that gates compare with.

        Returns:
            One row per gate and comparison: `name test estimate ci_low ci_high margin outcome message` and more. What
            has no interval has NaN bounds; outcomes are rows, none raises.

        Raises:
            InputError: a file that cannot be read, a gate without the baseline that it needs, or a glob that matches
                nothing.
        """
        from robustness.gates.baselines import open_earlier
        from robustness.gates.judge import judge, load_gates

        other = open_earlier(baseline) if isinstance(baseline, str | Path) else baseline
        return judge(self, load_gates(gates), baseline=other)

    def replay(
        self,
        row: int,
        *,
        model: Segmenter | Sequence[Segmenter] | None = None,
        data: Dataset | Sequence[Dataset] | None = None,
    ) -> Replayed:
        """Compute the prediction of one row again; see `robustness.workflows.replay.replay`.

        Args:
            row: its number in `results()`, from 0.
            model: what the run audited, where that was an object; None: as the plan names it.
            data: likewise.

        Raises:
            InputError: no such row, or a model or data that cannot be loaded.
        """
        from robustness.workflows.replay import replay

        return replay(self.path, row, model=model, data=data)

    def save_baseline(self, path: str | Path) -> Path:
        """Save the scores as two small files, `NAME.toml` and `NAME.parquet`, to compare later runs with.

        Args:
            path: `NAME`, with or without suffix.

        Returns:
            The TOML file.

        Raises:
            InputError: the run is unfinished or damaged, or the files cannot be written.
        """
        from robustness.gates.baselines import save_baseline

        return save_baseline(self, path)


class PageParts:
    """The `robustness.reports.html.page.Elsewhere` of one run, from another process on this machine."""

    def __init__(self, aside: Aside) -> None:
        self._aside = aside
        self._drawing = False

    def ready(self) -> bool:
        """Return whether the images are there, or never will be."""
        return self._aside.ready()

    def pictures(self) -> Mapping[str, str] | None:
        """Wait for the images; None where the process failed."""
        encoded: Mapping[str, str] | None = self._aside.result()
        return encoded

    def draw(self, captions: Sequence[FigureText], frames: Frames) -> None:
        """Send what is to be drawn, unless its copy would be large."""
        self._drawing = len(frames.results) <= _COPIED_ROWS
        if self._drawing:
            self._aside.give((captions, frames))

    def drawings(self) -> Mapping[str, Any] | None:
        """Wait for the drawings, the last part; None where none were begun or the process failed."""
        drawn: Mapping[str, Any] | None = self._aside.result() if self._drawing else None
        return drawn

    def end(self) -> None:
        """End the process, whatever it has made."""
        self._aside.end()


def import_page() -> None:
    """Import what `page_parts` runs, in a process that has nothing else to do."""
    for module in ("plotly.graph_objects", "robustness.reports.html.page"):
        import_module(module)


def page_parts(folder: Path, aside: Aside | None) -> PageParts | None:
    """Begin parts of a run's page in a process that an audit had beside this one.

    Images depend on no conclusion. None where all is left to `write_page`.
    """
    if aside is None:
        return None
    aside.begin(_parts_elsewhere, folder / GALLERY)
    return PageParts(aside)


def _parts_elsewhere(gallery: Path) -> Generator[Any, Any, None]:
    # Imported there first: this process begins with the conclusions.
    from robustness.reports.html.page import parts_elsewhere

    yield from parts_elsewhere(gallery)


def write_page(run: Run, parts: PageParts | None) -> None:
    """Write the page of a run that was concluded just now, the same as `Run.report` writes."""
    from robustness.reports.html.page import write_report

    try:
        run.check()
        write_report(run.path, run.path / REPORT, published=bool(run.plan.published), elsewhere=parts)
    finally:
        if parts is not None:
            parts.end()


def _answers(path: str | Path) -> dict[str, str]:
    from robustness.plans.report_answers import report_answers
    from robustness.plans.toml import read_toml

    tree = read_toml(path, what="--answers")
    if not isinstance(tree.get("report"), dict) or len(tree) > 1:
        raise InputError(
            f"--answers: expected one table [report] in {str(path)!r}, found {', '.join(tree) or 'nothing'}"
        )
    return report_answers(tree["report"], source=str(path))


def open_run(path: str | Path) -> Run:
    """Open a run's folder.

    Args:
        path: the folder that `audit` wrote, or its URL; a half-finished run opens too, its tables do not.

    Raises:
        InputError: no run lies there.
    """
    return open_stored(path, Run)
