"""Empty predictions: how many, and what a model that paints nothing can be said to do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from robustness.errors import plural, verb
from robustness.reports.words import condition_words, count

MOSTLY_EMPTY = 0.95
OFTEN_EMPTY = 0.10
_CASE = ["series", "dataset", "split", "case_id", "prompt_index"]
_STATE = ["condition", "applicable", "error"]


class Silence(NamedTuple):
    """Empty predictions of one series among those whose emptiness is recorded; `share` is 0 where there is none."""

    n_empty: int
    n: int
    share: float
    sentence: str


def silent_share(results: pd.DataFrame, series: str) -> Silence:
    """Count the empty predictions of `series` on inputs whose reference is not empty, over all conditions.

    A prediction is empty where the row is flagged `missed`; rows whose reference is empty say nothing and are left out,
    so are rows that were not applicable or failed.

    Args:
        results: rows of runs.
        series: the model.
    """
    rows = predictions(
        results.loc[results["series"] == series, [*_CASE, *_STATE, "missed", "both_empty", "hallucinated"]]
    )
    rows = rows[rows["missed"].notna()]
    structures = rows[~(rows["both_empty"].eq(True).fillna(False) | rows["hallucinated"].eq(True).fillna(False))]
    n, n_empty = len(structures), int(structures["missed"].eq(True).fillna(False).sum())
    share = n_empty / n if n else 0.0
    whole = f"all {n:,}" if n_empty == n > 1 else f"{n_empty:,} of {n:,}"
    sentence = (
        f"{series}: {whole} {plural(n, 'prediction')} on inputs that show the structure {verb(n_empty, 'are')} empty."
        " Nothing can be concluded about words or image changes: a model that paints nothing changes nothing. Check the"
        " threshold, the preparation of the images and the weights."
    )
    return Silence(n_empty, n, share, sentence)


def often_empty(results: pd.DataFrame, series: str) -> str:
    """Say that a tenth or more of the clean predictions of `series` are empty where the structure is there; else ""."""
    silence = silent_share(results[results["condition"] == "clean"], series)
    if silence.share < OFTEN_EMPTY:
        return ""
    return (
        f"{series}: {silence.n_empty:,} of {silence.n:,} clean {plural(silence.n, 'prediction')} on inputs that show"
        f" the structure {verb(silence.n_empty, 'are')} empty: an empty mask cannot lose what it does not"
        " hold, so little change there is no robustness."
    )


def predictions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were scored, each clean prediction once: it has one row per second target of its case."""
    clean = rows["condition"].eq("clean").to_numpy(dtype=bool)
    repeated = np.zeros(len(rows), dtype=bool)
    repeated[clean] = rows.loc[clean, _CASE].duplicated()
    scored = rows["applicable"].fillna(True).astype(bool) & rows["error"].fillna("").astype(str).eq("")
    return rows[scored & ~repeated]


def known_empty(rows: pd.DataFrame) -> int:
    """Count the rows that are known to need an empty mask: the reference is empty, or the prompt asks for it."""
    return int((rows["both_empty"].eq(True).fillna(False) | rows["hallucinated"].eq(True).fillna(False)).sum())


def empty_by_condition(rows: pd.DataFrame, *, most: int = 5) -> list[str]:
    """Return one sentence per flag that occurs, "missed" and "hallucinated": under which conditions, the largest first.

    Args:
        rows: of one series, each prediction once.
        most: conditions named; the others are summed up.
    """
    sentences = []
    for flag in ("missed", "hallucinated"):
        flagged = rows.loc[rows[flag].eq(True).fillna(False), "condition"].astype(str).value_counts(sort=True)
        flagged = flagged[flagged > 0].sort_index().sort_values(ascending=False, kind="stable")
        sizes = rows["condition"].astype(str).value_counts()
        named = [
            f"{condition_words(str(c))}: {n:,} of {count(int(sizes[c]), 'prediction')}"
            for c, n in flagged[:most].items()
        ]
        rest = flagged[most:]
        named += [f"{count(len(rest), 'further condition')}: {int(rest.sum()):,}"] if len(rest) else []
        if named:
            sentences.append(f"{flag} by condition: {'; '.join(named)}.")
    return sentences
