"""What every prompt perturbation promises, checked for each without naming any; and second referents."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.other import Other, differing_kind
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import EXPECTATIONS, Case, NotApplicable, Params
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

CASES = [
    make_case(text, case_id=f"case_{i}", image_id=f"image_{i // 2}", modality="MRI")
    for i, text in enumerate(FAMILIES.values())
]
ODD = [
    make_case(text, case_id="odd", image_id="odd") for text in ("", " ", "zebra", "İ\u202e\x00 polyp", "polyp " * 300)
]
ENTRIES = [name for name in PERTURBATIONS.names() if PERTURBATIONS.get(name).target == "prompt"]


def letters(case: Case, texts: Sequence[str]) -> list[float]:
    """Stand in for a model in the loop of a search: the more small letters, the better."""
    return [sum(c.islower() for c in text) / 1000 for text in texts]


def instances(name: str) -> list[BasePerturbation]:
    # A set that shows every part of the body has no structure that is surely absent.
    cases = CASES[:1] if name == "absent" else [*CASES, ODD[-1]]
    found = PERTURBATIONS.get(name).expand(context_of(cases, seed=3))
    return [c.bound_to(letters, 12) if isinstance(c, WorstCase) else c for c in found]


def proposed(change: BasePerturbation, case: Case, severity: int) -> Params | NotApplicable:
    return change.propose(case, severity, generator(3, case.case_id, change.name, severity))


def test_every_prompt_change_of_the_specification_is_there() -> None:
    assert set(ENTRIES) >= {
        "antonym",
        "rare",
        "drop",
        "neutral",
        "synonym",
        "paraphrase",
        "typo",
        "case",
        "punctuation",
        "homoglyph",
        "order",
        "negation",
        "empty",
        "nonsense",
        "shuffled",
        "wrong_class",
        "absent",
        "other",
        "worst_case",
    }


@pytest.mark.parametrize("name", ENTRIES)
class TestEveryPromptPerturbation:
    def test_draws_are_deterministic_recorded_and_replayable(self, name: str) -> None:
        applied = 0
        for change in instances(name):
            for case in (*CASES, *ODD):
                for severity in change.severities:
                    params = proposed(change, case, severity)
                    assert params == proposed(change, case, severity)
                    if isinstance(params, NotApplicable):
                        assert params.reason.strip()
                        continue
                    applied += 1
                    replayed = json.loads(json.dumps(params))
                    assert replayed == params
                    changed = change.apply(case, replayed)
                    assert changed.prompt.text == params["text"]
                    assert changed.image is case.image
                    assert changed.mask is case.mask
        assert applied > 0

    def test_records_say_what_changed_and_from_where(self, name: str) -> None:
        for change in instances(name):
            for case in CASES:
                params = proposed(change, case, change.severities[0])
                if isinstance(params, dict):
                    assert {"text", "kind", "old", "new", "start", "stop", "source"} <= set(params)
                    assert params["source"]
                    assert params["text"] != case.prompt.text
                    assert change.expect(case, params) in EXPECTATIONS

    def test_conditions_are_named_after_the_entry(self, name: str) -> None:
        found = [change.condition(change.severities[0]) for change in instances(name)]
        assert len(set(found)) == len(found)
        assert all(condition.split("@")[0].split(":")[0] == name for condition in found)

    def test_it_explains_itself(self, name: str) -> None:
        assert "xpectation" in (PERTURBATIONS.get(name).__doc__ or "")

    def test_an_empty_dataset_gives_no_error(self, name: str) -> None:
        for change in PERTURBATIONS.get(name).expand(context_of([])):
            assert not isinstance(change.draw(ODD[0], change.severities[0], generator(0)), str)


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
