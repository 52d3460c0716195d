"""Bound on the memory that a pickled checkpoint asks for, known before it is read.

A pickle of a few bytes can demand gigabytes: by an index into its memo, or by the stated length of
a frame or buffer. Its opcodes are looked at first, none is carried out.
"""

from __future__ import annotations

import pickle
import pickletools
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from robustness.errors import InputError

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
        MemoryDemandError: a memo index or a frame beyond the file's size.
        pickle.UnpicklingError: no pickle at all.
    """
    size = path.stat().st_size
    if archive:
        with zipfile.ZipFile(path) as opened:
            for name in opened.namelist():
                if name.endswith("data.pkl"):
                    with opened.open(name) as stream:
                        _scan(path, stream, size)
        return
    if tarfile.is_tarfile(path):
        raise InputError(f"checkpoint: {path} is a tar archive, a form that PyTorch left long ago; save it again")
    with path.open("rb") as stream:
        for _ in range(_OLD_FORM_PICKLES):
            if not _scan(path, stream, size):
                return


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
