"""From plan names to conditions, joint ones included, and the preview of one prompt as a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robustness.errors import InputError, UnknownNameError
from robustness.perturb.joint import select_all
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.modality import COMMON_KINDS, KINDS_BY_MODALITY, MODALITIES, canonical_modality
from robustness.perturb.preview import COLUMNS, perturb_prompt
from robustness.perturb.prompt.wrong_class import WrongClass
from robustness.perturb.select import select, select_names, split_names
from robustness.registry import PERTURBATIONS
from robustness.runners.data.load import load_dataset
from robustness.types import Case, CaseInfo, DataContext, NotApplicable
from tests.perturb.prompt_cases import FAMILIES
from tests.synthetic import write_dataset


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


def test_a_bare_prompt_shows_every_change_that_applies() -> None:
    text = "one small pink round polyp, located in top right of the image"
    table = perturb_prompt(text)
    assert tuple(table.columns) == COLUMNS
    rows = table[table.applicable].set_index("perturbation")
    assert rows.loc["antonym:size", "text"] == text.replace("small", "large")
    assert rows.loc["antonym:location", "text"] == text.replace("top right", "bottom left")
    assert rows.loc["antonym:number", "text"] == "several small pink round polyps, located in top right of the image"
    assert rows.loc["drop:location", "text"] == "one small pink round polyp"
    assert rows.loc["antonym:size", "expectation"] == "change"
    assert {"rare:target", "wrong_class", "empty", "paraphrase"} <= set(rows.index)


def test_a_preview_says_where_an_audit_expects_something_else_of_the_same_text() -> None:
    text = "left kidney"
    rows = perturb_prompt(text, modality="CT").set_index("perturbation")
    info = CaseInfo("a", "a", "a", "kidney", (parse_prompt(text, modality="CT"),), {"modality": "CT", "image_id": "a"})
    case = Case("a", "a", np.zeros((4, 4, 3), np.uint8), np.eye(4) > 0, info.prompts[0], "kidney", info.metadata)
    wrong = WrongClass(context=DataContext(name="one", infos=(info,), seed=0))
    params = wrong.propose(case, 0, np.random.default_rng(0))
    assert not isinstance(params, NotApplicable)
    assert wrong.expect(case, params) == "change"
    assert rows.loc["wrong_class", "expectation"] == "abstain"
    assert rows.loc["wrong_class", "note"].endswith(
        "; an audit expects 'change' of this text, and 'abstain' of one from its data"
    )
    assert not rows.drop("wrong_class").note.str.contains("an audit").any()


def test_the_seed_fixes_the_rare_words() -> None:
    text = FAMILIES["brain"]
    assert perturb_prompt(text, seed=1).equals(perturb_prompt(text, seed=1))
    assert not perturb_prompt(text, seed=1).equals(perturb_prompt(text, seed=2))


def test_siblings_teach_the_preview_too() -> None:
    siblings = {"p1": "polyp", "p2": "zorp polyp", "p3": "pink zorp polyp"}
    table = perturb_prompt("pink zorp polyp", siblings=siblings)
    assert "drop:shape" in set(table.perturbation)


def test_what_does_not_apply_gives_its_reason() -> None:
    table = perturb_prompt("")
    assert not table[table.perturbation == "empty"].applicable.any()
    assert (table[~table.applicable].note != "").all()


@pytest.mark.parametrize("text", ["", "zebra", "\x00", "İ", "left " * 300])
def test_any_text_has_a_preview(text: str) -> None:
    assert tuple(perturb_prompt(text).columns) == COLUMNS


GRID = {"image": ["gaussian_blur@3", "jpeg"], "prompt": ["antonym:side", "empty"]}


@pytest.fixture
def joint_context(tmp_path: Path) -> DataContext:
    return load_dataset(write_dataset(tmp_path)).context(0)


def test_a_grid_is_every_image_change_with_every_prompt_change(joint_context: DataContext) -> None:
    chosen = select_all([], {"kinds": [], "severities": [2, 4]}, [GRID], joint_context)
    images, prompts = ["gaussian_blur@3", "jpeg@2", "jpeg@4"], ["antonym:side", "empty"]
    assert [j.condition for j in chosen.joint] == [f"image:{i}+{p}" for i in images for p in prompts]


def test_what_a_grid_needs_alone_is_run_alone_once(joint_context: DataContext) -> None:
    chosen = select_all(["empty"], {"kinds": ["jpeg"], "severities": [2]}, [GRID, GRID], joint_context)
    assert [s.condition for s in chosen.single] == ["empty", "image:jpeg@2", "image:gaussian_blur@3", "antonym:side"]
    assert len(chosen.joint) == 4
    held = {s.condition: s for s in chosen.single}
    assert all(j.image is held[j.image.condition] and j.prompt is held[j.prompt.condition] for j in chosen.joint)
    assert chosen.conditions[-1] == "image:jpeg@2+empty"


def test_one_condition_may_be_written_as_it_is_named(joint_context: DataContext) -> None:
    chosen = select_all([], [], ["image:gaussian_blur@3+antonym:side"], joint_context)
    assert chosen.conditions == ["image:gaussian_blur@3", "antonym:side", "image:gaussian_blur@3+antonym:side"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("antonym:side+empty", "expected image:NAME@SEVERITY"),
        ("image:jpeg@1+image:gamma_up@1", "expected image:NAME@SEVERITY"),
        ("image:jpeg@1+empty+typo@1", "expected image:NAME@SEVERITY"),
        ({"image": ["empty"], "prompt": ["empty"]}, "'empty' changes the prompt"),
        ({"image": ["jpeg"], "prompt": ["jpeg"]}, "'jpeg' changes the image"),
        ({"image": ["jpeg"], "prompt": ["worst_case"]}, "'worst_case' is a search"),
        ({"image": ["jpeg"], "prompt": ["other"]}, "asks for another target"),
    ],
)
def test_what_no_grid_can_hold_is_refused(grid: object, message: str, joint_context: DataContext) -> None:
    with pytest.raises(InputError, match=message):
        select_all([], [], [grid], joint_context)  # type: ignore[list-item]
