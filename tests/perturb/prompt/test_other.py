"""Second referents: the right other case, and the kind that tells the two apart."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.other import Other, differing_kind
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import context_of, make_case

RNG = np.random.default_rng(0)
LEFT = make_case("small left hippocampus", case_id="hippocampus_left")
RIGHT = make_case("small right hippocampus", case_id="hippocampus_right")
BOTH = make_case("small left and right hippocampi", case_id="hippocampus_both")
GRAY = make_case("large gray matter", case_id="gray")
ALONE = make_case("small left hippocampus", case_id="alone", image_id="another")
CONTEXT = context_of([RIGHT, LEFT, BOTH, GRAY, ALONE], listed={"hippocampus_right": ["the right hippocampus"]})


@pytest.mark.parametrize(
    ("mine", "other", "kind"),
    [
        ("left hippocampus", "right hippocampus", "side"),
        ("left hippocampus", "left and right hippocampi", "target"),
        ("left hippocampus", "left thalamus", "target"),
        ("left hippocampus", "right thalamus", "target"),
        ("left hippocampus", "left hippocampus", None),
        ("Left hippocampus", "left hippocampus", None),
        ("small left hippocampus", "large right hippocampus", "target"),
        ("largest nucleus", "smallest nucleus", "size"),
        ("largest nucleus", "brightest nucleus", "target"),
        ("brightest nucleus", "dimmest nucleus", "target"),
        ("nucleus nearest to the top left corner", "nucleus nearest to the bottom right corner", "location"),
        ("one small left putamen", "small left putamen in one region", None),
        ("left putamen", "putamen", "side"),
        ("", "putamen", "target"),
    ],
)
def test_the_kind_is_the_only_attribute_that_differs(mine: str, other: str, kind: str | None) -> None:
    assert differing_kind(parse_prompt(mine), parse_prompt(other)) == kind
    assert differing_kind(parse_prompt(other), parse_prompt(mine)) == kind


def test_the_other_case_is_the_first_of_its_kind() -> None:
    params = Other(context=CONTEXT, kind="side").propose(LEFT, 0, RNG)
    assert isinstance(params, dict)
    assert (params["other_case_id"], params["text"]) == ("hippocampus_right", "small right hippocampus")
    assert (params["kind"], params["old"], params["new"]) == ("side", "left", "right")
    params = Other(context=CONTEXT, kind="target").propose(LEFT, 0, RNG)
    assert isinstance(params, dict)
    assert params["other_case_id"] == "gray"


def test_each_listed_text_has_its_counterpart() -> None:
    second = make_case("the left hippocampus", case_id="hippocampus_left", prompt_index=1)
    params = Other(context=CONTEXT, kind="side").propose(second, 0, RNG)
    assert isinstance(params, dict)
    assert (params["text"], params["other_prompt_index"]) == ("the right hippocampus", 1)


def test_an_image_with_one_target_has_no_second_referent() -> None:
    result = Other(context=CONTEXT, kind="side").propose(ALONE, 0, RNG)
    assert isinstance(result, NotApplicable)
    assert "no other target" in result.reason
    result = Other(context=CONTEXT, kind="side").propose(GRAY, 0, RNG)
    assert isinstance(result, NotApplicable)
    assert "side alone" in result.reason


def test_only_the_kinds_that_occur_become_conditions() -> None:
    assert [p.condition(0) for p in Other.expand(CONTEXT)] == ["other:side", "other:target"]
    assert Other.expand(context_of([ALONE])) == ()
