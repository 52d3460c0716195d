"""Finetuning: it learns, it resumes to the same bits, and its draws depend on seed, epoch and case alone."""

import csv
import dataclasses
import errno
import itertools
import json
import os
import shutil
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from robustness.disk_errors import DiskError
from robustness.errors import InputError
from robustness.plans.finetune import TrainDataSpec, TrainSpec, load_train_plan
from robustness.runners.data.dataset import Dataset
from robustness.runners.inference.segmenter import Tokens
from robustness.runners.models.load import load_model
from robustness.runners.training import folder as training_files
from robustness.runners.training.batches import to_batch, training_batches
from robustness.runners.training.finetune import finetune, finetune_plan, planned_epochs
from robustness.runners.training.loss import DiceAndCrossEntropy, hard_dice
from robustness.runners.training.module import TrainingHooks
from robustness.runners.training.parts import freeze, parameters_by_part
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.resized_cases import open_split
from robustness.runners.training.schedule import learning_rate, plateaus, since_best
from tests.synthetic import write_dataset

SMALL = {"image_size": 32, "widths": [8, 16], "token_width": 16, "text_width": 24}
FAST = {"config": SMALL, "device": "cpu", "batch_size": 5, "lr": 5e-3, "quiet": True, "prompt": ["p2", "p6"]}
CHANGES = {"augment": ["flip", "shift", "gain", "misword", "reword"], "empty": 0.2, "spell": 0.2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=6)


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def last_weights(folder):
    state = torch.load(Path(folder) / "last.ckpt", weights_only=True)
    return state["state_dict"], state["optimizer_states"][0]["state"]


