"""Battery: models whose behaviour is known, on images with two objects; is every verdict right?"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np
import pandas as pd

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from robustness.metrics.verdicts.verdicts import verdicts
from robustness.seeds import generator

SIZE, IMAGES = 48, 3
RIGHT = {"blind": "IGNORES", "oracle": "FOLLOWS", "jitter": "FOLLOWS", "wrong": "REACTS", "brittle": "UNSTABLE"}
PARTIAL = (0.02, 0.05, 0.2, 0.5)
SUBJECTS = (30, 60, 100)
BLOCK = 25
Masks = np.ndarray


def discs(rows: np.ndarray, columns: np.ndarray, radius: np.ndarray) -> Masks:
    """Return one disc per image, (N, SIZE, SIZE) bool."""
    y, x = np.mgrid[:SIZE, :SIZE]
    return (y - rows[:, None, None]) ** 2 + (x - columns[:, None, None]) ** 2 <= radius[:, None, None] ** 2


def overlap(one: Masks, other: Masks) -> tuple[np.ndarray, np.ndarray]:
    """Return Dice and IoU per image; both empty: 1."""
    shared, total = (one & other).sum(axis=(1, 2)), one.sum(axis=(1, 2)) + other.sum(axis=(1, 2))
    empty = total == 0
    total = np.maximum(total, 1)
    return np.where(empty, 1.0, 2 * shared / total), np.where(empty, 1.0, shared / np.maximum(total - shared, 1))


def shifted(masks: Masks, rng: np.random.Generator, most: int) -> Masks:
    """Return every mask moved by up to `most` pixels."""
    steps = rng.integers(-most, most + 1, (len(masks), 2))
    return np.array([np.roll(mask, step, axis=(0, 1)) for mask, step in zip(masks, steps, strict=True)])


def table(behaviour: str, subjects: int, rng: np.random.Generator, share: float = 1.0) -> pd.DataFrame:
    """Return the results table of a model: clean, paraphrase and `other:location` rows with both references."""
    n = subjects * IMAGES
    owner = np.repeat(np.arange(subjects), IMAGES)
    radius = rng.uniform(4, 7, n)
    row = rng.uniform(14, 34, n)
    first, second = discs(row, np.full(n, 12.0), radius), discs(row, np.full(n, 36.0), radius)
    clean = shifted(first, rng, 1)
    reaches = shifted(second, rng, 1)
    reworded, asked = clean, clean
    if behaviour in ("oracle", "jitter"):
        asked = reaches
    if behaviour == "jitter":
        moved = (rng.random(n) < 0.1)[:, None, None]
        reworded = np.where(moved, shifted(clean, rng, 1), clean)
    if behaviour == "wrong":
        asked = discs(np.full(n, 4.0), np.full(n, 24.0), radius / 2)
    if behaviour == "brittle":
        reworded, asked = shifted(clean, rng, 4), shifted(clean, rng, 4)
    if behaviour == "partial":
        follows = (rng.random(subjects) < share)[owner][:, None, None]
        asked = np.where(follows, reaches, clean)
    parts = []
    for condition, masks in (("clean", clean), ("paraphrase", reworded), ("other:location", asked)):
        referent = condition != "paraphrase"
        parts.append(
            pd.DataFrame(
                {
                    "model": behaviour,
                    "dataset": "discs",
                    "case_id": [f"c{i:04d}" for i in range(n)],
                    "subject_id": owner.astype(str),
                    "condition": condition,
                    "dice": overlap(masks, first)[0],
                    "mask_change": 1 - overlap(clean, masks)[1],
                    "dice_other": overlap(masks, second)[0] if referent else np.nan,
                    "other_case_id": [f"o{i:04d}" for i in range(n)] if referent else "",
                    "attribute": "location" if referent else "",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def said(behaviour: str, share: float, subjects: int, runs: int, seed: int) -> Counter[str]:
    """Return how often each verdict is given."""
    counts: Counter[str] = Counter()
    for start in range(0, runs, BLOCK):
        # Verdicts are given per (model, dataset), so many runs fit into one table.
        tables = [
            table(behaviour, subjects, generator(seed, "battery", behaviour, share, subjects, run), share).assign(
                dataset=f"run {run}"
            )
            for run in range(start, min(start + BLOCK, runs))
        ]
        found = verdicts(pd.concat(tables, ignore_index=True), resamples=999, seed=seed + start, unit="patient")
        counts += Counter(found.loc[found["claim"] == "prompt", "verdict"])
    return counts


def simulate(*, runs: int = 100, seed: int = 0, processes: int = 2) -> Study:
    """Battery: blind, oracle, jitter, wrong reactor, brittle, and models that follow for a share of patients."""
    models = [(name, 1.0) for name in RIGHT] + [("partial", share) for share in PARTIAL]
    tasks = [(name, share, k, runs, seed) for name, share in models for k in SUBJECTS]
    found = dict(zip([t[:3] for t in tasks], in_parallel(said, tasks, processes), strict=True))
    order = ("FOLLOWS", "REACTS", "UNSTABLE", "IGNORES", "IGNORES*", "INCONCLUSIVE")
    rows = [
        (f"{name} {share:g}" if name == "partial" else name, k, *(found[name, share, k][v] / runs for v in order))
        for name, share, k, _, _ in tasks
    ]
    checks = [
        Check(f"{name}: share of {verdict} at 60 patients", found[name, 1.0, 60][verdict] / runs, 1.0, 1.0)
        for name, verdict in RIGHT.items()
    ]
    certified = max(counts["IGNORES"] / runs for (_, _, k), counts in found.items() if k < 59)
    checks.append(Check("certified IGNORES with fewer than 59 patients", certified, 0.0, 0.0))
    at_margin = max(found["partial", 0.05, k]["IGNORES"] / runs for k in SUBJECTS)
    checks.append(Check("certified IGNORES where 5% follow (= margin)", at_margin, 0.0, rate_limit(0.05, runs, 3.0)))
    half = found["partial", 0.5, 30]["FOLLOWS"] / runs
    checks.append(Check("FOLLOWS where half follow, 30 patients", half, 0.99 - 3 * (0.99 * 0.01 / runs) ** 0.5, 1.0))
    about = f"{IMAGES} images per patient, each with two discs; masks are drawn, Dice and IoU computed from them."
    return Study("battery", "Battery: models that are known", about, ("model", "patients", *order), rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: battery", simulate, runs=100)
