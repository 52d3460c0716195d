"""Fifty kills at random moments: files are whole or absent, and the same command ends with the same tables.

Every process is killed by SIGKILL, as by a lack of memory or power; nothing in it can clean up.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import robustness as rb
from robustness.folder_lock import folder_lock
from robustness.gates.baselines import load_baseline
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from tests.gate_runs import write_run
from tests.synthetic import write_dataset

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_000), pytest.mark.skipif(os.name != "posix", reason="SIGKILL")]

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
prompt = ["antonym:side", "empty", "drop"]
[perturbations.image]
kinds = ["gaussian_noise"]
severities = [3]
[statistics]
resamples = 199
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
epochs = 6
batch_size = 4
threads = 1
loggers = "none"
validate_every = 1
"""
AUDIT = ("audit", "plan.toml", "--out", "OUT/run")
FINETUNE = ("finetune", "train.toml", "--out", "OUT/trained", "--quiet")
HAS_RAY = importlib.util.find_spec("ray") is not None


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kills")
    write_dataset(folder / "data", images=10)
    save_checkpoint(folder / "weights", rb.load_model("film-unet", config=CONFIG, device="cpu"))
    write_run(folder / "run")
    (folder / "plan.toml").write_text(PLAN)
    (folder / "train.toml").write_text(TRAIN)
    return folder


def start(home, out, arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "robustness", *(one.replace("OUT", str(out)) for one in arguments)],
        cwd=home,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(home, out, arguments):
    """Run a command to its end; return how long it took."""
    began = time.monotonic()
    process = start(home, out, arguments)
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.monotonic() - began


def killed(home, out, arguments, *, kills, seconds):
    """Kill a command as often as is asked, each time after a share of its time; return how many were alive then."""
    rng, alive = random.Random(len(arguments) + kills), 0
    for kill in range(kills):
        process = start(home, out, arguments)
        # Spread over the whole command, and most of them behind its imports.
        time.sleep(seconds * (0.25 + 0.75 * (kill + rng.random()) / kills))
        alive += process.poll() is None
        process.kill()
        process.communicate()
    return alive


def leftovers(folder):
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".partial"))]


def same_runs(one, other):
    for read in (rb.open_run(one).results, rb.open_run(one).effects, rb.open_run(one).verdicts):
        name = read.__name__
        pd.testing.assert_frame_equal(read(), getattr(rb.open_run(other), name)(), check_exact=True)
    assert rb.open_run(one).verify()["ok"].all()


@pytest.mark.parametrize(
    ("workers", "kills"),
    [
        (("--workers", "1"), 14),
        (("--workers", "2"), 10),
        pytest.param(
            ("--executor", "ray"), 4, marks=pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed here")
        ),
    ],
    ids=["one-process", "workers", "ray"],
)
def test_an_audit_killed_again_and_again_ends_with_the_same_tables(workers, kills, home, tmp_path):
    seconds = finish(home, tmp_path / "whole", (*AUDIT, *workers))
    assert killed(home, tmp_path, (*AUDIT, *workers), kills=kills, seconds=seconds) > 0
    finish(home, tmp_path, (*AUDIT, *workers))
    assert leftovers(tmp_path / "run") == []
    same_runs(tmp_path / "run", tmp_path / "whole" / "run")
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_training_killed_again_and_again_ends_with_the_same_weights(home, tmp_path):
    from safetensors.torch import load_file

    seconds = finish(home, tmp_path / "whole", FINETUNE)
    assert killed(home, tmp_path, FINETUNE, kills=12, seconds=seconds) > 0
    finish(home, tmp_path, FINETUNE)
    assert leftovers(tmp_path / "trained") == []
    ours, theirs = (load_file(folder / "trained" / "model.safetensors") for folder in (tmp_path, tmp_path / "whole"))
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[key] == theirs[key]).all()) for key in ours)
    drop = ["seconds"]
    curves = [pd.read_csv(f / "trained" / "metrics.csv").drop(columns=drop) for f in (tmp_path, tmp_path / "whole")]
    pd.testing.assert_frame_equal(*curves, check_exact=True)


@pytest.mark.parametrize("kind", ["report", "baseline"])
def test_a_page_or_baseline_killed_again_and_again_is_whole_or_as_before(kind, home, tmp_path):
    call, files = {
        "report": (("report", "run", "--out", "OUT/page.html"), ("page.html",)),
        "baseline": (("gate", "run", "--save-baseline", "OUT/base"), ("base.toml", "base.parquet")),
    }[kind]
    seconds = finish(home, tmp_path, call)
    before = {name: (tmp_path / name).read_bytes() for name in files}
    killed(home, tmp_path, call, kills=7, seconds=seconds)
    for name in files:
        assert (tmp_path / name).read_bytes() == before[name]
    # What a process killed while it writes leaves behind.
    for name in files:
        (tmp_path / f".{name}.abcdefgh.tmp").write_text("half")
    finish(home, tmp_path, call)
    assert leftovers(tmp_path) == []
    if kind == "baseline":
        assert len(load_baseline(tmp_path / "base").results())


@pytest.mark.parametrize("command", ["audit", "finetune"])
def test_a_second_process_is_refused_by_name_and_touches_nothing(command, home, tmp_path):
    call, folder = {"audit": (AUDIT, tmp_path / "run"), "finetune": (FINETUNE, tmp_path / "trained")}[command]
    folder.mkdir()
    (folder / ".plan.toml.abc.tmp").write_text("being written")
    with folder_lock(folder):
        process = start(home, tmp_path, call)
        _, errors = process.communicate()
    assert process.returncode == 2
    assert f"another process ({os.getpid()}) is writing" in errors
    assert (folder / ".plan.toml.abc.tmp").read_text() == "being written"
    # An audit makes the empty folders of its parts before it asks for the lock.
    assert [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")] == []


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="the other processes are found in /proc")
@pytest.mark.parametrize("seconds", [0.0, 0.5, 1.5, 3.0])
def test_an_interrupt_of_all_processes_is_one_line_whatever_workers_import_or_load(seconds, home, tmp_path):
    process = start(home, tmp_path, (*AUDIT, "--workers", "2"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + 120
    while not children.read_text():
        assert time.monotonic() < until, "no other process was started"
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    # Every process writes to it: it ends when the last of them has.
    _, errors = process.communicate()
    # Python dies of the signal where it met code made from text, as that of dataclasses is; a shell says 130 too.
    assert process.returncode in (130, -signal.SIGINT), errors
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("error: interrupted; what was done is kept")


def test_a_mistake_is_one_line_though_workers_were_begun(home, tmp_path):
    process = start(home, tmp_path, (*AUDIT, "--workers", "2", "--set", "data.path=nowhere"))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("error: data: expected a dataset folder")
    assert errors.count("\n") == 1
