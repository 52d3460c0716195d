"""Mask metrics against hand-drawn masks, MONAI and scikit-learn; metrics of shape, and of probability maps."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from scipy import ndimage
from scipy.ndimage import gaussian_filter
from scipy.ndimage import label as scipy_label

import robustness as rb
from robustness.errors import InputError, UnknownNameError
from robustness.metrics.scores import boundary_distances
from robustness.metrics.scores.boundary_distances import (
    ReferenceEdge,
    _by_transform,
    _by_tree,
    edge_pixels,
    surface_distances,
)
from robustness.metrics.scores.boundary_iou import inner_rim
from robustness.metrics.scores.mask_change import mask_change
from robustness.metrics.scores.masks import DEFAULT_NAMES, mask_metrics
from robustness.metrics.scores.probabilities import dice_curve, prediction_metrics
from robustness.registry import METRICS
from robustness.results import FLAGS, MEASURED

MASK_METRICS = [name for name in METRICS.names() if METRICS.get(name).needs == "masks"]


def mask(*lines: str) -> np.ndarray:
    return np.array([[c == "#" for c in line] for line in lines])


def blob(rng: np.random.Generator, size: int, share: float = 0.2) -> np.ndarray:
    field = gaussian_filter(rng.normal(size=(size, size)), size / 8, mode="constant")
    return field > np.quantile(field, 1 - share)


class TestHandDrawnMasks:
    prediction = mask("##..", "##..", "....")
    reference = mask(".##.", ".##.", "....")

    def test_overlap(self):
        found = mask_metrics(
            self.prediction, self.reference, names=["dice", "iou", "sensitivity", "precision", "specificity"]
        )
        assert found["dice"] == pytest.approx(0.5)
        assert found["iou"] == pytest.approx(1 / 3)
        assert found["sensitivity"] == found["precision"] == pytest.approx(0.5)
        assert found["specificity"] == pytest.approx(6 / 8)

    def test_distances_follow_the_spacing_of_columns(self):
        found = mask_metrics(self.prediction, self.reference, spacing_mm=(9.0, 0.5), names=["hd95", "assd", "nsd"])
        assert found["hd95"] == pytest.approx(0.5)
        assert found["assd"] == pytest.approx(0.25)
        assert found["nsd"] == 1.0

    def test_a_distance_equal_to_the_tolerance_is_within_it(self):
        one, other = mask("#....."), mask("...#..")
        assert mask_metrics(one, other, spacing_mm=(1.0, 0.7), nsd_tolerance_mm=3 * 0.7)["nsd"] == 1.0
        assert mask_metrics(one, other, spacing_mm=(1.0, 0.7), nsd_tolerance_mm=2.0)["nsd"] == 0.0

    def test_unknown_spacing_means_pixels(self):
        known = mask_metrics(self.prediction, self.reference, spacing_mm=(1.0, 1.0))
        assert mask_metrics(self.prediction, self.reference, spacing_mm=None) == known

    def test_hd95_takes_the_larger_directed_percentile_and_does_not_pool(self):
        reference = np.zeros((40, 200), dtype=bool)
        reference[5:35, 5:100] = True
        prediction = reference.copy()
        prediction[20, 100:140] = True
        spur = mask_metrics(prediction, reference)["hd95"]
        assert spur > 20
        there, back = (_by_tree(edge_pixels(a), edge_pixels(b), (1.0, 1.0)) for a, b in [(prediction, reference)] * 2)
        assert np.percentile(np.concatenate(there), 95) < spur
        assert np.array_equal(there[1], back[1])

    def test_area_components_and_centroid_describe_the_prediction(self):
        prediction = mask("#...", ".#..", "...#")
        found = mask_metrics(prediction, np.ones((3, 4), dtype=bool))
        assert found["area_fraction"] == pytest.approx(3 / 12)
        assert found["components"] == 2.0, "pixels that touch at a corner are connected"
        assert (found["centroid_row"], found["centroid_col"]) == (1.0, pytest.approx(4 / 3))

    def test_an_object_at_the_border_has_an_edge_there(self):
        full = np.ones((4, 5), dtype=bool)
        assert len(edge_pixels(full)) == 14
        assert len(edge_pixels(np.zeros((4, 5), dtype=bool))) == 0


class TestEmptyMaskPolicy:
    empty = np.zeros((4, 5), dtype=bool)
    object_ = mask(".....", ".##..", ".##..", ".....")
    diagonal = math.hypot(4 * 2.0, 5 * 0.5)

    @pytest.mark.parametrize(
        ("prediction", "reference", "overlap", "distance", "flag"),
        [
            (empty, empty, 1.0, 0.0, "both_empty"),
            (empty, object_, 0.0, diagonal, "missed"),
            (object_, empty, 0.0, diagonal, "hallucinated"),
        ],
    )
    def test_each_row_of_the_table(self, prediction, reference, overlap, distance, flag):
        found = mask_metrics(prediction, reference, spacing_mm=(2.0, 0.5), names=MASK_METRICS)
        for name in MASK_METRICS:
            if METRICS.get(name).empty == "overlap":
                assert found[name] == overlap, name
            if METRICS.get(name).empty == "distance":
                assert found[name] == pytest.approx(distance), name
        assert {name for name in FLAGS if found[name]} == {flag}

    @pytest.mark.parametrize("prediction", [empty, object_, ~empty])
    @pytest.mark.parametrize("reference", [empty, object_, ~empty])
    def test_nothing_leaves_as_nan_or_inf_without_a_flag(self, prediction, reference):
        found = mask_metrics(prediction, reference, names=MASK_METRICS)
        flagged = found["both_empty"] or found["missed"]
        for name in MASK_METRICS:
            allowed = flagged and name in ("centroid_row", "centroid_col")
            assert math.isfinite(found[name]) != allowed, name

    def test_a_hit_carries_no_flag(self):
        assert not any(mask_metrics(self.object_, self.object_)[name] for name in FLAGS)

    def test_specificity_counts_false_alarms_on_an_empty_reference(self):
        assert mask_metrics(self.object_, self.empty, names=["specificity"])["specificity"] == pytest.approx(0.8)


class TestMaskChange:
    def test_is_one_minus_iou(self):
        assert mask_change(mask("##."), mask(".##")) == pytest.approx(2 / 3)

    def test_both_empty_is_no_change_and_one_empty_is_full_change(self):
        assert mask_change(mask("..."), mask("...")) == 0.0
        assert mask_change(mask("..."), mask("#..")) == mask_change(mask("#.."), mask("...")) == 1.0

    def test_needs_the_clean_prediction_so_mask_metrics_refuses_it(self):
        with pytest.raises(InputError, match="mask_change"):
            mask_metrics(mask("#"), mask("#"), names=["mask_change"])


@pytest.fixture(scope="module")
def pairs():
    """Blobs and noise, with spacings and tolerances."""
    rng = np.random.default_rng(20)
    found = []
    for i in range(120):
        size = int(rng.integers(8, 64))
        kind = i % 3
        one, other = (rng.random((size, size)) < 0.1 if kind == 2 else blob(rng, size) for _ in range(2))
        spacing = (1.0, 1.0) if kind == 0 else tuple(float(s) for s in rng.uniform(0.2, 3.0, 2))
        found.append((one, other, spacing, float(rng.choice([0.7, 2.0, 3.5]))))
    return found


class TestOracles:
    @pytest.mark.slow
    def test_distances_agree_with_monai(self, pairs):
        torch = pytest.importorskip("torch")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from monai.metrics import compute_hausdorff_distance, compute_surface_dice
            from monai.metrics.utils import get_edge_surface_distance

            for one, other, spacing, tolerance in pairs[:60]:
                ours = mask_metrics(one, other, spacing_mm=spacing, nsd_tolerance_mm=tolerance)
                first, second = (torch.tensor(m)[None, None] for m in (one, other))
                common = {"include_background": True, "spacing": spacing}
                nsd = float(compute_surface_dice(first, second, [tolerance], use_subvoxels=False, **common))
                assert ours["nsd"] == pytest.approx(nsd, abs=1e-6)
                # MONAI takes the percentile in float32, whose rounding of 0.95 alone moves it by some 1e-6.
                hd95 = float(compute_hausdorff_distance(first, second, percentile=95, **common))
                assert ours["hd95"] == pytest.approx(hd95, rel=1e-5)
                directed = get_edge_surface_distance(first[0, 0], second[0, 0], spacing=spacing, symmetric=True)[1]
                exact = max(float(np.percentile(d.numpy().astype(float), 95)) for d in directed)
                assert ours["hd95"] == pytest.approx(exact, rel=1e-6)

    def test_overlap_agrees_with_scikit_learn(self, pairs):
        from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

        oracles = {"dice": f1_score, "iou": jaccard_score, "precision": precision_score, "sensitivity": recall_score}
        for one, other, _, _ in pairs[:20]:
            ours = mask_metrics(one, other, names=list(oracles))
            for name, oracle in oracles.items():
                assert ours[name] == pytest.approx(oracle(other.ravel(), one.ravel(), zero_division=0)), name

    def test_components_agree_with_labelling_the_whole_image(self, pairs):
        for one, other, _, _ in pairs:
            assert mask_metrics(one, other)["components"] == scipy_label(one, structure=np.ones((3, 3)))[1]

    def test_a_reference_that_is_compared_often_gives_the_same_bits(self, pairs):
        for one, other, spacing, _ in pairs[:30]:
            edges = edge_pixels(one), edge_pixels(other)
            often = ReferenceEdge(edges[1], other.shape)
            for pixel in (spacing, (1.0, 1.0)):
                plain, mapped = (
                    surface_distances(*edges, spacing=pixel),
                    surface_distances(edges[0], often, spacing=pixel),
                )
                assert all(np.array_equal(a, b) for a, b in zip(plain, mapped, strict=True))

    def test_tree_and_distance_transform_agree(self, pairs):
        for one, other, spacing, _ in pairs[:30]:
            edges = edge_pixels(one), edge_pixels(other)
            for a, b in zip(_by_tree(*edges, spacing), _by_transform(*edges, spacing), strict=True):
                assert np.allclose(a, b, rtol=0, atol=1e-12)

    @pytest.mark.parametrize(("points", "far"), [(1, 0), (60, 0), (255, 0), (60, 2**15), (60, 2**20)])
    def test_few_pixels_compared_one_by_one_give_the_bits_of_a_tree(self, points, far, monkeypatch):
        rng = np.random.default_rng(points)
        one, other = (np.unique(rng.integers(0, 400, (points, 2)), axis=0) + far for _ in range(2))
        # One pixel lies away from the others by the whole side of a large image.
        one[0] = 0
        by_pairs = surface_distances(one, other, spacing=(1.0, 1.0))
        monkeypatch.setattr(boundary_distances, "_PAIR_LIMIT", 0)
        assert all(map(np.array_equal, by_pairs, surface_distances(one, other, spacing=(1.0, 1.0))))


class TestInput:
    def test_default_names_are_the_columns_of_the_results_table(self):
        found = rb.mask_metrics(mask("#"), mask("#"))
        assert list(found) == [name for name in MEASURED if name != "mask_change"] + list(FLAGS)
        assert set(DEFAULT_NAMES) <= set(METRICS.names())

    @pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
    def test_zero_and_one_stand_for_bool(self, kind):
        one, other = mask("##."), mask(".##")
        assert mask_metrics(one.astype(kind), other) == mask_metrics(one, other)

    @pytest.mark.parametrize(
        ("prediction", "said"),
        [
            (np.ones((2, 3, 1)), "shape"),
            (np.ones((3, 2)), r"\(2, 3\)"),
            (np.full((2, 3), 0.4), "threshold"),
            (np.full((2, 3), np.nan), "0/1"),
            (np.full((2, 3), 255), "0/1"),
            # Numpy drops the mask, and what lies below it would count.
            (np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3)), r"got 2 masked pixels; write prediction.filled"),
            (list(np.ma.masked_array(np.ones((2, 3)), mask=np.eye(2, 3))), "got 2 masked pixels"),
        ],
    )
    def test_what_is_no_mask_is_refused_by_name(self, prediction, said):
        with pytest.raises(InputError, match=f"prediction.*{said}"):
            mask_metrics(prediction, np.ones((2, 3)))

    @pytest.mark.parametrize("spacing", [(1.0,), (0.0, 1.0), (1.0, np.nan), 1.0])
    def test_a_bad_spacing_is_refused(self, spacing):
        with pytest.raises(InputError, match="spacing_mm"):
            mask_metrics(mask("#"), mask("#"), spacing_mm=spacing)

    def test_a_negative_tolerance_is_refused(self):
        with pytest.raises(InputError, match="nsd_tolerance_mm"):
            mask_metrics(mask("#"), mask("#"), nsd_tolerance_mm=-1)

    def test_an_unknown_metric_suggests_the_near_one(self):
        with pytest.raises(UnknownNameError, match="'dice'"):
            mask_metrics(mask("#"), mask("#"), names=["dize"])


@pytest.mark.parametrize("name", METRICS.names())
def test_every_entry_states_what_reports_need(name):
    metric = METRICS.get(name)
    assert metric.definition
    assert metric.__doc__
    assert metric.higher_is_better in (True, False, None)
    assert metric.needs in ("masks", "clean", "probability")
    assert metric.high is None or metric.low < metric.high


@pytest.mark.parametrize("name", MASK_METRICS)
def test_every_metric_stays_in_its_range_and_leaves_its_input_alone(name):
    rng = np.random.default_rng(3)
    for _ in range(10):
        one, other = blob(rng, 24), blob(rng, 24)
        before = one.copy(), other.copy()
        value = mask_metrics(one, other, names=[name])[name]
        metric = METRICS.get(name)
        assert metric.low <= value <= (math.inf if metric.high is None else metric.high)
        assert np.array_equal(one, before[0])
        assert np.array_equal(other, before[1])


@pytest.mark.parametrize("spacing", [0.1, 0.3, 0.7, 1.1])
def test_a_distance_that_equals_the_tolerance_is_within_it_whatever_the_spacing(spacing):
    reference = np.zeros((40, 40), bool)
    reference[10:30, 10:30] = True
    for steps in range(1, 8):
        prediction = np.roll(reference, steps, axis=1)
        scores = mask_metrics(prediction, reference, spacing_mm=(spacing, spacing), nsd_tolerance_mm=steps * spacing)
        assert scores["nsd"] == 1.0


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
