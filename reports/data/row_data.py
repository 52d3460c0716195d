"""The rows behind the numbers, small enough to lie in the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from robustness.reports.data.frames import Frames

LIMIT = 150_000
FEWEST = 25
_DIGITS = 5


def row_keys(frames: Frames) -> dict[tuple[str, str], str]:
    """Return the anchor of every (series, condition) that has rows: ``rows-0-3``."""
    pairs = frames.results[["series", "condition"]].drop_duplicates()
    series = {name: i for i, name in enumerate(frames.series)}
    conditions = {c: i for i, c in enumerate(dict.fromkeys(str(c) for c in pairs["condition"]))}
    return {
        (str(s), str(c)): f"rows-{series[s]}-{conditions[str(c)]}" for s, c in pairs.itertuples(index=False, name=None)
    }


def anchors(frames: Frames) -> Callable[[Any, Any], str]:
    """Return a look-up of the rows behind (series, condition): the anchor, or an empty text where there are none."""
    keys = row_keys(frames)
    return lambda series, condition: keys.get((str(series), str(condition)), "")


def row_data(frames: Frames, *, limit: int = LIMIT) -> dict[str, Any]:
    """Return the rows as parallel lists, cases and prompts named once.

    Scores are rounded to 5 digits. Where the run has more than `limit` rows, each condition keeps the rows with the
    largest loss of Dice and the page says how many there are.

    Returns:
        ``cases``: [case_id, subject_id, target] each; ``prompts``: texts; ``blocks``: by anchor (see `row_keys`) the
        series, the condition, ``n`` rows in the run, and lists ``case``, ``prompt``, ``dice``, ``clean``, ``change``,
        ``note`` of equal length, ``other`` (Dice against the second target) where the condition has one, and ``row``
        (the number of each row in its run, from 0) where it is known.
    """
    rows = _with_clean(frames.results)
    keys = row_keys(frames)
    # Past the limit nobody reads every row here: a third of it is kept, so that larger runs make smaller pages.
    most = limit if len(rows) <= limit else max(FEWEST, limit // (3 * max(len(keys), 1)))
    blocks, parts = {}, []
    for key, block in rows.groupby(["series", "condition"], sort=False):
        anchor = keys[str(key[0]), str(key[1])]
        chosen = block if len(block) <= most else block.loc[(block["clean"] - block["dice"]).nlargest(most).index]
        blocks[anchor] = {"series": str(key[0]), "condition": str(key[1]), "n": len(block)}
        parts.append(chosen.assign(anchor=anchor))
    table = pd.concat(parts, ignore_index=True) if parts else rows.assign(anchor="")
    case_of, cases = pd.factorize(
        pd.MultiIndex.from_frame(table[["case_id", "subject_id", "target"]].fillna("").astype(str))
    )
    prompt_of, prompts = pd.factorize(table["prompt"].fillna("").astype(str))
    lists = pd.DataFrame(
        {
            "anchor": table["anchor"],
            "case": case_of,
            "prompt": prompt_of,
            "dice": table["dice"].round(_DIGITS),
            "clean": table["clean"].round(_DIGITS),
            "change": table["change"].round(_DIGITS),
            "other": table["other"].round(_DIGITS),
            "note": table["note"],
            "row": table["row"],
        }
    )
    for anchor, block in lists.groupby("anchor", sort=False):
        filled = [n for n in lists.columns[1:] if n not in ("other", "row") or block[n].notna().any()]
        blocks[str(anchor)] |= {name: _plain(block[name]) for name in filled}
    return {"cases": [list(c) for c in cases], "prompts": [str(p) for p in prompts], "blocks": blocks}


def packed_rows(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return `row_data` with equal lists stored once: cases, prompts and clean scores repeat from block to block.

    Returns:
        As `row_data`, but ``lists`` holds the distinct lists and a block the place of each of its own. The numbers of
        the rows are the ``first`` and the place of the ``steps`` from one to the next.
    """
    places: dict[str, int] = {}
    lists: list[list[Any]] = []

    def place(values: list[Any]) -> int:
        key = json.dumps(values)
        if key not in places:
            places[key] = len(lists)
            lists.append(values)
        return places[key]

    blocks = {}
    for anchor, block in data["blocks"].items():
        rows = block.get("row")
        kept = {name: value for name, value in block.items() if name != "row"}
        blocks[anchor] = {name: place(value) if isinstance(value, list) else value for name, value in kept.items()}
        if rows:
            blocks[anchor] |= {"first": rows[0], "steps": place([b - a for a, b in pairwise(rows)])}
    return {**data, "lists": lists, "blocks": blocks}


def packed_records(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[Any]]]:
    """Return records of equal keys by column: the distinct values, and for each record the place of its own.

    Example:
        >>> packed_records([{"a": "x"}, {"a": "y"}, {"a": "x"}])
        {'a': {'values': ['x', 'y'], 'index': [0, 1, 0]}}
    """
    columns: dict[str, dict[str, list[Any]]] = {}
    for name in records[0] if records else ():
        places: dict[str, int] = {}
        values: list[Any] = []
        index = []
        for record in records:
            key = json.dumps(record[name])
            if key not in places:
                places[key] = len(values)
                values.append(record[name])
            index.append(places[key])
        columns[name] = {"values": values, "index": index}
    return columns


def _with_clean(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with `dice`, `change`, the clean Dice of the same case and text, and what was noted."""
    keys = ["series", "case_id", "prompt_index"]
    dice = pd.to_numeric(results["dice"], errors="coerce")
    clean = results[keys].assign(clean=dice)[results["condition"] == "clean"].drop_duplicates(keys)
    first = clean.drop_duplicates(["series", "case_id"])
    note = results["error"].fillna("").astype(str)
    note = note.where(note.ne(""), results["note"].fillna("").astype(str))
    rows = results[[*keys, "condition", "subject_id", "target", "prompt"]].assign(
        dice=dice,
        other=pd.to_numeric(results["dice_other"], errors="coerce") if "dice_other" in results else float("nan"),
        change=pd.to_numeric(results["mask_change"], errors="coerce"),
        row=results.get("row"),
        note=note,
    )
    rows = rows.merge(clean[[*keys, "clean"]], on=keys, how="left")
    # Paraphrases have no clean row of their own number: they are paired with the first listed text.
    fallback = rows[keys[:2]].merge(first[[*keys[:2], "clean"]], on=keys[:2], how="left")["clean"]
    return rows.assign(clean=rows["clean"].where(rows["condition"].ne("paraphrase"), fallback).fillna(fallback))


def _plain(column: pd.Series) -> list[Any]:
    if column.dtype.kind == "f":
        return [None if v != v else v for v in column.tolist()]
    return list(column.tolist())
