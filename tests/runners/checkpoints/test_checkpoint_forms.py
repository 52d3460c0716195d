"""Every common form of a checkpoint loads with equal logits, or is refused in one line that names it."""

import io
import json
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.runners.models.load import load_model

TINY = {"preset": "tiny"}


@pytest.fixture(scope="module")
def reference():
    return load_model("clipseg", config=TINY, seed=3, device="cpu")


@pytest.fixture(scope="module")
def logits(reference):
    return run(reference)


def run(segmenter):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(1, 3, 64, 64, generator=generator)
    ids = torch.tensor([[0, 5, 7, 2]])
    with torch.no_grad():
        return segmenter.network(pixels, ids, torch.ones_like(ids))


def under(prefix, state):
    return {prefix + key: value for key, value in state.items()}


def other(state):
    return {key: value + 1 if value.is_floating_point() else value for key, value in state.items()}


def save(content):
    return lambda folder: torch.save(content, folder / "w.pt") or folder / "w.pt"


def swa(module, state):
    averaged = torch.optim.swa_utils.AveragedModel(module)
    return averaged.state_dict()


def trainer_step(state, folder):
    step = folder / "checkpoint-20"
    step.mkdir()
    save_file(state, step / "model.safetensors")
    torch.save({"state": {}}, step / "optimizer.pt")
    torch.save({"_": 0}, step / "training_args.bin")
    return step


def sharded(state, folder):
    keys = list(state)
    table = {}
    for number, part in enumerate((keys[::2], keys[1::2])):
        name = f"model-{number + 1:05d}-of-00002.safetensors"
        save_file({key: state[key] for key in part}, folder / name)
        table |= dict.fromkeys(part, name)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
    return folder


