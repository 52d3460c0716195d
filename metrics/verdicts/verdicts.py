"""Verdicts: claims that a results table supports about a model, and the rule that decided each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Interval
from robustness.metrics.inference.shares import Share
from robustness.metrics.inference.signflip import check_alpha, guarded, sign_flip
from robustness.metrics.pairing.coverage import Counts, applicable_rows
from robustness.metrics.pairing.direction import CHANGE, orientation_of
from robustness.metrics.pairing.pairs import Pairs, pair, subject_matrix
from robustness.metrics.pairing.rows import Rows, read_rows, refuse_out_of_range, warn_of_repeats
from robustness.metrics.verdicts.abstention import AREA, abstention_decisions
from robustness.metrics.verdicts.decisions import Decision
from robustness.metrics.verdicts.evidence import Evidence, attribute_of, common_baseline, gather, prompt_cells
from robustness.metrics.verdicts.families import family_tests
from robustness.metrics.verdicts.floors import floor_reason, headroom_reason
from robustness.metrics.verdicts.harmless import harmless_conditions
from robustness.metrics.verdicts.prompt_sentences import prompt_sentence
from robustness.metrics.verdicts.robustness import Conditions, measure_of, robustness_decisions
from robustness.metrics.verdicts.rules import decide
from robustness.metrics.verdicts.selectivity import TARGET_OVERLAP
from robustness.metrics.verdicts.sentences import abstention_sentence, robustness_sentence
from robustness.metrics.verdicts.settings import Settings, margins_of
from robustness.results import OTHER_OVERLAP, REFERENCE_FRACTION, RERUN, VERDICT_COLUMNS


def verdicts(
    table: pd.DataFrame,
    *,
    alpha: float = 0.05,
    margin_dice: float = 0.10,
    margin_change: float = 0.05,
    margin_abstain: float = 0.10,
    resamples: int = 9999,
    seed: int = 0,
    margins: Mapping[str, float] | None = None,
    unit: str | Mapping[str, str] = "subject",
    min_subjects: int = 10,
    missing_share: float = 0.05,
    star_alpha: float = 1.0,
    target_overlap: float = TARGET_OVERLAP,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return one row per claim: what the model does with its prompt, and what it is robust to.

    Claim "prompt", for every prompt condition but paraphrases and controls: FOLLOWS, REACTS, UNSTABLE, IGNORES,
    INCONCLUSIVE or UNTESTABLE; see `robustness.metrics.verdicts.rules`. Claim "robustness", for image changes that are
    no control and for prompt and joint changes that should be harmless: ROBUST (the interval lies below the margin),
    FRAGILE (above it), INCONCLUSIVE or UNTESTABLE; see `robustness.metrics.verdicts.robustness`. Claim "abstention",
    where the prompt asks for what is not there: ABSTAINS, HALLUCINATES, INCONCLUSIVE or UNTESTABLE. A star (ROBUST*)
    says that the interval alone decided: no distribution-free test agrees (`certified` is false). Attacks and other
    searches carry no claim: they yield a bound, which `robustness.metrics.analyses.attacks.attack_success` counts.

    Args:
        table: as for `effects`; `mask_change` is what prompt claims rest on, `dice_other` what FOLLOWS needs,
            `area_fraction` what abstention needs.
        alpha: error rate of each side of a family of claims, the testable ones of a (model, dataset), for robustness
            also of the metric.
        margin_dice: smallest difference that matters, for dice and iou.
        margin_change: the same for mask_change.
        margin_abstain: largest share of subjects that may get a mask where the prompt asks for nothing.
        resamples: sign flips.
        seed: of the flips.
        margins: further metrics with their margins, or other margins for these three.
        unit: what a subject is called in the sentences ("patient", "image"); by dataset where they differ.
        min_subjects: with fewer (at least 6) every claim is UNTESTABLE: described, not judged.
        missing_share: a verdict with a larger share of missing cases must also hold with them counted against it.
        star_alpha: error rate in (0, 1] that ROBUST* and IGNORES* are proven to keep, INCONCLUSIVE where they are
            not; 1: the interval alone gives the star.
        target_overlap: largest share of the smaller of two targets that may lie in the other (`other_overlap`) for the
            pair to count for FOLLOWS.
        higher_is_better: directions of metrics that are not in `METRICS`.

    Returns:
        Columns `VERDICT_COLUMNS`. The interval is the one that the rule used, of level `level`, which `m` claims share;
        NaN bounds mean that there is none. `share`: of subjects that show the verdict's behaviour, with its exact
        interval of level 1 - alpha. `n_missing`: images that the condition applies to and that have no value.
        `n_needed` is the number of subjects that would decide, missing where nothing is open or none is within reach.
        `detectable`: the max-T adjusted p value is below alpha (a change can be detectable and within its margin).

    Raises:
        InputError: a column is missing, an option or a metric is out of range, or rows contradict each other.
    """
    check_alpha(alpha, resamples)
    chosen = margins_of(table, margin_dice, margin_change, margins or {})
    settings = Settings(
        alpha,
        margin_dice,
        chosen.get(CHANGE, margin_change),
        resamples,
        seed,
        "subject",
        min_subjects,
        margin_abstain,
        missing_share,
        star_alpha,
        target_overlap,
    ).checked()
    rows = _checked_rows(table, chosen)
    return _frame(list(_claims(table, rows, chosen, settings.called(unit), higher_is_better)))


def _checked_rows(table: pd.DataFrame, margins: Mapping[str, float]) -> Rows:
    """Return the rows of a table; repeats warn, and a ratio out of its range is an error."""
    rows = read_rows(table)
    warn_of_repeats(rows)
    ratios = {*margins, "dice", "iou", CHANGE, "dice_other", OTHER_OVERLAP, AREA, REFERENCE_FRACTION}
    for column in sorted(ratios.intersection(table.columns)):
        refuse_out_of_range(rows, column)
    return rows


def _claims(
    table: pd.DataFrame,
    rows: Rows,
    margins: Mapping[str, float],
    settings: Settings,
    higher_is_better: Mapping[str, bool | None] | None,
) -> Iterator[dict[str, Any]]:
    """Yield the rows of `verdicts`, by group: prompt, abstention, then robustness by metric."""
    changes = pair(rows, CHANGE, "itself") if CHANGE in table.columns else None
    harmless = harmless_conditions(rows)
    paired = {
        metric: pair(rows, metric, orientation_of(metric, higher_is_better), keep=harmless.rows) for metric in margins
    }
    expected = applicable_rows(rows)
    harmless_expected = applicable_rows(rows, keep=harmless.rows)
    for _, cells in rows.cells.groupby("group", sort=True):
        settings = settings.of_dataset(str(cells["dataset"].iloc[0]))
        yield from _prompt_claims(rows, changes, cells, settings, expected)
        yield from _abstention_claims(rows, cells, settings)
        floor = floor_reason(rows, cells, settings) if harmless.cells[cells.index].any() else ""
        for metric, margin in margins.items():
            noise = _noise(changes, cells) if metric == CHANGE else 0.0
            reason = floor or headroom_reason(rows, cells, metric, margin, settings)
            conditions = Conditions(rows, cells, harmless.cells, harmless_expected, noise, reason)
            yield from _robustness_claims(paired[metric], conditions, metric, margin, settings)


def _prompt_claims(
    rows: Rows, changes: Pairs | None, cells: pd.DataFrame, settings: Settings, expected: Counts
) -> list[dict[str, Any]]:
    baseline = common_baseline(rows, changes, cells, expected)
    family = [gather(rows, baseline, cell, limit=settings.target_overlap) for cell in prompt_cells(rows, cells)]
    detectable = _detectable(family, settings)
    tests = family_tests(family, settings)
    decisions = [decide(evidence, settings, test) for evidence, test in zip(family, tests, strict=True)]
    shown = {
        evidence.attribute: str(cells.at[evidence.cell, "condition"])
        for evidence, decision in zip(family, decisions, strict=True)
        if decision.plain == "FOLLOWS"
    }
    return [
        _prompt_record(evidence, decision, cells, settings, bool(seen), shown.get(evidence.attribute, ""))
        for evidence, decision, seen in zip(family, decisions, detectable, strict=True)
    ]


def _detectable(family: list[Evidence], settings: Settings) -> np.ndarray:
    matrix = subject_matrix([(evidence.subjects, evidence.excess) for evidence in family])
    test = sign_flip(matrix, resamples=settings.resamples, seed=settings.seed)
    return guarded(test, matrix, low=-1.0, high=1.0).p_adjusted < settings.alpha


