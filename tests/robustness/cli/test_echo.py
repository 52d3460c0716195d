"""What commands print: a name cannot begin a line of its own; --quiet and --verbose; the spans of a prompt."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from robustness.cli import echo
from robustness.cli import main as cli
from robustness.cli.list_ import preparation
from robustness.cli.main import app
from robustness.cli.prompt_view import STYLES, coloured, split_templates
from robustness.errors import DoubtWarning, InputError
from robustness.gates.judge import judge_gates, load_gates
from robustness.gates.output import github_lines, markdown, text_table
from robustness.perturb.language.parse import parse_prompt
from robustness.registry import MODELS
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.models.black_box.entry import BlackBoxEntry
from robustness.runners.models.load import load_model
from robustness.types import KINDS
from tests.gate_runs import write_run


@pytest.fixture(autouse=True)
def normal_again():
    yield
    echo.set_verbosity(echo.NORMAL)


@pytest.mark.parametrize(
    "command", ["audit", "finetune", "study", "gate", "report", "verify", "replay", "split", "check"]
)
def test_every_command_takes_both(command):
    text = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--quiet" in text
    assert "--verbose" in text


@pytest.mark.parametrize("print_line", [echo.echo, echo.warn, echo.note])
@pytest.mark.parametrize(
    "text", ["a\n::error::b", "a\r::error::b", "a\u2028::error::b", "a\x1b[2Jb", "a\x85b", "\ud800"]
)
def test_one_line_is_printed_as_one(print_line, text, capfd):
    print_line(text)
    out, err = capfd.readouterr()
    assert len((out + err).splitlines()) == 1
    assert "\x1b" not in out + err


def test_a_doubt_is_one_line_once_wherever_it_comes_from(capfd, monkeypatch):
    def table():
        for _ in range(2):
            warnings.warn("two\nspellings", DoubtWarning, stacklevel=1)
        warnings.warn("two\nspellings", DoubtWarning, stacklevel=1)
        warnings.warn("another", DoubtWarning, stacklevel=1)

    monkeypatch.setattr(cli, "app", table)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with pytest.raises(SystemExit):
            cli.main()
    assert capfd.readouterr().err.splitlines() == [r"warning: two\nspellings", "warning: another"]


def test_quiet_leaves_out_notes_but_no_result_and_no_warning(capfd):
    echo.set_verbosity(echo.QUIET)
    echo.echo("result")
    echo.warn("warning")
    echo.note("note")
    assert capfd.readouterr() == ("result\n", "warning\n")


def test_a_case_id_with_a_line_break_forges_no_annotation(tmp_path):
    run = write_run(tmp_path / "run")
    table = run.results().assign(case_id=lambda t: t["case_id"] + "\n::error::forged")
    run.folder.write_table(run.folder.part(0), table)
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\ncondition = "image:blur@3"\nmargin = 0.001\n')
    judged = judge_gates(run, load_gates(tmp_path / "gates.toml"))
    assert judged[0].outcome != "pass"
    printed = "\n".join([*text_table(judged), *github_lines(judged), markdown(judged, run=tmp_path / "run")])
    assert "forged" in printed
    assert not [line for line in printed.splitlines() if line.strip().startswith("::error::forged")]


# Long lines: what stands here is what is printed.
# ruff: noqa: E501
EXPECTED = {
    "clipseg": "input 352 x 352, bilinear; mean 0.485 0.456 0.406; std 0.229 0.224 0.225; text clip-bpe, 77 ids; threshold 0.5",
    "cris": "input 416 x 416, bilinear; mean 0.4815 0.4578 0.4082; std 0.2686 0.2613 0.2758; text clip-bpe, 77 ids; threshold 0.35",
    "biomedclipseg": "input 224 x 224, bilinear; mean 0.4815 0.4578 0.4082; std 0.2686 0.2613 0.2758; text wordpiece, 256 ids; threshold 0.5",
    "sam3": "input 1008 x 1008, bilinear; mean 0.5; std 0.5; text clip-bpe, 32 ids; threshold 0.5",
    "unet": "input 256 x 256, bilinear; mean 0.485 0.456 0.406; std 0.229 0.224 0.225; no text; threshold 0.5",
}


@pytest.mark.parametrize("name", EXPECTED)
def test_values_are_those_of_the_published_models(name):
    assert preparation(MODELS.get(name)) == EXPECTED[name]


@pytest.mark.parametrize("name", ["grounded-sam", "sam3"])
def test_shapes_that_are_listed_are_those_of_the_whole_default_configuration(name):
    model = MODELS.get(name)()
    assert model.preprocess(model.shapes) == model.preprocess(model.default_config())


@pytest.mark.parametrize("name", MODELS.names())
def test_every_network_has_a_line_and_no_black_box_has(name):
    entry = MODELS.get(name)
    assert bool(preparation(entry)) != issubclass(entry, BlackBoxEntry)


def test_the_command_shows_them(monkeypatch, capsys):
    from robustness.cli import main as cli

    monkeypatch.setattr("sys.argv", ["robustness", "list", "models"])
    with pytest.raises(SystemExit):
        cli.main()
    lines = capsys.readouterr().out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("cris "))
    assert lines[place + 1].strip() == EXPECTED["cris"]


TEXT = "one small pink round polyp, located in top right of the image"


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["robustness", "prompts", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


def rows_of(out):
    return {(row["condition"], row["after"]): row for row in json.loads(out)}


def test_each_change_has_its_tokens_and_what_the_model_cannot_see_is_counted(call):
    code, out, err = call(TEXT, "--model", "clipseg")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "16 of 77 tokens; 0 unknown"
    assert lines[1].split() == [
        "condition",
        "after",
        "tokens_before",
        "tokens_after",
        "limit",
        "truncated_after",
        "unknown_after",
        "same_ids",
    ]
    # CLIP reads lower case only: no change of case can have an effect.
    cases = [line for line in lines if line.lstrip().startswith("case@")]
    assert len(cases) == 5
    assert all(line.endswith("True") for line in cases)
    assert lines[-1].startswith(f"{sum(line.endswith('True') for line in lines)} of {len(lines) - 3} changes")


def test_json_has_every_column(call):
    code, out, _ = call(TEXT, "--model", "clipseg", "--json")
    rows = rows_of(out)
    assert code == 0
    assert rows["clean", TEXT]["tokens_before"] == 16
    assert rows["empty", ""]["tokens_after"] == 2


def test_a_text_beyond_the_context_is_said_to_be_cut(call):
    code, out, _ = call(f"{TEXT}, " * 6, "--model", "sam3")
    assert code == 0
    assert "of 32 tokens, cut before its end; 0 unknown" in out.splitlines()[0]


def test_unknown_words_of_a_vocabulary_are_counted(call, tmp_path):
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "one", "small", "polyp"]
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "vocab.txt").write_text("\n".join(pieces))
    (tmp_path / "plan.toml").write_text(
        '[model]\nname = "biomedclipseg"\noptions = { tokenizer = "words" }\n[data]\npath = "none"\n'
    )
    code, out, err = call("one small pink polyp", "--model", tmp_path / "plan.toml")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "6 of 256 tokens; 1 unknown"


def test_a_checkpoint_folder_says_which_model_it_is(call, tmp_path):
    save_checkpoint(tmp_path / "own", load_model("film-unet", image_size=32, device="cpu"))
    code, out, _ = call("polyp", "--model", tmp_path / "own")
    assert code == 0
    assert out.splitlines()[0].endswith("of 256 tokens; 0 unknown")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("clipsegg", "did you mean 'clipseg'"),
        ("unet", "'unet' has no tokenizer"),
        ("http", "'http' has no tokenizer"),
        ("none.toml", "expected a TOML file"),
        ("grounded-sam", "has no vocabulary here"),
    ],
)
def test_what_has_no_tokens_is_one_line(call, source, message):
    code, _, err = call(TEXT, "--model", source)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


PROMPT = "one small [red] polyp, located in top right of the image"


def test_every_kind_has_a_style_of_its_own() -> None:
    assert set(STYLES) == set(KINDS)
    assert len(set(STYLES.values())) == len(STYLES)


@pytest.mark.parametrize("text", [PROMPT, "", "[bold]polyp[/bold]", "\x1b[31m polyp", "a\nsmall polyp"])
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
