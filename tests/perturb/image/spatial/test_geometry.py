"""Moves of the image: pixels, masks and words go together, and what cannot be kept true is not applicable."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from robustness.errors import CaseError
from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine, moved_labels, moved_mask, moved_pixels, rotation, sources
from robustness.perturb.language.moved_words import move_of, words_after
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.truth import judge_prompt
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Mask, NotApplicable, Params

NAMES = ("rotation", "zoom_in", "zoom_out", "translation", "crop", "aspect_ratio", "elastic")


def disc(row: float, column: float, radius: float, size: tuple[int, int] = (96, 128)) -> Mask:
    rows, columns = np.mgrid[: size[0], : size[1]]
    found: Mask = (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
    return found


def case_of(text: str, mask: Mask, **attributes: Any) -> Case:
    image = np.full((*mask.shape, 3), 30, np.uint8)
    image[mask] = 200
    prompt = parse_prompt(text, modality="endoscopy", attributes=attributes or None)
    return Case("c", "s", image, mask, prompt, "polyp", {"attributes": attributes, "siblings": {"p1": "polyp"}})


def entry(name: str) -> GeometricPerturbation:
    made = PERTURBATIONS.get(name)()
    assert isinstance(made, GeometricPerturbation)
    return made


def moved(case: Case, name: str, severity: int, seed: int = 0) -> Case:
    params = proposed(case, name, severity, seed)
    return entry(name).apply(case, json.loads(json.dumps(params)))


def proposed(case: Case, name: str, severity: int, seed: int = 0) -> Params:
    params = entry(name).propose(case, severity, generator(seed, case.case_id, name, severity))
    assert not isinstance(params, NotApplicable), params
    return params


class TestPixels:
    def test_a_quarter_turn_is_the_transpose_of_a_square(self) -> None:
        pixels = np.random.default_rng(0).random((20, 20))
        where = sources(affine(rotation(90, 1.0)), pixels.shape)
        np.testing.assert_allclose(moved_pixels(pixels, where, np.array(0.0)), np.rot90(pixels, -1), atol=1e-12)

    def test_a_turn_keeps_lengths_of_an_oblong_picture(self) -> None:
        bar = np.zeros((100, 200), dtype=np.bool_)
        bar[48:52, 60:140] = True
        turned = moved_mask(bar, affine(rotation(90, 2.0)))
        rows, columns = np.nonzero(turned)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (80, 4)

    def test_a_positive_turn_is_clockwise(self) -> None:
        right_of_middle = disc(48, 100, 6)
        rows, _ = np.nonzero(moved_mask(right_of_middle, affine(rotation(30, 128 / 96))))
        assert rows.mean() > 60

    def test_whole_pixels_shift_exactly_and_the_rest_is_filled(self) -> None:
        pixels = np.random.default_rng(1).random((10, 20, 3))
        where = sources(affine(np.eye(2), (-2 * 3 / 20, -2 * 1 / 10)), pixels.shape)
        out = moved_pixels(pixels, where, np.array([0.1, 0.2, 0.3]))
        np.testing.assert_allclose(out[1:, 3:], pixels[:-1, :-3], atol=1e-12)
        np.testing.assert_allclose(out[0, 0], [0.1, 0.2, 0.3])

    @pytest.mark.parametrize("name", NAMES)
    def test_picture_and_mask_move_together(self, name: str) -> None:
        case = case_of("polyp", disc(45, 60, 14))
        for severity in (1, 5):
            out = moved(case, name, severity)
            seen = out.image[..., 0] > 115
            assert (seen & out.mask).sum() >= 0.92 * (seen | out.mask).sum()
            assert out.image.shape == case.image.shape
            assert not np.array_equal(out.image, case.image)

    @pytest.mark.parametrize("name", NAMES)
    def test_one_record_moves_a_prediction_of_another_resolution_alike(self, name: str) -> None:
        case = case_of("polyp", disc(45, 60, 14))
        params = proposed(case, name, 4)
        small = moved_mask(disc(22, 29.75, 7, (48, 64)), params)
        large = entry(name).apply_mask(case.mask, params)
        again = np.repeat(np.repeat(small, 2, axis=0), 2, axis=1)
        assert (again & large).sum() > 0.85 * (again | large).sum()

    @pytest.mark.parametrize("name", NAMES)
    def test_the_deep_copy_moves_as_the_picture_does(self, name: str) -> None:
        case = case_of("polyp", disc(45, 60, 14))
        deep = case.image[..., 0].astype(np.float32) / 255
        case = dataclasses.replace(case, metadata={**case.metadata, "image_float": deep})
        out = moved(case, name, 3)
        np.testing.assert_allclose(out.metadata["image_float"], out.image[..., 0] / 255, atol=0.51 / 255)

    def test_what_comes_from_outside_is_the_median_of_the_border(self) -> None:
        case = case_of("polyp", disc(45, 60, 14))
        image = case.image.copy()
        image[0] = (9, 8, 7)
        image[:, 0] = (90, 80, 70)
        out = moved(dataclasses.replace(case, image=image), "zoom_out", 5)
        np.testing.assert_array_equal(out.image[2, 2], np.median(_border(image), axis=0))

    def test_a_scaled_picture_has_other_pixels_in_mm(self) -> None:
        case = dataclasses.replace(case_of("polyp", disc(45, 60, 14)), spacing_mm=(0.5, 1.0))
        assert moved(case, "zoom_in", 4).spacing_mm == pytest.approx((0.5 / 1.5, 1.0 / 1.5))
        assert moved(case, "rotation", 4).spacing_mm == (0.5, 1.0)
        params = proposed(case, "aspect_ratio", 5)
        down, across = (1.8, 1.0) if params["side"] == "height" else (1.0, 1.8)
        assert moved(case, "aspect_ratio", 5).spacing_mm == pytest.approx((0.5 * down, across))

    def test_labels_outside_are_none(self) -> None:
        where = sources(affine(np.eye(2), (1.0, 0.0)), (4, 8))
        assert moved_labels(np.full((4, 8), 7), where).tolist() == [[7] * 4 + [0] * 4] * 4


def _border(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])


def found_after(text: str, before: Mask, after: Mask, *, left: int = 0, parts: int = 1, **attributes: Any) -> str:
    """The prompt after a move from one mask to another, or the reason against it."""
    case = case_of(text, before, **attributes)
    edits = words_after(case, move_of(case, after, left=left, components=parts))
    if isinstance(edits, NotApplicable):
        return edits.reason
    for edit in reversed(edits):
        text = text[: edit.start] + edit.new + text[edit.stop :]
    return text


class TestWords:
    def test_a_location_that_is_no_longer_true_is_read_from_the_moved_mask(self) -> None:
        text = "one polyp, located in top left of the image"
        assert found_after(text, disc(15, 15, 6), disc(48, 64, 6)) == "one polyp, located in center of the image"
        assert found_after(text, disc(15, 15, 6), disc(20, 22, 6)) == text

    def test_a_location_that_was_false_before_stays_false_or_is_refused(self) -> None:
        text = "one polyp, located in bottom right of the image"
        assert found_after(text, disc(15, 15, 6), disc(48, 64, 6)) == text
        assert "was false before the move and is true" in found_after(text, disc(15, 15, 6), disc(80, 110, 6))

    def test_the_size_word_follows_where_every_convention_agrees(self) -> None:
        small, medium, grown = disc(48, 64, 5), disc(48, 64, 12), disc(48, 64, 24)
        assert found_after("a small polyp", small, medium, size="small") == "a medium polyp"
        assert found_after("a medium polyp", medium, small, size="medium") == "a small polyp"
        assert "conventions differ" in found_after("a medium polyp", medium, grown, size="medium")
        assert found_after("a large polyp", grown, disc(48, 64, 30), size="large") == "a large polyp"
        assert found_after("a tiny polyp", small, disc(48, 64, 3), size="tiny") == "a tiny polyp"

    def test_a_stated_size_counts_while_the_area_stays(self) -> None:
        assert found_after("a large polyp", disc(48, 64, 12), disc(40, 60, 12), size="large") == "a large polyp"

    def test_parts_that_leave_are_counted_out_and_the_noun_agrees(self) -> None:
        both, one = disc(48, 30, 6) | disc(48, 100, 6), disc(48, 64, 6)
        text = "two small polyps, located in left, right of the image"
        assert found_after(text, both, one, left=1, parts=2, number="two", size="small") == (
            "one small polyp, located in center of the image"
        )
        assert "cannot follow" in found_after("two polyps which are visible", both, one, left=1, parts=2)
        assert "plural" in found_after("polyps", both, one, left=1, parts=2)

    def test_left_and_right_needs_both(self) -> None:
        both, one = disc(48, 30, 6) | disc(48, 100, 6), disc(48, 64, 6)
        text = "left and right hippocampus in coronal T1 brain MRI"
        known = {"side": "both", "structure": "hippocampus"}
        assert "has left the frame" in found_after(text, both, one, left=1, parts=2, **known)
        assert found_after(text, both, both, parts=2, **known) == text

    def test_a_shape_that_the_move_changes_is_refused(self) -> None:
        flat = disc(48, 64, 20) & (np.abs(np.arange(96) - 48) < 6)[:, None]
        assert "shape" in found_after("one round polyp", disc(48, 64, 12), flat)
        assert found_after("one round polyp", disc(48, 64, 12), disc(40, 60, 12)) == "one round polyp"

    @pytest.mark.parametrize(
        "text",
        ["polyp at 3 o'clock", "nucleus touching the border", "the largest polyp", "polyp to the left of a fold"],
    )
    def test_words_about_the_frame_or_other_objects_are_refused(self, text: str) -> None:
        assert "which a move changes" in found_after(text, disc(48, 64, 6), disc(48, 64, 6))

    def test_a_side_in_a_name_is_no_direction(self) -> None:
        text = "Left ventricular cavity"
        assert found_after(text, disc(48, 64, 6), disc(30, 64, 6)) == text

    def test_stated_attributes_that_may_be_false_now_go(self) -> None:
        case = case_of("polyp", disc(15, 15, 6), size="small", location="top left", area_fraction=0.5, sex="male")
        out = move_of(case, disc(48, 64, 20), left=0, components=1).attributes
        assert set(out) == {"area_fraction", "sex"}
        assert out["area_fraction"] == pytest.approx(disc(48, 64, 20).mean(), abs=1e-5)


class TestPropose:
    def test_a_target_that_leaves_the_frame_is_not_applicable(self) -> None:
        found = entry("zoom_in").propose(case_of("polyp", disc(3, 3, 2)), 5, generator(0))
        assert isinstance(found, NotApplicable)
        assert found.reason == "the target leaves the frame altogether"

    def test_an_absent_target_moves_no_mask(self) -> None:
        case = case_of("polyp", np.zeros((96, 128), dtype=np.bool_))
        assert not moved(case, "crop", 5).mask.any()

    @pytest.mark.parametrize("name", NAMES)
    def test_no_prompt_changes_its_truth(self, name: str) -> None:
        checked = 0
        for number in range(12):
            rng = np.random.default_rng(number)
            mask = disc(*rng.uniform(20, 76, 2), float(rng.uniform(4, 9)))
            case = case_of("one small polyp, located in top left of the image", mask)
            for severity in (2, 5):
                params = entry(name).propose(case, severity, generator(number, name, severity))
                if isinstance(params, NotApplicable):
                    continue
                before, after = judge_prompt(case), judge_prompt(entry(name).apply(case, params))
                assert before == after
                checked += 1
        assert checked >= 8

    @pytest.mark.parametrize("name", NAMES)
    def test_the_record_replays_the_words_and_speaks_of_its_own_prompt_only(self, name: str) -> None:
        case = case_of("one small polyp, located in top left of the image", disc(26, 30, 6))
        params = proposed(case, name, 2)
        assert entry(name).apply(case, params).prompt == entry(name).apply_prompt(case.prompt, params)
        with pytest.raises(CaseError, match="the record is of the prompt"):
            entry(name).apply_prompt(parse_prompt("polyp"), params)

    def test_directions_are_drawn_for_each_case(self) -> None:
        case = case_of("polyp", disc(48, 64, 6))
        turns = {proposed(dataclasses.replace(case, case_id=f"c{i}"), "rotation", 3)["degrees"] for i in range(12)}
        sides = {proposed(dataclasses.replace(case, case_id=f"c{i}"), "aspect_ratio", 3)["side"] for i in range(12)}
        assert turns == {-15.0, 15.0}
        assert sides == {"width", "height"}

    def test_severity_zero_is_the_case_itself(self) -> None:
        case = case_of("polyp", disc(48, 64, 6))
        assert moved(case, "rotation", 0) is case

    @pytest.mark.parametrize("name", NAMES)
    @pytest.mark.parametrize("size", [(96, 128), (70, 33), (256, 256)])
    def test_pixels_go_farther_with_every_severity(self, name: str, size: tuple[int, int]) -> None:
        case = case_of("polyp", disc(size[0] / 2, size[1] / 2, 12, size))
        distances = []
        for severity in (1, 2, 3, 4, 5):
            drawn = [proposed(dataclasses.replace(case, case_id=f"c{i}"), name, severity) for i in range(8)]
            distances.append(float(np.mean([_distance(params, size) for params in drawn])))
        assert distances == sorted(distances)
        assert distances[0] > 0.001
        assert distances[-1] < 0.3


def _distance(params: Params, size: tuple[int, int]) -> float:
    """The mean way of the pixels, in shares of the diagonal."""
    where, (rows, columns) = sources(params, size), np.mgrid[: size[0], : size[1]]
    return float(np.hypot(where.row - rows, where.column - columns).mean() / np.hypot(*size))


def test_the_strongest_bending_never_folds_the_picture() -> None:
    case = case_of("polyp", disc(48, 64, 12))
    for number in range(40):
        where = sources(proposed(dataclasses.replace(case, case_id=f"c{number}"), "elastic", 5), (96, 128))
        (by_row, across), (down, by_column) = np.gradient(where.row), np.gradient(where.column)
        assert (by_row * by_column - across * down).min() > 0
