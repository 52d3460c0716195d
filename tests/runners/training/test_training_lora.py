"""Adapters learn, the encoder's own weights do not, and the checkpoint is the network with both in one."""

import json
import sys

import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.plans.finetune import LoraSpec
from robustness.runners.checkpoints.adapter_folder import merged_state
from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from robustness.runners.training.lora import add_adapters
from robustness.runners.training.parts import freeze, parameters_by_part
from tests.runners.small_models import FAST, SMALL, TINY, same, settings_of, weights
from tests.synthetic import write_dataset

pytest.importorskip("peft", reason="the extra `lora` is not installed")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=64)


def adapted(parts=("image", "text"), **more):
    model = load_model("film-unet", device="cpu", config=SMALL)
    by_part = parameters_by_part(model)
    freeze(model, parts, by_part)
    return model, add_adapters(model, LoraSpec(rank=2, parts=list(parts), **more), by_part, seed=0)


class TestAdapters:
    def test_a_network_computes_what_it_did_until_the_first_step(self):
        plain, (model, _) = load_model("film-unet", device="cpu", config=SMALL), adapted()
        pixels, ids = torch.randn(2, 3, 32, 32), model.tokenize(["left", "right"]).input_ids
        torch.testing.assert_close(model.network(pixels, ids), plain.network(pixels, ids))
        assert same(merged_state(model.network), plain.network.state_dict())

    def test_adapters_and_decoder_learn_and_every_parameter_has_one_part(self):
        model, parts = adapted()
        named = dict(model.network.named_parameters())
        assert sorted(n for names in parts.values() for n in names) == sorted(named)
        learning = {name for name, parameter in named.items() if parameter.requires_grad}
        assert {n for n in learning if ".lora_" not in n} == set(parts["decoder"])
        assert {part for part in ("image", "text") if any(".lora_" in n for n in parts[part])} == {"image", "text"}

    def test_merged_weights_give_the_logits_of_adapters_beside_the_weights(self):
        model, _ = adapted()
        with torch.no_grad():
            for name, parameter in model.network.named_parameters():
                if ".lora_" in name:
                    parameter.copy_(torch.randn_like(parameter))
        plain = load_model("film-unet", device="cpu", config=SMALL)
        plain.network.load_state_dict(merged_state(model.network))
        # As many as an encoder convolves in its fast form, which is not for the adapters' kernels of 1x1.
        pixels, ids = torch.randn(12, 3, 32, 32), model.tokenize(["left", "right"] * 6).input_ids
        with torch.no_grad():
            expected, found = model.network(pixels, ids), plain.network(pixels, ids)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    def test_the_seed_decides_the_start_and_the_callers_generator_is_left_alone(self):
        state = torch.random.get_rng_state()
        first, second = adapted()[0], adapted()[0]
        assert torch.equal(state, torch.random.get_rng_state())
        assert same(first.network.state_dict(), second.network.state_dict())

    def test_without_peft_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "peft", None)
        with pytest.raises(
            InputError, match=r"train\.lora: peft is not installed; pip install 'vlsm-robustness\[lora\]'"
        ):
            adapted()


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["clipseg", "cris", "biomedclipseg"])
    def test_the_checkpoint_loads_as_the_plain_network_and_its_encoders_moved(self, name, data, tmp_path):
        settings = {**settings_of(name, data), "lora": {"rank": 2}, "epochs": 1, "batch_size": 4}
        done = finetune(name, data=data, out=tmp_path, **settings)
        start = load_model(name, device="cpu", config={"preset": "tiny"})
        parts, after = parameters_by_part(start), weights(done.folder)
        assert set(after) <= set(start.network.state_dict())
        before = start.network.state_dict()
        for part in ("image", "text", "decoder"):
            moved = [key for key in parts[part] if not torch.equal(before[key], after[key])]
            assert moved, part
        assert not any("bias" in key for key in parts["image"] if not torch.equal(before[key], after[key]))
        facts = json.loads((tmp_path / "training.json").read_text())
        assert facts["trainable"] < facts["parameters"] / 2
        assert all(facts["trainable_by_part"][part] > 0 for part in ("image", "text", "decoder"))

    @pytest.mark.slow
    def test_resumes_to_the_same_bits(self, data, tmp_path, monkeypatch):
        from robustness.runners.training import folder as training_files

        settings = {**FAST, "lora": {"rank": 2, "dropout": 0.1}, "epochs": 2}
        finetune("film-unet", data=data, out=tmp_path / "whole", **settings)
        original = training_files.TrainingFolder.batch_end
        with monkeypatch.context() as patch:

            def dies(self, module):
                original(self, module)
                if module.global_step == 3:
                    raise KeyboardInterrupt

            patch.setattr(training_files.TrainingFolder, "batch_end", dies)
            with pytest.raises(BaseException):  # noqa: B017, PT011 - Lightning turns it into an exit
                finetune("film-unet", data=data, out=tmp_path / "killed", **settings)
        finetune("film-unet", data=data, out=tmp_path / "killed", **settings)
        assert same(weights(tmp_path / "whole"), weights(tmp_path / "killed"))

    def test_an_audit_takes_the_checkpoint(self, data, tmp_path):
        done = finetune("film-unet", data=data, out=tmp_path / "ft", lora={"parts": ["image"]}, epochs=1, **FAST)
        model = rb.load_model("film-unet", checkpoint=done.folder, device="cpu")
        cases = rb.load_dataset(data, split="test", prompt="p2")
        run = rb.audit(
            model, cases, perturbations=["empty"], out=tmp_path / "run", statistics={"resamples": 99}, report=False
        )
        assert set(run.results()["condition"]) == {"clean", "rerun", "empty"}


@pytest.mark.slow
def test_an_image_only_network_takes_adapters_on_its_image_encoder(data, tmp_path):
    lora = {"rank": 2, "parts": "image"}
    done = finetune("unet", data=data, out=tmp_path, lora=lora, epochs=1, batch_size=4, **TINY)
    assert load_model("unet", checkpoint=done.folder, device="cpu")
    with pytest.raises(InputError, match=r"train\.lora: expected a linear or convolutional layer in the text encoder"):
        finetune("unet", data=data, out=tmp_path / "b", lora={"rank": 2}, epochs=1, batch_size=4, **TINY)
