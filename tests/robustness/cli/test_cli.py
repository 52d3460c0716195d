from __future__ import annotations

import json
import signal
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from robustness import __version__
from robustness.cli import main as cli
from robustness.cli.main import app
from tests.gate_runs import write_run
from tests.synthetic import write_dataset


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder; return (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["robustness", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code, captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=4)


PLAN = """
seed = 1
[model]
name = "film-unet"
config = {{ image_size = 32 }}
[data]
path = "{path}"
prompt = "p2"
[perturbations]
prompt = ["antonym:side", "paraphrase", "other", "empty"]
image = {{ kinds = ["gaussian_noise"], severities = [1] }}
[statistics]
resamples = 199
"""


@pytest.fixture
def plan(tmp_path, data):
    file = tmp_path / "plan.toml"
    file.write_text(PLAN.format(path=data))
    return file


def _one_line(err):
    lines = [line for line in err.splitlines() if not line.startswith("audit: rows")]
    assert len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert "Traceback" not in err
    return lines[0]


def test_help_names_every_command(call):
    code, out, _ = call("--help")
    assert code == 0
    for command in ("demo", "audit", "finetune", "report", "compare", "gate", "verify", "check", "prompts", "list"):
        assert command in out


class TestAudit:
    def test_writes_a_run_and_says_where_the_report_is(self, call, plan, tmp_path):
        code, out, err = call("audit", plan, "--out", "run")
        assert code == 0, err
        assert (tmp_path / "run" / "report.html").is_file()
        assert f"Report: {tmp_path / 'run' / 'report.html'}" in out
        assert "antonym" in out or "side" in out

        timing = json.loads((tmp_path / "run" / "manifest.json").read_text())["timing"]
        assert timing["seconds"] > 0
        # Four images clean, again for the rerun, and eight noisy ones.
        assert timing["n_image_encodes"] == 16
        assert timing["n_texts_cut"] == 0

        code, out, _ = call("verify", "run")
        assert code == 0
        assert "verdicts follow from the rows" in out
        assert "DIFFERS" not in out

        rows = tmp_path / "run" / "effects.parquet"
        rows.write_bytes(rows.read_bytes() + b"x")
        code, out, _ = call("verify", "run")
        assert code == 1
        assert "DIFFERS sha256 effects.parquet" in out
        assert "DIFFERS tables can be read" in out
        code, _, err = call("gate", "run", "--gates", plan)
        assert code == 2
        _one_line(err)
        code, _, err = call("report", "run")
        assert code in (0, 2)
        assert "Traceback" not in err

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (("seed", "sed"), "unknown key 'sed'; did you mean 'seed'"),
            (('"film-unet"', '"film-unett"'), "did you mean 'film-unet'"),
            (('"p2"', '"p8"'), "p8"),
            (('"antonym:side"', '"antonim:side"'), "did you mean 'antonym'"),
            (("[statistics]", "[metrics]\nnames = ['dise']\n[statistics]"), "did you mean 'dice'"),
            (('"gaussian_noise"', '"gausian_noise"'), "did you mean 'gaussian_noise'"),
        ],
    )
    def test_mistakes_in_a_plan_are_one_line_and_exit_2(self, call, plan, change, expected):
        plan.write_text(plan.read_text().replace(*change))
        code, _, err = call("audit", plan, "--out", "run")
        assert code == 2
        assert expected in _one_line(err)

    def test_an_absent_dataset(self, call, plan, tmp_path):
        code, _, err = call("audit", plan, "--out", "run", "--set", "data.path=nowhere")
        assert code == 2
        assert "nowhere" in _one_line(err)

    def test_an_empty_dataset(self, call, plan, tmp_path):
        root = write_dataset(tmp_path / "none", images=1)
        (root / "anns" / "test.json").write_text("[]")
        code, _, err = call("audit", plan, "--out", "run", "--set", f"data.path={root}")
        assert code == 2
        assert "test" in _one_line(err)

    @pytest.mark.parametrize("damage", ["missing", "truncated"])
    def test_a_dataset_whose_images_cannot_be_read(self, call, plan, tmp_path, damage):
        root = write_dataset(tmp_path / "broken", images=1)
        picture = root / "images" / "s00.png"
        content = picture.read_bytes()
        picture.unlink()
        if damage == "truncated":
            picture.write_bytes(content[:100])
        code, _, err = call("audit", plan, "--out", "run", "--set", f"data.path={root}")
        assert code == 2
        lines = [line for line in err.splitlines() if not line.startswith("audit: ")]
        assert "s00.png" in _one_line("\n".join(lines))

    def test_an_output_that_cannot_be_written(self, call, plan, tmp_path):
        (tmp_path / "file").write_text("")
        code, _, err = call("audit", plan, "--out", "file/run")
        assert code == 2
        assert "--out" in _one_line(err) or "out:" in _one_line(err)

    def test_a_checkpoint_of_another_architecture_lists_the_keys(self, call, plan, tmp_path):
        import torch

        torch.save({"encoder.weight": torch.zeros(3, 3)}, tmp_path / "other.pt")
        code, _, err = call("audit", plan, "--out", "run", "--set", "model.checkpoint=other.pt")
        assert code == 2
        line = _one_line(err)
        assert "encoder.weight" in line
        assert "missing" in line

    def test_one_bad_case_is_counted_on_stderr_and_strict_stops(self, call, plan, tmp_path):
        root = write_dataset(tmp_path / "set", images=3)
        (root / "images" / "s01.png").unlink()
        code, _, err = call("audit", plan, "--out", "run", "--set", f"data.path={root}")
        assert code == 0
        assert "2 rows of 2 cases failed" in err
        code, _, err = call("audit", plan, "--out", "strict", "--strict", "--set", f"data.path={root}")
        assert code == 1
        assert "s01_left" in err


