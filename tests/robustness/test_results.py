import pytest

from robustness.results import COLUMNS, EFFECT_COLUMNS, VERDICT_COLUMNS, case_id_of, parse_condition


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