def _prompt_record(
    evidence: Evidence, decision: Decision, cells: pd.DataFrame, settings: Settings, detectable: bool, shown_by: str
) -> dict[str, Any]:
    cell = cells.loc[evidence.cell]
    noise = f"; two identical runs differ by {100 * evidence.rerun_noise:.2f}%" if evidence.rerun_noise > 0 else ""
    sentence = prompt_sentence(
        decision,
        model=cell["model"],
        attribute=evidence.attribute,
        condition=cell["condition"],
        unit=settings.unit,
        alpha=settings.alpha,
        shown_by=shown_by,
    )
    return _key(cell, "prompt") | {
        "attribute": evidence.attribute,
        "metric": decision.metric,
        "verdict": decision.verdict,
        "rule": decision.rule + noise,
        **_interval(decision.interval),
        "margin": decision.margin,
        "n_images": decision.n_images,
        "n_subjects": decision.n_subjects,
        "n_missing": decision.n_missing,
        "n_needed": decision.n_needed,
        "level": decision.level,
        "m": decision.m,
        "certified": decision.certified,
        **_share(decision.share),
        "detectable": detectable,
        "sentence": sentence,
    }


def _abstention_claims(rows: Rows, cells: pd.DataFrame, settings: Settings) -> list[dict[str, Any]]:
    return [
        _key(cells.loc[decision.cell], "abstention")
        | {
            "attribute": attribute_of(rows, decision.cell),
            "metric": AREA,
            "verdict": decision.verdict,
            "rule": decision.rule,
            **_interval(decision.interval),
            "margin": settings.margin_abstain,
            "n_images": decision.n_images,
            "n_subjects": decision.n_subjects,
            "n_missing": decision.n_missing,
            "n_needed": decision.needed.n,
            "level": decision.level,
            "m": decision.m,
            "certified": decision.verdict in ("ABSTAINS", "HALLUCINATES"),
            **_share(decision.share),
            "detectable": False,
            "sentence": abstention_sentence(
                decision,
                model=cells.at[decision.cell, "model"],
                condition=cells.at[decision.cell, "condition"],
                margin=settings.margin_abstain,
                unit=settings.unit,
            ),
        }
        for decision in abstention_decisions(rows, cells, settings)
    ]


def _noise(changes: Pairs | None, cells: pd.DataFrame) -> float:
    """Return the mean change between two identical runs; 0 where there is no rerun."""
    if changes is None:
        return 0.0
    floors = [changes.effect[changes.of(int(cell))] for cell in cells.index[cells["condition"] == RERUN]]
    return float(floors[0].mean()) if floors and floors[0].size else 0.0


def _robustness_claims(
    pairs: Pairs, conditions: Conditions, metric: str, margin: float, settings: Settings
) -> list[dict[str, Any]]:
    records = []
    for number, decision, columns in robustness_decisions(pairs, conditions, measure_of(metric, margin), settings):
        cell = conditions.cells.loc[number]
        sentence = robustness_sentence(
            decision,
            model=cell["model"],
            condition=cell["condition"],
            metric=metric,
            margin=margin,
            unit=settings.unit,
            alpha=settings.alpha,
        )
        records.append(
            _key(cell, "robustness")
            | columns
            | {
                "attribute": "",
                "metric": metric,
                "verdict": decision.verdict,
                "rule": decision.rule,
                **_interval(decision.interval),
                "margin": margin,
                "n_subjects": decision.n_subjects,
                "n_missing": decision.n_missing,
                "n_needed": decision.needed.n,
                "level": decision.level,
                "m": decision.m,
                "certified": decision.certified,
                **_share(decision.share),
                "sentence": sentence,
            }
        )
    return records


def _key(cell: pd.Series, claim: str) -> dict[str, Any]:
    return {"model": cell["model"], "dataset": cell["dataset"], "claim": claim, "condition": cell["condition"]}


def _interval(interval: Interval) -> dict[str, float]:
    return dict(zip(("estimate", "ci_low", "ci_high"), interval, strict=True))


def _share(share: Share) -> dict[str, float]:
    return dict(zip(("share", "share_low", "share_high"), share, strict=True))


def _frame(records: list[dict[str, Any]]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=list(VERDICT_COLUMNS))
    floats = ("estimate", "ci_low", "ci_high", "margin", "level", "share", "share_low", "share_high")
    types: dict[str, str] = dict.fromkeys(floats, "float64")
    types |= dict.fromkeys(("n_images", "n_subjects", "n_missing", "m"), "int64")
    types |= {"n_needed": "Int64", "detectable": "bool", "certified": "bool"}
    return frame.astype({name: types.get(name, "str") for name in VERDICT_COLUMNS})
