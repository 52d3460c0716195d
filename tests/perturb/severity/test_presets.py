"""Published parameters, and the calibration that stands in for them where none is named."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from robustness.errors import InputError, UnknownNameError
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.modality import COMMON_KINDS, MODALITIES
from robustness.perturb.select import select
from robustness.perturb.severity.presets import calibrated_table, plan_table, preset_names, preset_table
from robustness.registry import PERTURBATIONS
from robustness.types import CaseInfo, DataContext, Prompt

ROOM = Path(__file__).parents[3] / "perturb" / "severity"


def context(modality: str = "") -> DataContext:
    return DataContext("d", (CaseInfo("c", "i", "s", "", (Prompt("x"),), {"modality": modality}),))


def values(image: object, modality: str) -> dict[str, tuple]:
    return {s.perturbation.name: s.perturbation.values for s in select([], image, context(modality))}


class TestPublished:
    def test_the_names(self) -> None:
        assert preset_names() == ("imagecorruptions", "medmnist-c")

    @pytest.mark.parametrize("modality", ["dermoscopy", "ultrasound", "x-ray", "CT", "fundus", "OCT", "microscopy"])
    def test_medmnist_c_picks_its_set_by_modality(self, modality: str) -> None:
        assert len(preset_table("medmnist-c", context(modality))) >= 6

    def test_the_numbers_are_the_published_ones(self) -> None:
        skin = preset_table("medmnist-c", context("dermoscopy"))
        assert skin["gaussian_noise"] == (0.04, 0.08, 0.12, 0.18, 0.26)
        assert skin["black_corner"] == (1.1, 1.05, 1.0, 0.9, 0.95)
        assert preset_table("imagecorruptions", context("MRI"))["shot_noise"] == (60, 25, 12, 5, 3)

    def test_lengths_are_converted_from_pictures_of_224_pixels(self) -> None:
        breast = preset_table("medmnist-c", context("ultrasound"))
        assert breast["motion_blur"][0] == pytest.approx((5 * 256 / 224, 5 * 256 / 224))
        chest = preset_table("medmnist-c", context("chest x-ray"))
        assert chest["gaussian_blur"][0] == pytest.approx(0.8 * 256 / 224)
        assert chest["pixelate"] == (0.3, 0.25, 0.2, 0.15, 0.1)

    @pytest.mark.parametrize("modality", ["MRI", "endoscopy", "photograph", "echocardiography"])
    def test_a_modality_without_published_parameters_is_refused_by_name(self, modality: str) -> None:
        with pytest.raises(InputError, match=f"medmnist-c has no parameters for {modality}; name one of its sets"):
            preset_table("medmnist-c", context(modality))
        assert preset_table("medmnist-c:chestmnist", context(modality))["jpeg"] == (50, 30, 15, 10, 7)

    @pytest.mark.parametrize(
        ("preset", "message"),
        [
            ("medmnist", "expected one of imagecorruptions, medmnist-c, got 'medmnist'; did you mean 'medmnist-c'"),
            ("medmnist-c:chest", "expected medmnist-c: and one of .*chestmnist.*, got 'medmnist-c:chest'"),
        ],
    )
    def test_mistakes_are_named(self, preset: str, message: str) -> None:
        with pytest.raises(InputError, match=message):
            preset_table(preset, context("CT"))

    def test_every_set_holds_values_that_the_entries_take(self) -> None:
        published = tomllib.loads((ROOM / "presets.toml").read_text("utf-8"))
        for name, preset in published.items():
            assert set(preset.get("modalities", {})) <= set(MODALITIES)
            for chosen in preset["sets"]:
                table = preset_table(f"{name}:{chosen}", context())
                assert all(len(five) == 5 for five in table.values())
                assert not set(preset["left_out"]) & set(PERTURBATIONS.names()) & set(table)

    def test_groups_mean_the_presets_own_list_and_other_names_are_refused(self) -> None:
        image = {"kinds": "modality", "preset": "medmnist-c", "severities": [1]}
        assert values(image, "OCT") == preset_table("medmnist-c", context("OCT"))
        with pytest.raises(InputError, match="the preset 'medmnist-c' has no 'hue'; it has pixelate, jpeg"):
            select([], {**image, "kinds": ["hue"]}, context("OCT"))


class TestParameters:
    def test_a_plans_values_go_before_a_preset_and_that_before_the_calibration(self) -> None:
        own = {"jpeg": [90, 80, 70, 60, 50]}
        image = {"kinds": ["jpeg", "pixelate"], "preset": "medmnist-c:octmnist", "parameters": own}
        found = values(image, "MRI")
        assert found == {"jpeg": (90, 80, 70, 60, 50), "pixelate": (0.3, 0.25, 0.2, 0.15, 0.1)}
        noise = values({"kinds": ["gaussian_noise"]}, "MRI")
        assert noise == {"gaussian_noise": calibrated_table(context("MRI"))["gaussian_noise"]}

    def test_a_registered_class_keeps_its_own_values(self) -> None:
        before = PERTURBATIONS.get("jpeg").values
        values({"kinds": ["jpeg"], "parameters": {"jpeg": [9, 8, 7, 6, 5]}}, "")
        assert PERTURBATIONS.get("jpeg").values == before

    @pytest.mark.parametrize(
        ("parameters", "message"),
        [
            ({"jpg": [1, 2, 3, 4, 5]}, "got 'jpg'"),
            ({"jpeg": [1, 2, 3]}, "parameters of jpeg: expected 5 values"),
            ({"jpeg": [1, 2, 3, 4, "five"]}, "parameters of jpeg: expected finite numbers, got 'five'"),
            ({"jpeg": [1, 2, 3, 4, float("inf")]}, "expected finite numbers, got inf"),
            ({"motion_blur": [1, 2, 3, 4, 5]}, "parameters of motion_blur: expected 2 finite numbers in each, got 1"),
            ({"motion_blur": [[1, 2]] * 4 + [[1, 2, 3]]}, "expected 2 finite numbers in each"),
            ({"antonym": [1, 2, 3, 4, 5]}, "'antonym' has no values of severities that could be set"),
        ],
    )
    def test_mistakes_are_named(self, parameters: dict, message: str) -> None:
        with pytest.raises((InputError, UnknownNameError), match=message):
            plan_table(parameters)


class TestCalibrated:
    def test_every_table_is_of_a_modality_and_its_similarity_falls(self) -> None:
        tables = tomllib.loads((ROOM / "calibrated.toml").read_text("utf-8"))
        assert set(tables) <= set(MODALITIES)
        for modality, table in tables.items():
            assert set(table) == set(calibrated_table(context(modality)))
            for kind, row in table.items():
                assert row["ssim"] == sorted(row["ssim"], reverse=True), kind

    def test_two_modalities_or_none_get_the_values_of_all(self) -> None:
        assert calibrated_table(context()) == {}
        both = DataContext("d", (*context("MRI").infos, *context("CT").infos))
        assert calibrated_table(both) == {}

    def test_every_graded_common_kind_has_values_that_rise_or_fall(self) -> None:
        for kind in COMMON_KINDS:
            entry = PERTURBATIONS.get(kind)
            assert issubclass(entry, ImagePerturbation)
            strength = [v[0] if isinstance(v, tuple) else v for v in entry.values]
            assert strength in (sorted(strength), sorted(strength, reverse=True))
