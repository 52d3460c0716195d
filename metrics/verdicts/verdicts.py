"""Verdicts: what a table of results lets one claim about a model, and the rule that decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustness.errors import InputError
from robustness.metrics.inference.checks import check_alpha
from robustness.metrics.inference.intervals import Interval, t_interval
from robustness.metrics.inference.planning import subjects_to_decide
from robustness.metrics.inference.signflip import sign_flip
from robustness.metrics.pairing.direction import CHANGE, orientation_of
from robustness.metrics.pairing.pairs import Pairs, pair, subject_matrix, subject_means
from robustness.metrics.pairing.rows import Rows, read_rows
from robustness.metrics.verdicts.evidence import Evidence, background, base_name, gather, prompt_cells
from robustness.metrics.verdicts.rules import Settings, decide
from robustness.metrics.verdicts.sentences import prompt_sentence, robustness_sentence
from robustness.results import CLEAN, PARAPHRASE, RERUN, VERDICT_COLUMNS, is_searched


def verdicts(
    table: pd.DataFrame,
    *,
    alpha: float = 0.05,
    margin_dice: float = 0.10,
    margin_change: float = 0.05,
    resamples: int = 9999,
    seed: int = 0,
    margins: Mapping[str, float] | None = None,
    unit: str = "subject",
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return one row per claim: what the model does with its prompt, and what it withstands.

    Claim "prompt", for every prompt condition but rewordings and controls: FOLLOWS, REACTS, UNSTABLE, IGNORES,
    IGNORES* (not certified), INCONCLUSIVE or UNTESTABLE; see `robustness.metrics.verdicts.rules`. Claim "robustness",
    for image changes that are no control and for prompt and joint changes that should be harmless: ROBUST (the interval
    lies below the margin), FRAGILE (above it), INCONCLUSIVE or UNTESTABLE. Attacks and other searches carry no claim:
    what they find is a bound, which `robustness.metrics.analyses.attacks.attack_success` counts.

    Args:
        table: as for `effects`; `mask_change` is what prompt claims rest on, `dice_other` what FOLLOWS needs.
        alpha: error rate of each side of a family of claims; intervals have level 1 - 2 alpha / m, m the number of
            testable conditions of the (model, dataset), for robustness also of the metric.
        margin_dice: smallest difference that matters, for dice and iou.
        margin_change: the same for mask_change.
        resamples: sign flips for `detectable`, and draws of the distribution-free bound.
        seed: of both.
        margins: further metrics with their margins, or other margins for these three.
        unit: what a subject is called in the sentences ("patient", "image").
        higher_is_better: directions of metrics that are not in `METRICS`.

    Returns:
        Columns `VERDICT_COLUMNS`. The interval is the one that the rule used; NaN bounds mean that there is none.
        `n_needed` is the number of subjects that would decide, missing where nothing is open or it cannot be told.
        `detectable`: the max-T adjusted p value is below alpha (a change can be detectable and within its margin).

    Raises:
        InputError: a column is missing, or an option is out of range.
    """
    check_alpha(alpha, resamples)
    rows = read_rows(table)
    chosen = _margins(table, margin_dice, margin_change, margins or {})
    settings = Settings(alpha, margin_dice, chosen.get(CHANGE, margin_change), resamples, seed, unit)
    changes = pair(rows, CHANGE, "itself") if CHANGE in table.columns else None
    harmless = _harmless(rows)
    paired = {
        metric: pair(rows, metric, orientation_of(metric, higher_is_better), keep=harmless.rows) for metric in chosen
    }
    records: list[dict[str, Any]] = []
    for _, cells in rows.cells.groupby("group", sort=True):
        records += _prompt_claims(rows, changes, cells, settings)
        for metric, margin in chosen.items():
            noise = _noise(changes, cells) if metric == CHANGE else 0.0
            records += _robustness_claims(paired[metric], cells, harmless.cells, metric, margin, settings, noise)
    return _frame(records)


