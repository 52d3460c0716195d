"""Misleading: known models and truths at 12 to 200 patients; how often is a verdict right, starred, open, wrong?"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from robustness import verdicts
from robustness.seeds import generator

SUBJECTS = (12, 20, 60, 200)
IMAGE, SWAP, OTHER, ABSENT = "image:noise@1", "antonym:size", "other:size", "wrong_class"
Rng = np.random.Generator
# Runs that share one table: verdicts are given per (model, dataset).
_BLOCK = 25


class Known:
    """A model with a known truth: its rows, the claim that is looked at, and the verdicts that are right or wrong."""

    def __init__(
        self, rows: Callable[[Rng, int], pd.DataFrame], condition: str, claim: str, right: tuple[str, ...],
        wrong: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.rows, self.condition, self.claim, self.right, self.wrong = rows, condition, claim, right, wrong


def condition(name: str, n: int, **columns: object) -> pd.DataFrame:
    """Return one row per patient under one condition."""
    patient = [f"p{i:04d}" for i in range(n)]
    return pd.DataFrame({"case_id": patient, "subject_id": patient, "condition": name, **columns})


def prompt_rows(change: np.ndarray, wording: np.ndarray, reaches: np.ndarray | None = None) -> pd.DataFrame:
    """Return clean, paraphrase and swap rows with these mask changes; with `reaches` the swap names a second target."""
    n = change.size
    referent = {} if reaches is None else {"other_case_id": "o", "attribute": "size"}
    clean = condition("clean", n, mask_change=0.0, dice=0.9, dice_other=0.0, **referent)
    other = np.zeros(n) if reaches is None else reaches
    swap = condition(
        SWAP if reaches is None else OTHER, n, mask_change=change, dice=0.9 * (1 - change), dice_other=other
    )
    return pd.concat([clean, condition("paraphrase", n, mask_change=wording, dice=0.9), swap.assign(**referent)])


def image_rows(loss: np.ndarray, clean: float | np.ndarray = 0.9) -> pd.DataFrame:
    """Return clean rows and an image change that costs `loss` Dice."""
    n = loss.size
    return pd.concat([condition("clean", n, dice=clean), condition(IMAGE, n, dice=np.clip(clean - loss, 0, 1))])


def _reads_in(share: float) -> Callable[[Rng, int], pd.DataFrame]:
    def rows(rng: Rng, n: int) -> pd.DataFrame:
        reads = (rng.random(n) < share).astype(float)
        return prompt_rows(reads, np.zeros(n), 0.9 * reads)

    return rows


def _mostly_follows(rng: Rng, n: int) -> pd.DataFrame:
    # 95% follow by .155, 5% go the other way by .95: the mean lies on the margin of .10. All of them react.
    against = rng.random(n) < 0.05
    base = {"other_case_id": "o", "attribute": "size"}
    clean_own, other_own = np.where(against, 0.05, 0.9), np.where(against, 1.0, 0.7447)
    clean_other, other_other = np.where(against, 0.95, 0.1), np.where(against, 0.0, 0.2553)
    return pd.concat(
        [
            condition("clean", n, mask_change=0.0, dice=clean_own, dice_other=clean_other, **base),
            condition("paraphrase", n, mask_change=0.0, dice=clean_own),
            condition(OTHER, n, mask_change=0.5, dice=other_own, dice_other=other_other, **base),
        ]
    )


def _brittle(rng: Rng, n: int) -> pd.DataFrame:
    return prompt_rows(*np.clip(0.39 + 0.15 * rng.standard_normal((2, n)), 0, 1))


def _abstention(share: float) -> Callable[[Rng, int], pd.DataFrame]:
    def rows(rng: Rng, n: int) -> pd.DataFrame:
        area = np.where(rng.random(n) < share, 0.1, 0.0)
        asked = condition(ABSENT, n, dice=0.0, mask_change=1.0, area_fraction=area, expectation="abstain")
        return pd.concat([condition("clean", n, dice=0.9, mask_change=0.0, area_fraction=0.1), asked])

    return rows


def _untrained(rng: Rng, n: int) -> pd.DataFrame:
    return image_rows(np.zeros(n), np.clip(rng.normal(0.09, 0.05, n), 0, 1))


def _missing(rng: Rng, n: int) -> pd.DataFrame:
    # What fails is what would have collapsed.
    loss = np.where(rng.random(n) < 0.3, np.nan, 0.0)
    return image_rows(loss)


def _collapse(share: float, size: float, body: float = 0.0) -> Callable[[Rng, int], pd.DataFrame]:
    return lambda rng, n: image_rows(np.where(rng.random(n) < share, size, body), 1.0)


def _rewording_tail(rng: Rng, n: int) -> pd.DataFrame:
    return prompt_rows(np.full(n, 0.15), (rng.random(n) < 0.1).astype(float))


# So that the mean of the losses, which end at 1, is the margin of .10.
_LOGNORMAL_SCALE = 0.061306


def _lognormal(rng: Rng, n: int) -> pd.DataFrame:
    return image_rows(np.minimum(_LOGNORMAL_SCALE * rng.lognormal(0, 1, n), 1.0), 1.0)


def _cures(rng: Rng, n: int) -> pd.DataFrame:
    return image_rows(np.where(rng.random(n) < 0.09, -0.3, 0.1396), 0.6)


def _parts(tells_apart: bool) -> Callable[[Rng, int], pd.DataFrame]:
    """Return rows of a left half, the whole and a right half of each patient, the first or the whole named as second.

    A model that paints the left half whichever side is named still grows and shrinks with "both".
    """

    def rows(rng: Rng, n: int) -> pd.DataFrame:
        noise, parts = rng.uniform(0, 0.05, n), []
        # Dice with the own and the other target, before and after, and the mask change.
        turned = (1.0, 0.0, 0.0, 1.0, 1.0) if tells_apart else (0.0, 1.0, 0.0, 1.0, 0.0)
        grown = (1.0, 2 / 3, 2 / 3, 1.0, 0.5)
        for target, overlap, values in (("left", 1.0, grown), ("whole", 1.0, grown), ("right", 0.0, turned)):
            own, other, own_after, other_after, change = values
            base = {"other_case_id": "o", "attribute": "size", "other_overlap": overlap}
            frames = [
                condition("clean", n, mask_change=0.0, dice=own * (1 - noise), dice_other=other * (1 - noise), **base),
                condition("paraphrase", n, mask_change=0.0, dice=own * (1 - noise)),
                condition(
                    OTHER,
                    n,
                    mask_change=change,
                    dice=own_after * (1 - noise),
                    dice_other=other_after * (1 - noise),
                    **base,
                ),
            ]
            parts += [frame.assign(case_id=frame["case_id"] + target) for frame in frames]
        return pd.concat(parts)

    return rows


_NOT_REACTS = ("IGNORES", "IGNORES*", "UNSTABLE")
MODELS: dict[str, Known] = {
    "blind": Known(_reads_in(0.0), OTHER, "prompt", ("IGNORES",), ("FOLLOWS", "REACTS", "UNSTABLE")),
    "oracle": Known(_reads_in(1.0), OTHER, "prompt", ("FOLLOWS",), _NOT_REACTS),
    "wrong reactor": Known(
        lambda rng, n: prompt_rows(np.ones(n), np.zeros(n), np.zeros(n)), OTHER, "prompt", ("REACTS",),
        (*_NOT_REACTS, "FOLLOWS"),
    ),
    "paints one part whatever side is named": Known(
        _parts(False), OTHER, "prompt", ("REACTS",), (*_NOT_REACTS, "FOLLOWS")
    ),
    "tells part from part": Known(_parts(True), OTHER, "prompt", ("FOLLOWS",), _NOT_REACTS),
    "brittle": Known(_brittle, SWAP, "prompt", ("UNSTABLE",), ("FOLLOWS", "REACTS", "IGNORES")),
    "reads in 30%": Known(_reads_in(0.3), OTHER, "prompt", ("FOLLOWS", "REACTS"), _NOT_REACTS),
    "abstainer": Known(_abstention(0.0), ABSENT, "abstention", ("ABSTAINS",), ("HALLUCINATES",)),
    "painter": Known(_abstention(0.95), ABSENT, "abstention", ("HALLUCINATES",), ("ABSTAINS",)),
    "untrained": Known(_untrained, IMAGE, "robustness", ("UNTESTABLE",), ("ROBUST", "FRAGILE")),
    "collapses in 10% (margin)": Known(
        _collapse(0.1, 1.0), IMAGE, "robustness", ("INCONCLUSIVE",), ("ROBUST", "FRAGILE")
    ),
    "loses .05, 5% collapse (margin)": Known(
        _collapse(0.0526, 1.0, 0.05), IMAGE, "robustness", ("INCONCLUSIVE",), ("ROBUST", "FRAGILE")
    ),
    "84% unchanged, rest collapse (margin)": Known(
        _collapse(0.16, 0.625), IMAGE, "robustness", ("INCONCLUSIVE",), ("ROBUST", "FRAGILE")
    ),
    "missing where it fails": Known(_missing, IMAGE, "robustness", ("INCONCLUSIVE",), ("ROBUST",)),
    "rewording moves 10% (margin)": Known(
        _rewording_tail, SWAP, "prompt", ("INCONCLUSIVE", "UNSTABLE"), ("REACTS", "IGNORES")
    ),
    "95% follow, 5% go the other way (margin)": Known(
        _mostly_follows, OTHER, "prompt", ("REACTS",), ("FOLLOWS", "IGNORES", "UNSTABLE")
    ),
    "lognormal losses (margin)": Known(_lognormal, IMAGE, "robustness", ("INCONCLUSIVE",), ("ROBUST", "FRAGILE")),
    "cures 9% (margin)": Known(_cures, IMAGE, "robustness", ("INCONCLUSIVE",), ("FRAGILE", "ROBUST")),
}  # fmt: skip


_CLEAR = (
    "blind",
    "oracle",
    "wrong reactor",
    "brittle",
    "painter",
    "tells part from part",
    "paints one part whatever side is named",
)


def outcomes(name: str, subjects: int, runs: int, seed: int) -> tuple[float, ...]:
    """Return the shares of runs that are right, starred, starred and false (of those), open, and wrong."""
    model, counts = MODELS[name], np.zeros(5)
    for start in range(0, runs, _BLOCK):
        drawn = range(start, min(start + _BLOCK, runs))
        tables = [
            model.rows(generator(seed, "misleading", name, subjects, run), subjects).assign(dataset=f"run {run}")
            for run in drawn
        ]
        found = verdicts(pd.concat(tables, ignore_index=True), resamples=499, seed=seed, unit="patient")
        found = found[(found["claim"] == model.claim) & (found["condition"] == model.condition)]
        if model.claim == "robustness":
            found = found[found["metric"] == "dice"]
        for verdict in found["verdict"]:
            counts[_outcome(verdict, model)] += 1
            counts[2] += verdict.endswith("*") and verdict[:-1] in model.wrong
    return tuple((counts / runs).tolist())


def _outcome(verdict: str, model: Known) -> int:
    if verdict in model.right:
        return 0
    if verdict.endswith("*"):
        return 1
    return 4 if verdict in model.wrong else 3


def simulate(*, runs: int = 200, seed: int = 0, processes: int = 2) -> Study:
    """Battery of known models, and truths on the margin that samples hide: at most 5% wrong in every cell."""
    tasks = [(name, k, runs, seed) for name in MODELS for k in SUBJECTS]
    found = in_parallel(outcomes, tasks, processes)
    rows = [(name, k, *shares) for (name, k, _, _), shares in zip(tasks, found, strict=True)]
    worst = max(rows, key=lambda row: row[6])
    limit = rate_limit(0.05, runs, 2.0 if runs >= 200 else 4.0)
    checks = [
        Check(f"largest share of wrong verdicts ({worst[0]}, {worst[1]} patients)", worst[6], 0.0, limit),
        Check(
            "clear models (blind, oracle, wrong reactor, brittle, painter, both of parts) right at 60 and 200 patients",
            min(row[2] for row in rows if row[0] in _CLEAR and row[1] >= 60),
            0.99,
            1.0,
        ),
    ]
    columns = ("model", "patients", "right", "starred", "(false)", "open", "WRONG")
    about = (
        "One image per patient. Starred: the interval alone decided, and the verdict says that it is not certified;"
        " (false): of those, the ones whose verdict is not true."
    )
    return Study("misleading", "Misleading: known truths", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: misleading", simulate, runs=200)
