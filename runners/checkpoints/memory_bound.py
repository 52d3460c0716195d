"""Bound on the memory that a pickled checkpoint asks for, known before it is read.

A pickle of a few bytes can demand gigabytes: by an index into its memo, by the stated length of a frame or buffer, or
by the stated number of values of a storage, which PyTorch takes from the system before it reads them. Opcodes are
looked at first, none is carried out; then the storages are counted, with stand-ins for everything else.
"""

from __future__ import annotations

import pickle
import pickletools
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import torch

from robustness.errors import InputError
from robustness.runners.checkpoints.safe_pickle import StandIn

# Opcodes whose number becomes an allocation, whatever follows it.
_INDEXED: Final = {"PUT", "BINPUT", "LONG_BINPUT", "FRAME"}
# A file of torch.save's old form: magic number, protocol, machine, content, storage keys.
_OLD_FORM_PICKLES: Final = 5


class MemoryDemandError(InputError):
    """A checkpoint asks for more memory than its size allows."""


def check_pickles(path: Path, *, archive: bool) -> None:
    """Refuse a checkpoint whose pickles ask for more memory than the file's size allows.

    Args:
        path: the file.
        archive: whether it is a zip archive (torch.save's form since version 1.6) and no bare pickle.

    Raises:
        MemoryDemandError: a memo index, a frame or storages beyond the file's size.
        pickle.UnpicklingError: no pickle at all.
    """
    size = path.stat().st_size
    if archive:
        with zipfile.ZipFile(path) as opened:
            for name in opened.namelist():
                if name.endswith("data.pkl"):
                    with opened.open(name) as stream:
                        _scan(path, stream, size)
                    with opened.open(name) as stream:
                        _check_members(path, opened, name, _storages(stream))
        return
    if tarfile.is_tarfile(path):
        raise InputError(f"checkpoint: {path} is a tar archive, a form that PyTorch left long ago; save it again")
    with path.open("rb") as stream:
        pickles = 0
        while pickles < _OLD_FORM_PICKLES and _scan(path, stream, size):
            pickles += 1
        stream.seek(0)
        for _ in range(pickles):
            demand = sum(_storages(stream).values())
            if demand > size:
                raise _demand(path, demand, size)


def _check_members(path: Path, archive: zipfile.ZipFile, name: str, storages: Mapping[str, int]) -> None:
    """Compare what an archive's pickle says of its storages with the members that hold them."""
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    folder = name.removesuffix("data.pkl")
    for key, demand in storages.items():
        stored = sizes.get(f"{folder}data/{key}", 0)
        if demand > stored:
            raise _demand(path, demand, stored)


def _storages(stream: IO[bytes]) -> dict[str, int]:
    """Return key to stated size in bytes of every storage that a pickle names, with stand-ins for all else."""
    counter = _StorageCounter(stream)
    counter.load()
    return counter.sizes


class _StorageCounter(pickle.Unpickler):
    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(stream)
        self.sizes: dict[str, int] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        kind = getattr(torch, global_name, None) if module_name in ("torch", "torch.storage") else None
        return kind if isinstance(kind, type) and global_name.endswith("Storage") else _Anything

    def persistent_load(self, saved: Any, /) -> Any:
        if not isinstance(saved, tuple) or len(saved) < 2:
            return _Anything()
        if saved[0] in ("module", b"module"):
            return saved[1]
        if saved[0] in ("storage", b"storage") and len(saved) >= 5 and isinstance(saved[4], int):
            values_bytes = getattr(getattr(saved[1], "_dtype", None), "itemsize", 1)
            key = str(saved[2])
            self.sizes[key] = max(self.sizes.get(key, 0), saved[4] * values_bytes)
        return _Anything()


class _Anything(StandIn):
    """Takes the place of a class, a function or a storage."""

    def __setstate__(self, state: Any) -> None:
        """Drop any state."""


def _scan(path: Path, stream: IO[bytes], size: int) -> bool:
    """Look at one pickle's opcodes; return whether there was one."""
    opcodes = 0
    try:
        for opcode, argument, _ in _opcodes(stream):
            opcodes += 1
            if opcode.name in _INDEXED and isinstance(argument, int) and argument > size:
                raise _demand(path, argument, size)
    except (ValueError, EOFError, UnicodeDecodeError) as error:
        if isinstance(error, InputError):
            raise
        if opcodes:
            raise pickle.UnpicklingError(f"the pickle is damaged ({error})") from error
        return False
    return True


def _opcodes(stream: IO[bytes]) -> Iterator[tuple[pickletools.OpcodeInfo, object, int | None]]:
    yield from pickletools.genops(stream)


def _demand(path: Path, demand: int, size: int) -> MemoryDemandError:
    return MemoryDemandError(
        f"checkpoint: {path} asks for {demand} bytes of memory, more than its {size} bytes on disk can hold; refused"
    )
