"""Calibration of probability maps."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.errors import InputError
from robustness.registry import METRICS

BRIER, ECE = METRICS.get("brier")(), METRICS.get("ece")()


def test_brier_agrees_with_scikit_learn():
    from sklearn.metrics import brier_score_loss

    rng = np.random.default_rng(0)
    probability, reference = rng.random((20, 30)), rng.random((20, 30)) < 0.3
    assert BRIER(probability, reference) == pytest.approx(brier_score_loss(reference.ravel(), probability.ravel()))


def test_certain_and_right_is_perfect_and_certain_and_wrong_is_worst():
    reference = np.array([[1, 0], [0, 1]])
    for metric in (BRIER, ECE):
        assert metric(reference, reference) == 0.0
        assert metric(1 - reference, reference) == 1.0


def test_ece_of_one_bin_is_the_gap_between_confidence_and_frequency():
    reference = np.zeros((10, 10))
    reference[:3] = 1
    assert ECE(np.full((10, 10), 0.7), reference) == pytest.approx(0.4)
    assert ECE(np.full((10, 10), 0.3), reference) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("values", [np.full((2, 2), 1.5), np.full((2, 2), np.nan), np.ones((3, 2))])
def test_what_is_no_probability_map_is_refused(values):
    with pytest.raises(InputError, match="probability"):
        ECE(values, np.ones((2, 2)))
