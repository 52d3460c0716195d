"""The preview of one prompt as a table."""

from __future__ import annotations

import pytest

from robustness.perturb.preview import COLUMNS, perturb_prompt
from tests.perturb.prompt_cases import FAMILIES


def test_a_bare_prompt_shows_every_change_that_applies() -> None:
    text = "one small pink round polyp, located in top right of the image"
    table = perturb_prompt(text)
    assert tuple(table.columns) == COLUMNS
    rows = table[table.applicable].set_index("perturbation")
    assert rows.loc["antonym:size", "text"] == text.replace("small", "large")
    assert rows.loc["antonym:location", "text"] == text.replace("top right", "bottom left")
    assert rows.loc["antonym:number", "text"] == "several small pink round polyps, located in top right of the image"
    assert rows.loc["drop:location", "text"] == "one small pink round polyp"
    assert rows.loc["antonym:size", "expectation"] == "change"
    assert {"rare:target", "wrong_class", "empty", "paraphrase"} <= set(rows.index)


def test_the_seed_fixes_the_rare_words() -> None:
    text = FAMILIES["brain"]
    assert perturb_prompt(text, seed=1).equals(perturb_prompt(text, seed=1))
    assert not perturb_prompt(text, seed=1).equals(perturb_prompt(text, seed=2))


def test_siblings_teach_the_preview_too() -> None:
    siblings = {"p1": "polyp", "p2": "zorp polyp", "p3": "pink zorp polyp"}
    table = perturb_prompt("pink zorp polyp", siblings=siblings)
    assert "drop:shape" in set(table.perturbation)


def test_what_does_not_apply_gives_its_reason() -> None:
    table = perturb_prompt("")
    assert not table[table.perturbation == "empty"].applicable.any()
    assert (table[~table.applicable].note != "").all()


@pytest.mark.parametrize("text", ["", "zebra", "\x00", "İ", "left " * 300])
def test_any_text_has_a_preview(text: str) -> None:
    assert tuple(perturb_prompt(text).columns) == COLUMNS
