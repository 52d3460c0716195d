"""The common image shifts and the pipeline's against oracles or known images."""

from __future__ import annotations

import colorsys
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.intensity.gamma import GammaDown, GammaUp, _curve
from robustness.perturb.image.intensity.hue import turn
from robustness.perturb.image.kernels import convolved, disk, streak
from robustness.perturb.image.pixels import DEEP
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, NotApplicable, Params, Prompt

LUMA = np.array([0.299, 0.587, 0.114])


def case_of(image: Image) -> Case:
    return Case("c", "s", image, np.zeros(image.shape[:2], dtype=np.bool_), Prompt("x"))


def entry(name: str) -> ImagePerturbation:
    made: ImagePerturbation = PERTURBATIONS.get(name)()
    return made


def changed(name: str, image: Image, **params: Any) -> Image:
    return entry(name).apply(case_of(image), params).image


def drawn(name: str, image: Image, severity: int = 3, seed: int = 0) -> Params:
    params = entry(name).propose(case_of(image), severity, np.random.default_rng(seed))
    assert not isinstance(params, NotApplicable)
    return params


def flat(level: int, side: int = 200) -> Image:
    return np.full((side, side, 3), level, np.uint8)


def ramp(side: int = 64) -> Image:
    row = np.rint(np.linspace(0, 255, side)).astype(np.uint8)
    return np.repeat(np.repeat(row[None, :, None], side, axis=0), 3, axis=2)


def noise(shape: tuple[int, ...] = (64, 50, 3), seed: int = 0) -> Image:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


class TestNoise:
    def test_shot_noise_has_the_variance_of_counts(self) -> None:
        for level in (40, 120):
            unit = changed("shot_noise", flat(level), photons=50, seed=1)[..., 0] / 255
            assert unit.mean() == pytest.approx(level / 255, abs=0.005)
            assert unit.var() == pytest.approx(level / 255 / 50, rel=0.06)
        assert changed("shot_noise", flat(0), photons=3, seed=1).max() == 0

    def test_impulse_noise_loses_the_stated_share_half_to_each_end(self) -> None:
        out = changed("impulse_noise", flat(100), share=0.2, seed=1)[..., 0]
        assert (out == 0).mean() == pytest.approx(0.1, abs=0.01)
        assert (out == 255).mean() == pytest.approx(0.1, abs=0.01)
        assert set(np.unique(out)) == {0, 100, 255}

    def test_speckle_noise_grows_with_brightness(self) -> None:
        spreads = [(changed("speckle_noise", flat(level), sd=0.1, seed=1)[..., 0] / 255).std() for level in (50, 150)]
        assert spreads[1] / spreads[0] == pytest.approx(3.0, rel=0.05)
        assert spreads[0] == pytest.approx(0.1 * 50 / 255, rel=0.05)


