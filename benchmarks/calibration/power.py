"""Power: is what the page prints as detectable detected, do gates see a drop of 0.02, do ratio intervals cover?"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from benchmarks.calibration._study import Check, Study, images_of, in_parallel, rate_limit, run_script
from robustness.metrics.inference.bootstrap import cluster_bootstrap
from robustness.metrics.inference.clustering import minimal_detectable_effect
from robustness.seeds import generator

IMAGES = 6
SUBJECTS = (10, 30, 100)
Row = tuple[str, int, float]


def detectable(icc: float, subjects: int, runs: int, seed: int) -> Row:
    """Return the share of runs in which a true effect of the size of the MDE is significant (t test on patients)."""
    d = images_of(generator(seed, "mde", icc, subjects), "gauss", icc, runs, subjects, IMAGES).mean(axis=2)
    # The MDE that a page prints comes from the sample; here from a sample with the exact spread.
    spread = 0.1 * math.sqrt(icc + (1 - icc) / IMAGES)
    typical = np.random.default_rng(0).standard_normal(subjects)
    typical = spread * (typical - typical.mean()) / typical.std(ddof=1)
    found, _ = _bounds(d + minimal_detectable_effect(typical), 0.95)
    return f"power at the MDE, ICC {icc:g}", subjects, float((found > 0).mean())


def gate(drop: float, subjects: int, runs: int, seed: int) -> Row:
    """Return the share of runs in which `no_proven_drop` alarms: sd of differences 0.05, ICC 0.4."""
    d = images_of(generator(seed, "gate", drop, subjects), "gauss", 0.4, runs, subjects, IMAGES).mean(axis=2) / 2
    low, _ = _bounds(d + drop, 0.90)
    return "gate: false alarm" if drop == 0 else f"gate: finds a drop of {drop:g}", subjects, float((low > 0).mean())


def release(drop: float, subjects: int, runs: int, seed: int) -> Row:
    """Return the share of runs in which `noninferior`, margin 0.02, passes."""
    d = images_of(generator(seed, "release", drop, subjects), "gauss", 0.4, runs, subjects, IMAGES).mean(axis=2) / 2
    _, high = _bounds(d + drop, 0.90)
    return f"release: passes a drop of {drop:g}", subjects, float((high < 0.02).mean())


def ratio(subjects: int, runs: int, seed: int) -> Row:
    """Return the coverage of the 95% interval of a retention of 0.75."""
    held = 0
    for run in range(runs):
        rng = generator(seed, "ratio", subjects, run)
        clean = np.clip(0.8 + 0.1 * rng.standard_normal(subjects), 0.1, 1.0)
        kept = clean * np.clip(0.75 + 0.15 * rng.standard_normal(subjects), 0, 1.5)
        found = cluster_bootstrap(np.column_stack([kept, clean]), _share, resamples=999, seed=run)
        held += found.low <= 0.75 <= found.high
    return "coverage of retention", subjects, held / runs


def _share(totals: np.ndarray) -> np.ndarray:
    return np.asarray(totals[:, 0] / totals[:, 1])


def _bounds(values: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the t interval of each row."""
    from scipy.special import stdtrit

    k = values.shape[1]
    half = float(stdtrit(k - 1, (1 + level) / 2)) * values.std(axis=1, ddof=1) / math.sqrt(k)
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def simulate(*, runs: int = 10_000, seed: int = 0, processes: int = 2) -> Study:
    """Power simulation: MDE, merge and release gates, ratio intervals (a tenth of the runs)."""
    few = max(1, runs // 10)
    rows = in_parallel(detectable, [(icc, k, runs, seed) for icc in (0.3, 0.7) for k in SUBJECTS], processes)
    rows += in_parallel(gate, [(drop, k, runs, seed) for drop in (0.0, 0.02) for k in SUBJECTS], processes)
    rows += in_parallel(release, [(drop, k, runs, seed) for drop in (0.0, 0.02) for k in SUBJECTS], processes)
    rows += in_parallel(ratio, [(k, few, seed) for k in (20, 60, 100)], processes)
    value = {(what, k): share for what, k, share in rows}
    power = [share for (what, _), share in value.items() if what.startswith("power")]
    extra = 0.0 if runs >= 10_000 else rate_limit(0.05, runs, 4.0) - 0.05
    alarm = max(value["gate: false alarm", k] for k in SUBJECTS)
    passes = max(value["release: passes a drop of 0.02", k] for k in SUBJECTS)
    cover = min(value["coverage of retention", k] for k in (20, 60, 100))
    checks = [
        Check("smallest power at the MDE", min(power), 0.77 - 2 * extra, 0.83 + 2 * extra),
        Check("largest power at the MDE", max(power), 0.77 - 2 * extra, 0.83 + 2 * extra),
        Check("merge gate, largest false alarm", alarm, 0.0, 0.06 + extra),
        Check(
            "merge gate finds a drop of 0.02, 30 patients", value["gate: finds a drop of 0.02", 30], 0.90 - extra, 1.0
        ),
        Check("release gate passes a drop of its margin", passes, 0.0, 0.06 + extra),
        Check("coverage of the retention interval", cover, 0.94 - (rate_limit(0.05, few, 4.0) - 0.05), 1.0),
    ]
    about = "Normal differences, 6 images per patient; gates: sd of differences 0.05, ICC 0.4."
    return Study("power", "Power: what is promised is found", about, ("what", "patients", "share"), rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: power", simulate, runs=10_000)
