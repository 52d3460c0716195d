"""A program that stays: started once for a whole audit, its failures told, started again after it ended."""

import gc
import os
import pickle
import sys
import time

import numpy as np
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.load import load_model
from tests.synthetic import write_dataset

PAIRS = [("a", "left"), ("a", "right"), ("b", "left")]
IMAGES = {"a": np.full((6, 10, 3), 200, np.uint8), "b": np.full((8, 4, 3), 80, np.uint8)}
PROGRAM = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from PIL import Image
how, log = sys.argv[1:]
with open(log, "a") as handle: handle.write(f"{os.getpid()}\\n")
print("loading weights")
turn = 0
for line in sys.stdin:
    request, turn = json.loads(line), turn + 1
    starts = len(Path(log).read_text().split())
    if how == "ends" and starts == 1 and turn == 2: sys.exit(7)
    if how == "dies": sys.exit("no weights here")
    if how == "slow": time.sleep(60)
    if how == "refuses":
        print(json.dumps({"error": "out of memory"}), flush=True); continue
    for pair in request["pairs"]:
        image = np.asarray(Image.open(pair["image"]))
        half = image.shape[1] // 2
        mask = np.zeros(image.shape[:2], np.uint8)
        mask[:, slice(0, half) if pair["prompt"] == "left" else slice(half, None)] = 255
        Image.fromarray(mask).save(Path(request["output"]) / (pair["id"] + ".png"))
    print("progress 100%")
    print(json.dumps({"ok": True}), flush=True)
"""


@pytest.fixture
def persistent(tmp_path):
    (tmp_path / "serve.py").write_text(PROGRAM)

    def load(how="works", **options):
        line = [sys.executable, str(tmp_path / "serve.py"), how, str(tmp_path / "log")]
        return load_model("command", command=line, persistent=True, **options)

    return load


def starts(tmp_path):
    return [int(pid) for pid in (tmp_path / "log").read_text().split()]


def maps_of(model, *, batch_size=1):
    engine = Engine(model, batch_size=batch_size)
    return list(engine.predict([Request(IMAGES[i], i, text) for i, text in PAIRS]))


def are_halves(maps):
    for (key, prompt), found in zip(PAIRS, maps, strict=True):
        left = np.arange(IMAGES[key].shape[1]) < IMAGES[key].shape[1] // 2
        np.testing.assert_array_equal(found, np.tile(left if prompt == "left" else ~left, (IMAGES[key].shape[0], 1)))


def is_gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_many_batches_start_the_program_once(persistent, tmp_path):
    model = persistent()
    for _ in range(3):
        are_halves(maps_of(model))
    assert len(starts(tmp_path)) == 1


@pytest.mark.slow
def test_a_program_that_ends_is_started_again(persistent, tmp_path):
    are_halves(maps_of(persistent("ends", retries=1)))
    assert len(starts(tmp_path)) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "options", "message"),
    [
        ("dies", {}, "no weights here"),
        ("refuses", {}, "out of memory"),
        ("slow", {"timeout_s": 0.5}, "longer than 0.5 s"),
    ],
)
def test_what_went_wrong_is_told(persistent, how, options, message):
    with pytest.raises(InputError, match=message):
        maps_of(persistent(how, retries=0, **options), batch_size=8)


@pytest.mark.slow
def test_the_program_goes_with_its_model(persistent, tmp_path):
    model = persistent()
    maps_of(model)
    (pid,) = starts(tmp_path)
    del model
    gc.collect()
    assert is_gone(pid)


def test_a_copy_in_another_process_starts_its_own(persistent, tmp_path):
    model = persistent()
    maps_of(model)
    are_halves(maps_of(pickle.loads(pickle.dumps(model))))
    assert len(set(starts(tmp_path))) == 2


def test_a_whole_audit_starts_it_once(persistent, tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=4), split="train", prompt="p2")
    rb.audit(persistent(), data, perturbations=["paraphrase", "empty"], out=tmp_path / "run", report=False)
    assert len(starts(tmp_path)) == 1
    assert not rb.open_run(tmp_path / "run").results()["error"].any()


def test_what_is_no_truth_value_is_refused():
    with pytest.raises(InputError, match="persistent: expected true or false, got 'yes'"):
        load_model("command", command=["serve"], persistent="yes")
