"""The spread that planning rests on, against the numbers that it is made of."""

import numpy as np
import pandas as pd
import pytest

from robustness.metrics.verdicts.spread import EXCESS, subject_spread


def _table(subjects=12, images=3, seed=0):
    rng = np.random.default_rng(seed)
    ids = [(f"s{s}", f"c{s}_{i}") for s in range(subjects) for i in range(images)]
    n = len(ids)
    base = pd.DataFrame({"subject_id": [s for s, _ in ids], "case_id": [c for _, c in ids], "model": "m"})
    clean = base.assign(condition="clean", family="clean", dice=0.8, mask_change=0.0)
    swap = base.assign(
        condition="antonym:size",
        family="prompt",
        attribute="size",
        dice=0.8 - rng.normal(0.1, 0.05, n),
        mask_change=rng.uniform(0, 0.4, n),
    )
    words = base.assign(condition="paraphrase", family="prompt", dice=0.8, mask_change=rng.uniform(0, 0.1, n))
    return pd.concat([clean, swap, words], ignore_index=True)


def _sd_of_means(table, column):
    return table.groupby("subject_id")[column].mean().std(ddof=1)


def test_it_is_the_standard_deviation_of_the_subjects_mean_effects():
    table = _table()
    found = subject_spread(table, ["dice", "mask_change", "absent"])
    swap = table[table.condition == "antonym:size"]
    assert found["antonym:size", "dice"] == pytest.approx(_sd_of_means(swap, "dice"))
    assert found["antonym:size", "mask_change"] == pytest.approx(_sd_of_means(swap, "mask_change"))


def test_the_excess_is_the_change_beyond_rewording():
    table = _table()
    swap, words = (table[table.condition == c].set_index("case_id") for c in ("antonym:size", "paraphrase"))
    excess = swap.assign(excess=swap.mask_change - words.mask_change)
    assert subject_spread(table, ["dice"])["antonym:size", EXCESS] == pytest.approx(_sd_of_means(excess, "excess"))


def test_what_does_not_spread_is_left_out():
    assert ("paraphrase", "dice") not in subject_spread(_table(), ["dice"])


def test_of_two_models_the_larger_spread_counts():
    table = _table()
    calm = table.assign(model="n", dice=0.8 + (table.dice - 0.8) / 10)
    both = subject_spread(pd.concat([table, calm], ignore_index=True), ["dice"])
    assert both["antonym:size", "dice"] == subject_spread(table, ["dice"])["antonym:size", "dice"]
