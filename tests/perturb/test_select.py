"""From plan names to conditions."""

from __future__ import annotations

import pytest

from robustness.errors import InputError, UnknownNameError
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.modality import COMMON_KINDS, KINDS_BY_MODALITY, MODALITIES, canonical_modality
from robustness.perturb.select import select, select_names, split_names
from robustness.registry import PERTURBATIONS
from robustness.types import CaseInfo, DataContext


def context(*texts: str, modality: str = "endoscopy") -> DataContext:
    infos = tuple(
        CaseInfo(f"c{n}", f"i{n}", f"s{n}", "polyp", (parse_prompt(text),), {"modality": modality})
        for n, text in enumerate(texts or ("one small polyp, located in top left of the image",))
    )
    return DataContext("set", infos)


def conditions(prompt: list[str], image: object, data: DataContext | None = None) -> list[str]:
    return [chosen.condition for chosen in select(prompt, image, data or context())]  # type: ignore[arg-type]


class TestImageSide:
    def test_a_name_has_the_asked_severities(self) -> None:
        image = {"kinds": ["jpeg"], "severities": [5, 1]}
        assert conditions([], image) == ["image:jpeg@1", "image:jpeg@5"]

    def test_severities_default_to_one_three_five(self) -> None:
        assert conditions([], ["jpeg"]) == ["image:jpeg@1", "image:jpeg@3", "image:jpeg@5"]

    @pytest.mark.parametrize("name", ["jpeg@2", "image:jpeg@2"])
    def test_a_name_with_a_degree_is_that_degree_alone(self, name: str) -> None:
        assert conditions([], [name]) == ["image:jpeg@2"]

    def test_an_entry_without_degrees_has_its_own(self) -> None:
        assert conditions([], {"kinds": ["horizontal_flip"], "severities": [3, 5]}) == ["image:horizontal_flip@1"]

    def test_modality_is_the_list_of_the_data(self) -> None:
        found = conditions([], {"kinds": "modality", "severities": [3]})
        assert found == [f"image:{name}@3" for name in KINDS_BY_MODALITY["endoscopy"]]

    @pytest.mark.parametrize("kinds", ["all", ["all"]])
    def test_all_is_the_common_list(self, kinds: object) -> None:
        assert conditions([], {"kinds": kinds, "severities": [2]}) == [f"image:{name}@2" for name in COMMON_KINDS]

    def test_an_unknown_modality_gets_the_common_list(self) -> None:
        found = conditions([], {"kinds": "modality", "severities": [2]}, context(modality="thermography"))
        assert found == [f"image:{name}@2" for name in COMMON_KINDS]

    def test_repeats_are_removed_and_the_first_place_counts(self) -> None:
        assert conditions([], ["jpeg@3", "gamma_up@1", "image:jpeg@3"]) == ["image:jpeg@3", "image:gamma_up@1"]

    def test_no_kind_is_no_condition(self) -> None:
        assert conditions([], {"kinds": []}) == []

    @pytest.mark.parametrize(
        ("image", "message"),
        [
            (["jpeg@7"], r"severity of jpeg in \[1, 2, 3, 4, 5\], got 7"),
            ({"kinds": ["jpeg"], "severities": [9]}, r"severities of jpeg in .* got 9"),
            (["empty"], "'empty' changes the prompt; list it under perturbations.prompt"),
            ({"kind": ["jpeg"]}, "expected the keys kinds, severities, preset, parameters, got 'kind'"),
        ],
    )
    def test_mistakes_are_named(self, image: object, message: str) -> None:
        with pytest.raises(InputError, match=message):
            conditions([], image)

    def test_an_unknown_name_suggests_the_near_one(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'gaussian_noise'"):
            conditions([], ["gausian_noise"])


class TestPromptSide:
    def test_a_name_stands_for_every_kind_that_the_prompts_state(self) -> None:
        found = conditions(["antonym"], [])
        assert {"antonym:size", "antonym:location"} <= set(found)
        assert "antonym:sex" not in found

    def test_one_kind_can_be_asked_for(self) -> None:
        assert conditions(["antonym:size"], []) == ["antonym:size"]

    def test_a_kind_that_does_not_occur_lists_those_that_do(self) -> None:
        with pytest.raises(
            InputError, match=r"expected one of .*size.* after 'antonym:', got 'siez'; did you mean 'size'"
        ):
            conditions(["antonym:siez"], [])

    @pytest.mark.parametrize("name", ["antonym:size", "drop:location"])
    def test_a_kind_is_not_blamed_where_the_data_state_none_at_all(self, name: str) -> None:
        with pytest.raises(InputError, match=f"'{name}' changes one kind of word, and no prompt of set states any"):
            conditions([name], [], context("zorp"))

    def test_a_kind_of_an_entry_without_kinds_is_refused(self) -> None:
        with pytest.raises(InputError, match="expected no kind after 'empty:'"):
            conditions(["empty:size"], [])

    def test_an_image_name_belongs_to_the_other_list(self) -> None:
        with pytest.raises(InputError, match=r"'jpeg' changes the image; list it under perturbations\.image"):
            conditions(["jpeg"], [])

    def test_the_target_swap_is_the_wrong_class_and_runs_once(self) -> None:
        assert conditions(["wrong_class", "antonym:target"], []) == conditions(["wrong_class"], [])

    def test_order_is_that_of_the_plan(self) -> None:
        found = conditions(["empty", "antonym:size"], ["gamma_up@1", "jpeg@1"])
        assert found == ["empty", "antonym:size", "image:gamma_up@1", "image:jpeg@1"]


class TestFlatList:
    def test_names_are_sorted_to_their_sides(self) -> None:
        names = ["antonym", "image", "rare:size", "image:gaussian_noise@3", "horizontal_flip"]
        assert split_names(names) == (["antonym", "rare:size"], ["image", "image:gaussian_noise@3", "horizontal_flip"])

    def test_it_selects_with_its_severities(self) -> None:
        found = [s.condition for s in select_names(["antonym:size", "image", "jpeg@5"], context(), severities=[1])]
        assert found[0] == "antonym:size"
        assert found[1:] == [*(f"image:{name}@1" for name in KINDS_BY_MODALITY["endoscopy"]), "image:jpeg@5"]

    def test_unknown_names_are_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="did you mean 'antonym'"):
            split_names(["antonim"])


class TestModalities:
    def test_the_table_holds_registered_image_changes_only(self) -> None:
        for names in (*KINDS_BY_MODALITY.values(), COMMON_KINDS):
            assert len(set(names)) == len(names)
            assert all(PERTURBATIONS.get(name).target != "prompt" for name in names)

    def test_every_modality_has_a_list_and_names_itself(self) -> None:
        assert set(KINDS_BY_MODALITY) == set(MODALITIES)
        assert all(canonical_modality(name) == name for name in MODALITIES)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("T1 MRI, one man, mean of 27 scans", "MRI"),
            ("one head CT (example), HU masks", "CT"),
            ("one 512x512 fluorescence picture", "microscopy"),
            ("Chest Xray", "x-ray"),
            ("OCT", "OCT"),
            ("cardiac ultrasound", "echocardiography"),
            ("breast ultrasound image", "ultrasound"),
            ("colonoscopy", "endoscopy"),
            ("the octopus dissected", ""),
            ("", ""),
        ],
    )
    def test_words_lead_to_the_modality(self, text: str, expected: str) -> None:
        assert canonical_modality(text) == expected
