"""One image of a finished audit, computed again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.plans.audit import Plan
from robustness.run_folder import STATE, RunFolder
from robustness.runners.audit.scoring import Scored
from robustness.runners.audit.session import AuditSession
from robustness.runners.audit.state import CHANGED_ON
from robustness.runners.data.dataset import Dataset
from robustness.runners.environment import environment
from robustness.types import Segmenter

if TYPE_CHECKING:
    import pandas as pd

# What tells a row from the others of its case.
_IDENTITY = ("case_id", "condition", "prompt_index", "attribute", "prompt", "params")


class Recomputed(NamedTuple):
    """Rows that were computed again.

    Attributes:
        table: as an audit stores it.
        scored: the prediction of the row that was asked about; None where none was made (not applicable, failed).
    """

    table: pd.DataFrame
    scored: Scored | None


class Replayer:
    """Computes parts of a finished run again, with its plan, threads and draws; nothing in its folder is written.

    Args:
        run: the run's folder, finished and whole.
        plan: its plan; `models` and `datasets` are the plan's, loaded.
        threads: of the processor, as the run's state has it; None: as they are.
    """

    def __init__(
        self,
        run: RunFolder,
        plan: Plan,
        models: Sequence[Segmenter],
        datasets: Sequence[Dataset],
        *,
        threads: int | None = None,
    ) -> None:
        environment(threads)
        self._session = AuditSession(
            plan,
            models,
            datasets,
            run,
            strict=False,
            changes_on_device=CHANGED_ON in run.read_json(STATE)["environment"],
        )

    def state(self) -> dict[str, Any]:
        """Return the state that an audit would store now, to be compared with the run's."""
        return self._session.state()

    def n_parts(self) -> int:
        """Return how many parts the audit is cut into now."""
        return len(self._session.parts)

    def image_of(self, part: int, case_id: str) -> str | None:
        """Return the image of a case; None where the data has no such case."""
        infos = self._session.datasets[self._session.parts[part].dataset].infos
        return next((info.image_id for info in infos if info.case_id == case_id), None)

    def case_ids(self, part: int, image: str) -> list[str]:
        """Return the cases on an image."""
        infos = self._session.datasets[self._session.parts[part].dataset].infos
        return [info.case_id for info in infos if info.image_id == image]

    def stored_mask(self, stored: Mapping[str, Any]) -> Path | None:
        """Return the file with the audit's own mask of a row, where it saved its predictions."""
        saved = self._session.saved
        path = None if saved is None else saved.path_of(stored)
        return path if path is not None and path.is_file() else None

    def compute(self, part: int, stored: Mapping[str, Any], *, image: str | None = None) -> Recomputed:
        """Compute a part again, or of its images `image` alone.

        Args:
            part: its number.
            stored: the row that is asked about.
            image: computed without the others of the part, in batches of its own.
        """
        selection = self._session.parts[part]
        if image is not None:
            selection = dataclasses.replace(selection, images=(image,))
        seen: list[Scored] = []

        def visit(scored: Scored) -> None:
            cells = [row.cells() for row in scored.rows]
            if any(all(_equal(row[key], stored.get(key)) for key in _IDENTITY) for row in cells):
                seen.append(scored)

        table = self._session.table_of(selection, visit=visit)
        return Recomputed(table, seen[0] if seen else None)


def _equal(one: Any, other: Any) -> bool:
    # A cell without a text is None in a row and NaN in a table.
    return bool(one == other) or (not isinstance(one, str) and not isinstance(other, str | int) and one in (None, ""))
