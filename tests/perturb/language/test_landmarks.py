"""Relating words against the landmark's own mask: near, touching, inside, around, and in a stated display."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.perturb.language.landmarks import Landmark, judge_relation
from robustness.perturb.language.truth import judge_prompt, whole
from tests.perturb.prompt_cases import blob, make_case

MIDDLE = blob((40, 60), (40, 60))
LIVER = Landmark("liver", "", MIDDLE)
RING = blob((30, 70), (30, 70)) & ~blob((35, 65), (35, 65))


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
