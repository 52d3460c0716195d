"""Family: many conditions at once; does any false alarm stay rare, and what does that cost in power?"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from robustness.metrics.inference.adjust import benjamini_hochberg, holm
from robustness.metrics.inference.signflip import sign_flip
from robustness.seeds import generator

# Conditions, of which with an effect, ICC.
FAMILIES = ((28, 0, 0.3), (28, 0, 0.5), (28, 0, 0.7), (28, 8, 0.5), (100, 0, 0.5), (100, 30, 0.5))
SUBJECTS, IMAGES, EFFECT, FLIPS = 30, 6, 0.06, 4999


def one(conditions: int, true: int, icc: float, start: int, runs: int, seed: int) -> np.ndarray:
    """Return per run any false alarm and the share found: naive Holm, unadjusted, Holm, max-T; then BH's."""
    from scipy.stats import ttest_1samp

    found = []
    for run in range(start, start + runs):
        rng = generator(seed, "family", conditions, true, icc, run)
        subject = _correlated(rng, (SUBJECTS, 1, conditions)) * np.sqrt(icc)
        image = _correlated(rng, (SUBJECTS, IMAGES, conditions)) * np.sqrt(1 - icc)
        d = 0.1 * (subject + image)
        d[..., :true] += EFFECT
        test = sign_flip(d.mean(axis=1), resamples=FLIPS, seed=seed + run)
        naive = holm(ttest_1samp(d.reshape(-1, conditions), 0).pvalue)
        row = []
        for p in (naive, test.p_value, holm(test.p_value), test.p_adjusted):
            row += [float((p[true:] < 0.05).any()), float((p[:true] < 0.05).mean()) if true else np.nan]
        bh = benjamini_hochberg(test.p_value) < 0.05
        row += [float(bh[true:].sum() / max(1, bh.sum())), float(bh[:true].mean()) if true else np.nan]
        found.append(row)
    return np.array(found)


def _correlated(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal effects of which conditions share half the variance."""
    return np.sqrt(0.5) * (rng.standard_normal((*shape[:-1], 1)) + rng.standard_normal(shape))


def simulate(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Family simulation: 28 and 100 conditions on 30 patients x 6 images, conditions share half of the variance."""
    block = -(-runs // 4)
    tasks = [(*family, start, min(block, runs - start), seed) for family in FAMILIES for start in range(0, runs, block)]
    parts = in_parallel(one, tasks, processes)
    found = {
        family: np.concatenate([p for t, p in zip(tasks, parts, strict=True) if t[:3] == family]).mean(axis=0)
        for family in FAMILIES
    }
    rows = [(c, true, icc, *map(float, found[c, true, icc])) for c, true, icc in FAMILIES]
    extra = rate_limit(0.05, runs, 4.0) - 0.07 if runs < 1000 else 0.0
    checks = [
        Check(
            f"family-wise error of max-T, {c} conditions, {true} true, ICC {icc}",
            float(found[c, true, icc][6]),
            0.0,
            0.07 + extra,
        )
        for c, true, icc in FAMILIES
    ]
    for family in ((28, 8, 0.5), (100, 30, 0.5)):
        gain = float(found[family][7] - found[family][5])
        checks.append(Check(f"power of max-T - power of Holm, {family[0]} conditions", gain, 0.0, 1.0))
    columns = (
        "conditions",
        "true",
        "ICC",
        "naive Holm: any false",
        "found",
        "unadjusted: any false",
        "found",
        "Holm: any false",
        "found",
        "max-T: any false",
        "found",
        "BH: false share",
        "found",
    )
    about = f"Chance of any false alarm among the conditions without effect, and share of effects of {EFFECT} found."
    return Study("family", "Family: many conditions at once", about, columns, rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: family", simulate, runs=1000)
