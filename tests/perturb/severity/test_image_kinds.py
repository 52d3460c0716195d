"""Each image change against an oracle or a known image."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from scipy import ndimage

from robustness.perturb.image.intensity.gamma import GammaDown, GammaUp
from robustness.perturb.image.intensity.gaussian_blur import GaussianBlur
from robustness.perturb.image.intensity.gaussian_noise import GaussianNoise
from robustness.perturb.image.intensity.jpeg import Jpeg
from robustness.perturb.image.pixels import is_gray, to_bytes, to_unit
from robustness.types import Case, Prompt


def case_of(image: np.ndarray) -> Case:
    return Case("c", "s", image, np.zeros(image.shape[:2], dtype=np.bool_), Prompt("x"))


def changed(entry: Any, image: np.ndarray, params: Any) -> np.ndarray:
    return entry().apply(case_of(image), params).image


def ramp(height: int = 64, width: int = 64) -> np.ndarray:
    row = np.rint(np.linspace(0, 255, width)).astype(np.uint8)
    return np.repeat(np.repeat(row[None, :, None], height, axis=0), 3, axis=2)


class TestNoise:
    def test_its_spread_is_the_stated_one(self) -> None:
        image = np.full((200, 200, 3), 128, np.uint8)
        for severity, sd in enumerate(GaussianNoise.values[:4], start=1):
            params = GaussianNoise().propose(case_of(image), severity, np.random.default_rng(0))
            noise = to_unit(changed(GaussianNoise, image, params)) - to_unit(image)
            assert noise.std() == pytest.approx(sd, rel=0.03)
            assert abs(noise.mean()) < 0.003

    def test_colour_images_get_independent_channels(self) -> None:
        image = np.full((100, 100, 3), 128, np.uint8)
        image[0, 0] = (127, 128, 129)
        noisy = to_unit(changed(GaussianNoise, image, {"sd": 0.1, "seed": 1}))
        assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.05

    def test_another_seed_is_another_field(self) -> None:
        one, other = (changed(GaussianNoise, ramp(), {"sd": 0.1, "seed": seed}) for seed in (1, 2))
        assert not np.array_equal(one, other)


class TestGamma:
    @pytest.mark.parametrize("cls", [GammaUp, GammaDown])
    def test_it_is_a_power_law_on_a_full_range_ramp(self, cls: Any) -> None:
        for gamma in cls.values:
            expected = np.rint((ramp() / 255.0) ** gamma * 255)
            np.testing.assert_allclose(changed(cls, ramp(), {"gamma": gamma}), expected, atol=1)

    def test_up_darkens_and_down_brightens_and_the_ends_stay(self) -> None:
        dark, bright = changed(GammaUp, ramp(), {"gamma": 1.9}), changed(GammaDown, ramp(), {"gamma": 0.53})
        assert dark.mean() < ramp().mean() < bright.mean()
        for out in (dark, bright):
            assert (out[0, 0, 0], out[0, -1, 0]) == (0, 255)


class TestBlur:
    @pytest.mark.parametrize("sigma", [0.6, 1.0, 2.5, 4.0])
    def test_it_agrees_with_scipy(self, sigma: float) -> None:
        image = np.random.default_rng(0).integers(0, 256, (64, 50, 3), dtype=np.uint8)
        out = changed(GaussianBlur, image, {"sigma": sigma})
        # MONAI integrates the kernel over each pixel, which adds 1/12 to its variance.
        wide = float(np.sqrt(sigma**2 + 1 / 12))
        expected = ndimage.gaussian_filter(image.astype(float), sigma=(wide, wide, 0), mode="nearest", truncate=6.0)
        assert np.abs(out - expected).mean() < 0.5

    def test_borders_of_a_bright_image_do_not_darken(self) -> None:
        image = np.full((40, 40, 3), 200, np.uint8)
        np.testing.assert_array_equal(changed(GaussianBlur, image, {"sigma": 4.0}), image)

    def test_sigma_grows_with_the_image(self) -> None:
        small, large = (
            GaussianBlur().propose(case_of(ramp(side, 3 * side)), 3, np.random.default_rng(0)) for side in (128, 512)
        )
        assert isinstance(small, dict)
        assert isinstance(large, dict)
        assert large["sigma"] == pytest.approx(4 * small["sigma"])
        assert small["sigma"] == pytest.approx(GaussianBlur.values[2] / 2)


class TestJpeg:
    def test_it_is_what_pillow_writes_and_reads(self) -> None:
        image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
        buffer = io.BytesIO()
        PILImage.fromarray(image).save(buffer, format="JPEG", quality=30, subsampling=2)
        with PILImage.open(buffer) as expected:
            np.testing.assert_array_equal(changed(Jpeg, image, {"quality": 30}), np.asarray(expected))

    @pytest.mark.parametrize(("quality", "most"), list(zip(Jpeg.values, (0, 0, 0, 0, 1), strict=True)))
    def test_black_stays_black_but_for_the_strongest(self, quality: int, most: int) -> None:
        assert changed(Jpeg, np.zeros((32, 32, 3), np.uint8), {"quality": quality}).max() == most

    def test_calibration_is_offered_qualities_that_keep_black(self) -> None:
        for step in range(20):
            quality = Jpeg().at_strength(step / 34)
            assert changed(Jpeg, np.zeros((32, 32, 3), np.uint8), {"quality": quality}).max() == 0


class TestPixels:
    def test_the_round_trip_keeps_every_level(self) -> None:
        levels = np.arange(256, dtype=np.uint8)
        np.testing.assert_array_equal(to_bytes(to_unit(levels)), levels)

    def test_values_outside_the_range_are_clipped(self) -> None:
        assert to_bytes(np.array([-1.0, 0.5, 2.0], dtype=np.float32)).tolist() == [0, 128, 255]

    def test_one_coloured_pixel_makes_an_image_coloured(self) -> None:
        image = ramp()
        assert is_gray(image)
        image[3, 4, 1] ^= 1
        assert not is_gray(image)
