"""Checkpoints and their configs: cut short, of other types, asking for memory, carrying more than weights.

What a pickle would call here sets a marker and does nothing else; the marker must never be set.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

import robustness as rb
from tests.robustness.fuzz.pictures import flipped
from tests.robustness.fuzz.trial import USED, Trial

CONFIG = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}
MARKER = "ROBUSTNESS_FUZZ_MARKER"

_DTYPES = (
    torch.int8,
    torch.uint8,
    torch.int64,
    torch.bool,
    torch.complex64,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_CONFIG_VALUES: Mapping[str, Any] = {
    "text": "x",
    "negative": -8,
    "zero": 0,
    "huge": 10**9,
    "float": 1.5,
    "null": None,
    "list": [],
    "object": {},
    "true": True,
    "nested": [[8]],
    "long_list": [8] * 5_000,
}
_DOCUMENTS: Mapping[str, bytes] = {
    "empty": b"",
    "list": b"[]",
    "null": b"null",
    "text": b'"a"',
    "cut_short": b'{"model": ',
    "deep": b"[" * 100_000,
    "foreign": b'{"architectures": ["SomethingElse"], "image_size": 8}',
    "another_model": b'{"model": "clipseg", "config": {}}',
    "no_config": b'{"model": "film-unet"}',
    "config_list": b'{"model": "film-unet", "config": []}',
    "latin1": b'{"a": "\xe9"}',
}


class Calls:
    """Pickles as a call that would set the marker."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.putenv, (MARKER, "set")


def trials() -> Iterator[Trial]:
    """Yield files of every form, weights of every type, configs of every kind."""
    for name, make in _files().items():
        yield Trial("checkpoint", name, partial(_file, make))
    for dtype in _DTYPES:
        yield Trial("checkpoint", f"dtype_{str(dtype)[6:]}", partial(_weights, lambda t, d=dtype: t.to(d)))
    for name, change in _changes().items():
        yield Trial("checkpoint", name, partial(_weights, change))
    for name, content in _DOCUMENTS.items():
        yield Trial("config", f"file_{name}", partial(_document, content))
    for field in CONFIG:
        for name, value in _CONFIG_VALUES.items():
            yield Trial("config", f"{field}_{name}", partial(_stated, field, value))
            yield Trial("config", f"{field}_{name}_given", partial(_given, field, value))


@cache
def state() -> dict[str, torch.Tensor]:
    """Return the weights of a small network."""
    network = rb.load_model("film-unet", config=CONFIG, device="cpu").network
    return {key: value.clone().contiguous() for key, value in network.state_dict().items()}


@cache
def saved(legacy: bool = False) -> bytes:
    """Return the weights as torch.save writes them, or wrote them long ago."""
    stream = io.BytesIO()
    torch.save(state(), stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _changes() -> Mapping[str, Callable[[torch.Tensor], torch.Tensor]]:
    return {
        "nan": lambda t: t * float("nan"),
        "infinite": lambda t: t + float("inf"),
        "scalar": lambda t: t.reshape(-1)[:1],
        "one_more_axis": lambda t: t[None],
    }


def _files() -> Mapping[str, Callable[[Path], None]]:
    new, old = saved(), saved(legacy=True)
    files: dict[str, Callable[[Path], None]] = {
        "absent": lambda path: None,
        "folder": lambda path: path.mkdir(),
        "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"),
        "whole": partial(_write, new),
        "whole_old": partial(_write, old),
        "empty": partial(_write, b""),
        "text": partial(_write, b"weights"),
        "none": partial(_pickled, None),
        "list": partial(_pickled, [1, 2]),
        "numbers": partial(_pickled, {"a": 1}),
        "call": partial(_pickled, Calls()),
        "call_in_state": partial(_pickled, {"state_dict": {}, "more": Calls()}),
        "bare_call": partial(_write, pickle.dumps(Calls())),
        "tensor_alone": partial(_pickled, torch.zeros(3)),
        "packed": partial(_write, _packed(new)),
        "memo_index": partial(_write, b"\x80\x02Nr\xff\xff\xff\x7f."),
        "frame": partial(_write, b"\x80\x04\x95" + b"\xff" * 7 + b"\x0fN."),
        "buffer": partial(_write, b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"."),
        "long_text": partial(_write, b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b"."),
        "storage_call": partial(_write, b"\x80\x02ctorch\nFloatStorage\nJ\xff\xff\xff\x7f\x85R."),
        "safetensors_header": partial(_write, struct.pack("<Q", 1 << 40) + b'{"a": 1}'),
        "safetensors_offsets": partial(_write, _lying()),
        "sparse": partial(_pickled, {"a": torch.eye(3).to_sparse()}),
        "meta": partial(_pickled, {"a": torch.empty(3, device="meta")}),
        "quantized": partial(_pickled, {"a": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)}),
    }
    for part in range(1, 10):
        files[f"cut_{part}0_percent"] = partial(_write, new[: len(new) * part // 10])
        files[f"cut_old_{part}0_percent"] = partial(_write, old[: len(old) * part // 10])
    for seed in range(12):
        files[f"flipped_{seed}"] = partial(_write, flipped(new, seed))
        files[f"flipped_old_{seed}"] = partial(_write, flipped(old[:4_000], seed) + old[4_000:])
    return files


def _lying() -> bytes:
    head = json.dumps({"a": {"dtype": "F32", "shape": [1 << 20], "data_offsets": [0, 1 << 22]}}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0" * 16


def _packed(content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return stream.getvalue()


def _file(make: Callable[[Path], None], folder: Path) -> str:
    make(folder / "weights.pt")
    try:
        rb.load_model("film-unet", folder / "weights.pt", config=CONFIG, device="cpu")
    finally:
        assert MARKER not in os.environ, "a checkpoint ran what it holds"
    return USED


def _weights(change: Callable[[torch.Tensor], torch.Tensor], folder: Path) -> str:
    changed = {key: change(value) for key, value in state().items()}
    torch.save(changed, folder / "weights.pt")
    return _loads(folder / "weights.pt", config=CONFIG)


def _document(content: bytes, folder: Path) -> str:
    save_file(state(), folder / "model.safetensors")
    (folder / "config.json").write_bytes(content)
    return _loads(folder)


def _stated(field: str, value: Any, folder: Path) -> str:
    save_file(state(), folder / "model.safetensors")
    document = {"model": "film-unet", "config": {**CONFIG, field: value}, "threshold": 0.5}
    (folder / "config.json").write_text(json.dumps(document))
    return _loads(folder)


def _given(field: str, value: Any, folder: Path) -> str:
    save_file(state(), folder / "model.safetensors")
    return _loads(folder, config={**CONFIG, field: value})


def _loads(path: Path, **options: Any) -> str:
    """What loads computes what the saved weights compute; anything else must be refused."""
    model = rb.load_model("film-unet", path, device="cpu", **options)
    weights = model.network.state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    # Another arithmetic of the same numbers is fine; other numbers are another model.
    assert all(torch.allclose(weights[key], value, atol=0.2) for key, value in state().items() if key in weights)
    return USED


def _pickled(content: Any, path: Path) -> None:
    torch.save(content, path)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)
