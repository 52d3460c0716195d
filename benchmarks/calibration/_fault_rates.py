"""Rates of misleading answers, item by item; written against the public calls, so that an older checkout answers too.

Each probe returns a share of runs, or a short text where the code of a checkout cannot answer.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.calibration.misleading import IMAGE, OTHER, SWAP, condition, image_rows, prompt_rows
from robustness.seeds import generator

Rng = np.random.Generator
Answer = float | str
# Runs that share one table: verdicts are given per (model, dataset).
_BLOCK = 25


def module(*names: str) -> Any:
    """Return the first module that the checkout has: they moved, and a checkout installed beside it may have others."""
    checkout = Path(str(importlib.import_module("robustness").__file__)).parents[1]
    for name in names:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if Path(str(module.__file__)).is_relative_to(checkout):
            return module
    raise ImportError(f"none of {', '.join(names)}")


def share_of(
    draw: Callable[[Rng], pd.DataFrame], row: tuple[str, str], verdict: str, runs: int, any_of_run: bool = False
) -> float:
    """Return how often `verdict`, without a star, is given to a claim and condition; `any_of_run`: to any condition."""
    count, (claim, where) = 0, row
    for start in range(0, runs, _BLOCK):
        drawn = range(start, min(start + _BLOCK, runs))
        tables = [draw(generator(0, "faults", claim, where, run)).assign(dataset=f"run {run}") for run in drawn]
        found = _verdicts_of(tables)
        found = found[(found["claim"] == claim) & (found["verdict"] == verdict)]
        if any_of_run:
            count += found["dataset"].nunique()
            continue
        metric = "dice" if claim == "robustness" else found["metric"]
        count += int(((found["condition"] == where) & (found["metric"] == metric)).sum())
    return count / runs


def _verdicts_of(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the verdicts on tables of several datasets; of those that end in an exception (item 6) there are none."""
    rb = importlib.import_module("robustness")
    try:
        return rb.verdicts(pd.concat(tables, ignore_index=True), resamples=499)
    except Exception:
        if len(tables) == 1:
            return pd.DataFrame(columns=["claim", "verdict", "condition", "metric", "dataset"])
        return pd.concat([_verdicts_of([table]) for table in tables], ignore_index=True)


def robust(n: int, share: float, size: float, body: float) -> Callable[[int], float]:
    """Item 1: the mean loss lies on the margin, and a part of the patients collapses."""

    def rows(rng: Rng) -> pd.DataFrame:
        return image_rows(np.where(rng.random(n) < share, size, body), 1.0)

    return lambda runs: share_of(rows, ("robustness", IMAGE), "ROBUST", runs)


def gate_passes(n: int) -> Callable[[int], float]:
    """Item 1: `noninferior` at .02 where 2% of the patients newly fail; does it pass (now: certified)?"""

    def rate(runs: int) -> float:
        rng, passed = np.random.default_rng(1), 0
        for _ in range(runs):
            values = np.where(rng.random(n) < 0.02, 1.0, 0.0)
            passed += _noninferior(values, 0.02)
        return passed / runs

    return rate


def _noninferior(values: np.ndarray, limit: float) -> bool:
    rules = module("robustness.gates.decisions", "robustness.gate_rules")
    if hasattr(rules, "noninferiority"):
        found = rules.noninferiority(values, limit, rules.ErrorRates(0.05, 1, -1.0, 1.0))
        return bool(found.outcome == "pass" and found.certified)
    return bool(rules.below(values, limit, rules.Errors(0.05, 1)).outcome == "pass")


