"""A label's name gives the structure, and the side or direction that qualifies it."""

from __future__ import annotations

import pytest

from robustness.runners.data.label_words import label_of, label_words, qualifies_only


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("anterior hippocampus", {"target": "hippocampus", "direction": "anterior"}),
        ("Right Lung", {"target": "Lung", "side": "right"}),
        ("left anterior hippocampus", {"target": "hippocampus", "side": "left", "direction": "anterior"}),
        ("hippocampus", {"target": "hippocampus"}),
    ],
)
def test_qualifiers_are_taken_off(label: str, words: dict[str, str]) -> None:
    assert label_words(label) == {**words, **({"label": label} if len(words) > 1 else {})}


@pytest.mark.parametrize(
    "label",
    [
        "left atrium",
        "left ventricular cavity",
        "anterior cruciate ligament",
        "superior vena cava",
        "lateral ventricle",
        "upper lobe of the left lung",
        "left and right lungs",
        "hippocampus_left",
        "anterior",
        "non-enhancing tumor",
        "x",
    ],
)
def test_names_that_hold_such_words_stay_whole(label: str) -> None:
    assert label_words(label) == {"target": label}


def test_a_name_may_be_nothing_but_a_qualifier() -> None:
    assert [name for name in ("Anterior", "left", "left kidney", "PZ", "") if qualifies_only(name)] == [
        "Anterior",
        "left",
    ]


def test_a_label_that_attributes_state_counts_where_it_names_the_target() -> None:
    stated = {"label": "Anterior Hippocampus", "direction": "anterior"}
    assert label_of("hippocampus", stated) == "Anterior Hippocampus"
    assert label_of("kidney", stated) == ""
    assert label_of("left atrium", {"label": "left atrium"}) == ""
    assert label_of("hippocampus", None) == ""
