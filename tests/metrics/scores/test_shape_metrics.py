"""Boundary IoU, area similarity, centroid distance, and what probability maps add."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from robustness.errors import InputError
from robustness.metrics.scores.boundary_iou import inner_rim
from robustness.metrics.scores.masks import mask_metrics
from robustness.metrics.scores.probabilities import dice_curve, prediction_metrics
from robustness.registry import METRICS


def square(top, left, side, size=64):
    mask = np.zeros((size, size), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


class TestBoundaryIoU:
    @pytest.mark.parametrize("width", [1, 3])
    def test_the_rim_is_what_repeated_erosion_takes_away(self, width):
        rng = np.random.default_rng(0)
        for _ in range(10):
            mask = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 4, mode="constant") > 0
            eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=0)
            assert np.array_equal(inner_rim(mask, width), mask & ~eroded)

    def test_sees_an_outline_that_iou_hardly_does(self):
        big, shifted = square(5, 5, 50), square(7, 7, 50)
        found = mask_metrics(shifted, big, names=["iou", "boundary_iou"])
        assert found["iou"] > 0.8
        assert found["boundary_iou"] < 0.35

    def test_equal_masks_agree_and_disjoint_ones_do_not(self):
        one, far = square(5, 5, 10), square(30, 30, 10)
        assert mask_metrics(one, one, names=["boundary_iou"])["boundary_iou"] == 1.0
        assert mask_metrics(one, far, names=["boundary_iou"])["boundary_iou"] == 0.0


class TestAreasAndCentres:
    def test_area_similarity_does_not_ask_where_the_area_is(self):
        found = mask_metrics(square(0, 0, 10), square(40, 40, 10), names=["area_similarity"])
        assert found["area_similarity"] == 1.0

    def test_area_similarity_of_one_to_three(self):
        assert mask_metrics([[1, 0, 0, 0]], [[1, 1, 1, 0]], names=["area_similarity"])["area_similarity"] == 0.5

    def test_centroid_distance_is_in_mm(self):
        found = mask_metrics(square(10, 10, 5), square(13, 14, 5), spacing_mm=(2.0, 0.5), names=["centroid_distance"])
        assert found["centroid_distance"] == pytest.approx(np.hypot(3 * 2.0, 4 * 0.5))

    def test_centroid_distance_agrees_with_scipy(self):
        rng = np.random.default_rng(1)
        one, other = rng.random((2, 20, 30)) < 0.2
        expected = np.hypot(*np.subtract(ndimage.center_of_mass(one), ndimage.center_of_mass(other)))
        assert mask_metrics(one, other, names=["centroid_distance"])["centroid_distance"] == pytest.approx(expected)


class TestDiceCurve:
    def test_every_point_is_the_dice_of_that_mask(self):
        rng = np.random.default_rng(2)
        reference = rng.random((25, 30)) < 0.3
        probability = np.round(np.clip(0.35 * reference + 0.7 * rng.random((25, 30)), 0, 1), 2)
        curve = dice_curve(probability, reference)
        expected = [mask_metrics(probability > t, reference, names=["dice"])["dice"] for t in curve.threshold]
        assert np.allclose(curve.dice, expected, rtol=0, atol=1e-12)
        assert curve.best[1] == max(expected)

    def test_empty_masks_follow_the_policy(self):
        nothing = np.zeros((4, 4))
        assert dice_curve(nothing, nothing, thresholds=[0.5]).dice.tolist() == [1.0]
        assert dice_curve(np.ones((4, 4)), nothing, thresholds=[0.5, 1.0]).dice.tolist() == [0.0, 1.0]

    @pytest.mark.parametrize("thresholds", [[], [0.5, 0.5], [0.9, 0.1]])
    def test_thresholds_must_ascend(self, thresholds):
        with pytest.raises(InputError, match="thresholds"):
            dice_curve(np.zeros((2, 2)), np.zeros((2, 2)), thresholds=thresholds)

    @pytest.mark.parametrize(
        "probability",
        [
            np.full((2, 2), 1.5),
            np.full((2, 2), np.nan),
            np.zeros((3, 2)),
            np.ma.masked_array(np.ones((2, 2)), np.eye(2)),
        ],
    )
    def test_what_is_no_probability_map_is_refused(self, probability):
        with pytest.raises(InputError, match="probability"):
            dice_curve(probability, np.zeros((2, 2)))
        with pytest.raises(InputError):
            prediction_metrics(probability, np.zeros((2, 2)), names=["brier"])


def test_prediction_metrics_measure_the_mask_and_the_map():
    rng = np.random.default_rng(3)
    probability, reference = rng.random((12, 12)), rng.random((12, 12)) < 0.5
    found = prediction_metrics(probability, reference, threshold=0.4)
    assert {key: found[key] for key in ("dice", "missed")} == {
        key: mask_metrics(probability > 0.4, reference)[key] for key in ("dice", "missed")
    }
    assert found["brier"] == pytest.approx(((probability - reference) ** 2).mean())
    assert set(prediction_metrics(probability, reference, names=["ece", "iou"])) >= {"ece", "iou"}


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
