"""Token counts of a prompt and its changes from the command line, without any weights."""

import json

import pytest

from robustness.cli import main as cli
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.models.load import load_model

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