def rows(folder):
    with (Path(folder) / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def contents(folder):
    return {file: file.read_bytes() for file in Path(folder).rglob("*") if file.is_file()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


class KilledError(Exception):
    """Stands for SIGKILL at a known step."""


def interrupt_at(monkeypatch, step):
    """Make training die after optimizer step `step`, in whatever it does then."""
    original = training_files.TrainingFolder.batch_end

    def batch_end(self, module):
        original(self, module)
        if module.global_step == step:
            raise KilledError

    monkeypatch.setattr(training_files.TrainingFolder, "batch_end", batch_end)


class TestTraining:
    def test_a_few_steps_lower_the_loss_and_raise_the_dice(self, data, tmp_path):
        finetune("film-unet", data=data, out=tmp_path, epochs=20, validate_every=5, **FAST)
        log = rows(tmp_path)
        assert [int(row["step"]) for row in log] == [15, 30, 45, 60]
        assert float(log[-1]["loss"]) < 0.8 * float(log[0]["loss"])
        assert float(log[-1]["val_dice"]) > float(log[0]["val_dice"]) + 0.1

    @pytest.mark.slow
    def test_the_checkpoint_is_the_best_epoch_and_says_what_it_was_trained_on(self, data, tmp_path):
        done = finetune("film-unet", data=data, out=tmp_path, epochs=4, **FAST)
        config = json.loads((tmp_path / "config.json").read_text())
        best = max(rows(tmp_path), key=lambda row: float(row["val_dice"]))
        assert config["trained_on"]["epoch"] == done.epoch == int(best["epoch"])
        assert config["trained_on"]["cases"] == {"train": 12, "val": 12}
        assert config["trained_on"]["prompts"] == ["p2", "p6"]
        facts = json.loads((tmp_path / "training.json").read_text())
        assert facts["finished"] is True
        assert facts["environment"]["packages"]["torch"] == version("torch")
        assert load_train_plan(tmp_path / "plan.toml").sha256() == facts["plan_sha256"]

    @pytest.mark.slow
    def test_same_seed_same_weights_another_seed_others(self, data, tmp_path):
        for name, seed in (("a", 3), ("b", 3), ("c", 4)):
            finetune("film-unet", data=data, out=tmp_path / name, epochs=2, seed=seed, **CHANGES, **FAST)
        assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
        assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))

    @pytest.mark.slow
    @pytest.mark.parametrize("step", [1, 8])
    def test_a_killed_run_resumes_to_the_bits_of_an_undisturbed_one(self, data, tmp_path, monkeypatch, step):
        settings = {**FAST, **CHANGES, "epochs": 4, "validate_every": 2, "schedule": "plateau", "plateau_patience": 0}
        finetune("film-unet", data=data, out=tmp_path / "whole", **settings)
        with monkeypatch.context() as patch:
            interrupt_at(patch, step)
            with pytest.raises(KilledError):
                finetune("film-unet", data=data, out=tmp_path / "killed", **settings)
        done = finetune("film-unet", data=data, out=tmp_path / "killed", **settings)
        assert done.steps == 12
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
        (state, moments), (expected, expected_moments) = (last_weights(tmp_path / n) for n in ("killed", "whole"))
        assert same(state, expected)
        assert all(same(moments[k], expected_moments[k]) for k in expected_moments)
        shown = [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / "killed")]
        assert shown == [{k: v for k, v in row.items() if k != "seconds"} for row in rows(tmp_path / "whole")]

    @pytest.mark.parametrize("what", ["folder", "lock of another user"])
    def test_a_finished_run_opens_where_nothing_can_be_written(self, data, tmp_path, monkeypatch, what):
        from robustness.workflows.finetune import finetune as with_curves

        done = with_curves("film-unet", data=data, out=tmp_path / "run", epochs=1, **FAST)
        before = contents(tmp_path / "run")
        original, place = os.open, str(tmp_path / "run" / (".lock" if what.startswith("lock") else ""))

        def refusing(path, flags, *more, **named):
            if str(path).startswith(place.rstrip("/")) and flags & (os.O_WRONLY | os.O_RDWR):
                raise OSError(errno.EROFS, "Read-only file system")
            return original(path, flags, *more, **named)

        monkeypatch.setattr(os, "open", refusing)
        again = with_curves("film-unet", data=data, out=tmp_path / "run", epochs=1, **FAST)
        assert dataclasses.asdict(again) == dataclasses.asdict(done)
        assert contents(tmp_path / "run") == before
        with pytest.raises(InputError, match=r"holds a run with another plan \(train.epochs is 1 there and 2 here\)"):
            with_curves("film-unet", data=data, out=tmp_path / "run", epochs=2, **FAST)
        facts = json.loads((tmp_path / "run" / "training.json").read_text())
        (tmp_path / "run" / "training.json").write_text(json.dumps({**facts, "finished": False}))
        with pytest.raises(InputError, match="Read-only file system"):
            with_curves("film-unet", data=data, out=tmp_path / "run", epochs=1, **FAST)

    def test_a_finished_run_is_not_trained_again_and_no_image_is_read(self, data, tmp_path, monkeypatch):
        first = finetune("film-unet", data=data, out=tmp_path, epochs=1, **FAST)
        before = (tmp_path / "last.ckpt").stat().st_mtime_ns
        read: list[int] = []
        image = Dataset.image
        monkeypatch.setattr(Dataset, "image", lambda self, index: read.append(index) or image(self, index))
        assert finetune("film-unet", data=data, out=tmp_path, epochs=1, **FAST) == first
        assert read == []
        finetune("film-unet", data=data, out=tmp_path / "new", epochs=1, **FAST)
        assert read
        assert (tmp_path / "last.ckpt").stat().st_mtime_ns == before

    def test_a_folder_of_another_plan_is_refused(self, data, tmp_path):
        finetune("film-unet", data=data, out=tmp_path, epochs=1, **FAST)
        with pytest.raises(InputError, match="out: expected a new folder or a run to resume"):
            finetune("film-unet", data=data, out=tmp_path, epochs=2, **FAST)

    def test_stops_early_when_nothing_gets_better(self, data, tmp_path):
        settings = {**FAST, "lr": 1e-12}
        done = finetune("film-unet", data=data, out=tmp_path, epochs=50, patience=2, **settings)
        assert done.steps == 3 * 3

    def test_single_image_batches_empty_targets_and_an_image_only_model_work(self, tmp_path):
        from PIL import Image

        folder = write_dataset(tmp_path / "data", images=2)
        for mask in (folder / "masks").glob("*_left.png"):
            Image.new("L", (48, 48)).save(mask)
        settings = {**FAST, "batch_size": 1, "epochs": 1, "options": {"text": False}}
        done = finetune("film-unet", data=folder, out=tmp_path / "out", **settings)
        assert done.steps == 4
        assert np.isfinite(float(rows(tmp_path / "out")[0]["loss"]))
        assert load_model("film-unet", checkpoint=done.folder, device="cpu").name == "film-unet-image-only"

    def test_a_loss_that_is_not_finite_stops_with_step_and_rate_and_nothing_broken_is_saved(self, data, tmp_path):
        with pytest.raises(InputError, match=r"train: the (validation )?loss became .* step \d+ .*lr") as caught:
            finetune("film-unet", data=data, out=tmp_path, epochs=40, gradient_clip=0.0, **{**FAST, "lr": 1e30})
        assert "\n" not in str(caught.value)
        assert "no epoch was validated before, so that there is no checkpoint" in str(caught.value)
        assert not (tmp_path / "model.safetensors").exists()

    def test_what_is_kept_when_the_loss_is_not_finite_is_named_by_its_epoch(self, data, tmp_path, monkeypatch):
        logits, calls = TrainingHooks.logits, itertools.count()
        # Three training batches and three of validation to an epoch: the second batch of the second epoch is broken.
        monkeypatch.setattr(TrainingHooks, "logits", lambda *a: logits(*a) * (float("nan") if next(calls) >= 7 else 1))
        with pytest.raises(InputError, match=r"loss became nan at step 5 .*the checkpoint of epoch 1 is kept"):
            finetune("film-unet", data=data, out=tmp_path, epochs=3, **FAST)
        assert all(torch.isfinite(value).all() for value in weights(tmp_path).values())

    def test_bf16_trains_on_a_cpu_and_fp16_is_refused_there(self, data, tmp_path):
        done = finetune("film-unet", data=data, out=tmp_path / "a", epochs=1, precision="bf16", **FAST)
        assert all(v.dtype == torch.float32 for v in weights(done.folder).values())
        with pytest.raises(InputError, match=r"train\.precision: expected float32 or bf16"):
            finetune("film-unet", data=data, out=tmp_path / "b", epochs=1, precision="fp16", **FAST)

    def test_clipseg_trains_its_decoder_alone(self, data, tmp_path):
        settings = {"config": {"preset": "tiny"}, "device": "cpu", "batch_size": 5, "quiet": True, "lr": 1e-2}
        done = finetune("clipseg", data=data, out=tmp_path, epochs=1, **settings)
        start = load_model("clipseg", device="cpu", config={"preset": "tiny"})
        decoder = set(parameters_by_part(start)["decoder"])
        before, after = start.network.state_dict(), weights(done.folder)
        changed = {k for k in after if k in before and not torch.equal(after[k], before[k])}
        assert changed
        assert changed <= decoder
        assert 0 < done.trainable < done.parameters


