"""Forms of files that cannot be read as weights: the name of each, and the way from it to one that can."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from pathlib import Path

_SAVE = "load it with its own library and save model.state_dict()"
_HEADS = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)", "weights of another framework cannot be loaded"),
    (b"GGUF", "a GGUF file", _SAVE),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself", "fetch the file with git lfs pull"),
    (b"\x1f\x8b", "a gzip archive", "unpack it and give the file inside"),
    (b"BZh", "a bzip2 archive", "unpack it and give the file inside"),
    (b"\xfd7zXZ", "an xz archive", "unpack it and give the file inside"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it and give the file inside"),
    (b"Rar!", "a RAR archive", "unpack it and give the file inside"),
    (b"ptrt", "a TensorRT engine", "export the PyTorch weights it was built from"),
    (b"ftrt", "a TensorRT engine", "export the PyTorch weights it was built from"),
)
_PAGES = (b"<!doctype", b"<html", b"<?xml")
_SUFFIXES = {
    ".onnx": ("an ONNX graph", "run it through name = 'python' with onnxruntime, or give the PyTorch weights"),
    ".pb": ("a TensorFlow graph", "weights of another framework cannot be loaded; wrap it with name = 'python'"),
    ".tflite": ("a TensorFlow Lite model", "wrap it with name = 'python'"),
    ".msgpack": ("Flax weights", "convert them with transformers' from_pretrained(..., from_flax=True)"),
    ".engine": ("a TensorRT engine", "export the PyTorch weights it was built from"),
    ".plan": ("a TensorRT engine", "export the PyTorch weights it was built from"),
    ".h5": ("a Keras file", "weights of another framework cannot be loaded; wrap it with name = 'python'"),
    ".npz": ("NumPy arrays", _SAVE),
}
_FOLDERS = (
    (
        ".metadata",
        "a sharded checkpoint of torch.distributed (FSDP, DCP)",
        "join it with python -m torch.distributed.checkpoint.format_utils dcp_to_torch FOLDER FILE",
    ),
    ("zero_to_fp32.py", "a DeepSpeed checkpoint", "join it with its own zero_to_fp32.py"),
    ("pytorch_model_fsdp_0", "a sharded FSDP checkpoint of accelerate", "join it with accelerate merge-weights"),
    ("saved_model.pb", "a TensorFlow SavedModel", "weights of another framework cannot be loaded"),
    ("flax_model.msgpack", "Flax weights", "convert them with transformers' from_pretrained(..., from_flax=True)"),
    ("tf_model.h5", "TensorFlow weights", "convert them with transformers' from_pretrained(..., from_tf=True)"),
    ("MLmodel", "an MLflow model", "give the file under its data/ folder"),
)
# Parts of keys that tell a kind of file, and what to do with it.
_KEYS = (
    (
        ("film_mul.", "trans_conv.", "reduces."),
        "it is the decoder alone of the original CLIPSeg repository (rd64-uni); transformers converts it, or take "
        "CIDAS/clipseg-rd64-refined",
    ),
    (("prompt_learner.ctx",), "it holds learned context tokens (CoOp), which take the place of a prompt's words"),
    (("lora_A",), "it holds LoRA factors without their base"),
    (
        ("adapter",),
        "it holds adapter layers that this network does not have (VLSM-Adapter); wrap it with name = 'python'",
    ),
    (("image_encoder.", "mask_decoder."), "it is a Segment Anything network; see grounded-sam and its sam_from"),
    (
        ("_flat_param",),
        "it holds the flat parameters of one rank of FSDP; save a full state dict (FullStateDictConfig), or join the "
        "ranks' folder",
    ),
    (("optimizer",), "it holds the state of an optimizer"),
)


def file_form(path: Path) -> tuple[str, str] | None:
    """Return what a file is that holds no weights in a form that can be read, and the way to one; None if unknown."""
    if path.stat().st_size == 0:
        return "an empty file", "copy it again"
    with path.open("rb") as handle:
        head = handle.read(512)
    for beginning, name, way in _HEADS:
        if head.startswith(beginning):
            return name, way
    if head.lstrip()[:9].lower().startswith(_PAGES):
        return "a web page, not the file it was to be", "download the file itself"
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it and give the file inside"
    if head[4:8] == b"TFL3":
        return _SUFFIXES[".tflite"]
    return _SUFFIXES.get(path.suffix.lower())


def archive_form(archive: zipfile.ZipFile) -> tuple[str, str] | None:
    """Return what a zip archive is that torch.save did not write, and the way to weights; None where it may have."""
    names = [member.filename for member in archive.infolist()]
    last = {name.rpartition("/")[2] for name in names}
    if any(name.endswith("archive_format") for name in names) or "serialized_exported_program.json" in last:
        return "a program of torch.export (.pt2)", "export keeps its own keys; give the module's state_dict()"
    if last and all(name.endswith(".npy") for name in last):
        return _SUFFIXES[".npz"]
    if "model.weights.h5" in last:
        return _SUFFIXES[".h5"]
    if "data.pkl" not in last:
        return "a zip archive of files", "unpack it and give the weights inside"
    return None


def folder_form(folder: Path) -> tuple[str, str] | None:
    """Return what a folder is that holds no weight file of its own, and the way to one; None if unknown."""
    for name, form, way in _FOLDERS:
        if (folder / name).exists():
            return form, way
    steps = sorted((p for p in folder.glob("checkpoint-*") if p.is_dir()), key=_step)
    if steps:
        shown = ", ".join(p.name for p in steps[-3:])
        return "a folder of transformers' Trainer with its steps", f"give one of them: {shown}"
    if any(folder.glob("fold_*/checkpoint_*.pth")):
        return "an nnU-Net folder of folds", "nnU-Net reads no prompt; wrap it with name = 'python'"
    if (folder / "configs" / "metadata.json").is_file():
        return "a MONAI bundle", "give models/model.pt inside it"
    return None


def _step(path: Path) -> tuple[int, str]:
    number = path.name.rpartition("-")[2]
    return (int(number) if number.isdigit() else -1, path.name)


def keys_hint(keys: Collection[str]) -> str:
    """Return what the keys of a state dict say of where it comes from, "" where they are of no known kind."""
    heads = tuple(keys)
    for beginnings, hint in _KEYS:
        if all(any(beginning in key for key in heads) for beginning in beginnings):
            return f"; {hint}"
    return ""
