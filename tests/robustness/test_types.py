import numpy as np
import pytest

from robustness.errors import InputError
from robustness.results import COLUMNS, EFFECT_COLUMNS, VERDICT_COLUMNS, case_id_of, parse_condition
from robustness.seeds import generator
from robustness.types import Attribute, Case, CaseInfo, DataContext, Prompt

TEXT = "one small pink round polyp, located in top right of the image"
PROMPT = Prompt(
    TEXT,
    (
        Attribute("number", "one", 0, 3),
        Attribute("size", "small", 4, 9),
        Attribute("target", "polyp", 21, 26),
        Attribute("location", "top right", 39, 48),
    ),
)


def test_replace_changes_the_value_and_nothing_else():
    changed = PROMPT.replace("size", "enormous")
    assert changed.text == TEXT.replace("small", "enormous")
    assert [changed.text[a.start : a.stop] for a in changed.attributes] == ["one", "enormous", "polyp", "top right"]


def test_replace_and_back_gives_the_same_prompt():
    assert PROMPT.replace("location", "left").replace("location", "top right") == PROMPT


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("size", "one pink round polyp, located in top right of the image"),
        ("number", "small pink round polyp, located in top right of the image"),
        ("target", "one small pink round, located in top right of the image"),
    ],
)
def test_drop_takes_one_blank_along(kind, expected):
    dropped = PROMPT.drop(kind)
    assert dropped.text == expected
    assert all(dropped.text[a.start : a.stop] == a.value for a in dropped.attributes)
    assert dropped.get(kind) is None


def test_drop_at_the_end_of_the_text_takes_the_blank_before():
    prompt = Prompt("large polyp", (Attribute("target", "polyp", 6, 11),))
    assert prompt.drop("target").text == "large"


def test_absent_kind_is_an_error_that_lists_the_kinds():
    with pytest.raises(InputError, match=r"number, size, target, location.*'colour'"):
        PROMPT.replace("colour", "red")


def test_a_span_that_does_not_hold_its_value_is_refused():
    with pytest.raises(InputError, match="found 'one'"):
        Prompt(TEXT, (Attribute("size", "small", 0, 3),))


def test_case_has_a_short_repr():
    case = Case("c1", "s1", np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool), PROMPT)
    assert repr(case).startswith("Case('c1', 4x6, 'one small")


def test_a_case_has_no_masked_pixels():
    image, mask = np.zeros((4, 6, 3), np.uint8), np.zeros((4, 6), bool)
    with pytest.raises(InputError, match=r"mask: .* got one with 24 masked pixels \(write array.filled"):
        Case("c1", "s1", image, np.ma.masked_array(mask, mask=~mask), PROMPT)
    with pytest.raises(InputError, match=r"image: .* got one with 1 masked pixel "):
        Case("c1", "s1", np.ma.masked_array(image, mask=np.arange(72).reshape(image.shape) == 5), mask, PROMPT)
    assert Case("c1", "s1", np.ma.masked_array(image), mask, PROMPT).mask is mask


def test_context_finds_cases_on_one_image_sorted_by_id():
    infos = tuple(
        CaseInfo(c, i, "s", t, (PROMPT,)) for c, i, t in [("b", "x", "polyp"), ("a", "x", ""), ("c", "y", "ulcer")]
    )
    context = DataContext("d", infos)
    assert [info.case_id for info in context.same_image("x")] == ["a", "b"]
    assert context.same_image("z") == ()
    assert context.targets == ("polyp", "ulcer")


@pytest.mark.parametrize(
    ("name", "family", "attribute", "severity"),
    [
        ("clean", "clean", "", 0),
        ("rerun", "clean", "", 0),
        ("paraphrase", "prompt", "", 0),
        ("antonym:size", "prompt", "size", 0),
        ("other:side", "prompt", "side", 0),
        ("image:gaussian_noise@3", "image", "", 3),
        ("image:gaussian_blur@3+antonym:size", "joint", "size", 3),
    ],
)
def test_conditions_are_taken_apart(name, family, attribute, severity):
    parsed = parse_condition(name)
    assert (parsed.family, parsed.attribute, parsed.severity) == (family, attribute, severity)


@pytest.mark.parametrize(
    ("name", "case_id"), [("a.png", "a"), ("sub/dir/a.b.png", "sub__dir__a.b"), ("plain", "plain"), ("x.d/a", "x.d__a")]
)
def test_case_ids_come_from_mask_names(name, case_id):
    assert case_id_of(name) == case_id


def test_column_names_are_a_contract():
    assert COLUMNS[:6] == ("model", "dataset", "split", "case_id", "subject_id", "target")
    assert len(set(COLUMNS)) == len(COLUMNS) == 30
    assert len(EFFECT_COLUMNS) == 21
    assert len(VERDICT_COLUMNS) == 24


def _draw(*key):
    return generator(*key).integers(0, 2**62)


def test_the_same_key_gives_the_same_stream():
    assert _draw(0, "case", "noise", 3) == _draw(0, "case", "noise", 3)


def test_every_part_of_the_key_counts():
    keys = [
        (0, "case", "noise", 3),
        (1, "case", "noise", 3),
        (0, "other", "noise", 3),
        (0, "case", "blur", 3),
        (0, "case", "noise", 4),
    ]
    assert len({_draw(*key) for key in keys}) == len(keys)


def test_parts_do_not_run_together():
    assert _draw(0, "ab", "c") != _draw(0, "a", "bc")


def test_the_stream_is_pinned():
    # Results of published runs must stay reproducible across versions of this package.
    assert generator(0, "case", "gaussian_noise", 3).integers(0, 1000, 4).tolist() == [318, 397, 221, 765]