@pytest.mark.parametrize("moment", ["between", "while writing"])
def test_a_folder_that_vanishes_ends_a_training_in_one_line_and_is_not_made_anew(data, tmp_path, monkeypatch, moment):
    ends = training_files.TrainingFolder.epoch_end

    def vanish(self, module):
        if module.current_epoch == 1 and moment == "between":
            shutil.rmtree(self.path)
        elif module.current_epoch == 1:
            monkeypatch.setattr(
                type(module.trainer), "save_checkpoint", lambda *_: (shutil.rmtree(self.path), _[1].read_bytes())
            )
        ends(self, module)

    monkeypatch.setattr(training_files.TrainingFolder, "epoch_end", vanish)
    with pytest.raises(DiskError, match=r"trained was removed or replaced .*run the same command again") as caught:
        finetune("film-unet", data=data, out=tmp_path / "trained", epochs=3, **FAST)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trained").exists()


class TestPlan:
    def test_an_unknown_setting_names_the_near_one(self, data, tmp_path):
        with pytest.raises(InputError, match=r"unknown key 'train\.epoch'; did you mean 'epochs'"):
            finetune("film-unet", data=data, out=tmp_path, epoch=1)

    def test_a_plan_file_finds_its_data_beside_itself(self, data, tmp_path):
        (tmp_path / "plan.toml").write_text(
            '[model]\nname = "film-unet"\ndevice = "cpu"\nconfig = { image_size = 32, widths = [8, 16] }\n'
            '[data]\npath = "here"\n[train]\nepochs = 1\n'
        )
        (tmp_path / "here").symlink_to(data)
        done = finetune_plan(tmp_path / "plan.toml", tmp_path / "out", ["train.batch_size=12"], quiet=True)
        assert done.steps == 1

    def test_the_shipped_plans_are_valid(self, root):
        for name in ("finetune_brain.toml", "demo_finetune.toml"):
            assert load_train_plan(root / "examples" / name).model.name == "film-unet"

    def test_a_missing_split_is_an_input_error(self, data, tmp_path):
        with pytest.raises(InputError, match="split"):
            finetune("film-unet", data=data, out=tmp_path, val_split="dev", **FAST)

    def test_freezing_everything_is_refused(self, data, tmp_path):
        with pytest.raises(InputError, match="nothing would learn"):
            finetune("film-unet", data=data, out=tmp_path, freeze=["image", "text", "decoder"], **FAST)

    def test_steps_are_rounded_up_to_a_validated_epoch(self):
        assert planned_epochs(TrainSpec(steps=100, validate_every=3), 160) == 12
        assert planned_epochs(TrainSpec(epochs=5, steps=10_000), 160) == 5


