"""Protocols fill what a plan leaves out, and nothing else."""

import tomllib

import pytest

from robustness.errors import InputError
from robustness.plans.finetune import TrainPlan, load_train_plan, parse_train_plan
from robustness.plans.protocols import protocol_settings, protocol_sources

VLSM = ["clipseg", "cris", "biomedclipseg", "biomedclipseg-d"]
CNN = ["unet", "unetplusplus", "deeplabv3plus"]


def plan(model="clipseg", data=None, **train):
    tree = {"model": {"name": model, "checkpoint": "weights"}, "data": {"path": "d", **(data or {})}}
    return parse_train_plan({**tree, "train": train})


class TestMedvlsm:
    # ../shared/spec/reference-models.md, part A: batch size, rate, threshold of early stopping, loss, clipping.
    @pytest.mark.parametrize(("model", "batch", "rate"), [("clipseg", 128, 2e-3), ("cris", 32, 2e-5)])
    def test_holds_the_references_numbers(self, model, batch, rate):
        spec = plan(model, protocol="medvlsm").train
        assert (spec.batch_size, spec.lr, spec.weight_decay, spec.gradient_clip) == (batch, rate, 1e-3, 0.5)
        assert (spec.dice_weight, spec.ce_weight, spec.dice_smooth, spec.seed) == (1.0, 0.2, 1e-5, 42)
        assert (spec.min_epochs, spec.epochs, spec.patience, spec.min_delta) == (10, 1000, 20, 1e-4)
        assert (spec.schedule, spec.plateau_on, spec.plateau_factor, spec.plateau_patience) == (
            "plateau",
            "loss",
            0.1,
            5,
        )
        assert (spec.precision, spec.augment, spec.optimizer, spec.decay) == ("fp16", [], "adamw", "all")

    def test_encoders_are_frozen_as_the_reference_freezes_them(self):
        frozen = {model: plan(model, protocol="medvlsm").train.freeze for model in VLSM}
        both = ["image", "text"]
        assert frozen == {"clipseg": both, "cris": [], "biomedclipseg": both, "biomedclipseg-d": both}

    @pytest.mark.parametrize("model", CNN)
    def test_baselines_have_dice_alone_adam_and_a_constant_rate(self, model):
        spec = plan(model, protocol="medvlsm").train
        assert (spec.optimizer, spec.lr, spec.weight_decay, spec.schedule) == ("adam", 1e-3, 0.0, "constant")
        assert (spec.dice_weight, spec.ce_weight, spec.batch_size) == (1.0, 0.0, 16)

    def test_baselines_start_from_imagenet_unless_the_plan_names_weights(self):
        tree = {"model": {"name": "unet"}, "data": {"path": "d"}, "train": {"protocol": "medvlsm"}}
        assert parse_train_plan(tree).model.options == {"encoder_weights": "imagenet"}
        tree["model"]["options"] = {"encoder_weights": "none"}
        assert parse_train_plan(tree).model.options == {"encoder_weights": "none"}
        assert plan("unet", protocol="medvlsm").model.options == {}

    def test_keys_of_the_plan_win(self):
        found = plan(data={"prompt": "random"}, protocol="medvlsm", lr=1e-4, augment=["flip"], precision="float32")
        assert (found.train.lr, found.train.augment, found.train.precision) == (1e-4, ["flip"], "float32")
        assert found.data.prompt == ["random"]
        assert found.train.batch_size == 128

    def test_a_filled_plan_reads_back_as_itself(self):
        found = plan("cris", protocol="medvlsm", reference_accidents=["zero_ce"])
        assert TrainPlan.model_validate(tomllib.loads(found.to_toml())) == found

    def test_every_setting_has_a_source_and_is_a_key_of_the_plan(self):
        assert {"lr", "batch_size", "loss", "schedule", "stop", "freeze"} <= set(protocol_sources("medvlsm"))
        for model in (*VLSM, *CNN):
            settings = protocol_settings("medvlsm", model)
            assert set(settings["train"]) <= set(TrainPlan.model_fields["train"].annotation.model_fields)
        assert protocol_settings("medvlsm", "film-unet") == {}
        assert protocol_settings("default", "clipseg") == {}


class TestDefault:
    def test_is_what_it_was(self):
        assert plan().train == plan(protocol="default").train
        assert plan().train.ce_weight == 1.0

    def test_an_unknown_protocol_is_an_input_error(self):
        with pytest.raises(InputError, match=r"train\.protocol: .*'default' or 'medvlsm'"):
            plan(protocol="medvlms")

    def test_two_meanings_of_the_cross_entropy_are_refused(self):
        with pytest.raises(InputError, match="expected zero_ce or ce_of_sigmoids, not both"):
            plan(reference_accidents=["zero_ce", "ce_of_sigmoids"])


class TestHash:
    def test_later_keys_at_their_defaults_leave_the_hash_of_older_plans(self, root):
        # Stated in the checkpoints of the demo, which were trained before these keys were there.
        path = root / "examples" / "demo_finetune.toml"
        assert load_train_plan(path).sha256() == "84e7aa9b5fdde746b112d06dc4f07ad84f5ff5e9738c140e2f2a6d0e4722dfef"

    def test_later_keys_count_when_they_are_set_and_loggers_never(self):
        same = plan(loggers=["tensorboard", "wandb"])
        assert plan().sha256() == same.sha256()
        changed = [plan(accumulate=2), plan(lora={"rank": 4}), plan(counterfactual=0.3), plan(cache="off")]
        changed += [plan(data={"counterfactual_split": "pool"}), plan(reference_accidents="zero_ce")]
        assert len({p.sha256() for p in (plan(), *changed)}) == 1 + len(changed)
