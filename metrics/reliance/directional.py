"""Directional tests: a swapped location, size, number or side tells the mask what to do; does it follow?"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.intervals import t_interval
from robustness.metrics.inference.shares import share_interval
from robustness.metrics.inference.signflip import check_alpha
from robustness.metrics.pairing.direction import CHANGE
from robustness.metrics.pairing.pairs import subject_values, with_clean
from robustness.metrics.pairing.rows import Rows, read_rows
from robustness.metrics.reliance.outcomes import KINDS, Mask, Swap, judge
from robustness.metrics.verdicts.evidence import base_name
from robustness.results import PARAPHRASE, parse_condition

COLUMNS = (
    "model",
    "dataset",
    "condition",
    "attribute",
    "n_images",
    "n_excluded",
    "n_subjects",
    "obeys",
    "obeys_low",
    "obeys_high",
    "ignores",
    "ignores_low",
    "ignores_high",
    "breaks",
    "breaks_low",
    "breaks_high",
    "by_rewording",
    "net",
    "net_low",
    "net_high",
    "note",
)
_NEEDED = ("centroid_row", "centroid_col", "area_fraction", "components", CHANGE, "params")
_SIZE = ("image_height", "image_width")
_SWAPS = frozenset({"antonym", "other"})


def directional_tests(
    table: pd.DataFrame,
    *,
    alpha: float = 0.05,
    still: float = 0.1,
    least_growth: float = 0.1,
    left_is: Literal["left", "right"] | None = None,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return, per swap of a location, size, number or side, how often the mask obeys (follows), ignores or breaks it.

    - location: the centroid moves into the named region (halves; middle third for "center") where the table has columns
      `image_height` and `image_width`, else by at least a pixel within 45 degrees of the named direction
    - size: the area grows or shrinks by at least `least_growth`, as named; number: the count of components is the named
    one
      (at least 2 for "several"); side: the centroid moves towards the named side
    - ignores: the mask change is at most `still`; breaks: any other change, vanishing included

    Excluded: words without a known direction, empty clean masks, masks that are where the new word says already.
    `by_rewording` is the share of images that "obey" when merely paraphrased, and `net` the paired
    difference: only that speaks for reading the word. Shares within subject first.

    Args:
        table: columns of the results table with `params` (JSON with old and new words) and the mask's centroid, area
        and
            components.
        alpha: shares have distribution-free intervals, `net` a t interval on subject means, of level 1 - alpha.
        still: largest mask change that counts as none.
        least_growth: smallest relative change of area that counts as one.
        left_is: on which side of the image a patient's left lies; "right" in radiological images. None: learned per
            dataset from where clean masks of both sides lie (unknown, hence excluded, if they do not differ).

    Returns:
        One row per condition, columns `COLUMNS`; NaN where every image is excluded.

    Raises:
        InputError: a column is missing.
    """
    check_alpha(alpha, resamples)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing:
        raise InputError(f"table: expected columns {', '.join(_NEEDED)}, {', '.join(missing)} missing")
    rows = read_rows(table)
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        paraphrases = [int(c) for c in cells.index[cells["condition"] == PARAPHRASE]]
        for cell in cells.index:
            kind = parse_condition(str(cells.at[cell, "condition"])).attribute
            if cells.at[cell, "family"] != "prompt" or kind not in KINDS:
                continue
            if base_name(str(cells.at[cell, "condition"])) in _SWAPS:
                outcome = _Outcomes(rows, int(cell), kind, left_is, still, least_growth)
                records.append(_record(rows, outcome, paraphrases, alpha, resamples, seed))
    return pd.DataFrame(records, columns=list(COLUMNS))


