"""Weights out of TorchScript archives, such as OpenAI's CLIP, without loading or running their code.

`torch.jit.load` compiles what an archive holds; here only its pickled data are read, with modules as inert trees.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from robustness.errors import InputError
from robustness.runners.checkpoints import safe_pickle

_SCRIPTED = "__torch__"
# What the archives call to rebuild typed lists; the lists are not needed.
_LISTS = "torch.jit._pickle"


class _Tree:
    """A pickled module: its attributes by name."""

    def __init__(self) -> None:
        self.attributes: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.attributes = state if isinstance(state, Mapping) else {}


class _Unpickler(safe_pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")))
        self._archive, self._root = archive, root
        self._storages: dict[str, torch.UntypedStorage] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if module_name.partition(".")[0] == _SCRIPTED:
            return _Tree
        if module_name == _LISTS:
            return safe_pickle.StandIn
        return super().find_class(module_name, global_name)

    def persistent_load(self, reference: Any) -> torch.storage.TypedStorage:
        if not isinstance(reference, tuple) or len(reference) != 5 or reference[0] != "storage":
            raise pickle.UnpicklingError("a reference to something else than a storage")
        dtype, key = getattr(reference[1], "_dtype", None), str(reference[2])
        if not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError("a storage of unknown type")
        if key not in self._storages:
            content = bytearray(self._archive.read(f"{self._root}data/{key}"))
            whole = torch.frombuffer(content, dtype=torch.uint8) if content else torch.empty(0, dtype=torch.uint8)
            self._storages[key] = whole.untyped_storage()
        storage = self._storages[key]
        return torch.storage.TypedStorage(wrap_storage=storage, dtype=dtype, _internal=True)  # type: ignore[no-untyped-call]


def read_torchscript(path: Path) -> dict[str, torch.Tensor]:
    """Return every tensor of a TorchScript archive by its dotted name: parameters, buffers and tensor attributes.

    Raises:
        InputError: no such archive, or it is damaged, compressed, or wants to call something.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            root = _root(archive, path)
            content = _Unpickler(archive, root).load()
    except safe_pickle.RefusedPickle as error:
        raise InputError(f"checkpoint: {path} wants to call {error}, which no checkpoint needs; refused") from error
    except (OSError, zipfile.BadZipFile, pickle.UnpicklingError, EOFError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"checkpoint: {path} is no readable TorchScript archive ({error})") from error
    tensors = dict(_tensors(content, "", frozenset()))
    if not tensors:
        raise InputError(f"checkpoint: expected a TorchScript archive with weights, found none in {path}")
    return tensors


def _root(archive: zipfile.ZipFile, path: Path) -> str:
    members = archive.infolist()
    root = next(
        (m.filename.removesuffix("constants.pkl") for m in members if m.filename.endswith("constants.pkl")), None
    )
    if root is None or f"{root}data.pkl" not in archive.namelist():
        raise InputError(f"checkpoint: {path} is no TorchScript archive")
    # torch.jit.save stores data as they are; a compressed member can unfold into any amount of memory.
    data = [m for m in members if m.filename == f"{root}data.pkl" or m.filename.startswith(f"{root}data/")]
    if any(m.compress_type != zipfile.ZIP_STORED for m in data) or sum(m.file_size for m in data) > path.stat().st_size:
        raise InputError(f"checkpoint: {path} holds compressed weights; save it with torch.jit.save")
    return root


def _tensors(node: Any, name: str, above: frozenset[int]) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(node, torch.Tensor):
        yield name, node
    if not isinstance(node, _Tree):
        return
    if id(node) in above:
        raise InputError(f"checkpoint: the archive's module {name!r} contains itself")
    for key, value in node.attributes.items():
        yield from _tensors(value, f"{name}.{key}" if name else str(key), above | {id(node)})