def _margins(
    table: pd.DataFrame, margin_dice: float, margin_change: float, margins: Mapping[str, float]
) -> dict[str, float]:
    defaults = {"dice": margin_dice, "iou": margin_dice, CHANGE: margin_change}
    for name, margin in {**defaults, **margins}.items():
        if not (0 < margin < math.inf) or (name in defaults and margin >= 1):
            raise InputError(f"margin of {name}: expected a positive number (below 1 for a ratio), got {margin!r}")
    present = {name: margin for name, margin in defaults.items() if name in table.columns and table[name].notna().any()}
    return {**present, **margins}


def _prompt_claims(rows: Rows, changes: Pairs | None, cells: pd.DataFrame, settings: Settings) -> list[dict[str, Any]]:
    behind = background(rows, changes, cells)
    found = [gather(rows, behind, cell) for cell in prompt_cells(rows, cells)]
    family = max(1, sum(evidence.change.size >= 2 for evidence in found))
    detectable = _detectable(found, settings)
    return [
        _prompt_record(evidence, cells, settings, family, bool(seen))
        for evidence, seen in zip(found, detectable, strict=True)
    ]


def _detectable(found: list[Evidence], settings: Settings) -> np.ndarray:
    matrix = subject_matrix([(evidence.subjects, evidence.excess) for evidence in found])
    return sign_flip(matrix, resamples=settings.resamples, seed=settings.seed).p_adjusted < settings.alpha


def _prompt_record(
    evidence: Evidence, cells: pd.DataFrame, settings: Settings, family: int, detectable: bool
) -> dict[str, Any]:
    cell = cells.loc[evidence.cell]
    decision = decide(evidence, settings, family)
    noise = f"; two identical runs differ by {100 * evidence.floor:.2f}%" if evidence.floor > 0 else ""
    sentence = prompt_sentence(
        decision, model=cell["model"], attribute=evidence.attribute, condition=cell["condition"], unit=settings.unit
    )
    return {
        "model": cell["model"],
        "dataset": cell["dataset"],
        "claim": "prompt",
        "attribute": evidence.attribute,
        "condition": cell["condition"],
        "metric": decision.metric,
        "verdict": decision.verdict,
        "rule": decision.rule + noise,
        "estimate": decision.interval.estimate,
        "ci_low": decision.interval.low,
        "ci_high": decision.interval.high,
        "margin": decision.margin,
        "n_images": decision.n_images,
        "n_subjects": decision.n_subjects,
        "n_needed": decision.n_needed,
        "detectable": detectable,
        "sentence": sentence,
    }


def _noise(changes: Pairs | None, cells: pd.DataFrame) -> float:
    """Return the mean change between two identical runs; 0 where there is no rerun."""
    if changes is None:
        return 0.0
    floors = [changes.effect[changes.of(int(cell))] for cell in cells.index[cells["condition"] == RERUN]]
    return float(floors[0].mean()) if floors and floors[0].size else 0.0


class _Harmless:
    """Which cells carry a robustness claim, and which rows count for it."""

    def __init__(self, cells: np.ndarray, rows: np.ndarray) -> None:
        self.cells, self.rows = cells, rows


def _harmless(rows: Rows) -> _Harmless:
    """Image conditions whole; of prompt and joint conditions the rows that should leave the mask as it is.

    Not controls, and not what was searched for: its score is a bound, which can show harm but never robustness.
    """
    family = rows.cells["family"].to_numpy()
    reworded = np.array([base_name(c) == PARAPHRASE for c in rows.cells["condition"]], dtype=bool)
    expectation = rows.frame["expectation"].to_numpy()
    # A table from elsewhere may state no expectation: its joint conditions are changes like any other.
    unstated = (expectation == "") & (family == "joint")[rows.cell]
    invariant = (expectation == "invariant") | unstated
    some = np.bincount(rows.cell[invariant & rows.usable], minlength=len(family)) > 0
    every = np.bincount(rows.cell[~invariant], minlength=len(family)) == 0
    worded = np.isin(family, ("prompt", "joint")) & (some | every) & ~reworded
    is_control = np.bincount(rows.cell[expectation != "control"], minlength=len(family)) == 0
    claimed = ((family == "image") & ~is_control) | worded | ((family == "prompt") & reworded)
    claimed &= ~np.array([is_searched(c) for c in rows.cells["condition"]], dtype=bool)
    return _Harmless(claimed, ~worded[rows.cell] | invariant)


