"""Attack success against eps, and signs that an attack did not work."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import counted
from robustness.metrics.inference.shares import share_interval
from robustness.metrics.pairing.direction import require_higher_is_better
from robustness.metrics.pairing.pairs import Pairs, pair, subject_means
from robustness.metrics.pairing.rows import read_rows
from robustness.results import is_attack

COLUMNS = (
    "model",
    "dataset",
    "condition",
    "attack",
    "eps",
    "n_images",
    "n_subjects",
    "clean_mean",
    "attacked_mean",
    "margin",
    "share",
    "share_low",
    "share_high",
    "failure_below",
    "clean_failed",
    "failed",
    "failed_low",
    "failed_high",
    "level",
    "n_suspicious",
)
SIGN_COLUMNS = ("model", "dataset", "condition", "sign", "n", "n_rows")
WEAKER = "a smaller eps is stronger"

_KEYS = ["model", "dataset", "condition"]
_SLACK = 0.01


def attack_success(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    margin: float = 0.10,
    failure_below: float = 0.5,
    alpha: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Return, for every attack and eps, the share of cases on which it succeeds.

    An attack gives an upper bound on robustness: under the worst change of this size the share of successes is *at
    least* this, the score *at most* that. The intervals speak about this attack, with this budget, on other subjects.

    Args:
        table: as for `effects`, with the column `params` of a run.
        metric: a metric of which more is better.
        margin: an attack succeeds on a case where the metric falls by more than this ...
        failure_below: ... and a case fails where it is below this, attacked (`failed`) or not (`clean_failed`).
        alpha: intervals of shares have `level` 1 - alpha; they are distribution-free (`share_interval`) and taken over
            subjects, each the mean of its cases.
        resamples, seed: of the intervals.

    Returns:
        One row per (model, dataset, condition) that attacks the image, by attack and eps (levels of 1/255; NaN where
        no record states it); columns `COLUMNS`. `n_suspicious` counts rows with a sign of `attack_signs`.

    Raises:
        InputError: less of the metric is better, or a column is missing.
    """
    require_higher_is_better(metric)
    rows = read_rows(table)
    pairs = pair(rows, metric, "clean - perturbed")
    records = read_records(rows.frame[rows.usable])
    results = []
    for cell in rows.cells.index[[is_attack(str(c)) for c in rows.cells["condition"]]]:
        key = {name: rows.cells.at[cell, name] for name in _KEYS}
        mine = records[(records[_KEYS] == pd.Series(key)).all(axis=1)]
        where = pairs.of(int(cell))
        shares = _shares(pairs, where, margin, failure_below, 1 - alpha, resamples, seed)
        eps = float(mine["eps"].median()) if len(mine) else float("nan")
        facts = {"attack": attack_name(str(key["condition"])), "eps": eps, "margin": margin}
        suspicious = int(mine["signs"].map(bool).sum())
        limits = {"failure_below": failure_below, "level": 1 - alpha, "n_suspicious": suspicious}
        results.append({**key, **facts, **shares, **limits})
    frame = pd.DataFrame(results, columns=list(COLUMNS))
    return frame.sort_values(["model", "dataset", "attack", "eps"], kind="stable", ignore_index=True)


def _shares(
    pairs: Pairs, where: slice, margin: float, limit: float, level: float, resamples: int, seed: int
) -> dict[str, Any]:
    subject = pairs.subject[where]
    clean, attacked = pairs.clean[where], pairs.perturbed[where]

    def over_subjects(values: np.ndarray) -> np.ndarray:
        return subject_means(values.astype(float), subject)[1]

    # A fall of exactly the margin must not count through rounding.
    fell = over_subjects(pairs.effect[where] > margin + 1e-12)
    failed, before = over_subjects(attacked < limit), over_subjects(clean < limit)
    share = share_interval(fell, level=level, resamples=resamples, seed=seed)
    failing = share_interval(failed, level=level, resamples=resamples, seed=seed)
    means = {"clean_mean": over_subjects(clean), "attacked_mean": over_subjects(attacked), "clean_failed": before}
    return {
        "n_images": int(clean.size),
        "n_subjects": int(fell.size),
        **{name: float(values.mean()) if values.size else float("nan") for name, values in means.items()},
        "share": share.estimate,
        "share_low": share.low,
        "share_high": share.high,
        "failed": failing.estimate,
        "failed_low": failing.low,
        "failed_high": failing.high,
    }