class TestDraws:
    def cases(self, data, **options):
        keys = options.pop("keys", ["p2", "p3", "p6"])
        return TrainingCases(open_split(TrainDataSpec(path=str(data)), "train", keys), size=32, **options)

    def test_flips_rewrite_the_side_and_the_place(self, data):
        cases = self.cases(data, keys=["p6"], augment=["flip"])
        seen = set()
        for epoch in range(6):
            sample, plain = cases.drawn(0, epoch), cases.plain(0)
            flipped = not np.array_equal(sample.image, plain.image)
            seen.add(flipped)
            swap = {"left": "right", "right": "left"}
            words = [swap.get(w, w) if flipped else w for w in plain.text.split()]
            assert sample.text.split() == words
            assert np.array_equal(sample.mask, plain.mask[:, ::-1] if flipped else plain.mask)
        assert seen == {True, False}

    def test_a_case_draws_the_same_whatever_was_drawn_before(self, data):
        first, second = (self.cases(data, augment=["flip", "shift", "gain"], empty=0.3, seed=5) for _ in range(2))
        for index in reversed(range(len(second))):
            second.drawn(index, 2)
        a, b = first.drawn(4, 3), second.drawn(4, 3)
        assert a.text == b.text
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(a.mask, b.mask)

    @pytest.mark.slow
    def test_prompts_come_from_all_keys_and_the_empty_share(self, data):
        texts = [self.cases(data, empty=0.25).drawn(0, epoch).text for epoch in range(80)]
        assert len(set(texts)) == 4
        assert 8 <= texts.count("") <= 34

    def test_about_a_quarter_of_the_prompts_is_reworded_and_keeps_its_words(self, data):
        spec = TrainDataSpec(path=str(data), prompt=["p3"])
        cases = TrainingCases(open_split(spec, "train", ["p3"]), size=16, augment=["reword"])
        drawn = [(cases.plain(i).text, cases.drawn(i, epoch).text) for i in range(len(cases)) for epoch in range(20)]
        reworded = [(plain, text) for plain, text in drawn if text != plain]
        assert 0.15 < len(reworded) / len(drawn) < 0.35
        assert all(plain.split()[0] in text and "caudate nucleus" in text for plain, text in reworded)

    def test_misword_swaps_one_size_number_location_or_view_word_and_never_the_side(self, data):
        spec = TrainDataSpec(path=str(data), prompt=["p6"])
        cases = TrainingCases(open_split(spec, "train", ["p6"]), size=48, augment=["misword"])
        drawn = [(cases.plain(i).text, cases.drawn(i, epoch).text) for i in range(len(cases)) for epoch in range(20)]
        changed = [(plain, text) for plain, text in drawn if text != plain]
        assert 0.2 < len(changed) / len(drawn) < 0.5
        assert {"large", "several", "coronal"} <= {word for _, text in changed for word in text.split()}
        for plain, text in changed:
            assert text.split(" caudate")[0].split()[-1] == plain.split(" caudate")[0].split()[-1]

    def test_random_stands_for_every_key_that_all_cases_have(self, data):
        assert list(open_split(TrainDataSpec(path=str(data)), "train", ["random"])) == [
            "p1",
            "p2",
            "p3",
            "p5",
            "p6",
            "p7",
        ]

    def test_shift_moves_image_and_mask_together(self, data):
        cases = self.cases(data, augment=["shift"])
        moved = [cases.drawn(0, epoch) for epoch in range(8)]
        plain = cases.plain(0)
        assert any(not np.array_equal(m.mask, plain.mask) for m in moved)
        for sample in moved:
            # The nucleus is bright: where the mask went, the brightness went.
            assert sample.image[sample.mask].mean() > 120 > sample.image[~sample.mask].mean()

    def test_half_of_the_cases_turn_with_their_mask_and_location_words_stay_true(self, data):
        cases = self.cases(data, keys=["p6"], augment=["rotate"])
        drawn = [(cases.plain(i), cases.drawn(i, epoch)) for i in range(len(cases)) for epoch in range(8)]
        turned = [(plain, sample) for plain, sample in drawn if not np.array_equal(plain.mask, sample.mask)]
        assert 0.25 < len(turned) / len(drawn) < 0.65
        for plain, sample in turned:
            # The nuclei are bright: where the mask went, the brightness went, and its half of the picture is named.
            assert sample.image[sample.mask].mean() > 120 > sample.image[~sample.mask].mean()
            assert sample.text.split()[2] == plain.text.split()[2]
            column = np.nonzero(sample.mask)[1].mean() / sample.mask.shape[1]
            assert ("right" in sample.text.split("located")[1]) == (column > 0.5)

    def test_an_epoch_holds_every_case_once_in_its_own_order(self, data):
        cases = self.cases(data)
        assert sorted(cases.order(0)) == list(range(12))
        assert cases.order(0) != cases.order(1)

    def test_the_last_batch_may_be_smaller(self, data):
        model = load_model("film-unet", device="cpu", config=SMALL)
        sizes = [len(batch.masks) for batch in training_batches(self.cases(data), model, batch_size=5)]
        assert sizes == [5, 5, 2]

    def test_batches_are_trimmed_to_their_longest_text(self, data):
        model = load_model("film-unet", device="cpu", config=SMALL)
        batch = to_batch([self.cases(data, keys=["p2"]).plain(0)], segmenter=model)
        assert batch.input_ids.shape == (1, 2 + 3)
        assert batch.pixel_values.shape == (1, 3, 32, 32)