def test_prompts_as_json(call):
    code, out, _ = call("prompts", "one small pink round polyp, located in top right of the image", "--json")
    assert code == 0
    shown = json.loads(out)
    assert {"number", "size", "colour", "shape", "target", "location"} <= {a["kind"] for a in shown["attributes"]}
    assert all(shown["text"][a["start"] : a["stop"]] == a["value"] for a in shown["attributes"])
    assert any(change["perturbation"] == "antonym:size" for change in shown["changes"])


@pytest.mark.parametrize("more", [[], ["--json"], ["--model", "film-unet"], ["--from", ".", "--out", "new.json"]])
def test_prompts_of_an_unknown_modality_are_refused(call, more):
    code, out, err = call("prompts", "one polyp", "--modality", "zzz", *more)
    assert (code, out) == (2, "")
    assert "--modality: expected one of CT, MRI, OCT" in _one_line(err)
    assert call("prompts", "one polyp", "--modality", "colonoscopy")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("export", "PLAN", "new", "--max-gib", "inf"), "--max-gib: expected a number of GiB, got inf"),
        (("score", "new", "answers", "--label", "../../x"), "the label '../../x' is no name of one; give --out DIR"),
        (("score", "new", "answers", "--label", "a\nb"), "is no name of one; give --out DIR"),
        (("gate", "new", "--gates", "broken.toml"), "gates: broken.toml is not valid TOML"),
        (("prompts",), "text: expected a prompt, got none"),
        (("list", "perturbations", "--sheet", "a.gif"), "--sheet: expected a name that ends in .png or .jpg"),
        (("list", "perturbations", "--sheet", "a.png", "--tile", "1000000"), "--tile: expected 48 to 1024 pixels"),
        (("calibrate", "DATA", "--plan", "image.png"), "--plan: image.png is not valid TOML"),
        (("report", "new", "--answers", "image.png"), "--answers: image.png is not valid TOML"),
        (("audit", "broken.toml"), "plan: broken.toml is not valid TOML"),
    ],
)
def test_odd_arguments_are_one_line(call, plan, data, tmp_path, arguments, message):
    (tmp_path / "broken.toml").write_text("a = = 1")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n")
    write_run(tmp_path / "new")
    places = {"PLAN": plan, "DATA": data}
    code, _, err = call(*(str(places.get(word, word)) for word in arguments))
    assert code == 2
    assert message in _one_line(err)


@pytest.mark.parametrize(("command", "words"), [("check", "A key of [data], e.g."), ("report", "whose [report]")])
def test_help_keeps_names_in_brackets(call, command, words):
    _, out, _ = call(command, "--help")
    assert words in " ".join(out.replace("│", " ").split())


@pytest.mark.parametrize(("what", "name"), [("models", "clipseg"), ("perturbations", "antonym"), ("metrics", "hd95")])
def test_list_names_entries_with_one_line_each(call, what, name):
    code, out, _ = call("list", what)
    assert code == 0
    assert any(line.startswith(name) for line in out.splitlines())


def test_list_of_something_else(call):
    code, _, err = call("list", "modells")
    assert code == 2
    assert "did you mean 'models'" in _one_line(err)


def test_check_finds_a_missing_file(call, data, tmp_path):
    code, out, _ = call("check", data)
    assert code in (0, 1)
    root = write_dataset(tmp_path / "set", images=2)
    (root / "masks" / "s00_left.png").unlink()
    code, out, _ = call("check", root)
    assert code == 1
    assert "s00_left" in out