def _robustness_claims(
    pairs: Pairs,
    cells: pd.DataFrame,
    claimed: np.ndarray,
    metric: str,
    margin: float,
    settings: Settings,
    noise: float,
) -> list[dict[str, Any]]:
    changed = [int(c) for c in cells.index[cells["family"] != CLEAN]]
    values = [subject_means(pairs.effect[pairs.of(c)], pairs.subject[pairs.of(c)]) for c in changed]
    test = sign_flip(subject_matrix(values), resamples=settings.resamples, seed=settings.seed)
    wanted = [i for i, c in enumerate(changed) if claimed[c]]
    family = max(1, sum(values[i][1].size >= 2 for i in wanted))
    records = []
    for i in wanted:
        where = pairs.of(changed[i])
        records.append(
            _robustness_record(values[i][1], cells.loc[changed[i]], metric, margin, settings, family, noise)
            | {"n_images": where.stop - where.start, "detectable": bool(test.p_adjusted[i] < settings.alpha)}
        )
    return records


def _robustness_record(
    values: np.ndarray, cell: pd.Series, metric: str, margin: float, settings: Settings, family: int, noise: float
) -> dict[str, Any]:
    alpha = settings.alpha / family
    interval = t_interval(values, level=1 - 2 * alpha)
    verdict, rule = _withstands(interval, values.size, margin, settings.unit)
    if noise > 0:
        rule += f"; two identical runs differ by {100 * noise:.2f}%"
        # What moves that much by itself cannot be called fragile under anything.
        verdict = "INCONCLUSIVE" if verdict == "FRAGILE" and noise >= margin else verdict
    needed = subjects_to_decide(values, margin, alpha=alpha) if verdict == "INCONCLUSIVE" else None
    sentence = robustness_sentence(
        verdict,
        interval,
        model=cell["model"],
        condition=cell["condition"],
        metric=metric,
        margin=margin,
        n_subjects=values.size,
        n_needed=needed,
        unit=settings.unit,
    )
    return {
        "model": cell["model"],
        "dataset": cell["dataset"],
        "claim": "robustness",
        "attribute": "",
        "condition": cell["condition"],
        "metric": metric,
        "verdict": verdict,
        "rule": rule,
        "estimate": interval.estimate,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "margin": margin,
        "n_subjects": values.size,
        "n_needed": needed,
        "sentence": sentence,
    }


def _withstands(interval: Interval, n_subjects: int, margin: float, unit: str) -> tuple[str, str]:
    if n_subjects < 2:
        return "UNTESTABLE", "no case applies" if n_subjects == 0 else f"fewer than 2 {unit}s"
    bounds = f"[{interval.low:.3f}, {interval.high:.3f}]"
    if interval.high < margin:
        return "ROBUST", f"interval {bounds} below the margin {margin:g}"
    if interval.low > margin:
        return "FRAGILE", f"interval {bounds} above the margin {margin:g}"
    return "INCONCLUSIVE", f"interval {bounds} holds the margin {margin:g}"


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=list(VERDICT_COLUMNS))
    floats, counts = ("estimate", "ci_low", "ci_high", "margin"), ("n_images", "n_subjects")
    types = (
        dict.fromkeys(floats, "float64") | dict.fromkeys(counts, "int64") | {"n_needed": "Int64", "detectable": "bool"}
    )
    return frame.astype({name: types.get(name, "str") for name in VERDICT_COLUMNS})
