"""`robustness prompts`: coloured spans that lose no character, a table, JSON, and annotation files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.cli.prompt_view import STYLES, coloured, split_templates
from robustness.errors import InputError
from robustness.perturb.language.parse import parse_prompt
from robustness.types import KINDS

TEXT = "one small [red] polyp, located in top right of the image"


def test_every_kind_has_a_style_of_its_own() -> None:
    assert set(STYLES) == set(KINDS)
    assert len(set(STYLES.values())) == len(STYLES)


@pytest.mark.parametrize("text", [TEXT, "", "[bold]polyp[/bold]", "\x1b[31m polyp", "a\nsmall polyp"])
def test_colouring_keeps_every_character_and_marks_the_spans(text: str) -> None:
    shown = coloured(parse_prompt(text))
    assert shown.plain == text
    assert {(s.start, s.end) for s in shown.spans} == {(a.start, a.stop) for a in parse_prompt(text).attributes}


def test_the_command_shows_attributes_and_changes() -> None:
    result = CliRunner().invoke(app, ["prompts", "one small polyp"])
    assert result.exit_code == 0, result.output
    assert "small  [4:9]" in result.output
    assert "one large polyp" in result.output
    assert "do not apply" in result.output


def test_json_holds_what_does_not_apply_too() -> None:
    result = CliRunner().invoke(app, ["prompts", "one small polyp", "--json"])
    found = json.loads(result.output)
    assert found["attributes"][0] == {"kind": "number", "value": "one", "start": 0, "stop": 3}
    assert any(not change["applicable"] and change["note"] for change in found["changes"])


def test_words_that_no_rule_read_are_shown() -> None:
    text = "Bubbles and debris, concealing somewhere a tiny whitish polyp"
    assert "not read    tiny, whitish, polyp" in CliRunner().invoke(app, ["prompts", text]).output
    assert json.loads(CliRunner().invoke(app, ["prompts", text, "--json"]).output)["not_read"] == [
        "tiny",
        "whitish",
        "polyp",
    ]
    assert "not read" not in CliRunner().invoke(app, ["prompts", "one small polyp"]).output


def test_from_writes_an_annotation_file(tmp_path: Path) -> None:
    mask = np.zeros((30, 30), dtype=np.uint8)
    mask[2:9, 2:9] = 255
    for sub in ("images", "masks"):
        (tmp_path / sub).mkdir()
        Image.fromarray(mask).save(tmp_path / sub / "a.png")
    out = tmp_path / "new.json"
    arguments = [
        "--from",
        str(tmp_path),
        "--out",
        str(out),
        "--target",
        "polyp",
        "--template",
        "q={target}[, {location}]",
    ]
    result = CliRunner().invoke(app, ["prompts", *arguments])
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())[0]["prompts"]["q"] == "polyp, top left"


def test_templates_on_the_command_line_need_a_key() -> None:
    assert split_templates(None) is None
    assert split_templates(["a={target}=x"]) == {"a": "{target}=x"}
    with pytest.raises(InputError, match="KEY=TEXT"):
        split_templates(["{target}"])