def merge_gate_fails(n: int, tail: str) -> Callable[[int], float]:
    """Item 8: `no_proven_drop` of an equal model whose differences have a left tail; does it fail?"""

    def rate(runs: int) -> float:
        rules, rng, failed = module("robustness.gates.decisions", "robustness.gate_rules"), np.random.default_rng(2), 0
        for _ in range(runs):
            if tail == "9% cured":
                values = np.where(rng.random(n) < 0.09, -0.3, 0.3 * 0.09 / 0.91)
            else:
                values = -0.05 * (rng.standard_exponential(n) ** 2 - 2)
            if hasattr(rules, "no_proven_inferiority"):
                found = rules.no_proven_inferiority(values, 0.0, rules.ErrorRates(0.05, 1, -1.0, 1.0))
            else:
                found = rules.not_above(values, 0.0, rules.Errors(0.05, 1))
            failed += found.outcome == "fail"
        return failed / runs

    return rate


def any_follows(claims: int) -> Callable[[int], float]:
    """Item 4: every `other:` claim lies on the margin of S_A and S_B; is any called FOLLOWS?"""

    def rows(rng: Rng) -> pd.DataFrame:
        parts = []
        for i in range(claims):
            # Symmetric about the margin, and within what two Dice values allow.
            gain = np.clip(rng.normal(0.1, 0.1, 25), -0.2, 0.4)
            base = {"other_case_id": f"o{i}", "attribute": f"k{i}", "mask_change": 0.0}
            parts.append(condition("clean", 25, dice=0.5, dice_other=0.2, **base))
            parts.append(condition(f"other:k{i}", 25, dice=0.5 - gain, dice_other=0.2 + gain, **base))
        return pd.concat(parts, ignore_index=True)

    return lambda runs: share_of(rows, ("prompt", ""), "FOLLOWS", runs, any_of_run=True)


def reacts(n: int, tail: bool, star: str = "") -> Callable[[int], float]:
    """Items 5 and 8: the excess lies on the margin; normal, or rewording moves a tenth of the patients."""

    def rows(rng: Rng) -> pd.DataFrame:
        if tail:
            return prompt_rows(np.full(n, 0.15), (rng.random(n) < 0.1).astype(float))
        return prompt_rows(np.clip(rng.normal(0.3, 0.05, n), 0, 1), np.clip(rng.normal(0.25, 0.05, n), 0, 1))

    return lambda runs: share_of(rows, ("prompt", SWAP), f"REACTS{star}", runs)


def fragile(n: int, star: str = "") -> Callable[[int], float]:
    """Item 8: the mean loss lies on the margin, and 9% of the patients are cured."""

    def rows(rng: Rng) -> pd.DataFrame:
        return image_rows(np.where(rng.random(n) < 0.09, -0.3, 0.1396), 0.6)

    return lambda runs: share_of(rows, ("robustness", IMAGE), f"FRAGILE{star}", runs)


def follows_tail(n: int, star: str = "") -> Callable[[int], float]:
    """Item 8: 95% follow, 5% go the other way, the mean on the margin."""
    from benchmarks.calibration.misleading import MODELS

    known = MODELS["95% follow, 5% go the other way (margin)"]
    return lambda runs: share_of(lambda rng: known.rows(rng, n), ("prompt", OTHER), f"FOLLOWS{star}", runs)


# Share of patients who collapse, what they lose, what all others lose.
ZERO_INFLATED = {
    "16% lose .625": (0.16, 0.625, 0.0),
    "10% lose all": (0.1, 1.0, 0.0),
    ".05 and 5% lose all": (0.05, 1.0, 0.05),
}


def coverage(n: int, kind: str) -> Callable[[int], float]:
    """Items 8 and 9: how often the 95% interval of an effect holds the truth."""

    def rate(runs: int) -> float:
        rb, held = importlib.import_module("robustness"), 0
        for start in range(0, runs, _BLOCK):
            drawn = [
                _sample(kind, n, generator(0, "cover", kind, n, r)) for r in range(start, min(start + _BLOCK, runs))
            ]
            tables = [table.assign(dataset=f"run {i}") for i, (table, _) in enumerate(drawn)]
            weighting = "image" if kind.startswith("image") else "subject"
            found = rb.effects(pd.concat(tables, ignore_index=True), resamples=99, weighting=weighting)
            held += int(((found["ci_low"] <= drawn[0][1]) & (drawn[0][1] <= found["ci_high"])).sum())
        return held / runs

    return rate