class TestBlur:
    def test_convolution_is_scipys(self) -> None:
        import torch

        kernel = streak(9.0, 4.0, 30.0)
        picture = np.random.default_rng(0).random((40, 33), dtype=np.float32)
        found = convolved(torch.from_numpy(picture)[None, None], [kernel])[0, 0].numpy()
        np.testing.assert_allclose(found, ndimage.convolve(picture, kernel, mode="nearest"), atol=1e-5)

    @pytest.mark.parametrize("radius", [1.0, 3.3, 8.0])
    def test_a_disk_has_the_weight_one_and_the_spread_of_a_disk(self, radius: float) -> None:
        kernel = disk(radius, 0.0)
        axis = np.arange(len(kernel)) - len(kernel) // 2
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
        # A disk's variance along an axis is r^2 / 4; a pixel adds 1/12.
        assert (kernel * axis[:, None] ** 2).sum() == pytest.approx(radius**2 / 4 + 1 / 12, abs=0.09)

    @pytest.mark.parametrize("degrees", [0.0, 33.0, 90.0, 210.0])
    def test_a_streak_stays_where_its_point_was(self, degrees: float) -> None:
        kernel = streak(21.0, 8.0, degrees)
        axis = np.arange(len(kernel)) - len(kernel) // 2
        assert kernel.sum() == pytest.approx(1.0, abs=1e-5)
        assert (kernel * axis[:, None]).sum() == pytest.approx(0.0, abs=1e-3)
        assert (kernel * axis[None, :]).sum() == pytest.approx(0.0, abs=1e-3)

    def test_motion_smears_along_its_direction_only(self) -> None:
        stripes = np.repeat((np.arange(64) // 4 % 2 * 200).astype(np.uint8)[:, None, None], 64, axis=1).repeat(
            3, axis=2
        )
        along = changed("motion_blur", stripes, length=15.0, sigma=6.0, degrees=0.0)
        across = changed("motion_blur", stripes, length=15.0, sigma=6.0, degrees=90.0)
        np.testing.assert_allclose(along, stripes, atol=1)
        assert across[16:48].std() < 0.3 * stripes[16:48].std()

    @pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur"])
    def test_bright_borders_do_not_darken(self, name: str) -> None:
        image = flat(200, 64)
        np.testing.assert_allclose(entry(name).apply(case_of(image), drawn(name, image, 5)).image, image, atol=1)

    def test_zoom_keeps_the_centre_and_blurs_the_rim(self) -> None:
        image = noise((96, 96, 3))
        image[44:52, 44:52] = 255
        difference = np.abs(changed("zoom_blur", image, zoom=1.2).astype(float) - image).mean(axis=2)
        assert difference[46:50, 46:50].mean() < 0.2 * difference[:20].mean()

    def test_zoom_does_not_push_a_ring_outwards(self) -> None:
        rows, columns = np.mgrid[:201, :201] - 100
        radius = np.hypot(rows, columns)
        ring = (255 * np.exp(-((radius - 60) ** 2) / 18)).astype(np.uint8)
        out = changed("zoom_blur", np.repeat(ring[..., None], 3, axis=2), zoom=1.2)[..., 0].astype(float)
        assert (out * radius).sum() / out.sum() == pytest.approx(60, abs=1.0)


class TestLight:
    def test_brightness_is_a_factor(self) -> None:
        np.testing.assert_allclose(changed("brightness_down", ramp(), factor=0.5), ramp() / 2, atol=0.51)
        assert changed("brightness_up", ramp(), factor=2.0).max() == 255

    def test_contrast_keeps_the_mean_and_scales_the_spread(self) -> None:
        image = 80 + noise() // 4
        out = changed("contrast_down", image, factor=0.5)
        luma = [(picture / 255.0) @ LUMA for picture in (image, out)]
        assert luma[1].mean() == pytest.approx(luma[0].mean(), abs=1e-3)
        assert out.astype(float).std() == pytest.approx(0.5 * image.astype(float).std(), rel=0.02)

    def test_the_offset_is_that_of_hsv(self) -> None:
        image = noise((6, 5, 3))
        out = changed("brightness_offset", image, offset=0.2)
        for pixel, found in zip(image.reshape(-1, 3), out.reshape(-1, 3), strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
            expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(value + 0.2, 1.0))) * 255
            np.testing.assert_allclose(found, expected, atol=1)
        assert changed("brightness_offset", flat(0, 32), offset=0.2)[0, 0].tolist() == [51, 51, 51]

    def test_a_vignette_leaves_the_centre_and_follows_the_fourth_power_of_the_cosine(self) -> None:
        out = changed("vignette", flat(200), strength=1.0)[..., 0]
        assert out[100, 100] == 200
        assert out[0, 0] == pytest.approx(200 * np.cos(np.arctan(1.0)) ** 4, abs=2)

    def test_a_black_corner_hides_what_lies_outside(self) -> None:
        out = changed("black_corner", flat(200), radius=0.8)[..., 0]
        assert (out == 0).mean() == pytest.approx(1 - np.pi / 4 * 0.64, abs=0.03)
        assert out[100, 100] == 200
        np.testing.assert_array_equal(changed("black_corner", flat(200), radius=1.5), flat(200))


class TestColour:
    def test_saturation_keeps_luma_and_nought_is_gray(self) -> None:
        image = 60 + noise() // 3
        out = changed("saturation_down", image, factor=0.0)
        assert (np.ptp(out.astype(int), axis=2) <= 1).all()
        np.testing.assert_allclose(out @ LUMA, image @ LUMA, atol=1)

    def test_hue_turns_keep_luma_and_gray_and_come_round(self) -> None:
        np.testing.assert_allclose(LUMA @ turn(37.0), LUMA, atol=1e-3)
        np.testing.assert_allclose(turn(37.0) @ np.ones(3), np.ones(3), atol=1e-6)
        np.testing.assert_allclose(turn(360.0), np.eye(3), atol=1e-9)
        np.testing.assert_allclose(turn(20.0) @ turn(25.0), turn(45.0), atol=1e-9)

    def test_hue_turns_to_either_side(self) -> None:
        signs = {np.sign(drawn("hue", noise(), seed=seed)["degrees"]) for seed in range(12)}
        assert signs == {-1.0, 1.0}

    def test_saturate_is_that_of_hsv_and_gray_stays_gray(self) -> None:
        image = noise((6, 5, 3))
        image[0, 0] = 90
        out = changed("saturate", image, factor=0.5, offset=0.1)
        assert out[0, 0].tolist() == [90, 90, 90]
        for pixel, found in zip(image.reshape(-1, 3)[1:], out.reshape(-1, 3)[1:], strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*(pixel / 255))
            expected = np.array(colorsys.hsv_to_rgb(hue, 0.5 * saturation + 0.1, value)) * 255
            np.testing.assert_allclose(found, expected, atol=1)

    @pytest.mark.parametrize("name", ["saturation_up", "saturation_down", "hue", "saturate", "channel_swap"])
    def test_gray_pictures_have_no_colour_to_change(self, name: str) -> None:
        found = entry(name).propose(case_of(ramp()), 1, np.random.default_rng(0))
        assert found == NotApplicable("the image is gray: it has no colour that could change")


