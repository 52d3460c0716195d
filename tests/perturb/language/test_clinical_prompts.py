"""The labelled clinical prompts beside the checkout, scored as their own scorer does (absent: skipped)."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.drop import Drop
from robustness.perturb.prompt.wrong_class import WrongClass
from robustness.seeds import generator
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import context_of, make_case

PROMPTS = Path(__file__).parents[3].parent / "shared" / "clinical_prompts"
pytestmark = pytest.mark.skipif(not PROMPTS.is_dir(), reason="the clinical prompts are not beside the checkout")


def scorer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("clinical_score", PROMPTS / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def items(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PROMPTS / name).read_text(encoding="utf8").splitlines()]


@pytest.fixture(scope="module")
def counts() -> dict[str, Counter[str]]:
    score, by = scorer(), {"all": Counter[str](), "target": Counter[str]()}
    for item in items("prompts.jsonl"):
        rows, made = score.judge(item, parse_prompt(item["text"]).attributes, [])
        for status, kind, _, _ in rows:
            by["all"][status] += 1
            if kind == "target":
                by["target"][status] += 1
        by["all"]["forbidden"] += len(made)
    return by


def test_most_attributes_are_read_exactly_and_hardly_any_wrongly(counts: dict[str, Counter[str]]) -> None:
    read = counts["all"]
    total = read["exact"] + read["partial"] + read["missed"]
    assert total > 500
    assert read["exact"] >= 0.95 * total
    assert read["false"] <= 8
    assert read["forbidden"] <= 2


def test_the_target_is_found(counts: dict[str, Counter[str]]) -> None:
    read = counts["target"]
    assert read["exact"] >= 0.95 * (read["exact"] + read["partial"] + read["missed"])


def test_wrong_classes_are_other_things_and_plausible() -> None:
    drawn = Counter[str]()
    for item in items("wrong_class.jsonl"):
        case = make_case(item["target"], modality=item["modality"])
        change = WrongClass(context=context_of([case]))
        never = [*item["never"], item["target"]]
        for seed in range(10):
            params = change.propose(case, 0, generator(seed))
            assert isinstance(params, dict)
            words = f" {params['text'].lower()} "
            assert not any(f" {name.lower()} " in words for name in never), (item["target"], params["text"])
            drawn["fine" if params["text"].lower() in {f.lower() for f in item["fine"]} else "unlisted"] += 1
    assert drawn["fine"] >= 0.6 * drawn.total()


@pytest.mark.parametrize("item", items("needed.jsonl") if PROMPTS.is_dir() else [], ids=lambda item: item["text"])
def test_a_model_is_held_to_a_prompt_without_words_only_where_they_are_not_needed(item: dict[str, Any]) -> None:
    case = make_case(item["text"], case_id="meant", modality=item["modality"])
    others = [r for r in item["referents"] if not r["meant"]]
    scene = [case, *(replace(case, case_id=f"other-{i}", target=r["target"]) for i, r in enumerate(others))]
    change = Drop(context=context_of(scene), kind=item["drop_kind"])
    params = change.propose(case, 0, generator(0))
    expected = "none" if isinstance(params, NotApplicable) else change.expect(case, params)
    assert expected in (("none",) if item["needed"] else ("none", "invariant"))