def _sample(kind: str, n: int, rng: Rng) -> tuple[pd.DataFrame, float]:
    if kind in ZERO_INFLATED:
        share, size, body = ZERO_INFLATED[kind]
        return image_rows(np.where(rng.random(n) < share, size, body), 1.0), share * size + (1 - share) * body
    sizes = np.array([400] + [6] * 19) if kind == "image, one of 400" else np.array([100, 100] + [6] * 28)
    owner = np.repeat(np.arange(sizes.size), sizes)
    loss = np.sqrt(0.5) * 0.1 * rng.standard_normal(sizes.size)[owner] + np.sqrt(0.5) * 0.1 * rng.standard_normal(
        owner.size
    )
    case, patient = [f"c{i}" for i in range(owner.size)], [f"p{i}" for i in owner]
    shared = {"case_id": case, "subject_id": patient}
    table = pd.concat(
        [
            pd.DataFrame({**shared, "condition": "clean", "dice": 0.5}),
            pd.DataFrame({**shared, "condition": IMAGE, "dice": 0.5 - loss}),
        ]
    )
    return table, 0.0


def family_error(n: int) -> Callable[[int], float]:
    """Item 8: 16 mean-zero lognormal conditions; is any max-T adjusted p value below .05?"""

    def rate(runs: int) -> float:
        rb, wrong = importlib.import_module("robustness"), 0
        for run in range(runs):
            loss = (generator(0, "lognormal", n, run).lognormal(0, 1.5, (n, 16)) - np.exp(1.125)) * 0.01
            parts = [condition("clean", n, dice=0.5)]
            parts += [condition(f"image:c{i}@1", n, dice=0.5 - column) for i, column in enumerate(loss.T)]
            wrong += bool((rb.effects(pd.concat(parts), resamples=499)["p_adjusted"] < 0.05).any())
        return wrong / runs

    return rate


def proven_losses(runs: int) -> float:
    """Item 11: two equal models under 30 conditions; does the compare page call any loss proven?"""
    paired, wrong = module("robustness.reports.data.paired", "robustness.reports.paired"), 0
    for run in range(runs):
        parts = []
        for place, series in enumerate(("first", "second")):
            rng = generator(0, "compare", run, place)
            dice = 0.8 + rng.normal(0, 0.05, (30, 31))
            names = ["clean", *(f"image:c{i}@1" for i in range(30))]
            rows = [condition(name, 30, dice=dice[:, i], family="image") for i, name in enumerate(names)]
            more = {
                "series": series,
                "model": series,
                "dataset": "d",
                "split": "test",
                "prompt_index": 0,
                "applicable": True,
                "error": "",
                "expectation": "invariant",
            }
            parts.append(pd.concat(rows).assign(**more))
        columns = ["series", "claim", "condition", "metric", "verdict"]
        frames = SimpleNamespace(results=pd.concat(parts, ignore_index=True), verdicts=pd.DataFrame(columns=columns))
        found = paired.comparisons(frames, resamples=499)
        wrong += any(d.outcome == "worse" for one in found for d in one.differences)
    return wrong / runs


def crashes(runs: int) -> float:
    """Item 6: random small tables with means on or near the margin; how many end in an exception?"""
    rb, crashed = importlib.import_module("robustness"), 0
    for run in range(runs):
        rng = np.random.default_rng(run)
        n = int(rng.integers(2, 14))
        changes = rng.choice([0.0, 0.1, 0.3, 0.6], n, p=[0.7, 0.1, 0.1, 0.1])
        table = pd.concat(
            [
                prompt_rows(changes, np.zeros(n)),
                image_rows(rng.choice([0.0, 0.1, 0.2], n)).query("condition != 'clean'"),
            ]
        )
        try:
            rb.verdicts(table, resamples=99)
        except Exception:  # any exception is what is counted
            crashed += 1
    return crashed / runs
