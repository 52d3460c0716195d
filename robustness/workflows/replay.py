"""Compute one stored prediction of a run again and lay it beside the stored one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.errors import InputError, counted
from robustness.run_folder import STATE, RunFolder
from robustness.run_integrity import finished_manifest
from robustness.runs.conclude import stored_plan

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runners.audit.replay import Recomputed, Replayer
    from robustness.runners.audit.scoring import Scored
    from robustness.runners.data.dataset import Dataset
    from robustness.types import Segmenter

_COMPARED = {
    "plan_sha256": "the plan, as this version reads it",
    "datasets": "the data",
    "models": "the model or its checkpoint",
    "conditions": "the list of conditions",
    "environment": "the machine or its software",
}


class Replayed(NamedTuple):
    """One row as stored and as computed again.

    Attributes:
        row: its number in `Run.results()`, from 0.
        stored, recomputed: column to value.
        different: the columns that differ, bit for bit; missing values are equal.
        alone: whether the row's image was computed without the others of its part; False: the whole part was, in the
            batches of the audit, because alone it differed.
        drift: what is not as it was when the audit ran ("the data", "the model or its checkpoint", ...).
        scored: masks and request of the prediction; None for a row without one.
        stored_mask: the file with the audit's mask, where it saved its predictions.
    """

    row: int
    stored: Mapping[str, Any]
    recomputed: Mapping[str, Any]
    different: tuple[str, ...]
    alone: bool
    drift: tuple[str, ...]
    scored: Scored | None
    stored_mask: Path | None


def replay(
    run: str | Path,
    row: int,
    *,
    model: Segmenter | Sequence[Segmenter] | None = None,
    data: Dataset | Sequence[Dataset] | None = None,
    plan_folder: str | Path | None = None,
) -> Replayed:
    """Compute the prediction of one row of a finished run again.

    The row's image is computed by itself. Where that differs from what is stored, the whole part is, in the audit's own
    batches: on one machine with one plan, that gives the same bits.

    Args:
        run: the run's folder.
        row: the number of the row in `Run.results()`, from 0.
        model, data: what the run audited, for an audit of objects; None: as its plan names them.
        plan_folder: where relative paths of the plan lie; None: where they lay for the audit.

    Raises:
        InputError: no finished run, no such row, or a model or data that cannot be loaded.
    """
    from robustness.runners.audit.replay import Replayer

    path = Path(run)
    finished_manifest(path)
    folder = RunFolder(path)
    part, index = _place(folder, row)
    state, plan, rows = folder.read_json(STATE), stored_plan(folder), folder.read_part(part)
    if not state:
        raise InputError(f"replay: expected {STATE} in {str(path)!r}, which says how the rows were made; restore it")
    models, datasets = _loaded(folder, model, data, plan_folder)
    replayer = Replayer(folder, plan, models, datasets, threads=(state.get("environment") or {}).get("threads"))
    if part >= replayer.n_parts():
        raise InputError("replay: the data have fewer images than when the audit ran; restore them")
    stored = _row(rows, index)
    result, again, alone = _computed(replayer, part, rows, index)
    return Replayed(
        row=row,
        stored=stored,
        recomputed=again,
        different=_different(stored, again),
        alone=alone,
        drift=_drift(state, replayer.state()),
        scored=result.scored,
        stored_mask=replayer.stored_mask(stored),
    )


def _place(folder: RunFolder, row: int) -> tuple[int, int]:
    """Return the part of a row, and its number there."""
    import pyarrow.parquet as pq

    start = 0
    for index, path in enumerate(sorted(folder.results.glob("part-*.parquet"))):
        count = pq.read_metadata(path).num_rows
        if 0 <= row - start < count:
            return index, row - start
        start += count
    raise InputError(f"row: expected a number from 0 to {start - 1}, the rows of the run, got {row}")


def _loaded(
    folder: RunFolder, model: Any, data: Any, plan_folder: str | Path | None
) -> tuple[list[Segmenter], list[Dataset]]:
    from robustness.runners.audit.state import PLAN_FOLDER
    from robustness.runners.data.dataset import Dataset
    from robustness.workflows.loading import load_all

    if model is not None and data is not None:
        models = list(model) if isinstance(model, Sequence) else [model]
        return models, [data] if isinstance(data, Dataset) else list(data)
    if (model is None) != (data is None):
        raise InputError("replay: expected both model and data, or neither, where the plan names them")
    home = plan_folder if plan_folder is not None else folder.read_json(STATE).get(PLAN_FOLDER)
    return load_all(stored_plan(folder), None if home is None else Path(home))


def _computed(replayer: Replayer, part: int, rows: pd.DataFrame, index: int) -> tuple[Recomputed, dict[str, Any], bool]:
    """Return what was computed, the row that was asked about, and whether its image was computed alone."""
    stored = _row(rows, index)
    image = replayer.image_of(part, str(stored["case_id"]))
    if image is None:
        raise InputError(f"replay: the data have no case {stored['case_id']!r} any more; restore them")
    on_image = rows["case_id"].isin(replayer.case_ids(part, image))
    result = replayer.compute(part, stored, image=image)
    if len(result.table) == int(on_image.sum()):
        again = _row(result.table, int(on_image.iloc[:index].sum()))
        if not _different(stored, again):
            return result, again, True
    result = replayer.compute(part, stored)
    if len(result.table) != len(rows):
        raise InputError(
            f"replay: the part of this row has {counted(len(rows), 'row')}, computed again it has {len(result.table)}: "
            "the data, the model or this suite is another than the audit's"
        )
    return result, _row(result.table, index), False


def _row(table: pd.DataFrame, number: int) -> dict[str, Any]:
    return {str(name): table[name].iloc[number] for name in table}


def _different(stored: Mapping[str, Any], again: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, value in stored.items() if not _same(value, again.get(name)))


def _same(one: Any, other: Any) -> bool:
    import pandas as pd

    if pd.isna(one) or pd.isna(other):
        return bool(pd.isna(one) and pd.isna(other))
    return bool(one == other)


def _drift(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for key, name in _COMPARED.items() if then.get(key) != now.get(key))
