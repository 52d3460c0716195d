"""Rows of an audit as they come, and how many there will be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from robustness.perturb.prompt.paraphrase import MOST
from robustness.results import PARAPHRASE, part_name
from robustness.runners.audit.parts import Part
from robustness.types import Progress

if TYPE_CHECKING:
    from robustness.run_folder import RunFolder

Place = tuple[int, int]
# So many rows come between two reports of the part under way.
STEP = 50


class RowProgress:
    """Counts rows for a progress function.

    Finished parts state their rows, the others are expected to give those that are planned, which are a few too many
    rather than too few: the total then falls to the true one, and the time left never grows for its sake. Where
    finished parts of a model and data set hold more than was planned, so will the others.

    Args:
        run: the run's folder; the rows of a finished part are read off its footer, once.
        parts: all parts of the audit.
        planned: per part, how many rows it is planned to hold; see `planned_rows`.
        progress: called with (rows done, rows in all).
    """

    def __init__(self, run: RunFolder, parts: Sequence[Part], planned: Sequence[int], progress: Progress) -> None:
        self._run, self._parts, self._planned = run, parts, planned
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
        planned: Counter[Place] = Counter()
        rows: Counter[Place] = Counter()
        pending: Counter[Place] = Counter()
        for part in self._parts:
            series = part.model, part.dataset
            if part.index in self._rows:
                planned[series] += self._planned[part.index]
                rows[series] += self._rows[part.index]
            else:
                pending[series] += self._planned[part.index]
        return sum(
            n * max(1.0, rows[series] / planned[series] if planned[series] else 1.0) for series, n in pending.items()
        )


def planned_rows(texts: Sequence[int], conditions: Sequence[str]) -> int:
    """Return how many rows cases will fill, unless some cannot be read; with paraphrases, at most that many.

    Args:
        texts: for every case, how many texts it lists: each is asked under every condition.
        conditions: those of the plan besides the two clean runs. A paraphrase rewords the first text alone, and gives
            several texts.
    """
    reworded = sum(any(part_name(part) == PARAPHRASE for part in one.split("+")) for one in conditions)
    return sum(texts) * (2 + len(conditions) - reworded) + len(texts) * reworded * MOST