def scripted(module, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = torch.nn.Module()
        for key, value in module.state_dict().items():
            node = root
            *path, last = key.split(".")
            for name in path:
                if not hasattr(node, name):
                    node.add_module(name, torch.nn.Module())
                node = getattr(node, name)
            node.register_buffer(last, value)
        torch.jit.save(torch.jit.script(root), folder / "w.pt")
    return folder / "w.pt"


LOADS = {
    "bare": lambda m, s, d: save(s)(d),
    "state_dict": lambda m, s, d: save({"state_dict": s, "epoch": 3})(d),
    "model_state_dict": lambda m, s, d: save({"model_state_dict": s, "optimizer_state_dict": {"state": {}}})(d),
    "network_weights": lambda m, s, d: save({"network_weights": s, "current_epoch": 3})(d),
    "DataParallel": lambda m, s, d: save(under("module.", s))(d),
    "torch.compile": lambda m, s, d: save(under("_orig_mod.", s))(d),
    "torch.compile of DataParallel": lambda m, s, d: save(under("_orig_mod.module.", s))(d),
    "compiled parts": lambda m, s, d: save({k.replace("clip.", "clip._orig_mod.", 1): v for k, v in s.items()})(d),
    "Lightning model.": lambda m, s, d: save({"state_dict": under("model.", s), "epoch": 1})(d),
    "Lightning with a loss buffer": lambda m, s, d: save(
        {"state_dict": {**under("net.", s), "criterion.pos_weight": torch.ones(1)}}
    )(d),
    "peft's base_model.model.": lambda m, s, d: save(under("base_model.model.", s))(d),
    "a word of one's own": lambda m, s, d: save(under("my.segmenter.", s))(d),
    "EMA alone": lambda m, s, d: save(under("ema.", s))(d),
    "SWA": lambda m, s, d: save(swa(m, s))(d),
    "raw and EMA that are equal": lambda m, s, d: save({"state_dict": s, "state_dict_ema": dict(s)})(d),
    "old position ids": lambda m, s, d: save({**s, "clip.text_model.embeddings.position_ids": torch.arange(4)})(d),
    "safetensors": lambda m, s, d: save_file(s, d / "w.safetensors") or d / "w.safetensors",
    "sharded safetensors": lambda m, s, d: sharded(s, d),
    "a step of transformers' Trainer": lambda m, s, d: trainer_step(s, d),
    "a pickled module": lambda m, s, d: save(m)(d),
    "a pickled module under model": lambda m, s, d: save({"model": m, "epoch": 2})(d),
    "TorchScript": lambda m, s, d: scripted(m, d),
}


@pytest.mark.parametrize("form", LOADS)
def test_each_form_gives_the_same_logits(tmp_path, reference, logits, form):
    path = LOADS[form](reference.network, reference.network.state_dict(), tmp_path)
    torch.testing.assert_close(run(load_model("clipseg", path, config=TINY, device="cpu")), logits, atol=0, rtol=0)


CHOICES = {
    "raw and EMA": (
        lambda s: {"state_dict": other(s), "state_dict_ema": s},
        r"2 sets of weights.*'state_dict', 'state_dict_ema'.*state weights",
        {"weights": "state_dict_ema"},
    ),
    "ema_pytorch": (
        lambda s: {**under("ema_model.", s), **under("online_model.", other(s)), "initted": torch.tensor(True)},
        r"2 networks that differ, under 'ema_model\.' and 'online_model\.'; state prefix",
        {"prefix": "ema_model."},
    ),
    "teacher and student": (
        lambda s: {"model": {**under("student.", other(s)), **under("teacher.", s)}},
        "2 networks that differ",
        {"prefix": "teacher"},
    ),
}


@pytest.mark.parametrize("form", CHOICES)
def test_where_two_networks_lie_in_a_file_the_user_is_asked(tmp_path, reference, logits, form):
    content, message, choice = CHOICES[form]
    torch.save(content(reference.network.state_dict()), tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu")
    loaded = load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu", **choice)
    torch.testing.assert_close(run(loaded), logits, atol=0, rtol=0)
    assert set(choice) & set(loaded.provenance["read"])


def archive(folder, **members):
    with zipfile.ZipFile(folder / "w.pt", "w") as target:
        for name, content in members.items():
            target.writestr(name, content)
    return folder / "w.pt"


def raw(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


def tar(folder):
    with tarfile.open(folder / "w.tar", "w") as target:
        target.addfile(tarfile.TarInfo("a"), io.BytesIO(b""))
    return folder / "w.tar"


def holding(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


REFUSED = {
    "ONNX": (lambda d: raw(d, "w.onnx", b"\x08\x08\x12\x07pytorch"), "an ONNX graph"),
    "HDF5": (lambda d: raw(d, "w.h5", b"\x89HDF\r\n\x1a\n" + b"0" * 40), "HDF5"),
    "Git LFS": (lambda d: raw(d, "w.pt", b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
    "a web page": (lambda d: raw(d, "w.pt", b"<!DOCTYPE html><html>"), "a web page"),
    "empty": (lambda d: raw(d, "w.pt", b""), "an empty file"),
    "tar": (tar, "a tar archive"),
    "gzip": (lambda d: raw(d, "w.pt.gz", b"\x1f\x8b" + b"0" * 40), "a gzip archive"),
    "Flax": (lambda d: raw(d, "flax_model.msgpack", b"\x81\xa5"), "Flax weights"),
    ".pt2": (lambda d: archive(d, **{"model/archive_format": "pt2", "model/data/x": "1"}), "torch.export"),
    "zip of files": (lambda d: archive(d, **{"weights/readme.txt": "x"}), "a zip archive of files"),
    "DCP folder": (lambda d: holding(d, ".metadata", "__0_0.distcp"), "sharded checkpoint of torch.distributed"),
    "DeepSpeed": (lambda d: holding(d, "zero_to_fp32.py", "latest"), "a DeepSpeed checkpoint"),
    "Trainer folder": (
        lambda d: holding(d, "checkpoint-5/x", "checkpoint-20/x"),
        "give one of them: checkpoint-5, checkpoint-20",
    ),
    "SavedModel": (lambda d: holding(d, "saved_model.pb"), "TensorFlow SavedModel"),
    "IA3 adapter": (
        lambda d: (d / "adapter_config.json").write_text('{"peft_type": "IA3"}') and d,
        "expected a LoRA adapter",
    ),
}


@pytest.mark.parametrize("form", REFUSED)
def test_what_cannot_be_read_is_named_in_one_line(tmp_path, form):
    make, message = REFUSED[form]
    with pytest.raises(InputError, match=message) as caught:
        load_model("clipseg", make(tmp_path), config=TINY, device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"film_mul.weight": 0, "trans_conv.weight": 0, "reduces.0.weight": 0}, "original CLIPSeg repository"),
        ({"prompt_learner.ctx": 0}, "learned context tokens"),
        ({"image_encoder.x": 0, "mask_decoder.x": 0}, "Segment Anything"),
    ],
)
def test_keys_of_other_networks_are_named(tmp_path, content, message):
    torch.save({key: torch.zeros(1) for key in content}, tmp_path / "w.pt")
    with pytest.raises(InputError, match=message):
        load_model("clipseg", tmp_path / "w.pt", config=TINY, device="cpu")


def test_a_shard_that_was_not_copied_is_named(tmp_path, reference):
    sharded(reference.network.state_dict(), tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"1 of them are not there \(model-00002-of-00002\.safetensors\)"):
        load_model("clipseg", tmp_path, config=TINY, device="cpu")


class TestAdapters:
    @pytest.fixture
    def adapter(self, tmp_path, reference):
        peft = pytest.importorskip("peft")
        base = tmp_path / "base.pt"
        torch.save(reference.network.state_dict(), base)
        inner = load_model("clipseg", base, config=TINY, device="cpu").network
        config = peft.LoraConfig(r=3, lora_alpha=7, target_modules=["q_proj", "fc1"], modules_to_save=["film_mul"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = peft.get_peft_model(inner, config)
            with torch.random.fork_rng():
                torch.manual_seed(0)
                for name, parameter in wrapped.named_parameters():
                    if "lora_" in name or "modules_to_save" in name:
                        torch.nn.init.normal_(parameter, std=0.3)
            wrapped.save_pretrained(tmp_path / "adapter")
            expected = run(type("S", (), {"network": wrapped.merge_and_unload()}))
        return tmp_path / "adapter", base, expected

    def test_a_lora_folder_is_added_to_its_base(self, adapter):
        folder, base, expected = adapter
        loaded = load_model("clipseg", folder, base=base, config=TINY, device="cpu")
        torch.testing.assert_close(run(loaded), expected, atol=1e-5, rtol=0)
        assert loaded.provenance["read"]["base"] == str(base)
        assert {"base.pt", "adapter_model.safetensors"} == set(loaded.provenance["sha256"])

    def test_without_a_base_it_is_asked_for(self, adapter):
        with pytest.raises(InputError, match="names no base; give base"):
            load_model("clipseg", adapter[0], config=TINY, device="cpu")

    def test_a_base_for_something_else_is_refused(self, adapter):
        with pytest.raises(InputError, match="base: expected none"):
            load_model("clipseg", adapter[1], base=adapter[1], config=TINY, device="cpu")


class TestCommand:
    def test_it_says_what_lies_in_the_file_and_loads_it(self, tmp_path):
        segmenter = load_model("film-unet", image_size=32, device="cpu")
        torch.save({"state_dict": under("model.", segmenter.network.state_dict())}, tmp_path / "w.ckpt")
        result = CliRunner().invoke(app, ["model", str(tmp_path / "w.ckpt")])
        assert result.exit_code == 0, result.output
        assert "film-unet under 'model.'" in result.output
        assert "loads as film-unet:" in result.output
        assert "prefix 'model.'" in result.output

    def test_a_file_of_no_known_network_is_said_to_be_one(self, tmp_path):
        torch.save({"a.weight": torch.zeros(2)}, tmp_path / "w.pt")
        result = CliRunner().invoke(app, ["model", str(tmp_path / "w.pt")])
        assert "none of the registered networks" in result.output


def test_a_unet_of_one_channel_is_refused_when_it_is_loaded(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.save(smp.Unet("resnet18", encoder_weights=None, in_channels=1).state_dict(), tmp_path / "w.pt")
    with pytest.raises(InputError, match="in_channels: expected 3"):
        load_model("unet", tmp_path / "w.pt", device="cpu")


def test_a_folder_of_smp_names_its_encoder(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    smp.Unet("mobilenet_v2", encoder_weights=None).save_pretrained(tmp_path)
    loaded = load_model("unet", tmp_path, device="cpu")
    assert loaded.config["encoder_name"] == "mobilenet_v2"
    assert np.isfinite(loaded.network(torch.zeros(1, 3, 64, 64)).detach().numpy()).all()