class _Outcomes:
    """The outcomes of one condition's rows, and of paraphrases judged as if they had been that swap."""

    def __init__(
        self, rows: Rows, cell: int, kind: str, left_is: str | None, still: float, least_growth: float
    ) -> None:
        self.rows, self.cell, self.kind, self.still, self.least_growth = rows, cell, kind, still, least_growth
        self.columns = _columns(rows)
        self.change = rows.values(CHANGE)
        self.other, self.clean = with_clean(rows, cell)
        self.swaps = [_swap(text, kind) for text in rows.frame["params"].to_numpy(dtype=object)[self.other]]
        if kind == "side":
            self.swaps = self._with_steps(left_is)
        pairs = zip(self.swaps, self.clean, self.other, strict=True)
        self.outcome = np.array([self.judged(swap, int(c), int(o)) for swap, c, o in pairs], dtype=object)

    def judged(self, swap: Swap, clean: int, moved: int) -> str:
        """Return the outcome of one pair of rows."""
        return judge(
            swap,
            self._mask(clean),
            self._mask(moved),
            float(self.change[moved]),
            still=self.still,
            least_growth=self.least_growth,
        )

    def by_paraphrase(self, cells: list[int]) -> np.ndarray:
        """Return, per row, the share of its case's paraphrases that follow the swap by chance; NaN without any."""
        share = np.full(self.other.size, np.nan)
        paraphrased: dict[int, list[tuple[int, int]]] = {}
        for cell in cells:
            for moved, clean in zip(*with_clean(self.rows, cell), strict=True):
                paraphrased.setdefault(int(self.rows.case[moved]), []).append((int(clean), int(moved)))
        for i, (swap, row) in enumerate(zip(self.swaps, self.other, strict=True)):
            judged = [self.judged(swap, *pair) for pair in paraphrased.get(int(self.rows.case[row]), [])]
            obeyed = [outcome == "obeys" for outcome in judged if outcome != "excluded"]
            share[i] = np.mean(obeyed) if obeyed else np.nan
        return share

    def _mask(self, row: int) -> Mask:
        return Mask(*(float(column[row]) for column in self.columns))

    def _with_steps(self, left_is: str | None) -> list[Swap]:
        step = {"left": -1.0, "right": 1.0}.get(left_is or "")
        columns = self.columns[1][self.clean]
        old = np.array([swap.old for swap in self.swaps], dtype=object)
        if step is None:
            left, right = (columns[(old == side) & np.isfinite(columns)] for side in ("left", "right"))
            gap = float(left.mean() - right.mean()) if left.size and right.size else 0.0
            step = float(np.sign(gap)) if abs(gap) >= 1 else math.nan
        to_side = {"left": step, "right": -step}
        return [Swap(s.kind, s.old, s.new, to_side.get(s.new, math.nan)) for s in self.swaps]


def _record(
    rows: Rows, outcomes: _Outcomes, paraphrases: list[int], alpha: float, resamples: int, seed: int
) -> dict[str, Any]:
    used = outcomes.outcome != "excluded"
    where = outcomes.other[used]
    record: dict[str, Any] = {name: rows.cells.at[outcomes.cell, name] for name in ("model", "dataset", "condition")}
    record |= {"attribute": outcomes.kind, "n_images": np.unique(rows.case[where]).size}
    record |= {"n_excluded": int((~used).sum()), "n_subjects": np.unique(rows.subject_of_case[rows.case[where]]).size}
    for name in ("obeys", "ignores", "breaks"):
        values = subject_values(rows, where, (outcomes.outcome[used] == name).astype(float))[1]
        interval = share_interval(values, level=1 - alpha, resamples=resamples, seed=seed)
        record |= {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
    chance = outcomes.by_paraphrase(paraphrases)[used]
    defined = np.isfinite(chance)
    gain = (outcomes.outcome[used][defined] == "obeys").astype(float) - chance[defined]
    net = t_interval(subject_values(rows, where[defined], gain)[1], level=1 - alpha)
    by_chance = subject_values(rows, where[defined], chance[defined])[1]
    record |= {"by_rewording": float(by_chance.mean()) if by_chance.size else math.nan}
    note = "" if used.any() else "every image is excluded"
    return record | {"net": net.estimate, "net_low": net.low, "net_high": net.high, "note": note}


def _columns(rows: Rows) -> list[np.ndarray]:
    """Return what `Mask` holds, one array each; the size of the image is NaN where the table does not state it."""
    nothing = np.full(len(rows.frame), np.nan)
    present = [name in rows.frame.columns for name in (*_NEEDED[:4], *_SIZE)]
    names = zip((*_NEEDED[:4], *_SIZE), present, strict=True)
    return [rows.values(name) if there else nothing for name, there in names]


@lru_cache(maxsize=4096)
def _swap(params: object, kind: str) -> Swap:
    try:
        document = json.loads(str(params))
    except ValueError:
        document = {}
    old, new = (str(document.get(name, "")).lower() if isinstance(document, dict) else "" for name in ("old", "new"))
    return (
        Swap(kind, old, new)
        if not isinstance(document, dict) or document.get("kind", kind) == kind
        else Swap(kind, "", "")
    )
