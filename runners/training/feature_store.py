"""Stores for the features of frozen encoders: in memory, or in files that later trainings find again."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch

from robustness.errors import InputError
from robustness.files import make_folder, write_atomic
from robustness.runners.inference.embedding import Tensors


class FeatureStore(Protocol):
    """Tensors of one row each, under a key."""

    def get(self, key: str) -> Tensors | None:
        """Return what is kept under `key`, None where nothing is."""
        ...

    def put(self, key: str, tensors: Tensors) -> None:
        """Keep `tensors` under `key`."""
        ...


class MemoryStore:
    """Features in this process's memory."""

    def __init__(self) -> None:
        self._tensors: dict[str, Tensors] = {}

    def get(self, key: str) -> Tensors | None:
        """Return what is kept under `key`, None where nothing is."""
        return self._tensors.get(key)

    def put(self, key: str, tensors: Tensors) -> None:
        """Keep `tensors` under `key`."""
        self._tensors[key] = tensors


class FileStore:
    """Features as one safetensors file each, written atomically.

    Args:
        folder: a folder of features; those of one encoder with one preparation of images lie in one folder below it.
        fingerprint: of that encoder and that preparation.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self.folder = make_folder(folder / fingerprint, "train.cache")

    def get(self, key: str) -> Tensors | None:
        """Return what is kept under `key`, None where nothing is.

        Raises:
            InputError: the file is damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self._path(key)
        if not path.is_file():
            return None
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError) as error:
            raise InputError(f"train.cache: {path} cannot be read ({error}); remove it") from error
        return tuple(tensors[str(index)] for index in range(len(tensors)))

    def put(self, key: str, tensors: Tensors) -> None:
        """Keep `tensors` under `key`."""
        from safetensors.torch import save_file

        state = {str(index): tensor.contiguous() for index, tensor in enumerate(tensors)}
        write_atomic(self._path(key), lambda temporary: save_file(state, str(temporary)))

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"


def halved(tensors: Tensors) -> Tensors:
    """Return float32 tensors in half precision, others as they are."""
    return tuple(t.half() if t.dtype == torch.float32 else t for t in tensors)


def restored(tensors: Tensors) -> Tensors:
    """Return half-precision tensors in float32, others as they are."""
    return tuple(t.float() if t.dtype in (torch.float16, torch.bfloat16) else t for t in tensors)
