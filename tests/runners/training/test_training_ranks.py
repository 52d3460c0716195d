"""Accumulation and several processes: each step is that of one process with one large batch."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from robustness.errors import CaseError, InputError
from robustness.plans.finetune import TrainSpec, parse_train_plan
from robustness.runners.data.dataset import Dataset
from robustness.runners.training.finetune import finetune
from robustness.runners.training.folder import read_facts
from robustness.runners.training.ranks import Ranks, micro_batches, must_launch, own_device, own_ranks
from robustness.runners.training.setup import set_up, training_record
from tests.runners.small_models import FAST, SMALL, largest_difference, losses, rows, same, weights
from tests.synthetic import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=6)


def steps(order, *, batch_size, accumulate, size):
    """Return, for each optimizer step, the weight that each case has in it over all processes."""
    ranks = [
        list(micro_batches(order, batch_size=batch_size, accumulate=accumulate, ranks=Ranks(r, size)))
        for r in range(size)
    ]
    assert len({len(parts) for parts in ranks}) == 1
    found = []
    for start in range(0, len(ranks[0]), accumulate):
        held: dict[int, float] = {}
        for parts in ranks:
            for part in parts[start : start + accumulate]:
                assert 1 <= len(part.cases) <= batch_size
                for case in part.cases:
                    held[case] = held.get(case, 0) + part.weight / len(part.cases) / accumulate / size
        found.append({case: weight for case, weight in held.items() if weight})
    return found


class TestMicroBatches:
    @pytest.mark.parametrize("cases", [1, 2, 5, 12, 13, 17, 24])
    @pytest.mark.parametrize(
        ("batch_size", "accumulate", "size"), [(5, 1, 1), (2, 3, 1), (3, 1, 2), (2, 2, 2), (1, 1, 3)]
    )
    def test_every_case_counts_once_and_as_much_as_the_others_of_its_step(self, cases, batch_size, accumulate, size):
        order = list(np.random.default_rng(cases).permutation(cases))
        found = steps(order, batch_size=batch_size, accumulate=accumulate, size=size)
        whole = batch_size * accumulate * size
        assert [sorted(step) for step in found] == [sorted(order[s : s + whole]) for s in range(0, cases, whole)]
        for step in found:
            assert list(step.values()) == pytest.approx([1 / len(step)] * len(step))

    def test_one_process_without_accumulation_has_plain_batches_of_weight_one(self):
        found = list(micro_batches(range(7), batch_size=3))
        assert [part.cases for part in found] == [[0, 1, 2], [3, 4, 5], [6]]
        assert [part.weight for part in found] == [1.0, 1.0, 1.0]


class TestAccumulation:
    @pytest.mark.slow
    @pytest.mark.parametrize("small", [{"batch_size": 2, "accumulate": 5}, {"batch_size": 5, "accumulate": 2}])
    def test_equals_the_large_batch(self, data, tmp_path, small):
        # 12 cases: the second step of an epoch has two of ten.
        settings = {**FAST, "epochs": 3, "augment": ["flip"]}
        large = finetune("film-unet", data=data, out=tmp_path / "large", **{**settings, "batch_size": 10})
        parts = finetune("film-unet", data=data, out=tmp_path / "small", **{**settings, **small})
        assert large.steps == parts.steps == 6
        assert largest_difference(weights(large.folder), weights(parts.folder)) < 1e-4
        ours, theirs = losses(parts.folder), losses(large.folder)
        assert [row[1:] for row in ours] == [pytest.approx(row[1:], rel=1e-4, abs=1e-5) for row in theirs]


class TestRecord:
    def test_several_processes_share_the_reading_of_its_images(self, data, monkeypatch):
        """One process read all images while the others waited for it, which they do for half an hour at most."""
        plan = parse_train_plan({"model": {"name": "film-unet", "config": SMALL}, "data": {"path": str(data)}})
        setup, read = set_up(plan, None), []
        image = Dataset.image
        monkeypatch.setattr(Dataset, "image", lambda self, i: read.append(self.records[i].image_name) or image(self, i))
        whole, n_images = training_record(plan, setup, Ranks()), len(read)
        asked: list[dict[str, str]] = []
        monkeypatch.setattr(Ranks, "gathered", lambda self, own: asked.append(own) or [own])
        shares = []
        for rank in range(2):
            read.clear()
            training_record(plan, setup, Ranks(rank, 2))
            shares.append(list(read))
        assert (sorted(map(len, shares)), len(asked)) == ([n_images // 2] * 2, 4)
        assert not set(shares[0]) & set(shares[1])
        parts = [asked[0] | asked[2], asked[1] | asked[3]]
        assert [record["pixels"] for record in whole["subjects"]] == [sorted(set(part.values())) for part in parts]

    def test_it_is_in_the_checkpoint_and_in_the_facts_from_the_first_epoch_on(self, data, tmp_path):
        done = finetune("film-unet", data=data, out=tmp_path, **{**FAST, "epochs": 1})
        kept = json.loads((done.folder / "config.json").read_text())["trained_on"]["subjects"]
        assert kept == read_facts(done.folder)["subjects"]
        assert all(record["pixels"] for record in kept)


@pytest.mark.parametrize("count", [99, 10**9])
def test_more_processes_than_the_machine_has_cores_are_refused_before_any_starts(count, data, tmp_path):
    with pytest.raises(
        InputError, match=rf"train.devices: expected at most \d+ on this machine .* got {count}; set fewer"
    ):
        finetune("film-unet", data=data, out=tmp_path / "out", **{**FAST, "devices": count, "device": "cpu"})


@pytest.mark.slow
class TestTwoProcesses:
    def test_equal_one_process_with_the_doubled_batch(self, data, tmp_path):
        settings = {**FAST, "epochs": 3, "validate_every": 1, "threads": 1, "augment": ["flip", "reword"]}
        one = finetune("film-unet", data=data, out=tmp_path / "one", **{**settings, "batch_size": 10})
        two = finetune("film-unet", data=data, out=tmp_path / "two", devices=2, **{**settings, "batch_size": 5})
        assert two.steps == one.steps == 6
        assert largest_difference(weights(one.folder), weights(two.folder)) < 1e-4
        ours, theirs = losses(two.folder), losses(one.folder)
        assert [row[1:] for row in ours] == [pytest.approx(row[1:], rel=1e-4, abs=1e-5) for row in theirs]
        assert len(rows(two.folder)) == 3
        assert read_facts(two.folder)["subjects"] == read_facts(one.folder)["subjects"]

    def test_frozen_encoders_unread_layers_and_accumulation_go_along(self, data, tmp_path):
        settings = {"config": {"preset": "tiny"}, "device": "cpu", "quiet": True, "epochs": 2, "freeze": "text"}
        settings |= {"loggers": "none", "threads": 1, "lr": 1e-3}
        one = finetune("clipseg", data=data, out=tmp_path / "one", batch_size=8, **settings)
        two = finetune("clipseg", data=data, out=tmp_path / "two", batch_size=2, accumulate=2, devices=2, **settings)
        assert largest_difference(weights(one.folder), weights(two.folder)) < 1e-4

    def test_a_mistake_is_one_error_in_the_process_that_asked(self, data, tmp_path):
        with pytest.raises(InputError, match="split"):
            finetune("film-unet", data=data, out=tmp_path, devices=2, val_split="dev", **FAST)

    def test_a_case_that_cannot_be_read_is_named(self, tmp_path):
        broken = write_dataset(tmp_path / "broken", images=3)
        (broken / "images" / "s01.png").write_bytes(b"no picture")
        with pytest.raises(CaseError, match="s01"):
            finetune("film-unet", data=broken, out=tmp_path / "out", devices=2, epochs=1, **FAST)


class TestWhoStartsThem:
    def test_a_plan_for_several_is_started_unless_someone_has(self, monkeypatch):
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        monkeypatch.delenv("SLURM_LOCALID", raising=False)
        assert must_launch(TrainSpec(devices=2))
        assert not must_launch(TrainSpec())
        monkeypatch.setenv("LOCAL_RANK", "1")
        assert not must_launch(TrainSpec(devices=2))

    def test_numbers_come_from_this_launcher_from_torchrun_and_from_slurm(self, monkeypatch):
        for name in ("RANK", "SLURM_PROCID", "NODE_RANK", "LOCAL_RANK", "SLURM_LOCALID"):
            monkeypatch.delenv(name, raising=False)
        spec = TrainSpec(devices=2, nodes=2)
        monkeypatch.setenv("LOCAL_RANK", "1")
        monkeypatch.setenv("NODE_RANK", "1")
        assert own_ranks(spec) == Ranks(3, 4)
        monkeypatch.setenv("RANK", "2")
        assert own_ranks(spec) == Ranks(2, 4)
        assert own_ranks(TrainSpec()) == Ranks(0, 1)
        assert own_device("cpu", spec) == "cpu"

    def test_several_machines_need_a_meeting_point(self, data, tmp_path, monkeypatch):
        for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "SLURM_LOCALID"):
            monkeypatch.delenv(name, raising=False)
        with pytest.raises(InputError, match=r"train\.nodes: expected MASTER_ADDR, MASTER_PORT, NODE_RANK"):
            finetune("film-unet", data=data, out=tmp_path, nodes=2, **FAST)


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