class TestLoss:
    def test_equals_dice_and_bce_by_hand(self):
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(3, 1, 6, 6, generator=generator)
        masks = (torch.rand(3, 1, 6, 6, generator=generator) > 0.5).float()
        p = logits.sigmoid()
        overlap = (p * masks).sum((1, 2, 3))
        dice = (1 - (2 * overlap + 1) / (p.sum((1, 2, 3)) + masks.sum((1, 2, 3)) + 1)).mean()
        ce = -(masks * p.log() + (1 - masks) * (1 - p).log()).mean()
        found = DiceAndCrossEntropy(dice_weight=2.0, ce_weight=0.5)(logits, masks)
        torch.testing.assert_close(found.total, 2 * dice + 0.5 * ce)

    def test_an_empty_target_is_learned(self):
        loss = DiceAndCrossEntropy()
        masks = torch.zeros(1, 1, 8, 8)
        assert loss(torch.full((1, 1, 8, 8), -20.0), masks).total < 1e-3
        assert loss(torch.zeros(1, 1, 8, 8), masks).dice > 0.9

    def test_dice_of_two_empty_masks_is_one(self):
        masks = torch.zeros(2, 1, 4, 4)
        masks[1, 0, 0, 0] = 1
        assert hard_dice(torch.full((2, 1, 4, 4), -9.0), masks, threshold=0.5).tolist() == [1.0, 0.0]