class TestDigital:
    def test_pixels_become_blocks_of_their_means(self) -> None:
        image = noise((40, 60, 3))
        out = changed("pixelate", image, rows=10, columns=15)
        blocks = image.reshape(10, 4, 15, 4, 3).mean(axis=(1, 3))
        np.testing.assert_allclose(out, blocks.repeat(4, axis=0).repeat(4, axis=1), atol=0.51)

    def test_large_pictures_shrink_to_as_many_pixels_as_small_ones(self) -> None:
        small, large = (drawn("pixelate", noise((side, 2 * side, 3))) for side in (256, 512))
        assert small == large

    def test_levels_and_bits_are_those_that_are_left(self) -> None:
        every = ramp(256)
        assert np.unique(changed("posterize", every, levels=5)).tolist() == [0, 64, 128, 191, 255]
        assert np.unique(changed("requantize", every, bits=3)).tolist() == list(range(0, 256, 32))
        np.testing.assert_array_equal(changed("requantize", every, bits=3), every & 0b11100000)

    def test_a_round_trip_through_a_small_copy_loses_detail_and_no_brightness(self) -> None:
        image = noise((64, 64, 3))
        out = changed("resize_round_trip", image, rows=16, columns=16)
        assert out.astype(float).std() < 0.4 * image.astype(float).std()
        assert out.mean() == pytest.approx(image.mean(), abs=1)


class TestHidden:
    @pytest.mark.parametrize(("share", "row", "column"), [(0.1, 0.0, 0.0), (0.3, 1.0, 1.0), (0.25, 0.4, 0.7)])
    def test_occlusion_covers_its_share_with_the_mean(self, share: float, row: float, column: float) -> None:
        image = noise((100, 150, 3))
        out = changed("occlusion", image, share=share, row=row, column=column)
        covered = (out != image).any(axis=2)
        assert covered.mean() == pytest.approx(share, abs=0.02)
        np.testing.assert_allclose(out[covered].mean(axis=0), image.reshape(-1, 3).mean(axis=0), atol=1)


class TestPipeline:
    def test_channels_are_exchanged_and_exchanged_back(self) -> None:
        image = noise()
        out = changed("channel_swap", image, swapped=1)
        np.testing.assert_array_equal(out, image[..., ::-1])

    def test_an_inversion_is_a_negative_of_gray_pictures_only(self) -> None:
        np.testing.assert_array_equal(changed("inversion", ramp(), inverted=1), 255 - ramp())
        found = entry("inversion").propose(case_of(noise()), 1, np.random.default_rng(0))
        assert isinstance(found, NotApplicable)
        assert "MONOCHROME1" in found.reason

    def test_a_window_is_stretched_at_the_depth_of_the_source(self) -> None:
        unit = np.linspace(0.3, 0.31, 64 * 64, dtype=np.float32).reshape(64, 64)
        image = np.rint(np.repeat(unit[..., None], 3, axis=2) * 255).astype(np.uint8)
        deep = dataclasses.replace(case_of(image), metadata={DEEP: unit})
        params = {"low": 0.3, "high": 0.31}
        assert len(np.unique(entry("window_error").apply(deep, params).image)) == 256
        assert len(np.unique(entry("window_error").apply(case_of(image), params).image)) <= 4

    def test_a_window_loses_more_at_one_end_which_is_the_cases_own_at_all_severities(self) -> None:
        change = entry("window_error")
        found = set()
        for number in range(12):
            case = dataclasses.replace(case_of(ramp()), case_id=f"c{number}")
            ends = [change.propose(case, severity, np.random.default_rng(severity)) for severity in range(1, 6)]
            dark = {round(params["low"] / value, 6) for params, value in zip(ends, change.values, strict=True)}
            bright = {round((1 - params["high"]) / value, 6) for params, value in zip(ends, change.values, strict=True)}
            assert len(dark) == len(bright) == 1
            assert dark.pop() + bright.pop() == pytest.approx(1.0)
            found |= {round(params["low"] / value, 6) for params, value in zip(ends, change.values, strict=True)}
        assert found == {0.25, 0.75}


@pytest.mark.slow
@pytest.mark.parametrize("gamma", [*GammaUp.values, *GammaDown.values])
@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.2, 0.7), (0.5, 0.5 + 1e-4)])
def test_values_are_those_of_monai_bit_for_bit(gamma, low, high):
    transforms = pytest.importorskip("monai.transforms")
    image = torch.rand(3, 21, 17, generator=torch.Generator().manual_seed(0)) * (high - low) + low
    expected = torch.as_tensor(transforms.AdjustContrast(gamma=gamma)(image))
    assert torch.equal(_curve(image, gamma), expected)
    assert not torch.equal(_curve(image, gamma), image)


def test_a_constant_image_and_exponent_one_change_nothing():
    image = torch.full((3, 4, 4), 0.3)
    assert torch.equal(_curve(image, 2.0), image)
    ramp = torch.linspace(0, 1, 48).reshape(3, 4, 4)
    assert torch.equal(_curve(ramp, 1), ramp)
