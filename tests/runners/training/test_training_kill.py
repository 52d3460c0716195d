"""A training killed at any moment (SIGKILL, twice) ends with the weights of an undisturbed one, bit for bit."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from robustness.runners.training.folder import read_facts
from tests.runners.training_data import SMALL, same, weights
from tests.synthetic import write_dataset

_SCRIPT = """
import json, sys, torch
from robustness.runners.training.finetune import finetune
torch.use_deterministic_algorithms(True)
settings = json.loads(sys.argv[2])
finetune("film-unet", out=sys.argv[1], **settings)
"""


def start(out, settings):
    surroundings = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", _SCRIPT, str(out), json.dumps(settings)], env=surroundings)


def wait_for_last(folder, before, process):
    """Wait until the resume file is another than `before`; return when it was written, None when training ended."""
    path = folder / "last.ckpt"
    while process.poll() is None:
        now = path.stat().st_mtime_ns if path.is_file() else 0
        if now != before:
            return now
        time.sleep(0.005)
    return None


@pytest.mark.slow
class TestSigkill:
    def test_at_random_moments(self, tmp_path):
        data = write_dataset(tmp_path / "data", images=6)
        settings = {
            "data": str(data),
            "config": SMALL,
            "device": "cpu",
            "batch_size": 3,
            "lr": 5e-3,
            "quiet": True,
            "prompt": ["p2", "p6"],
            "epochs": 60,
            "schedule": "plateau",
            "plateau_patience": 2,
            "patience": 1000,
            "augment": ["flip", "shift", "gain", "misword", "reword"],
            "empty": 0.1,
            "counterfactual": 0.2,
            "attribute_dropout": 0.1,
            "freeze": "text",
            "loggers": "none",
            "threads": 1,
        }
        assert start(tmp_path / "whole", settings).wait(timeout=250) == 0
        rng, seen, kills = np.random.default_rng(), 0, 0
        while kills < 2:
            process = start(tmp_path / "killed", settings)
            written = wait_for_last(tmp_path / "killed", seen, process)
            if written is None:
                break
            seen = written
            # From here on anywhere in an epoch: a step, a validation, a file that is being written.
            time.sleep(float(rng.uniform(0, 0.4)))
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                kills += 1
            process.wait(timeout=30)
        assert kills >= 1
        assert not read_facts(tmp_path / "killed").get("finished")
        assert start(tmp_path / "killed", settings).wait(timeout=250) == 0
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
        last = [torch.load(tmp_path / n / "last.ckpt", weights_only=True) for n in ("whole", "killed")]
        assert same(*(state["state_dict"] for state in last))
        moments = [state["optimizer_states"][0]["state"] for state in last]
        assert all(same(moments[0][key], moments[1][key]) for key in moments[0])
        facts = [read_facts(tmp_path / n) for n in ("whole", "killed")]
        assert facts[0]["val_dice"] == facts[1]["val_dice"]
        assert facts[0]["steps"] == facts[1]["steps"] == 60 * 4
