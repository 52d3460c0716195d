"""Image changes of one modality against the physics that they state."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from robustness.perturb.image.ct.artefacts import ramp_noise
from robustness.perturb.image.mri.bias_field import log_field
from robustness.perturb.image.optical.stain_shift import STAINS
from robustness.perturb.image.ultrasound.artefacts import _beams
from robustness.perturb.image.ultrasound.coherent_speckle import rayleigh
from robustness.perturb.language.parse import parse_prompt
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, NotApplicable, Params

SIZE = (48, 64)


def case_of(image: np.ndarray, prompt: str = "polyp", target: str = "polyp") -> Case:
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    return Case("c", "s", image, mask, parse_prompt(prompt), target)


def gray(value: float, size: tuple[int, int] = SIZE) -> torch.Tensor:
    return torch.full((1, 1, *size), value)


def drawn(name: str, severity: int, size: tuple[int, int] = SIZE) -> Params:
    params = PERTURBATIONS.get(name)().propose(case_of(np.zeros((*size, 3), np.uint8)), severity, generator(0, name))
    assert isinstance(params, dict)
    return params


def changed(name: str, pixels: torch.Tensor, params: Params) -> torch.Tensor:
    out: torch.Tensor = PERTURBATIONS.get(name)().change(pixels, [params] * len(pixels))
    return out


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.047, 7.44])
def test_gaussian_blur_is_what_monai_makes_of_the_extended_image_bit_for_bit(sigma: float) -> None:
    from monai.transforms import GaussianSmooth

    picture, margin = torch.rand(3, *SIZE), math.ceil(4 * sigma) + 1
    extended = torch.nn.functional.pad(picture[None], (margin,) * 4, mode="replicate")[0]
    expected = torch.as_tensor(GaussianSmooth(sigma=sigma)(extended))[:, margin:-margin, margin:-margin]
    assert torch.equal(changed("gaussian_blur", picture[None], {"sigma": sigma})[0], expected)


class TestMri:
    def test_rician_noise_lifts_the_background_to_the_mean_of_a_rayleigh_law(self) -> None:
        out = changed("rician_noise", gray(0.0, (200, 200)), {"sd": 0.1, "seed": 1})
        assert float(out.mean()) == pytest.approx(0.1 * math.sqrt(math.pi / 2), rel=0.02)
        assert float(out.std()) == pytest.approx(0.1 * math.sqrt(2 - math.pi / 2), rel=0.02)

    @pytest.mark.parametrize("seed", [0, 7, 2**32 - 1])
    def test_rician_noise_is_what_monai_makes_of_the_seed_bit_for_bit(self, seed: int) -> None:
        from monai.transforms import RandRicianNoise

        monai = RandRicianNoise(prob=1.0, std=0.1, sample_std=False)
        monai.set_random_state(seed)
        picture = torch.rand(3, *SIZE)
        out = changed("rician_noise", picture[None], {"sd": 0.1, "seed": seed})[0]
        assert torch.equal(out, torch.as_tensor(monai(picture)))

    @pytest.mark.parametrize("size", [SIZE, (33, 33)])
    def test_the_bias_field_is_the_one_that_monai_draws_for_the_seed_bit_for_bit(self, size: tuple[int, int]) -> None:
        from monai.transforms import RandBiasField

        monai = RandBiasField(prob=1.0, degree=3, coeff_range=(-1.0, 1.0))
        monai.set_random_state(2**32 - 5)
        expected = np.log(np.asarray(monai(torch.ones(1, *size)), dtype=np.float64)[0])
        expected -= expected.mean()
        expected = (expected / np.sqrt((expected**2).mean())).astype(np.float32)
        np.testing.assert_array_equal(log_field(2**32 - 5, size), expected)

    def test_the_bias_field_has_the_stated_strength_and_is_a_polynomial_of_degree_three(self) -> None:
        field = log_field(3, SIZE)
        assert float(field.mean()) == pytest.approx(0, abs=1e-5)
        assert float(np.sqrt((field**2).mean())) == pytest.approx(1, abs=1e-4)
        # The fourth difference of a cubic is zero along every row and column.
        assert np.abs(np.diff(field.astype(np.float64), n=4, axis=0)).max() < 1e-4
        assert np.abs(np.diff(field.astype(np.float64), n=4, axis=1)).max() < 1e-4

    def test_the_bias_field_keeps_the_mean_brightness(self) -> None:
        picture = torch.rand(2, 1, *SIZE)
        out = changed("bias_field", picture, {"log_gain": 0.6, "seed": 3})
        torch.testing.assert_close(out.mean((1, 2, 3)), picture.mean((1, 2, 3)))

    def test_ringing_keeps_the_same_share_of_both_axes(self) -> None:
        picture = torch.rand(1, 64, 256)
        spectrum = torch.fft.fftshift(torch.fft.fft2(changed("gibbs_ringing", picture[None], {"cut": 0.64})[0, 0]))
        filled = spectrum.abs() > 1e-3
        down, across = (filled.any(axis).float().mean().item() for axis in (1, 0))
        assert down == pytest.approx(across, abs=0.03)
        assert across == pytest.approx(0.36 * math.sqrt(2), abs=0.03)

    @pytest.mark.parametrize("side", [47, 48])
    @pytest.mark.parametrize("cut", [0.5, 0.64, 0.89])
    def test_ringing_of_a_square_is_what_monai_makes_bit_for_bit(self, side: int, cut: float) -> None:
        from monai.transforms import GibbsNoise

        picture = torch.rand(3, side, side)
        expected = torch.as_tensor(GibbsNoise(cut)(picture))
        assert torch.equal(changed("gibbs_ringing", picture[None], {"cut": cut})[0], expected)

    @pytest.mark.parametrize("size", [SIZE, (33, 20)])
    def test_a_spike_is_what_monai_makes_bit_for_bit(self, size: tuple[int, int]) -> None:
        from monai.transforms import KSpaceSpikeNoise

        picture = torch.rand(3, *size)
        place = (size[0] // 2 + 3, size[1] // 2 - 5)
        expected = KSpaceSpikeNoise(place, k_intensity=math.log(0.1 * size[0] * size[1]))(picture.clone())
        out = changed("kspace_spikes", picture[None], {"amplitude": 0.1, "rows": 3, "columns": -5})[0]
        assert torch.equal(out, torch.as_tensor(expected))

    def test_a_spike_is_a_plane_wave_of_the_stated_amplitude_and_frequency(self) -> None:
        out = changed("kspace_spikes", gray(0.5), {"amplitude": 0.1, "rows": 3, "columns": 5}) - 0.5
        rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
        turn = 2 * math.pi * (3 * rows / SIZE[0] + 5 * columns / SIZE[1])
        phase = torch.atan2(-(out[0, 0] * turn.sin()).mean(), (out[0, 0] * turn.cos()).mean())
        torch.testing.assert_close(out[0, 0], 0.1 * (turn + phase).cos(), atol=1e-4, rtol=0)

    @pytest.mark.parametrize("axis", [0, 1])
    def test_ghosts_stand_at_the_stated_distance_and_half_as_strong(self, axis: int) -> None:
        point = gray(0.0)
        point[0, 0, 20, 30] = 1.0
        params = {"strength": 0.4, "distance": 9, "phase": 1.3, "axis": axis}
        out = changed("ghosting", point, params)[0, 0]
        places = {(20, 30)} | ({(11, 30), (29, 30)} if axis == 0 else {(20, 21), (20, 39)})
        assert {(int(r), int(c)) for r, c in out.nonzero()} == places
        assert sorted(round(float(v), 5) for v in out[out > 0]) == [0.2, 0.2, 1.0]

    def test_ghosting_is_a_modulation_of_k_space(self) -> None:
        picture, distance, phase = torch.rand(*SIZE), 12, 1.3
        lines = torch.arange(SIZE[0]).view(-1, 1)
        wave = 1 + 0.4 * torch.exp(torch.tensor(1j * phase)) * torch.cos(2 * math.pi * distance * lines / SIZE[0])
        expected = torch.fft.ifft2(torch.fft.fft2(picture) * wave).abs()
        params = {"strength": 0.4, "distance": distance, "phase": phase, "axis": 0}
        torch.testing.assert_close(changed("ghosting", picture[None, None], params)[0, 0], expected.float())

    def test_a_patient_who_lies_still_has_a_sharp_picture(self) -> None:
        picture = torch.rand(1, 1, *SIZE)
        params = {**drawn("mri_motion", 3), "poses": [[0.0] * 3] * 5}
        torch.testing.assert_close(changed("mri_motion", picture, params), picture)

    def test_the_pose_of_the_middle_of_k_space_is_that_of_the_mask(self) -> None:
        for size in ((32, 33), (47, 200)):
            params = drawn("mri_motion", 5, size)
            assert params["poses"][2] == [0.0, 0.0, 0.0]
            length = size[params["axis"]]
            assert round(params["borders"][1] * length) <= length // 2 < round(params["borders"][2] * length)

    def test_thick_slices_lose_detail_along_one_axis_alone(self) -> None:
        stripes = (torch.arange(SIZE[0]) % 2).float().view(1, 1, -1, 1).expand(1, 1, *SIZE)
        across = changed("slice_thickness", stripes, {"slices": 12, "axis": 0})
        along = changed("slice_thickness", stripes, {"slices": 12, "axis": 1})
        assert float(across.std()) < 0.02
        torch.testing.assert_close(along, stripes)

    def test_a_weaker_field_has_less_contrast_and_more_noise(self) -> None:
        halves = gray(0.4, (64, 64))
        halves[..., 32:] = 0.8
        out = changed("low_field", halves, {"ratio": 8.0, "seed": 2})
        assert float(out[..., 36:].mean() - out[..., :28].mean()) == pytest.approx(0.4 * 8 ** (-1 / 3), abs=0.02)
        assert float(out[..., :28].std()) == pytest.approx(0.012 * math.sqrt(63), rel=0.1)


class TestUltrasound:
    def test_speckle_has_the_contrast_of_a_rayleigh_law(self) -> None:
        envelope = rayleigh(np.random.default_rng(0), (300, 300), (0.8, 1.6))
        assert float(envelope.mean()) == pytest.approx(1, abs=1e-5)
        assert float(envelope.std()) == pytest.approx(math.sqrt(4 / math.pi - 1), rel=0.03)

    def test_its_grains_are_wider_than_deep(self) -> None:
        envelope = rayleigh(np.random.default_rng(0), (200, 200), (0.8, 1.6)) - 1
        down, across = ((envelope * np.roll(envelope, 2, axis)).mean() / envelope.var() for axis in (0, 1))
        assert across > 2 * down > 0

    def test_speckle_leaves_black_black(self) -> None:
        assert float(changed("ultrasound_speckle", gray(0.0), drawn("ultrasound_speckle", 5)).max()) == 0

    def test_a_gain_adds_its_decibels_to_a_display_of_sixty(self) -> None:
        assert float(changed("gain_up", gray(0.3), {"decibels": 12.0}).mean()) == pytest.approx(0.5)
        assert float(changed("gain_down", gray(0.3), {"decibels": 12.0}).mean()) == pytest.approx(0.1)

    @pytest.mark.parametrize(("name", "sign"), [("time_gain_up", 1), ("time_gain_down", -1)])
    def test_an_error_of_time_gain_grows_evenly_with_depth(self, name: str, sign: int) -> None:
        rows = (changed(name, gray(0.5), {"decibels": 18.0}) - 0.5)[0, 0, :, 5]
        torch.testing.assert_close(rows, sign * 0.3 * torch.linspace(0, 1, SIZE[0]))

    def test_gain_brightens_dark_places_of_the_sector_but_not_what_lies_outside(self) -> None:
        picture = gray(0.0)
        picture[..., 5:40, 10:50] = 0.4
        picture[..., 15:25, 20:30] = 0.0
        out = changed("gain_up", picture, {"decibels": 6.0})[0, 0]
        assert float(out[20, 25]) == pytest.approx(0.1)
        assert float(out[:5].max()) == float(out[:, :10].max()) == 0

    def test_shadows_lie_below_their_caps_and_take_the_stated_share(self) -> None:
        params = {"amount": 0.3, "seed": 4}
        out = changed("acoustic_shadow", gray(0.5, (200, 200)), params)[0, 0]
        assert float(out[:20].min()) == pytest.approx(0.5, abs=1e-3)
        beam = _beams((200, 200))[0]
        shaded = {int(one) for one in 50 * beam[out.numpy() < 0.3]}
        assert len(shaded) / 50 == pytest.approx(0.3, abs=0.08)

    def test_echoes_of_a_reverberation_are_evenly_spaced(self) -> None:
        out = changed("reverberation", gray(0.2, (400, 200)), {"amount": 0.6, "seed": 4})[0, 0, :, 100] - 0.2
        peaks = [i for i in range(1, 399) if out[i] > out[i - 1] and out[i] >= out[i + 1] and out[i] > 0.02]
        assert len(peaks) >= 5
        assert np.diff(peaks).std() < 4
        heights = [float(out[i]) for i in peaks]
        assert all(one > other for one, other in pairwise(heights))

    def test_a_deeper_picture_shows_the_same_anatomy_nearer_to_the_transducer(self) -> None:
        image = np.full((100, 100, 3), 20, np.uint8)
        image[40:60, 40:60] = 200
        case = case_of(image)
        case.mask[40:60, 40:60] = True
        depth = PERTURBATIONS.get("imaging_depth_up")().with_values([1.1, 1.2, 1.4, 1.6, 2.0])
        params = depth.propose(case, 5, np.random.default_rng(0))
        found = np.argwhere(depth.apply(case, params).mask)
        assert found.min(0).tolist() == [20, 45]
        assert found.max(0).tolist() == [29, 54]


class TestRadiography:
    def test_doubling_the_exposure_darkens_by_a_fixed_step(self) -> None:
        out = changed("exposure_up", gray(0.6), {"doublings": 1.0, "seed": 0})
        torch.testing.assert_close(out, gray(0.6 - math.log10(2) / 2))

    def test_the_noise_of_lost_quanta_is_stronger_behind_dense_matter(self) -> None:
        params = {"doublings": -3.0, "seed": 0}
        soft, dense = (changed("exposure_down", gray(v, (100, 100)), params).std() for v in (0.2, 0.5))
        assert float(dense / soft) == pytest.approx(10**0.3, rel=0.02)
        expected = math.sqrt(7 * 10 ** (2 * 0.5) / 20_000) / (2 * math.log(10))
        assert float(dense) == pytest.approx(expected, rel=0.03)

    def test_scatter_keeps_a_flat_picture_and_takes_contrast_from_any_other(self) -> None:
        torch.testing.assert_close(changed("scatter", gray(0.4), {"scatter_to_primary": 2.0}), gray(0.4))
        halves = gray(0.2)
        halves[..., 32:] = 0.8
        out = changed("scatter", halves, {"scatter_to_primary": 2.0})
        assert float(out[..., 34].mean() - out[..., 29].mean()) < 0.45

    def test_a_line_spreads_as_a_two_sided_exponential(self) -> None:
        line = gray(0.0, (64, 201))
        line[..., 100] = 1.0
        spread = changed("xray_blur", line, {"decay": 6.0})[0, 0, 32]
        assert float(spread.sum()) == pytest.approx(1, abs=1e-3)
        away = torch.arange(3, 20)
        ratios = spread[100 + away + 1] / spread[100 + away]
        torch.testing.assert_close(ratios, torch.full_like(ratios, math.exp(-1 / 6)), atol=0.01, rtol=0)

    def test_grid_lines_have_the_stated_period(self) -> None:
        params = {"amplitude": 0.1, "period": 4.0, "phase": 0.3, "vertical": True, "cut_off": 1}
        row = (changed("grid_lines", gray(0.5), params) - 0.5)[0, 0, 0]
        assert int(torch.fft.rfft(row - row.mean()).abs()[1:].argmax()) + 1 == SIZE[1] // 4

    def test_beam_hardening_cups_a_disk(self) -> None:
        rows, columns = np.mgrid[:64, :64] - 31.5
        disk = torch.from_numpy((np.hypot(rows, columns) < 26).astype(np.float32))[None, None] * 0.7
        out = changed("beam_hardening", disk, {"loss": 0.5})[0, 0]
        assert float(out[32, 32]) < 0.85 * float(out[32, 8])

    def test_no_marker_names_a_side_or_a_view(self) -> None:
        from robustness.perturb.image.xray.objects import _marker

        found = {_marker(np.random.default_rng(seed)) for seed in range(300)}
        parts = {part for words in found for part in words.split()}
        assert not parts & {"L", "R", "LEFT", "RIGHT", "AP", "PA", "LAT", "LL", "RR"}
        assert len(found) > 100

    def test_support_devices_are_not_added_where_they_are_the_target(self) -> None:
        case = case_of(np.zeros((*SIZE, 3), np.uint8), "Support Devices in frontal view", "Support Devices")
        found = PERTURBATIONS.get("support_device")().propose(case, 3, np.random.default_rng(0))
        assert isinstance(found, NotApplicable)
        assert "target" in found.reason


class TestCt:
    def test_windows_are_linear_and_cut_off(self) -> None:
        ramp = torch.linspace(0, 1, 64).view(1, 1, 1, -1).expand(1, 1, *SIZE)
        for name, params, expected in (
            ("window_level_up", {"shift": 0.2}, ramp - 0.2),
            ("window_level_down", {"shift": 0.2}, ramp + 0.2),
            ("window_narrow", {"ratio": 2.0}, 2 * ramp - 0.5),
            ("window_wide", {"ratio": 2.0}, ramp / 2 + 0.25),
        ):
            torch.testing.assert_close(changed(name, ramp, params), expected)

    def test_rings_are_round(self) -> None:
        out = changed("ring_artifact", gray(0.5, (128, 128)), {"amount": 0.1, "detail": 0.5, "seed": 3})[0, 0]
        for other in (out.flip(0), out.flip(1), out.T):
            torch.testing.assert_close(out, other, atol=1e-5, rtol=0)
        assert float((out - 0.5).std()) > 0.01

    def test_noise_of_a_low_dose_has_no_slow_part(self) -> None:
        noise = ramp_noise(np.random.default_rng(0), (256, 256), 1.0)
        power = np.abs(np.fft.rfft2(noise)) ** 2
        frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.rfftfreq(256)[None, :])
        law = frequency * np.exp(-((4 * frequency) ** 2))
        for low in (0.02, 0.1, 0.25):
            band, reference = (frequency > low) & (frequency < low + 0.05), (frequency > 0.15) & (frequency < 0.2)
            found, expected = (one[band].mean() / one[reference].mean() for one in (power, law))
            assert found == pytest.approx(expected, rel=0.1)

    def test_streaks_are_even_about_the_metal_and_stronger_near_it(self) -> None:
        out = changed("metal_streaks", gray(0.5, (200, 200)), {"amount": 0.2, "detail": 1.0, "seed": 1})[0, 0]
        assert float(out.max()) == 1.0
        away = (out - 0.5).abs()
        rows, columns = torch.meshgrid(torch.arange(200), torch.arange(200), indexing="ij")
        far = torch.hypot(rows - 100.0, columns - 100.0)
        assert float(away[(far > 20) & (far < 40)].mean()) > float(away[far > 90].mean())

    def test_starved_rays_are_smeared_along_rows_and_spare_rows_without_matter(self) -> None:
        picture = gray(0.0, (100, 100))
        picture[..., 40:60, 20:80] = 0.8
        change = changed("photon_starvation", picture, {"amount": 0.2, "detail": 1.0, "seed": 1}) - picture
        assert float(change[..., :35, :].abs().max()) == 0
        dense = change[0, 0, 42:58]
        assert float(dense.diff(dim=1).abs().mean()) < 0.3 * float(dense.diff(dim=0).abs().mean())


class TestLightAndColour:
    def test_a_cast_keeps_the_brightness_of_white(self) -> None:
        white = torch.ones(1, 3, *SIZE)
        for name in ("colour_cast", "colour_temperature_warm", "colour_temperature_cool"):
            params = {"gains": PERTURBATIONS.get(name)().parameters(0.5, None, np.random.default_rng(0))["gains"]}
            red, green, blue = changed(name, white, params)[0, :, 0, 0].tolist()
            assert 0.299 * red + 0.587 * green + 0.114 * blue == pytest.approx(1, abs=1e-4)
            if "temperature" in name:
                assert (red > blue) == ("warm" in name)

    def test_stains_come_apart_and_go_together_again(self) -> None:
        density = torch.tensor(STAINS)[0] * 0.8 + torch.tensor(STAINS)[1] * 0.5
        pixels = torch.exp(-density).view(1, 3, 1, 1).expand(1, 3, 16, 16)
        out = changed("stain_shift", pixels, {"haematoxylin": math.log(1.5), "eosin": math.log(0.5)})
        expected = torch.exp(-(torch.tensor(STAINS)[0] * 1.2 + torch.tensor(STAINS)[1] * 0.25))
        torch.testing.assert_close(out[0, :, 0, 0], expected, atol=0.01, rtol=0)

    def test_stains_leave_white_white(self) -> None:
        out = changed("stain_shift", torch.ones(1, 3, *SIZE), {"haematoxylin": 0.7, "eosin": -0.7})
        torch.testing.assert_close(out, torch.ones(1, 3, *SIZE), atol=1e-4, rtol=0)

    def test_blood_lets_red_through_and_swallows_green_and_blue(self) -> None:
        out = changed("blood", torch.full((1, 3, 100, 100), 0.7), {"share": 0.4, "seed": 1})[0]
        assert float((out[1] < 0.65).float().mean()) == pytest.approx(0.4, abs=0.06)
        thick = out[1] < 0.2
        assert float(thick.float().mean()) > 0.2
        assert (out[0][thick] > 2 * out[1][thick]).all()

    def test_a_gradient_of_light_falls_evenly_to_the_stated_share(self) -> None:
        out = changed("illumination_gradient", gray(0.8), {"depth": 0.6, "angle": 0.0})[0, 0]
        torch.testing.assert_close(out[0], 0.8 * (1 - 0.6 * torch.linspace(0, 1, SIZE[1])))

    def test_half_of_the_rows_of_an_interlaced_picture_go_each_way(self) -> None:
        picture = gray(0.0)
        picture[..., 30] = 1.0
        out = changed("interlacing", picture, {"shift": 6.0, "lead": 0})[0, 0]
        assert out[::2].argmax(1).unique().tolist() == [33]
        assert out[1::2].argmax(1).unique().tolist() == [27]

    def test_colours_of_a_moving_endoscope_stand_side_by_side_and_green_stays(self) -> None:
        picture = torch.zeros(1, 3, *SIZE)
        picture[..., 30] = 1.0
        out = changed("endoscope_motion", picture, {"length": 6.0, "angle": 0.0})[0, :, 10]
        middles = (out * torch.arange(SIZE[1])).sum(1) / out.sum(1)
        torch.testing.assert_close(middles, torch.tensor([24.0, 30.0, 36.0]), atol=0.05, rtol=0)


@pytest.mark.parametrize(
    ("name", "share"), [("specular_highlights", "share"), ("vessel_shadow", "share"), ("blink_stripes", "share")]
)
def test_what_covers_covers_the_stated_share(name: str, share: str) -> None:
    pixels = torch.rand(1, 1, 160, 200) * 0.2 + 0.4
    for value in (0.1, 0.3):
        params: dict[str, Any] = {share: value, "seed": 5}
        differs = (changed(name, pixels, params) - pixels).abs() > 0.1
        below = differs[..., 100:, :] if name == "vessel_shadow" else differs
        assert float(below.float().mean()) == pytest.approx(value, abs=0.06)
