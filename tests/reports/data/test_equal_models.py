"""Item 11: of two equal models no loss is called proven for being the largest of many."""

from __future__ import annotations

import numpy as np
import pandas as pd

from robustness.reports.data.frames import Frames
from robustness.reports.data.paired import comparisons

CONDITIONS = 30
SUBJECTS = 30


def frames_of(rng: np.random.Generator, worse: float = 0.0) -> Frames:
    """Two models of equal scores under 30 image changes; the second one loses `worse` under the first change."""
    parts = []
    for series in ("first", "second"):
        for i in range(CONDITIONS + 1):
            lost = worse if series == "second" and i == 1 else 0.0
            parts.append(
                pd.DataFrame(
                    {
                        "series": series, "model": series, "dataset": "d", "split": "test",
                        "case_id": [f"c{k}" for k in range(SUBJECTS)], "subject_id": [f"s{k}" for k in range(SUBJECTS)],
                        "condition": "clean" if i == 0 else f"image:c{i}@1", "family": "clean" if i == 0 else "image",
                        "prompt_index": 0, "applicable": True, "error": "", "expectation": "invariant",
                        "dice": 0.8 + rng.normal(0, 0.05, SUBJECTS) - lost,
                    }
                )
            )  # fmt: skip
    verdicts = pd.DataFrame(columns=["series", "claim", "condition", "metric", "verdict"])
    return Frames(pd.concat(parts, ignore_index=True), pd.DataFrame(), verdicts, pd.DataFrame(), ("first", "second"))


def test_equal_models_under_thirty_conditions_rarely_show_any_proven_loss() -> None:
    runs, wrong, alone = 30, 0, 0
    for run in range(runs):
        (one,) = comparisons(frames_of(np.random.default_rng(run)), resamples=399, seed=run)
        wrong += any(d.outcome == "worse" for d in one.differences)
        alone += any(d.effect is not None and d.effect > 0.025 for d in one.differences)
    # Something looks large in nearly every run, and almost none of it is called proven.
    assert alone / runs > 0.3
    assert wrong / runs <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_real_loss_among_thirty_conditions_is_proven() -> None:
    (one,) = comparisons(frames_of(np.random.default_rng(1), worse=0.1), resamples=1999)
    first = one.differences[0]
    assert (first.condition, first.outcome) == ("image:c1@1", "worse")
    assert sum(d.outcome == "worse" for d in one.differences) == 1
