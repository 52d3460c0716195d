"""A resume file is read without running anything in it; whatever is wrong with one is a line that says how to go on."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomli_w
import torch

from robustness.errors import InputError
from robustness.runners.training.finetune import finetune
from robustness.workflows.finetune import finetune as with_curves
from tests.runners.small_models import FAST, SMALL
from tests.synthetic import write_dataset

MARKER = "ROBUSTNESS_RESUME_MARKER"


class Calls:
    """Pickles as a harmless call, which leaves a mark if it is ever made."""

    def __reduce__(self):
        return os.putenv, (MARKER, "set")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4)


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """A training that a kill ended after one of its two epochs: its folder says that it is not finished."""
    folder = tmp_path_factory.mktemp("begun") / "out"
    finetune("film-unet", data=data, out=folder, epochs=2, **FAST)
    facts = json.loads((folder / "training.json").read_text())
    (folder / "training.json").write_text(json.dumps({**facts, "finished": False}))
    return folder


@pytest.fixture
def out(begun, tmp_path):
    return Path(shutil.copytree(begun, tmp_path / "out"))


def resume(data, out):
    return finetune("film-unet", data=data, out=out, epochs=2, **FAST)


def packed(value, path):
    torch.save(value, path)


def truncated(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def with_a_call(path):
    packed({**torch.load(path, weights_only=True), "more": Calls()}, path)


def without_weights(path):
    state = torch.load(path, weights_only=True)
    packed({key: value for key, value in state.items() if key != "state_dict"}, path)


def of_another_plan(path):
    packed({**torch.load(path, weights_only=True), "training": {"plan_sha256": "x", "data_sha256": "y"}}, path)


def of_another_network(path):
    state = torch.load(path, weights_only=True)
    packed({**state, "state_dict": {key: value[..., None] for key, value in state["state_dict"].items()}}, path)


def a_pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (with_a_call, "holds more than tensors and plain values, of which nothing was run"),
        (lambda p: p.write_bytes(pickle.dumps(Calls())), "no resume file"),
        (truncated, "no resume file, or cut short"),
        (lambda p: p.write_text("not a checkpoint"), "no resume file, or cut short"),
        (lambda p: p.write_bytes(b""), "no resume file, or cut short"),
        (lambda p: packed([1, 2], p), "holds a list"),
        (without_weights, "holds no 'state_dict'"),
        (of_another_plan, "another plan or other data"),
        (of_another_network, "of another network"),
        (a_pipe, "expected a regular file, got a pipe"),
    ],
)
def test_a_resume_file_that_is_none_is_refused_and_nothing_in_it_runs(damage, reason, data, out):
    damage(out / "last.ckpt")
    with pytest.raises(InputError) as caught:
        resume(data, out)
    assert MARKER not in os.environ
    assert reason in str(caught.value)
    assert str(caught.value).endswith("remove it, and the same command trains from the start")
    (out / "last.ckpt").unlink()
    assert resume(data, out).steps == 4


def test_a_whole_resume_file_is_gone_on_from(data, out):
    assert resume(data, out).epoch in (1, 2)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"finished": true}', '{"plan_sha256": 1}', "[" * 100_000])
def test_damaged_facts_are_one_line(content, data, out):
    (out / "training.json").write_text(content)
    with pytest.raises(InputError, match=r"^out: training.json is damaged.*; restore it, or remove the folder 'out'"):
        resume(data, out)


@pytest.mark.parametrize("content", ["", "\0\0", "epoch,loss\n1,2\n"])
def test_a_damaged_log_is_one_line_and_no_loss(content, data, out):
    resume(data, out)
    (out / "metrics.csv").write_text(content)
    with pytest.raises(InputError, match=r"^out: metrics.csv is damaged .*; remove it: the checkpoint"):
        with_curves("film-unet", data=data, out=out, epochs=2, **FAST)
    (out / "metrics.csv").unlink()
    with_curves("film-unet", data=data, out=out, epochs=2, **FAST)


_SCRIPT = """
import json, sys
from robustness.cli.main import main
sys.argv = ["robustness", "finetune", *sys.argv[1:]]
main()
"""


@pytest.mark.slow
class TestSignals:
    @pytest.fixture
    def training(self, data, tmp_path):
        """A training in a process of its own that would take minutes, begun."""
        plan = tmp_path / "plan.toml"
        tree = {
            "model": {"name": "film-unet", "device": "cpu", "config": SMALL},
            "data": {"path": str(data), "prompt": ["p6"]},
            "train": {"epochs": 100_000, "batch_size": 4, "loggers": "none", "threads": 1, "patience": 100_000},
        }
        plan.write_text(tomli_w.dumps(tree))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-c", _SCRIPT, str(plan), "--out", str(tmp_path / "out"), "--quiet"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            while not (tmp_path / "out" / "last.ckpt").is_file():
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.05)
            yield process, command, environment
            process.kill()

    @pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    def test_a_training_that_a_signal_ends_says_so(self, number, code, training, tmp_path):
        process, *_ = training
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        message = process.stderr.read()
        assert "what was done is kept, the same command goes on from there" in message
        assert "Traceback" not in message
        assert not json.loads((tmp_path / "out" / "training.json").read_text())["finished"]
        assert list((tmp_path / "out").glob(".*.tmp")) == []

    def test_a_second_training_in_the_folder_is_refused_by_name(self, training, tmp_path):
        process, command, environment = training
        second = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
        assert second.returncode == 2
        assert f"another process ({process.pid}) is writing" in second.stderr
        assert process.poll() is None
