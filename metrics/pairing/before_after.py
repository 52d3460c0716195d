"""Two runs over the same cases as one table: the earlier one is the paired clean prediction of the later one."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.errors import InputError, counted
from robustness.metrics.pairing.contrasts import Contrast, contrasts
from robustness.metrics.pairing.pairs import Orientation
from robustness.metrics.pairing.rows import Rows, read_rows
from robustness.results import CLEAN

_CASE = ["model", "split", "case_id"]
_ROW = ["model", "dataset", "split", "case_id", "prompt_index"]
_BETWEEN = "\x1f"
_NEW = "new"


class Change(NamedTuple):
    """One condition in both runs: the paired differences, and which rows are undefined in one run only."""

    contrast: Contrast
    undefined_before: int
    undefined_after: int
    differing: tuple[str, ...]


class BeforeAfter:
    """Both tables paired by (dataset, split, case, prompt_index), each condition with itself.

    Args:
        before, after: results tables.
        partners: the earlier model's name for each later model.
        conditions: which ones are compared.

    Raises:
        InputError: they hold other cases or texts.
    """

    def __init__(
        self, before: pd.DataFrame, after: pd.DataFrame, partners: Mapping[str, str], conditions: Collection[str]
    ) -> None:
        names = {old: new for new, old in partners.items()}
        # A case that could not be read has one row, which is a clean one.
        chosen = {CLEAN, *conditions}
        before = before[before["model"].isin(names) & before["condition"].isin(chosen)]
        before = _keyed(before.assign(model=before["model"].map(names)))
        after = _keyed(after[after["model"].isin(partners) & after["condition"].isin(chosen)])
        before, after = _same_rows(before, after)
        together = pd.concat(
            [before.assign(condition=CLEAN, family=CLEAN), after.assign(condition=_NEW, family="prompt")],
            ignore_index=True,
        )
        self._rows = read_rows(together)

    def changes(self, metric: str, orientation: Orientation, *, by: str = "") -> list[Change]:
        """Return one change per (model, dataset, condition) and group; the effect is before - after as oriented."""
        undefined = _undefined(self._rows, metric)
        rows = _with_group(self._rows, by) if by else self._rows
        cells = []
        for contrast in contrasts(rows, metric, orientation, by=by):
            dataset, _, condition = contrast.dataset.partition(_BETWEEN)
            before, after = (undefined.get((contrast.model, contrast.dataset, c), set()) for c in (CLEAN, _NEW))
            differing = tuple(sorted({case for case, _ in before ^ after}))
            renamed = contrast._replace(dataset=dataset, condition=condition, n_flagged=len(after))
            cells.append(Change(renamed, len(before), len(after), differing))
        return cells


def _keyed(table: pd.DataFrame) -> pd.DataFrame:
    """Give every row a key of its own: a case may have several rows of one condition and text (second targets)."""
    defaults = {"prompt_index": 0, "split": "", "error": "", "family": ""}
    table = table.assign(**{name: value for name, value in defaults.items() if name not in table})
    repeat = table.groupby([*_ROW, "condition"], sort=False).cumcount()
    dataset = table["dataset"].astype("str") + _BETWEEN + table["condition"].astype("str")
    # One text index for each repetition, so that rows pair one to one.
    return table.assign(dataset=dataset, prompt_index=table["prompt_index"] + repeat * 1_000_000)


def _same_rows(before: pd.DataFrame, after: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return both tables with the same keys; the rows that a failed case lacks on one side are added as failed."""
    left, right = (pd.MultiIndex.from_frame(table[_ROW]) for table in (before, after))
    only_before, only_after = before[~left.isin(right)], after[~right.isin(left)]
    failed = _failed_cases(before) | _failed_cases(after)
    strange = pd.concat([only_before, only_after])
    strange = strange[[case not in failed for case in zip(*(strange[k] for k in _CASE), strict=True)]]
    if len(strange):
        first = strange.sort_values(["case_id", "dataset"]).iloc[0]
        condition = str(first["dataset"]).partition(_BETWEEN)[2]
        raise InputError(
            f"baseline: {condition!r} was measured on other cases ({counted(len(only_before), 'row')} only there, "
            f"{len(only_after)} only here, for example {first['case_id']!r}); compare runs of the same data and "
            "prompts"
        )
    lacking = {"error": "the case failed in this run"}
    return pd.concat([before, only_after.assign(**lacking)]), pd.concat([after, only_before.assign(**lacking)])


def _failed_cases(table: pd.DataFrame) -> set[tuple[str, ...]]:
    failed = table[table["error"].fillna("") != ""]
    return set(zip(*(failed[key] for key in _CASE), strict=True))


def _with_group(rows: Rows, by: str) -> Rows:
    """Give the earlier rows the later ones' value of a column: a stored baseline need not hold it."""
    if by not in rows.frame.columns:
        return rows
    later = rows.frame.groupby(rows.case)[by].transform("last")
    return dataclasses.replace(rows, frame=rows.frame.assign(**{by: later}))


def _undefined(rows: Rows, metric: str) -> dict[tuple[str, str, str], set[tuple[str, int]]]:
    missing = np.flatnonzero(~np.isfinite(rows.values(metric)))
    undefined: dict[tuple[str, str, str], set[tuple[str, int]]] = {}
    frame = rows.frame
    for i in missing:
        key = (str(frame["model"].iat[i]), str(frame["dataset"].iat[i]), str(frame["condition"].iat[i]))
        undefined.setdefault(key, set()).add((str(frame["case_id"].iat[i]), int(rows.prompt_index[i])))
    return undefined
