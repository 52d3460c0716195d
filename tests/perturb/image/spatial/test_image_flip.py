"""The flips move image, mask and words together; the control leaves the words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.errors import CaseError
from robustness.perturb.image.spatial.horizontal_flip import HorizontalFlip, HorizontalFlipUnrewritten
from robustness.perturb.image.spatial.vertical_flip import VerticalFlip
from robustness.perturb.language.mirror_words import mirror_swaps, mirrored_text, swapped
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.truth import judge_prompt
from robustness.runners.data.load import load_dataset
from robustness.types import Attribute, Case, NotApplicable, Prompt

RNG = np.random.default_rng(0)


def case_of(text: str, **attributes: Any) -> Case:
    image = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    mask = np.zeros((6, 8), dtype=np.bool_)
    mask[1:3, 0:2] = True
    prompt = parse_prompt(text, attributes=attributes or None)
    return Case("c", "s", image, mask, prompt, "", {"attributes": attributes, "siblings": {"p1": "x"}})


def flipped(case: Case) -> Case:
    params = HorizontalFlip().propose(case, 1, RNG)
    assert not isinstance(params, NotApplicable), params
    return HorizontalFlip().apply(case, params)


class TestPixels:
    def test_image_and_mask_are_mirrored_left_to_right(self) -> None:
        case = case_of("polyp")
        out = flipped(case)
        np.testing.assert_array_equal(out.image, np.fliplr(case.image))
        np.testing.assert_array_equal(out.mask, np.fliplr(case.mask))

    def test_twice_is_the_case_again(self) -> None:
        case = case_of("one small left hippocampus, located in the top right of the image", side="left")
        again = flipped(flipped(case))
        np.testing.assert_array_equal(again.image, case.image)
        assert again.prompt == case.prompt


class TestWords:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("polyp, located in top left of the image", "polyp, located in top right of the image"),
            ("polyp, located in left of the image", "polyp, located in right of the image"),
            ("Two tumors at the top left, center in the image.", "Two tumors at the top right, center in the image."),
            ("polyp, located in top left, bottom right of it", "polyp, located in top right, bottom left of it"),
            ("polyp, located in top of the image", "polyp, located in top of the image"),
            ("bright polyp", "bright polyp"),
            ("", ""),
        ],
    )
    def test_location_words_swap(self, text: str, expected: str) -> None:
        assert flipped(case_of(text)).prompt.text == expected

    def test_side_words_swap_where_the_side_is_seen(self) -> None:
        case = case_of("left hippocampus in axial T1 brain MRI", side="left", side_visible=True)
        assert flipped(case).prompt.text == "right hippocampus in axial T1 brain MRI"

    @pytest.mark.parametrize("known", [{"side_visible": False}, {}])
    def test_side_words_stay_in_a_sagittal_picture(self, known: dict[str, Any]) -> None:
        text = "left hippocampus in sagittal T1 brain MRI, located in the left of the image"
        out = flipped(case_of(text, side="left", **known)).prompt.text
        assert out == "left hippocampus in sagittal T1 brain MRI, located in the right of the image"

    def test_both_sides_stay_both(self) -> None:
        text = "left and right caudate nuclei in axial T1 brain MRI"
        assert flipped(case_of(text, side="both", structure="caudate nucleus")).prompt.text == text

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("Left ventricular cavity of the heart.", "part of the target"),
            ("left atrium cavity in the cardiac ultrasound", "part of the target"),
            ("nucleus with its tail to the left of a vessel", "neither a location nor a side"),
            ("polyp at 3 o'clock", "direction"),
        ],
    )
    def test_words_that_cannot_be_kept_true_veto_the_flip(self, text: str, reason: str) -> None:
        found = HorizontalFlip().propose(case_of(text), 1, RNG)
        assert isinstance(found, NotApplicable)
        assert reason in found.reason
        assert HorizontalFlip().draw(case_of(text), 1, RNG) is None

    def test_the_record_holds_every_swap(self) -> None:
        case = case_of("polyp, located in top left of the image")
        params = HorizontalFlip().propose(case, 1, RNG)
        assert isinstance(params, dict)
        assert params["swaps"] == [[22, 26, "left", "right"]]

    def test_capitals_are_kept(self) -> None:
        prompt = Prompt("LEFT Left left", tuple(Attribute("location", w, *s) for w, s in _spans("LEFT Left left")))
        swaps = mirror_swaps(prompt, side_visible=True)
        assert isinstance(swaps, list)
        assert swapped(prompt, swaps).text == "RIGHT Right right"

    def test_listed_phrasings_that_became_false_go(self) -> None:
        prompt = Prompt("polyp", paraphrases=("a polyp", "polyp on the left"))
        assert swapped(prompt, []).paraphrases == ("a polyp",)

    def test_another_prompt_of_the_case_is_rewritten_too_or_refused(self) -> None:
        params = HorizontalFlip().propose(case_of("polyp"), 1, RNG)
        assert isinstance(params, dict)
        other = parse_prompt("polyp, located in right of the image")
        assert HorizontalFlip().apply_prompt(other, params).text == "polyp, located in left of the image"
        with pytest.raises(CaseError, match="horizontal_flip: 'left' is part of the target"):
            HorizontalFlip().apply_prompt(parse_prompt("left atrium cavity"), params)


class TestMetadata:
    def test_stated_attributes_follow_and_siblings_go(self) -> None:
        out = flipped(
            case_of("left putamen, located in the top left of the image", side="left", location="top left, right")
        )
        assert out.metadata["attributes"] == {"side": "right", "location": "top right, left"}
        assert out.metadata["siblings"] == {}

    def test_an_unseen_side_stays(self) -> None:
        out = flipped(case_of("putamen", side="left", side_visible=False))
        assert out.metadata["attributes"]["side"] == "left"

    def test_the_float_copy_is_mirrored(self) -> None:
        case = case_of("putamen")
        deep = np.arange(48, dtype=np.float32).reshape(6, 8)
        case = Case("c", "s", case.image, case.mask, case.prompt, "", {"image_float": deep})
        np.testing.assert_array_equal(flipped(case).metadata["image_float"], np.fliplr(deep))


class TestUpsideDown:
    def test_top_and_bottom_swap_and_left_stays(self) -> None:
        case = case_of("polyp, located in top left of the image", location="top left")
        params = VerticalFlip().propose(case, 1, RNG)
        assert isinstance(params, dict)
        out = VerticalFlip().apply(case, params)
        np.testing.assert_array_equal(out.image, np.flipud(case.image))
        np.testing.assert_array_equal(out.mask, np.flipud(case.mask))
        assert out.prompt.text == "polyp, located in bottom left of the image"
        assert out.metadata["attributes"]["location"] == "bottom left"

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("left hippocampus in axial T1 brain MRI", "cannot be decided upside down"),
            ("left atrium cavity", "cannot be decided upside down"),
            ("polyp below a fold", "neither a location nor a side"),
            ("polyp at 3 o'clock", "direction"),
        ],
    )
    def test_what_cannot_be_decided_is_not_applicable(self, text: str, reason: str) -> None:
        found = VerticalFlip().propose(case_of(text, side="left", side_visible=True), 1, RNG)
        assert isinstance(found, NotApplicable)
        assert reason in found.reason

    @pytest.mark.parametrize(
        ("text", "known"),
        [
            ("left and right hippocampus in axial T1 brain MRI", {"side": "both", "structure": "hippocampus"}),
            ("left hippocampus in sagittal T1 brain MRI", {"side": "left", "side_visible": False}),
        ],
    )
    def test_sides_that_are_both_or_unseen_stay(self, text: str, known: dict[str, Any]) -> None:
        case = case_of(text, **known)
        params = VerticalFlip().propose(case, 1, RNG)
        assert isinstance(params, dict)
        assert VerticalFlip().apply(case, params).prompt.text == text


class TestControl:
    def test_the_unrewritten_flip_moves_pixels_and_leaves_false_words(self) -> None:
        case = case_of("left hippocampus in axial T1 brain MRI", side="left", side_visible=True)
        params = HorizontalFlipUnrewritten().propose(case, 1, RNG)
        assert isinstance(params, dict)
        out = HorizontalFlipUnrewritten().apply(case, params)
        np.testing.assert_array_equal(out.mask, np.fliplr(case.mask))
        assert out.prompt == case.prompt
        assert judge_prompt(out)["side"] == "false"
        assert HorizontalFlipUnrewritten().expectation == "control"

    def test_it_applies_only_where_the_flip_rewrites_a_word(self) -> None:
        found = HorizontalFlipUnrewritten().propose(case_of("bright polyp"), 1, RNG)
        assert isinstance(found, NotApplicable)
        assert "nothing to leave unrewritten" in found.reason


@settings(deadline=None)
@given(st.lists(st.sampled_from(["top left", "right", "center", "bottom right", "left"]), min_size=1, max_size=4))
def test_mirroring_places_is_its_own_inverse_and_keeps_spans(places: list[str]) -> None:
    value = ", ".join(places)
    prompt = Prompt(f"in {value} of it, small", (Attribute("location", value, 3, 3 + len(value)),))
    swaps = mirror_swaps(prompt, side_visible=True)
    assert isinstance(swaps, list)
    once = swapped(prompt, swaps)
    assert once.text.endswith(" of it, small")
    back = mirror_swaps(once, side_visible=True)
    assert isinstance(back, list)
    assert swapped(once, back) == prompt


def test_a_text_that_names_both_is_kept() -> None:
    assert mirrored_text("left and right") == "left and right"


def test_the_truth_of_location_words_survives_on_real_data(shared: Path) -> None:
    """In the mirrored image the centroid lies in the column that the rewritten word names."""
    checked = 0
    for case in load_dataset(shared / "data" / "brain_mni_aal")[::5]:
        out = flipped(case)
        found = out.prompt.get("location")
        columns = np.nonzero(out.mask)[1]
        centre = (columns.mean() + 0.5) / out.mask.shape[1]
        if found is not None and found.value.split()[-1] in ("left", "right"):
            assert ("left" in found.value) == (centre < 0.5), case.case_id
            checked += 1
    assert checked >= 5


def _spans(text: str) -> list[tuple[str, tuple[int, int]]]:
    found, at = [], 0
    for word in text.split(" "):
        found.append((word, (at, at + len(word))))
        at += len(word) + 1
    return found
