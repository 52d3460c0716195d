"""Finetuned on, tested on: unpaired losses against a model's own data."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustness.errors import InputError
from robustness.metrics.analyses.transfer import COLUMNS, transfer, unpaired_retention


def rows(model: str, dataset: str, values: np.ndarray) -> pd.DataFrame:
    subjects = [f"{dataset}{i}" for i in range(len(values))]
    return pd.DataFrame(
        {
            "model": model,
            "dataset": dataset,
            "case_id": subjects,
            "subject_id": subjects,
            "condition": "clean",
            "dice": values,
        }
    )


def table(seed: int = 0, gap: float = 0.2) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    sets = {"home": (0.8, 30), "near": (0.8, 20), "far": (0.8 - gap, 25)}
    return pd.concat([rows("m", name, rng.normal(mean, 0.05, n)) for name, (mean, n) in sets.items()])


def test_losses_are_welchs_and_retention_is_the_ratio_of_means() -> None:
    data = table()
    found = transfer(data, {"m": ["home"]}, resamples=999).set_index("dataset")
    assert list(transfer(data, {}, resamples=99).columns) == list(COLUMNS)
    home, far = (data[data["dataset"] == name]["dice"].to_numpy() for name in ("home", "far"))
    welch = stats.ttest_ind(home, far, equal_var=False).confidence_interval()
    row = found.loc["far"]
    assert row["loss"] == pytest.approx(home.mean() - far.mean())
    assert (row["loss_low"], row["loss_high"]) == pytest.approx((welch.low, welch.high))
    assert row["retention"] == pytest.approx(far.mean() / home.mean())
    assert row["retention_low"] < row["retention"] < row["retention_high"] < 1
    assert row["p_adjusted"] == pytest.approx(2 * row["p_value"])
    assert found.loc["near", "p_adjusted"] == found.loc["near", "p_value"] > row["p_adjusted"]
    assert found.loc["home", "own"]
    assert math.isnan(found.loc["home", "loss"])


@pytest.mark.slow
def test_retention_covers_its_true_value() -> None:
    held, runs = 0, 400
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        here, own = rng.normal(0.6, 0.1, 12), rng.normal(0.8, 0.05, 20)
        found = unpaired_retention(here, own, alpha=0.05, resamples=999, seed=0)
        held += found.low <= 0.75 <= found.high
    # Three standard errors below 95%.
    assert held >= runs * (0.95 - 3 * (0.95 * 0.05 / runs) ** 0.5)


@pytest.mark.parametrize(
    ("known", "note"), [({}, "finetuned on unknown data"), ({"m": ["elsewhere"]}, "own data not tested")]
)
def test_without_its_own_data_nothing_is_compared(known: dict[str, list[str]], note: str) -> None:
    found = transfer(table(), known, resamples=99)
    assert set(found["note"]) == {note}
    assert found["loss"].isna().all()
    assert found["mean"].notna().all()


def test_few_units_give_means_without_intervals() -> None:
    data = pd.concat([rows("m", "home", np.array([0.8])), rows("m", "far", np.array([0.5, 0.6]))])
    row = transfer(data, {"m": ["home"]}, resamples=99).set_index("dataset").loc["far"]
    assert row["loss"] == pytest.approx(0.25)
    assert math.isnan(row["loss_low"])
    assert math.isnan(row["retention_low"])


def test_a_metric_of_which_less_is_better_is_refused() -> None:
    with pytest.raises(InputError, match="expected one of which more is better"):
        transfer(table().assign(hd95=1.0), {}, metric="hd95")
