"""A disk without room: one line, exit code 2, nothing half-written, and the same command goes on once there is room.

A limit on the size of a file stands for the disk in this process: the system refuses the write as a full disk does. As
root the slow tests mount a disk of a few KiB and run the real commands.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.disk_errors import DiskError
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from tests.gate_runs import write_run
from tests.synthetic import write_dataset

resource = pytest.importorskip("resource")

CONFIG = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}
PLAN = """
[model]
name = "film-unet"
checkpoint = "weights"
device = "cpu"
[data]
path = "data"
prompt = "p2"
[perturbations]
prompt = ["empty"]
[statistics]
resamples = 99
[engine]
threads = 1
images_per_part = 1
"""
TRAIN = """
[model]
name = "film-unet"
device = "cpu"
config = {image_size = 32, widths = [8, 16], token_width = 8, text_width = 8}
[data]
path = "data"
prompt = "p2"
[train]
epochs = 1
batch_size = 4
threads = 1
loggers = "none"
"""
GATES = '[[gate]]\ntest = "drop_below"\ncondition = "antonym:size"\nmargin = 0.5\n'
# What each command writes, and the arguments that make it do so.
COMMANDS = {
    "audit": ("audit", "plan.toml", "--out", "OUT/run"),
    "finetune": ("finetune", "train.toml", "--out", "OUT/trained", "--quiet"),
    "export": ("export", "plan.toml", "OUT/exported"),
    "report": ("report", "run", "--out", "OUT/page.html"),
    "baseline": ("gate", "run", "--save-baseline", "OUT/baseline"),
    "markdown": ("gate", "run", "--gates", "gates.toml", "--markdown", "OUT/comment.md"),
    "json": ("gate", "run", "--gates", "gates.toml", "--json", "OUT/found.json"),
    "junit": ("gate", "run", "--gates", "gates.toml", "--junit", "OUT/junit.xml"),
    "split": ("split", "data", "--out", "OUT/splits.json"),
    "summary": ("report", "run", "--out", "OUT/page.html", "--summary"),
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    write_dataset(folder / "data", images=4)
    save_checkpoint(folder / "weights", rb.load_model("film-unet", config=CONFIG, device="cpu"))
    write_run(folder / "run")
    for name, content in (("plan.toml", PLAN), ("train.toml", TRAIN), ("gates.toml", GATES)):
        (folder / name).write_text(content)
    return folder


@contextlib.contextmanager
def files_of_at_most(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def arguments(command, out):
    return [one.replace("OUT", str(out)) for one in COMMANDS[command]]


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".partial"))]


# What joblib says where it cannot make a semaphore.
@pytest.mark.filterwarnings("ignore:.*joblib will operate in serial mode:UserWarning")
@pytest.mark.parametrize("room", [0, 700])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_that_does_not_fit_is_one_line_and_leaves_nothing_half_written(
    command, room, home, tmp_path, monkeypatch
):
    monkeypatch.chdir(home)
    call = arguments(command, tmp_path)
    with files_of_at_most(room):
        result = CliRunner().invoke(app, call)
    if room and result.exit_code == 0:
        # It fits: small outputs.
        assert command in ("json", "junit", "markdown", "split")
        return
    assert isinstance(result.exception, DiskError), result.exception
    message = str(result.exception)
    assert "could not be written (File too large)" in message
    assert len(message.splitlines()) == 1
    assert leftovers(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("command", ["report", "baseline", "json", "junit", "markdown", "split"])
def test_what_was_there_before_stays(command, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    target = Path(arguments(command, tmp_path)[-1])
    before = [target.with_suffix(suffix) for suffix in (".toml", ".parquet")] if command == "baseline" else [target]
    for path in before:
        path.write_text("old")
    with files_of_at_most(0):
        assert isinstance(CliRunner().invoke(app, arguments(command, tmp_path)).exception, DiskError)
    assert [path.read_text() for path in before] == ["old"] * len(before)


@pytest.mark.slow
@pytest.mark.parametrize("room", [1_500, 9_000, 30_000])
def test_an_audit_goes_on_from_where_the_room_ended(room, home, tmp_path, monkeypatch):
    monkeypatch.chdir(home)
    with files_of_at_most(room):
        assert CliRunner().invoke(app, arguments("audit", tmp_path)).exit_code != 0
    assert CliRunner().invoke(app, arguments("audit", tmp_path)).exit_code == 0
    assert CliRunner().invoke(app, arguments("audit", tmp_path / "whole")).exit_code == 0
    resumed, whole = (rb.open_run(folder / "run") for folder in (tmp_path, tmp_path / "whole"))
    pd.testing.assert_frame_equal(resumed.results(), whole.results(), check_exact=True)
    assert resumed.verify()["ok"].all()


@pytest.mark.slow
@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"), reason="mounts a disk: root only"
)
@pytest.mark.parametrize("command", ["audit", "finetune", "export", "report", "baseline", "split"])
def test_a_real_disk_without_room(command, home, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=64", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this root may not mount a disk")
    try:
        (disk / "filler").write_bytes(b"x" * 4096)
        done = subprocess.run(
            [sys.executable, "-m", "robustness", *arguments(command, disk)],
            cwd=home,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        errors = [line for line in done.stderr.splitlines() if "error:" in line or "Traceback" in line]
        assert done.returncode == 2, done.stderr
        assert len(errors) == 1
        assert errors[0].startswith("error: ")
        assert "No space left on device" in errors[0]
        assert leftovers(disk) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_finished_audit_opens_where_nothing_can_be_written(home, tmp_path, monkeypatch):
    """Also beside the refusals that it has where it can write: another plan, other data, a run that is not whole."""
    options = ["audit", str(home / "plan.toml"), "--out", str(tmp_path / "run")]
    first = CliRunner().invoke(app, options)
    assert first.exit_code == 0, first.output
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    original = os.open

    def refusing(path, flags, *more, **named):
        if str(path).startswith(str(tmp_path / "run")) and flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, "Read-only file system")
        return original(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    again = CliRunner().invoke(app, options)
    assert again.exit_code == 0, again.output
    summary = "data, test: "
    assert again.stdout.partition(summary)[2] == first.stdout.partition(summary)[2] != ""
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before
    other = CliRunner().invoke(app, [*options, "--set", "seed=1"])
    assert "another plan (seed is 0 there and 1 here)" in str(other.exception)
    (tmp_path / "run" / "effects.parquet").unlink()
    broken = CliRunner().invoke(app, options)
    assert "Read-only file system" in str(broken.exception)
