"""The search for the worst wording: seeded, within its budget, with the image encoded once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.errors import InputError
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.perturb.select import select
from robustness.runners.attacks.worst_prompt import DiceOfTexts, bind, worst_prompt
from robustness.runners.data.load import load_dataset
from robustness.runners.models.black_box.callable import BlackBox
from robustness.seeds import generator
from tests.perturb.prompt_cases import FAMILIES, blob, context_of, make_case

CASE = make_case(FAMILIES["polyp"])


class Fragile:
    """Finds the object, less of it for each sign that the wording differs from what it was trained on."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[np.ndarray]:
        self.texts += prompts
        return [self._mask(p) for p in prompts]

    def _mask(self, prompt: str) -> np.ndarray:
        lost = 3 * ("." in prompt) + 4 * ("little" in prompt) + (2 if "ound small" in prompt else 0)
        return blob((10, 20 - lost), (10, 20)).astype(np.float32)


def fragile() -> tuple[BlackBox, Fragile]:
    function = Fragile()
    return BlackBox(function, "fragile"), function


def test_it_finds_combined_weaknesses_that_no_single_edit_shows() -> None:
    model, _ = fragile()
    found = worst_prompt(model, CASE, budget=150)
    assert found.clean_score == 1.0
    # A full stop and "little" together leave 3 of 10 rows.
    assert found.score <= 2 * 30 / 130 + 1e-9
    assert "." in found.text
    assert "little" in found.text
    assert len(found.steps) >= 2


@pytest.mark.parametrize("budget", [1, 7, 40])
def test_the_budget_is_kept_and_the_score_is_that_of_the_text(budget: int) -> None:
    model, function = fragile()
    found = worst_prompt(model, CASE, budget=budget)
    assert found.tried <= budget
    assert len(function.texts) == found.tried + 1
    assert DiceOfTexts(model)(CASE, [found.text]) == [found.score]


def test_the_same_seed_searches_the_same_texts_and_a_larger_budget_finds_nothing_better() -> None:
    model, _ = fragile()
    scores = [worst_prompt(model, CASE, budget=b, seed=3).score for b in (5, 20, 80)]
    assert scores == sorted(scores, reverse=True)
    assert worst_prompt(model, CASE, budget=20, seed=3) == worst_prompt(model, CASE, budget=20, seed=3)


def test_each_image_is_encoded_once() -> None:
    model, _ = fragile()
    judge = DiceOfTexts(model, batch_size=4)
    change = WorstCase(context=context_of([CASE]), judge=judge, budget=30)
    params = change.propose(CASE, 0, generator(0))
    assert isinstance(params, dict)
    assert judge.image_encodes == 1
    assert params["tried"] == 30
    assert params["worst_score"] <= params["clean_score"] == 1.0


def test_bind_puts_the_model_into_the_search_and_leaves_the_rest() -> None:
    model, _ = fragile()
    chosen = select(["worst_case", "antonym:size"], [], context_of([CASE]))
    bound = bind(chosen, model, budget=5)
    assert [c.condition for c in bound] == ["worst_case", "antonym:size"]
    assert bound[1] is chosen[1]
    assert isinstance(bound[0].perturbation, WorstCase)
    assert bound[0].perturbation.judge is not None
    assert chosen[0].perturbation.draw(CASE, 0, generator(0)) is None


def test_a_budget_of_nothing_and_a_prompt_without_words_are_refused() -> None:
    model, _ = fragile()
    with pytest.raises(InputError, match="budget"):
        worst_prompt(model, CASE, budget=0)
    with pytest.raises(InputError, match="no edit"):
        worst_prompt(model, make_case(""))


def test_an_audit_runs_the_search_and_says_which_words_are_true(tmp_path: Path) -> None:
    from robustness.workflows.audit import audit

    folder = tmp_path / "set"
    for sub in ("images", "masks"):
        (folder / sub).mkdir(parents=True)
        for name in "ab":
            Image.fromarray(blob().astype(np.uint8) * 255).save(folder / sub / f"{name}.png")
    (folder / "anns").mkdir()
    prompts = {"p0": "", "p6": "one small pink round polyp, located in top left of the image"}
    entries = [{"img_name": f"{n}.png", "mask_name": f"{n}.png", "subject": n, "prompts": prompts} for n in "ab"]
    (folder / "anns" / "test.json").write_text(json.dumps(entries), "utf-8")
    model, _ = fragile()
    data = load_dataset(folder)
    run = audit(model, data, perturbations=["worst_case", "antonym:location"], out=tmp_path / "run", report=False)
    table = run.results().set_index(["condition", "case_id"])
    assert table.loc[("clean", "a"), "dice"] == 1.0
    assert table.loc[("worst_case", "a"), "dice"] < 0.7
    assert table.loc[("worst_case", "a"), "expectation"] == "none"
    found = json.loads(table.loc[("worst_case", "b"), "params"])
    assert found["worst_score"] == pytest.approx(table.loc[("worst_case", "b"), "dice"])
    assert json.loads(table.loc[("clean", "a"), "truth"])["location"] == "true"
    assert json.loads(table.loc[("antonym:location", "a"), "truth"])["location"] == "false"