def attack_signs(table: pd.DataFrame) -> pd.DataFrame:
    """Count the signs that an attack did not work, which must not be read as robustness.

    Signs are those that each row's search recorded (the loss does not rise, the gradient is zero or not finite, random
    noise or one gradient step is as strong), and `WEAKER`: on the same case and text the attack reached a higher loss
    with a smaller eps, by more than 1% of the rise.

    Returns:
        One row per (model, dataset, condition, sign); columns `SIGN_COLUMNS`, `n` of `n_rows` attacked rows.
    """
    records = read_records(table)
    results: list[dict[str, Any]] = []
    for key, group in records.groupby(_KEYS, sort=True):
        times = Counter(sign for signs in group["signs"] for sign in signs)
        labels = dict(zip(_KEYS, key, strict=True))
        results += [{**labels, "sign": s, "n": n, "n_rows": len(group)} for s, n in sorted(times.items())]
    return pd.DataFrame(results, columns=list(SIGN_COLUMNS))


def attack_warnings(table: pd.DataFrame) -> list[str]:
    """Return `attack_signs` as sentences, one per (model, dataset, condition)."""
    signs = attack_signs(table)
    return [
        f"{condition} against {model} on {dataset} shows signs of not having worked ("
        + "; ".join(f"{r['sign']}: {r['n']} of {counted(r['n_rows'], 'row')}" for r in group.to_dict("records"))
        + "): gradient masking is possible, and what such an attack leaves intact is no robustness."
        for (model, dataset, condition), group in signs.groupby(_KEYS, sort=True)
    ]


def read_records(table: pd.DataFrame) -> pd.DataFrame:
    """Return the records of attacked rows: the keys of the row, `eps`, `loss`, `clean_loss` and the list `signs`."""
    columns = [*_KEYS, "case_id", "prompt_index", "eps", "loss", "clean_loss", "signs"]
    if "params" not in table.columns:
        return pd.DataFrame(columns=columns)
    attacks = [condition for condition in table["condition"].unique() if is_attack(str(condition))]
    attacked = table[table["condition"].isin(attacks)]
    records = []
    for row in attacked.to_dict("records"):
        record = _record(row["params"])
        if record.get("eps"):
            key = {name: row.get(name, "") for name in _KEYS} | {"case_id": row["case_id"]}
            numbers = {name: record.get(name) for name in ("eps", "loss", "clean_loss")}
            records.append(
                {
                    **key,
                    "prompt_index": row.get("prompt_index", 0),
                    **numbers,
                    "signs": list(record.get("suspicious") or []),
                }
            )
    frame = pd.DataFrame(records, columns=columns)
    return _with_weaker(frame) if len(frame) else frame


def _with_weaker(frame: pd.DataFrame) -> pd.DataFrame:
    """Add `WEAKER` to the rows whose loss lies below that of a smaller eps.

    Losses are compared from the same clean loss only: a joint search attacks other words at every eps.
    """
    attack = frame["condition"].map(lambda c: attack_name(str(c)))
    numbers = {name: pd.to_numeric(frame[name], errors="coerce") for name in ("loss", "clean_loss")}
    keys = [frame[name] for name in ("model", "dataset", "case_id", "prompt_index")]
    for _, group in frame.groupby([*keys, attack, numbers["clean_loss"].round(6)], sort=False):
        highest = -np.inf
        for index in group.sort_values("eps", kind="stable").index:
            loss, clean = numbers["loss"][index], numbers["clean_loss"][index]
            if np.isfinite(highest) and highest - loss > _SLACK * abs(highest - clean):
                frame.at[index, "signs"].append(WEAKER)
            highest = max(highest, loss)
    return frame


def attack_name(condition: str) -> str:
    """Return a condition without severities: what a success curve is drawn for.

    Example:
        >>> attack_name("image:pgd@2"), attack_name("image:pgd@3+worst_case")
        ('pgd', 'pgd+worst_case')
    """
    return "+".join(part.removeprefix("image:").partition("@")[0] for part in condition.split("+"))


def _record(text: Any) -> dict[str, Any]:
    try:
        record = json.loads(text) if isinstance(text, str) and text else {}
    except json.JSONDecodeError:
        return {}
    return record if isinstance(record, dict) else {}
