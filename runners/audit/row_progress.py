"""Rows of an audit as they come, and how many there will be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustness.runners.audit.parts import Part
from robustness.types import Progress

if TYPE_CHECKING:
    from robustness.run_folder import RunFolder

Place = tuple[int, int]
# So many rows come between two reports of the part under way.
STEP = 50


class RowProgress:
    """Counts rows for a progress function.

    Finished parts state their rows; of the others every case is expected to give as many rows as a finished case of the
    same model and data set, before the first of them as many as there are conditions. The total is exact at the end.

    Args:
        run: the run's folder; the rows of a finished part are read off its footer, once.
        parts: all parts of the audit.
        cases: per part, how many cases it holds.
        conditions: per data set, how many conditions are planned, the clean ones included.
        progress: called with (rows done, rows in all).
    """

    def __init__(
        self, run: RunFolder, parts: Sequence[Part], cases: Sequence[int], conditions: Sequence[int], progress: Progress
    ) -> None:
        self._run, self._parts, self._cases, self._conditions = run, parts, cases, conditions
        self._progress = progress
        self._rows: dict[int, int] = {}
        self._remaining = 0
        self._reported = 0

    def parts_done(self, done: int, total: int) -> None:
        """Look which parts are finished, and report; the arguments are those of a progress function over parts."""
        from pyarrow import parquet

        for part in self._parts:
            if part.index not in self._rows and self._run.part(part.index).is_file():
                self._rows[part.index] = parquet.read_metadata(self._run.part(part.index)).num_rows
        self._remaining = round(self._expected())
        self._report(0)

    def rows_of_part(self, rows: int) -> None:
        """Report that the part under way has so many rows by now."""
        if rows - self._reported >= STEP:
            self._report(rows)

    def _report(self, under_way: int) -> None:
        self._reported = under_way
        finished = sum(self._rows.values())
        self._progress(finished + under_way, finished + max(under_way, self._remaining))

    def _expected(self) -> float:
        """Return how many rows are expected of the parts that are not finished."""
        cases: Counter[Place] = Counter()
        rows: Counter[Place] = Counter()
        pending: Counter[Place] = Counter()
        for part in self._parts:
            series = part.model, part.dataset
            if part.index in self._rows:
                cases[series] += self._cases[part.index]
                rows[series] += self._rows[part.index]
            else:
                pending[series] += self._cases[part.index]
        planned = {series: float(self._conditions[series[1]]) for series in pending}
        rates = {series: rows[series] / cases[series] if cases[series] else planned[series] for series in pending}
        return sum(n * rates[series] for series, n in pending.items())
