"""Every common form of a checkpoint, and what comes of loading it."""

import io
import json
import tarfile
import warnings
import zipfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from robustness.errors import InputError
from robustness.runners.models.load import load_model

TINY = {"preset": "tiny"}


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
    "FSDP's and activation checkpointing's words in the keys": lambda m, s, d: save(
        {k.replace("encoder.layers.", "encoder._fsdp_wrapped_module.layers."): v for k, v in s.items()}
    )(d),
    "the old pickle format": lambda m, s, d: (
        torch.save(s, d / "w.pt", _use_new_zipfile_serialization=False) or d / "w.pt"
    ),
    "float64": lambda m, s, d: save({k: v.double() if v.is_floating_point() else v for k, v in s.items()})(d),
    "encoders registered twice": lambda m, s, d: save(
        {**under("net.clipseg.", s), **{f"net.{k}": v for k, v in s.items() if k.startswith("clip.")}}
    )(d),
}


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
    "averages in a list without keys (torch_ema, diffusers)": (
        lambda s: {"model": s, "ema": {"decay": 0.9, "shadow_params": list(other(s).values())}},
        r"averaged ones \(ema\.shadow_params\); copy the averages.*state weights = 'model'",
        {"weights": "model"},
    ),
    "teacher and student": (
        lambda s: {"model": {**under("student.", other(s)), **under("teacher.", s)}},
        "2 networks that differ",
        {"prefix": "teacher"},
    ),
}


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
    "PiSSA adapter": (
        lambda d: (d / "adapter_config.json").write_text('{"peft_type": "LORA", "init_lora_weights": "pissa"}') and d,
        "of an unchanged base",
    ),
    "IA3 adapter": (
        lambda d: (d / "adapter_config.json").write_text('{"peft_type": "IA3"}') and d,
        "expected a LoRA adapter",
    ),
}


def lora_folder(state, folder):
    """Write an adapter of rank 2 as peft does, without peft; its change is 0, so that logits stay equal."""
    layer = "clip.text_model.encoder.layers.0.self_attn.q_proj"
    width = state[f"{layer}.weight"].shape[0]
    factors = {"lora_A": torch.ones(2, width), "lora_B": torch.zeros(width, 2)}
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 4, "r": 2}))
    save_file(
        {f"base_model.model.{layer}.{k}.weight": v for k, v in factors.items()}, folder / "adapter_model.safetensors"
    )
    torch.save(state, folder.parent / "base.pt")
    return folder


# Forms that a sentence of the user makes loadable, and such as are refused for what lies in them.
STATED = {
    "a LoRA folder of peft": (lora_folder, lambda d: {"base": d.parent / "base.pt"}),
    "a network beside tensors that may belong to it": (
        lambda s, d: save({**under("net.", s), "head.weight": torch.ones(3)})(d),
        lambda d: {"prefix": "net."},
    ),
}
_LAYER = "clip.text_model.encoder.layers.0"
INSIDE = {
    "NaN among the weights": lambda s: {**s, "clip.logit_scale": torch.tensor(float("nan"))},
    "int8 of a quantized network": lambda s: {
        **s,
        "clip.text_projection.weight": s["clip.text_projection.weight"].to(torch.int8),
    },
    "LoRA factors that are not merged": lambda s: {**s, "clip.x.lora_A.default.weight": torch.zeros(1)},
    "IA3 adapters that are not merged": lambda s: {**s, f"{_LAYER}.mlp.fc2.ia3_l.default": torch.ones(37, 1)},
    "LoKr adapters that are not merged": lambda s: {**s, f"{_LAYER}.mlp.fc2.lokr_w1.default": torch.ones(2, 2)},
    "prefix tuning of peft": lambda s: {
        **under("base_model.", s),
        "prompt_encoder.default.embedding.weight": torch.ones(8, 32),
    },
    "LoRA factors in a dictionary beside the network's": lambda s: {
        "state_dict": s,
        "lora": {f"{_LAYER}.mlp.fc2.lora_A.weight": torch.ones(2, 37)},
    },
    "a network of another kind": lambda s: {"conv.weight": torch.zeros(1)},
    "the original CLIPSeg's decoder alone": lambda s: {
        k: torch.zeros(1) for k in ("film_mul.weight", "trans_conv.weight", "reduces.0.weight")
    },
    "flat parameters of FSDP": lambda s: {"_fsdp_wrapped_module._flat_param": torch.zeros(9)},
    "CoOp's context tokens alone": lambda s: {"prompt_learner.ctx": torch.zeros(1)},
    "TuneVLSeg, deep or visual prompts": lambda s: {
        **under("net.model.", s),
        "net.context_learner.context_vectors": torch.zeros(3, 4, 48),
    },
    "VLSM-Adapter, dense": lambda s: {**under("net.clipseg.", s), "net.v_attn_adapters.0.fc1.bias": torch.zeros(1)},
    "Segment Anything": lambda s: {"image_encoder.x": torch.zeros(1), "mask_decoder.x": torch.zeros(1)},
}


def outcomes(folder: Path):
    """Return what came of each form: "loaded, logits equal", what the user has to state, or the refusal."""
    reference = load_model("clipseg", config=TINY, seed=3, device="cpu")
    state, expected = reference.network.state_dict(), run(reference)

    def came(path, **options):
        try:
            loaded = load_model("clipseg", path, config=TINY, device="cpu", **options)
        except InputError as error:
            return str(error)
        return "loaded" if torch.equal(run(loaded), expected) else "WRONG"

    def place(name):
        (folder / f"form{len(rows)}" / "x").mkdir(parents=True)
        return folder / f"form{len(rows)}" / "x"

    rows: dict[str, str] = {}
    for name, make in LOADS.items():
        rows[name] = came(make(reference.network, state, place(name)))
    choices = {n: (lambda s, d, c=c: save(c(s))(d), lambda d, o=o: o) for n, (c, _, o) in CHOICES.items()}
    for name, (make, options) in {**choices, **STATED}.items():
        spot = place(name)
        path = make(state, spot)
        asked, stated = came(path), came(path, **options(spot))
        key = next(iter(options(spot)))
        rows[name] = f"loaded with `{key}` stated, which is asked for" if stated == "loaded" != asked else "WRONG"
    for name, (make, _) in REFUSED.items():
        rows[name] = came(make(place(name)))
    for name, content in INSIDE.items():
        rows[name] = came(save(content(state))(place(name)))
    return rows
