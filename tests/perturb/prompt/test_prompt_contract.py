"""What every prompt perturbation of the registry promises, checked for each without naming any."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from robustness.perturb.base import BasePerturbation
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