def test_unknown_commands_and_options_exit_2(call):
    assert call("audti")[0] == 2
    assert call("audit")[0] == 2


@pytest.mark.slow
def test_no_gates_file(call, plan):
    assert call("audit", plan, "--out", "run")[0] == 0
    code, _, err = call("gate", "run")
    assert code == 2
    assert "--gates FILE" in _one_line(err)


def test_a_folder_that_is_no_run(call):
    code, _, err = call("report", "nothing")
    assert code == 2
    assert "expected a run's folder" in _one_line(err)


@pytest.mark.slow
def test_a_plan_can_name_a_python_file_beside_it(call, data, tmp_path):
    folder = tmp_path / "plans"
    folder.mkdir()
    (folder / "mine.py").write_text(
        "def build():\n"
        "    def predict(images, prompts):\n"
        "        return [(image[:, :, 0] > 120).astype(float) for image in images]\n"
        "    return predict\n"
    )
    (folder / "plan.toml").write_text(
        f'[model]\nname = "python"\ncheckpoint = "mine.py:build"\n[data]\npath = "{data}"\nprompt = "p2"\n'
        '[perturbations]\nprompt = ["antonym:side", "paraphrase"]\nimage = []\n[statistics]\nresamples = 199\n'
    )
    code, out, err = call("audit", folder / "plan.toml", "--out", "run")
    assert code == 0, err
    assert "4 patients, fewer than 10: described, not judged" in out


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"robustness {__version__}\n")


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_the_shell_can_complete_commands(option: str) -> None:
    assert option in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output


# A signal meets the callback of a weak reference, whose errors Python ignores; what the command did then goes on.
_MET = """
import signal, sys, time, weakref
from robustness.cli import main as cli
# A job in the background of a script has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
class Module: pass
def work():
    module = Module()
    reference = weakref.ref(module, lambda _: signal.raise_signal(int(sys.argv[1])))
    del module
    print("went on", flush=True)
    time.sleep(120)
cli.app = work
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process there at once")
@pytest.mark.parametrize(
    ("number", "code", "line"),
    [
        (signal.SIGINT, 130, "error: interrupted; what was done is kept"),
        (signal.SIGTERM, 143, "error: ended by SIGTERM; what was done is kept"),
    ],
)
def test_a_signal_that_meets_code_whose_errors_are_ignored_ends_the_command(number, code, line):
    ended = subprocess.run(
        [sys.executable, "-c", _MET, str(int(number))], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.stdout == "went on\n"
    assert ended.returncode == code
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1


# A signal that comes while libraries unload, when Python's own handlers are gone.
_LATE = """
import os, sys
from robustness.cli import main as cli
class Library:
    def __del__(self, kill=os.kill, own=os.getpid(), number=int(sys.argv[1]), write=os.write):
        kill(own, number)
        write(1, b"unloaded\\n")
sys.library = Library()
cli.app = lambda: print("done", flush=True)
cli.main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a process there at once")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_end_of_a_command_changes_nothing(number):
    ended = subprocess.run(
        [sys.executable, "-c", _LATE, str(int(number))], capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\nunloaded\n", "")


# A command that leaves something to be put away, and something that unloads.
_ENDS = """
import atexit, os, sys, threading, time
from robustness.cli import main as cli
class Library:
    def __del__(self, write=os.write):
        write(1, b"unloaded\\n")
sys.library = Library()
def work():
    atexit.register(print, "put away")
    threading.Thread(target=lambda: (time.sleep(0.2), print("last thread"))).start()
    print("done", end=", ")
    if sys.argv[1] == "fail":
        raise ZeroDivisionError
    raise SystemExit(int(sys.argv[1]))
cli.app = work
cli.run_command()
"""


@pytest.mark.parametrize(("argument", "code", "end"), [("0", 0, ""), ("3", 3, ""), ("fail", 1, "unloaded\n")])
def test_a_command_ends_without_unloading_once_all_is_put_away(argument, code, end):
    ended = subprocess.run(
        [sys.executable, "-c", _ENDS, argument], capture_output=True, text=True, timeout=100, check=False
    )
    assert ended.returncode == code
    assert ended.stdout == "done, last thread\nput away\n" + end
    assert ("ZeroDivisionError" in ended.stderr) == (argument == "fail")


# Ctrl-C comes while the first module of the command line is imported.
_EARLY = """
import signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "typer":
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Finder())
from robustness.__main__ import run_command
run_command()
"""


def test_an_interrupt_while_the_command_line_is_imported_is_one_line():
    ended = subprocess.run([sys.executable, "-c", _EARLY], capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stdout) == (130, "")
    assert ended.stderr == "error: interrupted before anything was begun\n"
