"""Label tables in both directions, and what an annotation picks from them."""

from __future__ import annotations

import pytest

from robustness.errors import InputError
from robustness.runners.data.masks.label_map import label_slug, names_of, parse_labels, pick

PARTS = {"anterior": (1,), "posterior": (2,), "hippocampus": (1, 2)}


class TestTable:
    def test_value_to_name_and_name_to_value_say_the_same(self):
        assert parse_labels({"1": "anterior", "2": "posterior"}, "card") == {"anterior": (1,), "posterior": (2,)}
        assert parse_labels({"anterior": 1, "posterior": "2"}, "card") == {"anterior": (1,), "posterior": (2,)}

    def test_values_and_names_count_together(self):
        table = {"1": "anterior", "2": "posterior", "hippocampus": ["anterior", 2]}
        assert parse_labels(table, "card") == PARTS

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({}, "expected a table"),
            ([1, 2], "expected a table"),
            ({"1": "a", "2": "a"}, "'a' is there twice"),
            ({"whole": ["anterior"]}, "names of the table"),
            ({"a": ["b"], "b": ["a"]}, "made of itself"),
            ({"a": 1.5}, "expected a value"),
            ({"a": True}, "expected a value"),
            ({"1": " "}, "empty text"),
        ],
    )
    def test_what_is_no_table_is_refused_with_its_place(self, table, message):
        with pytest.raises(InputError, match=message) as caught:
            parse_labels(table, "dataset_card.json")
        assert "dataset_card.json" in str(caught.value)


class TestPick:
    @pytest.mark.parametrize(
        ("label", "values", "name"),
        [
            ("posterior", (2,), "posterior"),
            ("hippocampus", (1, 2), "hippocampus"),
            (2, (2,), "posterior"),
            ("2", (2,), "posterior"),
            (["anterior", 2], (1, 2), "anterior+posterior"),
            (7, (7,), "7"),
        ],
    )
    def test_a_name_a_value_or_several(self, label, values, name):
        declaration = pick(label, PARTS, "anns/test.json entry 0")
        assert (declaration.kind, declaration.values, declaration.name) == ("labels", values, name)

    def test_an_unknown_name_is_refused_with_the_near_one(self):
        with pytest.raises(InputError, match=r"entry 3.*did you mean 'posterior'"):
            pick("postrior", PARTS, "anns/test.json entry 3")

    def test_background_is_no_label(self):
        with pytest.raises(InputError, match="0 is background"):
            pick(0, PARTS, "entry 0")

    def test_nothing_is_no_label(self):
        with pytest.raises(InputError, match="empty list"):
            pick([], PARTS, "entry 0")


def test_a_slug_is_fit_for_a_file_name():
    assert label_slug("left ventricle/apex", {}) == "left-ventricle-apex"
    assert label_slug(1, PARTS) == "anterior"


def test_values_are_shown_with_their_names():
    assert names_of([1, 9], PARTS) == ["1 anterior", "9"]