class TestSchedule:
    @pytest.mark.parametrize("patience", [0, 1, 3])
    def test_plateaus_count_as_torch_does(self, patience):
        history = np.random.default_rng(patience).random(60).cumsum() % 1.0
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode="max", factor=0.5, patience=patience, threshold=0.0
        )
        for index, value in enumerate(history):
            scheduler.step(value)
            drops = plateaus(list(history[: index + 1]), patience=patience)
            assert max(0.5**drops, 1e-8) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6, abs=2e-8)

    def test_warm_up_rises_and_cosine_falls_to_a_hundredth(self):
        spec = TrainSpec(lr=1.0, warmup=9, schedule="cosine")
        rates = [learning_rate(spec, step=s, total=100, history=[]) for s in range(100)]
        assert rates[0] == pytest.approx(0.1)
        assert max(rates) == max(rates[9:12])
        assert rates[9:] == sorted(rates[9:], reverse=True)
        assert learning_rate(spec, step=100, total=100, history=[]) == pytest.approx(0.01)

    def test_since_best_counts_from_the_first_best(self):
        assert [since_best(h) for h in ([], [1.0], [1.0, 2.0, 2.0, 1.0])] == [0, 0, 2]


class TestParts:
    def test_every_parameter_belongs_to_one_part(self):
        model = load_model("film-unet", device="cpu", config=SMALL)
        parts = parameters_by_part(model)
        names = [name for part in parts.values() for name in part]
        assert sorted(names) == sorted(name for name, _ in model.network.named_parameters())
        assert all(name.startswith("encoder.") for name in parts["image"])
        assert all(name.startswith("text_encoder.") for name in parts["text"])

    @pytest.mark.parametrize("name", ["clipseg", "cris", "biomedclipseg"])
    def test_the_encoders_of_published_networks_are_the_pretrained_ones_alone(self, name):
        model = load_model(name, device="cpu", config={"preset": "tiny"})
        parts = parameters_by_part(model)
        assert sorted(n for part in parts.values() for n in part) == sorted(
            n for n, _ in model.network.named_parameters()
        )
        encoder = {"clipseg": "clip.", "cris": "backbone.", "biomedclipseg": "biomedclip."}[name]
        assert not any(n.startswith(encoder) for n in parts["decoder"])
        assert all(n.startswith(encoder) for n in parts["image"] + parts["text"])
        model.tokenizer = lambda texts: Tokens(torch.tensor([[2, 5, 3]]), torch.ones(1, 3, dtype=torch.long))
        by_gradient = parameters_by_part(dataclasses.replace(model, model=""))
        assert {n for n in by_gradient["text"] if n.startswith(encoder)} <= set(parts["text"])
        assert {n for n in by_gradient["image"] if n.startswith(encoder)} <= set(parts["image"])

    def test_frozen_parts_ask_for_no_gradient(self):
        model = load_model("film-unet", device="cpu", config=SMALL)
        freeze(model, ["image"])
        learning = {name for name, p in model.network.named_parameters() if p.requires_grad}
        parts = parameters_by_part(model)
        assert learning == set(parts["text"]) | set(parts["decoder"])
