"""Truth: hand-drawn masks against words, relations against the landmark's mask; only what is clearly wrong is false."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from robustness.perturb.language.landmarks import Landmark, judge_relation
from robustness.perturb.language.truth import facts, judge, judge_prompt, whole
from tests.perturb.prompt_cases import blob, make_case

TWO = blob((0, 10), (0, 10)) | blob((80, 90), (80, 90))
EMPTY = np.zeros((50, 50), dtype=bool)
MIDDLE = blob((40, 60), (40, 60))
LIVER = Landmark("liver", "", MIDDLE)
RING = blob((30, 70), (30, 70)) & ~blob((35, 65), (35, 65))


@pytest.mark.parametrize(
    ("words", "mask", "truth"),
    [
        ("top left", blob(), "true"),
        ("left", blob(), "true"),
        ("top", blob(), "true"),
        ("bottom", blob(), "false"),
        ("bottom left", blob(), "false"),
        ("center", blob(), "false"),
        ("top left, bottom right", TWO, "true"),
        ("bottom right, top left", TWO, "true"),
        ("top right, bottom left", TWO, "false"),
        ("top left, center", TWO, "unknown"),
        # The whole lies in the middle and one part in the corner: neither word is clearly wrong.
        ("center", TWO, "true"),
        ("top left", TWO, "unknown"),
        # 0.36 is the middle third, and the left of a 40/20/40 grid.
        ("left", blob((45, 55), (31, 41)), "true"),
        ("center", blob((45, 55), (31, 41)), "true"),
        ("right", blob((45, 55), (31, 41)), "false"),
        ("somewhere", blob(), "unknown"),
        ("top", EMPTY, "unknown"),
        ("top", np.zeros((0, 0), dtype=bool), "unknown"),
    ],
)
def test_locations(words: str, mask: np.ndarray, truth: str) -> None:
    assert judge("location", words, mask=mask) == truth


@pytest.mark.parametrize(
    ("words", "share", "truth"),
    [
        ("small", 0.005, "true"),
        ("small", 0.05, "unknown"),
        ("small", 0.2, "false"),
        ("large", 0.4, "true"),
        ("large", 0.1, "unknown"),
        ("large", 0.01, "false"),
        ("big", 0.01, "false"),
        ("medium", 0.03, "true"),
        ("tiny", 0.1, "false"),
        ("smallest", 0.1, "unknown"),
    ],
)
def test_sizes_by_area(words: str, share: float, truth: str) -> None:
    side = round(200 * share**0.5)
    assert judge("size", words, mask=blob((0, side), (0, side), size=200)) == truth


def test_the_sizes_that_the_data_state_win_over_the_area() -> None:
    assert judge("size", "large", mask=blob(), attributes={"size": "large"}) == "true"
    assert judge("size", "small", mask=blob(), attributes={"size": "large"}) == "false"
    assert judge("size", "small, medium", mask=blob(), attributes={"size": "medium"}) == "true"


@pytest.mark.parametrize(
    ("words", "truth"),
    [("two", "true"), ("2", "true"), ("one", "false"), ("several", "unknown"), ("no", "false"), ("zorp", "unknown")],
)
def test_numbers_count_components(words: str, truth: str) -> None:
    assert judge("number", words, mask=TWO) == truth


def test_pixels_that_touch_at_a_corner_are_one_component() -> None:
    found = facts(np.eye(4, dtype=bool))
    assert found is not None
    assert len(found.centroids) == 1
    assert found.area_fraction == 0.25
    assert judge("number", "no", mask=EMPTY) == "true"


def test_instances_that_the_data_state_win_over_components() -> None:
    assert judge("number", "five", mask=TWO, attributes={"instances": 5}) == "true"


@pytest.mark.parametrize(
    ("words", "side", "truth"),
    [
        ("left", "left", "true"),
        ("right", "left", "false"),
        ("left and right", "both", "true"),
        ("left", "none", "unknown"),
    ],
)
def test_sides_come_from_the_data_alone(words: str, side: str, truth: str) -> None:
    assert judge("side", words, mask=TWO, attributes={"side": side}) == truth
    assert judge("side", words, mask=TWO) == "unknown"


def test_other_kinds_are_true_only_where_the_data_say_so() -> None:
    assert judge("view", "axial", mask=TWO, attributes={"view": "axial"}) == "true"
    assert judge("view", "coronal", mask=TWO, attributes={"view": "axial"}) == "false"
    assert judge("colour", "pink", mask=TWO) == "unknown"


def test_a_changed_mask_is_measured_anew() -> None:
    first, second = blob(), blob((80, 90), (80, 90))
    assert judge("location", "top left", mask=first) == "true"
    assert judge("location", "top left", mask=second) == "false"
    assert judge("location", "top left", mask=first) == "true"


def test_a_whole_prompt_is_judged_kind_by_kind() -> None:
    case = make_case("one small pink polyp, located in bottom right of the image")
    assert judge_prompt(case) == {
        "number": "true",
        "size": "true",
        "colour": "unknown",
        "target": "true",
        "location": "false",
    }


@pytest.mark.parametrize(
    ("words", "mask", "truth"),
    [
        ("close to the liver", blob((40, 60), (62, 70)), "true"),
        ("close to the liver", blob((40, 60), (75, 80)), "unknown"),
        ("close to the liver", blob((0, 5), (0, 5)), "false"),
        ("remote from the liver", blob((40, 60), (62, 70)), "false"),
        ("remote from the liver", blob((0, 5), (0, 5)), "true"),
        ("abutting the liver", blob((40, 60), (61, 70)), "true"),
        ("abutting the liver", blob((40, 60), (63, 70)), "unknown"),
        ("abutting the liver", blob((40, 60), (80, 90)), "false"),
        ("within the liver", blob((45, 55), (45, 55)), "true"),
        ("within the liver", blob((40, 60), (58, 75)), "unknown"),
        ("within the liver", blob((0, 5), (0, 5)), "false"),
        ("outside the liver", blob((0, 5), (0, 5)), "true"),
        ("surrounding the liver", RING, "true"),
        ("surrounding the liver", blob((0, 5), (0, 5)), "false"),
        ("next to the hepatic parenchyma", blob((40, 60), (62, 70)), "true"),
        ("close to the spleen", blob((40, 60), (62, 70)), "unknown"),
        ("draining into the liver", blob((40, 60), (62, 70)), "unknown"),
        ("close to the liver", np.zeros((100, 100), dtype=bool), "unknown"),
    ],
)
def test_distance_and_containment(words: str, mask: np.ndarray, truth: str) -> None:
    assert judge_relation(words, mask, [LIVER]) == truth


@pytest.mark.parametrize(
    ("words", "display", "is_surface", "truth"),
    [
        ("anterior to the liver", "LP", False, "true"),
        ("posterior to the liver", "LP", False, "false"),
        ("superior to the liver", "LP", False, "unknown"),
        ("superior to the liver", "LF", False, "true"),
        ("caudal to the liver", "LF", False, "false"),
        ("anterior to the liver", "", False, "unknown"),
        ("medial to the liver", "LP", False, "unknown"),
        ("above the liver", "", True, "true"),
        ("below the liver", "", True, "false"),
        ("above the liver", "", False, "unknown"),
        ("behind the liver", "LP", False, "false"),
        ("in front of the liver", "LP", False, "true"),
    ],
)
def test_directions_need_a_stated_display(words: str, display: str, is_surface: bool, truth: str) -> None:
    above = blob((10, 20), (45, 55))
    assert judge_relation(words, above, [LIVER], display=display, is_surface=is_surface) == truth


def test_a_target_that_overlaps_its_landmark_along_the_axis_is_unknown() -> None:
    assert judge_relation("anterior to the liver", blob((45, 55), (70, 80)), [LIVER], display="LP") == "unknown"


def test_sides_choose_the_landmark_and_without_one_any_will_do() -> None:
    kidneys = [Landmark("kidney", "left", MIDDLE), Landmark("kidney", "right", blob((40, 60), (0, 10)))]
    near_left = blob((40, 60), (62, 70))
    assert judge_relation("adjacent to the left kidney", near_left, kidneys) == "true"
    assert judge_relation("adjacent to the right kidney", near_left, kidneys) == "false"
    assert judge_relation("adjacent to the kidney", near_left, kidneys) == "true"
    assert judge_relation("adjacent to the left kidney", near_left, [Landmark("kidney", "", MIDDLE)]) == "unknown"


def test_prompts_are_judged_by_the_other_targets_of_the_image() -> None:
    case = make_case("tumor adjacent to the liver", mask=blob((40, 60), (62, 70)))
    landmarks = [LIVER]
    assert judge_prompt(case, landmarks=landmarks)["relation"] == "true"
    far = judge_prompt(case, "tumor remote from the liver", landmarks=landmarks)
    assert far["relation"] == "false"
    assert whole(far) == "false"
    # Without the landmark's mask nothing is known, and nothing is called false.
    assert judge_prompt(case, "tumor remote from the liver")["relation"] == "unknown"


@pytest.mark.parametrize("seed", range(5))
def test_facts_are_those_of_the_components_of_the_whole_image(seed):
    generator = np.random.default_rng(seed)
    mask = np.zeros((40, 60), bool)
    for _ in range(4):
        top, left = generator.integers(0, 38), generator.integers(0, 58)
        mask[top : top + generator.integers(1, 9), left : left + generator.integers(1, 9)] = True
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel())[1:]
    centers = np.array(ndimage.center_of_mass(mask, labels, range(1, count + 1))) + 0.5
    seen = facts(mask)
    assert seen is not None
    assert seen.area_fraction == mask.mean()
    order = np.argsort(-areas, kind="stable")
    np.testing.assert_allclose(seen.centroids, centers[order] / mask.shape, rtol=1e-12)


# "and" joins both sides; what leaves open which one, or names the other one apart, is not decided.
BOTH = """
left and right hippocampus | right and left hippocampus | left/right hippocampus | left & right hippocampus
left + right hippocampus | left as well as right hippocampus | left plus right hippocampus
left and also right hippocampus | the left and the right hippocampus | both left and right hippocampus
both hippocampi | bilateral hippocampi | hippocampi bilaterally | hippocampus, left and right
hippocampus left and right | hippocampus (left and right) | hippocampus on the left and right | L/R hippocampus
hippocampus on both sides | L and R hippocampus | rt and lt hippocampus | Lt & Rt hippocampus
left-sided and right-sided hippocampus | erumpent left and right hippocampus in three regions
"""
OPEN = """
left or right hippocampus | left and/or right hippocampus | left-right hippocampus | left then right hippocampus
hippocampus on the left and on the right | hippocampus left, right | left, not right hippocampus
unilateral hippocampus | hippocampus of one side
"""


def forms(text: str) -> list[str]:
    return [form.strip() for line in text.strip().splitlines() for form in line.split("|")]


def side_truth(text: str, side: str) -> str | None:
    case = make_case("hippocampus", attributes={"structure": "hippocampus", "side": side})
    return judge_prompt(case, text).get("side")


@pytest.mark.parametrize("text", forms(BOTH))
def test_words_for_both_sides_are_true_of_both_and_false_of_one(text: str) -> None:
    assert side_truth(text, "both") == "true"
    assert side_truth(text, "left") == "false"
    assert side_truth(text, "right") == "false"


@pytest.mark.parametrize("text", forms(OPEN))
def test_one_of_two_sides_that_a_prompt_names_is_not_judged_alone(text: str) -> None:
    assert {side_truth(text, side) for side in ("left", "right", "both")} <= {"unknown", None}


@pytest.mark.parametrize(
    ("text", "side"), [("Lt hippocampus", "left"), ("R hippocampus", "right"), ("left-sided hippocampus", "left")]
)
def test_a_short_side_is_the_side(text: str, side: str) -> None:
    assert side_truth(text, side) == "true"
    assert side_truth(text, "both") == "false"


@pytest.mark.parametrize(
    "text",
    ["cysts left and right kidneys", "cysts in both kidneys", "cysts L/R kidneys", "cysts, right and left kidneys"],
)
def test_both_sides_of_a_landmark_are_not_the_targets(text: str) -> None:
    assert "side" not in judge_prompt(make_case(text, attributes={"side": "left"}))


def test_a_side_of_the_patient_beside_a_place_in_the_image_is_judged() -> None:
    case = make_case("left hippocampus in the right of the image", attributes={"side": "left"})
    assert judge_prompt(case)["side"] == "true"


def test_the_first_of_two_places_is_not_judged_alone() -> None:
    assert (
        judge_prompt(make_case("polyp in the top left. It is in the bottom right of the image"))["location"]
        == "unknown"
    )
