"""Calibration against images whose answer is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from robustness.errors import InputError
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.intensity.brightness import BrightnessDown
from robustness.perturb.image.intensity.channel_swap import ChannelSwap
from robustness.perturb.image.intensity.gaussian_noise import GaussianNoise
from robustness.perturb.image.intensity.posterize import Posterize, Requantize
from robustness.perturb.image.intensity.saturation import SaturationUp
from robustness.perturb.severity.calibration import TARGETS, calibrate, shrunk
from robustness.perturb.severity.similarity import content_similarity, similarity
from robustness.types import Case, NotApplicable, Params, Prompt


def case_of(image: np.ndarray, name: str = "c") -> Case:
    return Case(name, "s", image, np.zeros(image.shape[:2], dtype=np.bool_), Prompt("x"))


def scene(seed: int, side: int = 64, *, gray: bool = True) -> Case:
    rng = np.random.default_rng(seed)
    planes = [ndimage.gaussian_filter(rng.standard_normal((side, side)), 3) for _ in range(1 if gray else 3)]
    unit = np.stack(planes * (3 if gray else 1), axis=-1)
    unit = (unit - unit.min()) / (unit.max() - unit.min())
    return case_of(np.rint(255 * unit).astype(np.uint8), f"c{seed}")


CASES = [scene(seed) for seed in range(3)]


class TestSimilarity:
    def test_it_is_the_published_formula(self) -> None:
        """Wang et al. 2004, equation 13, by scipy's normal filter (11 x 11 window, sigma 1.5, no padding)."""
        one, other = (c.image[..., 0] / 255.0 for c in CASES[:2])

        def smooth(values: np.ndarray) -> np.ndarray:
            return ndimage.gaussian_filter(values, 1.5, truncate=5 / 1.5)[5:-5, 5:-5]

        mean_one, mean_other = smooth(one), smooth(other)
        var_one, var_other = smooth(one**2) - mean_one**2, smooth(other**2) - mean_other**2
        covariance = smooth(one * other) - mean_one * mean_other
        light, spread = 0.01**2, 0.03**2
        expected = ((2 * mean_one * mean_other + light) * (2 * covariance + spread)) / (
            (mean_one**2 + mean_other**2 + light) * (var_one + var_other + spread)
        )
        assert similarity(CASES[0], CASES[1]) == pytest.approx(float(expected.mean()), abs=1e-4)

    def test_a_picture_is_itself_and_gray_is_compared_with_colour(self) -> None:
        colour = scene(9, gray=False)
        assert similarity(colour, colour) == pytest.approx(1.0)
        assert similarity(CASES[0], colour) == pytest.approx(similarity(colour, CASES[0]))

    def test_pictures_smaller_than_the_window_are_refused(self) -> None:
        tiny = case_of(np.zeros((10, 40, 3), np.uint8))
        with pytest.raises(InputError, match="at least 11 pixels"):
            similarity(tiny, tiny)

    def test_a_black_background_does_not_count_as_content(self) -> None:
        framed = np.zeros((128, 128, 3), np.uint8)
        framed[32:96, 32:96] = CASES[0].image // 2 + 60
        lifted = np.where(framed == 0, 3, framed).astype(np.uint8)
        clean, changed = case_of(framed), case_of(lifted)
        assert similarity(clean, changed) < 0.75
        assert content_similarity(clean, changed) > 0.95
        assert content_similarity(CASES[0], CASES[1]) == pytest.approx(similarity(CASES[0], CASES[1]), abs=0.01)
        black = case_of(np.zeros((32, 32, 3), np.uint8))
        assert content_similarity(black, black) == pytest.approx(1.0)


class TestCalibrate:
    def test_every_target_is_met_on_the_set(self) -> None:
        found = calibrate(GaussianNoise(), CASES)
        assert not isinstance(found, NotApplicable)
        assert found.reached
        for row, target in zip(found.rows, TARGETS, strict=True):
            assert row.ssim == pytest.approx(target, abs=0.01)
            assert row.low <= row.ssim <= row.high
        assert list(found.values) == sorted(found.values)

    def test_the_same_seed_gives_the_same_values(self) -> None:
        one, other = (calibrate(GaussianNoise(), CASES[:1]) for _ in range(2))
        assert one == other

    def test_severities_of_two_kinds_cost_the_same(self) -> None:
        noise, light = (calibrate(change, CASES) for change in (GaussianNoise(), BrightnessDown()))
        assert not isinstance(noise, NotApplicable)
        assert not isinstance(light, NotApplicable)
        for one, other in zip(noise.rows, light.rows, strict=True):
            assert one.ssim == pytest.approx(other.ssim, abs=0.01)

    def test_a_kind_that_cannot_reach_the_targets_says_so_and_still_rises(self) -> None:
        class Faint(ImagePerturbation):
            name = "faint"
            values = (0.1, 0.2, 0.3, 0.4, 0.5)
            span = (0.01, 0.1)

            def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
                return pixels * (1 - params[0]["value"])

        found = calibrate(Faint(), CASES)
        assert not isinstance(found, NotApplicable)
        assert not found.reached
        similarities = [row.ssim for row in found.rows]
        assert similarities == sorted(similarities, reverse=True)
        assert len(set(found.values)) == 5

    @pytest.mark.parametrize("change", [Posterize(), Requantize()])
    def test_whole_numbers_stay_whole_and_differ(self, change: Any) -> None:
        found = calibrate(change, CASES)
        assert not isinstance(found, NotApplicable)
        assert all(isinstance(value, int) for value in found.values)
        assert list(found.values) == sorted(set(found.values), reverse=True)
        similarities = [row.ssim for row in found.rows]
        assert similarities == sorted(similarities, reverse=True)

    def test_what_does_not_apply_says_why(self) -> None:
        assert calibrate(SaturationUp(), CASES) == NotApplicable(
            "the image is gray: it has no colour that could change"
        )
        assert calibrate(ChannelSwap(), CASES) == NotApplicable("it has no severity levels")

    def test_gray_pictures_do_not_count_for_colour(self) -> None:
        found = calibrate(SaturationUp(), [*CASES, scene(9, gray=False)])
        assert not isinstance(found, NotApplicable)
        assert found.n_images == 1


class TestShrunk:
    def test_large_pictures_shrink_to_the_reference_side_and_small_ones_stay(self) -> None:
        large = case_of(np.zeros((600, 512, 3), np.uint8))
        assert shrunk(large).image.shape == (300, 256, 3)
        assert shrunk(CASES[0]) is CASES[0]

    def test_deep_pictures_stay_deep(self) -> None:
        deep = np.linspace(0, 1, 512 * 512, dtype=np.float32).reshape(512, 512)
        case = dataclasses.replace(case_of(np.zeros((512, 512, 3), np.uint8)), metadata={"image_float": deep})
        assert len(np.unique(shrunk(case).metadata["image_float"])) > 256
