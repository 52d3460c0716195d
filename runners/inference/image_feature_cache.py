"""Image features on disk: an image that was encoded once, in whatever run, is not encoded again.

Features are found by the bytes of the image and by everything that they depend on: the network's weights themselves,
its configuration, preparation, arithmetic and the versions of the libraries. Nothing has to be cleared by hand after a
change, and old features make room for new ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

import robustness
from robustness.errors import InputError
from robustness.files import write_atomic
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Image

GIB = 2**30
DTYPES = (None, "float32", "float16")
_SUFFIX = ".safetensors"
_LIBRARIES = ("torch", "transformers", "timm", "pillow")
# What a description says of a model without changing its image features.
_IRRELEVANT = {"name", "threads", "parameters", "weights"}
# After an eviction this share of the limit is used, so that new features do not always evict others.
_AFTER_EVICTION = 0.9


class ImageFeatureCache:
    """Image features of one model in a folder that several models and processes may share.

    Args:
        folder: where features lie; made where it does not exist.
        model: whose features; it must be a network.
        limit_gib: size of the whole folder in GiB beyond which the features that were not used for longest are removed.
        dtype: "float16" stores floating-point features at half the size; the features that a run computes are then
            rounded too, so that results do not depend on what was in the cache. None or "float32": as they are
            computed.

    Raises:
        InputError: an option that is none of those, or a folder that cannot be written.
    """

    def __init__(
        self, folder: str | Path, model: NetworkSegmenter, *, limit_gib: float = 10.0, dtype: str | None = None
    ) -> None:
        if dtype not in DTYPES:
            raise InputError(f"cache_dtype: expected float32 or float16, got {dtype!r}")
        if not limit_gib > 0:
            raise InputError(f"cache_gib: expected a size above 0, got {limit_gib}")
        self._home = Path(folder).expanduser()
        self._identity = identity_of(model, dtype)
        self._folder = self._home / self._identity[:16]
        self._limit = int(limit_gib * GIB)
        self._half = dtype == "float16"
        self._device = model.device
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cache: expected a folder that can be written, got {str(folder)!r} ({error})") from error
        self._size = sum(size for _, size, _ in self._files())

    def load(self, images: Sequence[Image]) -> TensorEmbedding | None:
        """Return the features of `images`, or None unless every one of them is held.

        Images that are encoded together are stored and found together: the last bits of the features may depend on what
        else was in its batch.
        """
        rows: list[TensorEmbedding] = []
        for image in images:
            row = self._read(self._path(image))
            if row is None:
                return None
            rows.append(row)
        return TensorEmbedding.concat(rows).to(self._device) if rows else None

    def store(self, images: Sequence[Image], embedding: TensorEmbedding) -> TensorEmbedding:
        """Keep the features of `images`; return them as they will be read."""
        if self._half:
            embedding = TensorEmbedding(tuple(_halved(tensor) for tensor in embedding.tensors))
        for row, image in enumerate(images):
            self._write(self._path(image), {str(n): t[row : row + 1] for n, t in enumerate(embedding.tensors)})
        return TensorEmbedding(tuple(_restored(tensor) for tensor in embedding.tensors))

    def _path(self, image: Image) -> Path:
        key = hashlib.sha256(f"{image.dtype} {image.shape} ".encode())
        key.update(np.ascontiguousarray(image).data)
        name = key.hexdigest()
        return self._folder / name[:2] / f"{name}{_SUFFIX}"

    def _read(self, path: Path) -> TensorEmbedding | None:
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
                stated = (file.metadata() or {}).get("crc32")
            os.utime(path)
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError):
            stated, tensors = None, {}
        if stated is None or stated != _checksum(tensors):
            # Cut short or changed: the image is encoded again.
            path.unlink(missing_ok=True)
            return None
        return TensorEmbedding(tuple(_restored(tensors[str(n)]) for n in range(len(tensors))))

    def _write(self, path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
        stored = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, lambda temporary: save_file(stored, str(temporary), metadata={"crc32": _checksum(stored)}))
        self._size += path.stat().st_size
        if self._size > self._limit:
            self._evict()

    def _evict(self) -> None:
        files = sorted(self._files())
        self._size = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._size <= self._limit * _AFTER_EVICTION:
                return
            path.unlink(missing_ok=True)
            self._size -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        files: list[tuple[float, int, Path]] = []
        for path in self._home.glob(f"*/*/*{_SUFFIX}"):
            try:
                facts = path.stat()
            except FileNotFoundError:  # another process made room
                continue
            files.append((facts.st_mtime, facts.st_size, path))
        return files


def identity_of(model: NetworkSegmenter, dtype: str | None) -> str:
    """Return the hash of everything besides the image that features of `model` depend on."""
    facts = {
        "model": {key: value for key, value in model.describe().items() if key not in _IRRELEVANT},
        "dtype": dtype,
        "suite": robustness.__version__,
        "form": getattr(model.network, "embedding_form", 1),
        "libraries": {name: version(name) for name in _LIBRARIES},
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _bytes(tensor: torch.Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    total = 0
    for key in sorted(tensors):
        total = zlib.crc32(_bytes(tensors[key]), total)
    return f"{total:08x}"


def _halved(tensor: torch.Tensor) -> torch.Tensor:
    """Return a float32 tensor as float16 where its values fit."""
    if tensor.dtype != torch.float32 or not tensor.numel():
        return tensor
    fits = float(tensor.abs().max()) < torch.finfo(torch.float16).max
    return tensor.half() if fits else tensor


def _restored(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor
