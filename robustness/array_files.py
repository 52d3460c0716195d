"""Read NumPy files that others made (``.npy``, ``.npz``): plain numbers only, nothing of them is executed."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.limits import limits
from robustness.regular_files import open_regular

SUFFIXES: Final = (".npy", ".npz")

Array = npt.NDArray[Any]

_PLAIN = "biuf"
_WIDEST = 8
# What the arrays of an archive are commonly called; of several arrays the role that is asked for decides.
_NAMES: Final = {
    "image": ("image", "images", "img", "imgs"),
    "mask": ("mask", "masks", "label", "labels", "gt", "gts", "seg", "segmentation"),
}


class ArrayFacts(NamedTuple):
    """What the head of an array says: its shape, the type of its values, and whether columns run first."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool


def is_array_file(path: str | Path) -> bool:
    """Tell whether a file is called as NumPy calls its own."""
    return Path(path).suffix.lower() in SUFFIXES


def read_array(path: str | Path, role: str, *, key: str = "", max_bytes: int | None = None) -> Array:
    """Return the array of a file, in the byte order of this machine.

    Args:
        path: a ``.npy`` file, or a ``.npz`` archive of one or several.
        role: "image" or "mask". Of several arrays the one that is called so ("image", "img"; "mask", "label", "gt")
            is read; an array that is called as the other role is never taken.
        key: the array's name in the archive; "" where its role tells it.
        max_bytes: of the file, and of the array once it is unpacked; None for the limit in force.

    Raises:
        FileNotFoundError: there is no such file.
        OSError, ValueError: it is no regular file, is no such file or a damaged one, holds Python objects (which would
            have to be executed), text or records, states more values than it holds, or does not tell which array is
            meant.
    """
    most = limits().image_bytes if max_bytes is None else max_bytes
    with _opened(path, role, key, most) as (handle, held):
        return _read(handle, held)


def array_of(content: bytes) -> Array:
    """Return the array that the bytes of a ``.npy`` file hold; errors are those of `read_array`."""
    return _read(io.BytesIO(content), len(content))


def array_facts(path: str | Path, role: str) -> ArrayFacts:
    """Return what the head of an array says; no value is read. See `read_array`."""
    with _opened(path, role, "", limits().image_bytes) as (handle, held):
        return _facts(handle, held)


def _read(handle: IO[bytes], held: int) -> Array:
    facts = _facts(handle, held)
    size = math.prod(facts.shape) * facts.dtype.itemsize
    content = handle.read(size)
    if len(content) < size:
        raise ValueError(f"expected {size} bytes of values, got {len(content)}; is it complete?")
    values = np.frombuffer(content, facts.dtype).reshape(facts.shape, order="F" if facts.fortran else "C")
    return np.ascontiguousarray(values, dtype=facts.dtype.newbyteorder("="))


@contextmanager
def _opened(path: str | Path, role: str, key: str, most: int) -> Iterator[tuple[IO[bytes], int]]:
    """Open one array for reading; also give the number of bytes that it can hold."""
    with open_regular(path, max_bytes=most) as file:
        if Path(path).suffix.lower() != ".npz":
            yield file, os.fstat(file.fileno()).st_size
            return
        try:
            with zipfile.ZipFile(file) as archive:
                member = archive.getinfo(_member(archive.namelist(), role, key) + ".npy")
                if member.file_size > most:
                    raise ValueError(f"expected arrays of at most {most} bytes, got {member.file_size}")
                with archive.open(member) as handle:
                    yield handle, member.file_size
        except (zipfile.BadZipFile, RuntimeError) as error:
            # RuntimeError: an encrypted archive, or a compression that is not known.
            raise ValueError(f"it is no readable archive of arrays ({error})") from error


def _member(files: Sequence[str], role: str, key: str) -> str:
    """Return the name of the array that is meant."""
    names = [name.removesuffix(".npy") for name in files if name.endswith(".npy")]
    shown = ", ".join(names[:8]) or "none"
    if key:
        if key not in names:
            raise ValueError(f"expected an array {key!r}, got {shown}")
        return key
    called = [name for name in names if name.lower() in _NAMES[role]]
    others = {name for other, known in _NAMES.items() if other != role for name in known}
    fitting = called or [name for name in names if len(names) == 1 and name.lower() not in others]
    if len(fitting) != 1:
        cure = "state mask_key" if role == "mask" else "save the image in a file of its own"
        raise ValueError(f"expected one array, or one called {' or '.join(_NAMES[role][:3])}, got {shown}; {cure}")
    return fitting[0]


def _facts(handle: IO[bytes], held: int) -> ArrayFacts:
    """Read the head of an array of at most `held` bytes and judge it, before memory is asked for."""
    version = np.lib.format.read_magic(handle)
    if version == (1, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(handle)
    elif version == (2, 0):
        shape, fortran, dtype = np.lib.format.read_array_header_2_0(handle)
    else:
        raise ValueError(f"expected an array of plain numbers, got version {version[0]} of the format, for records")
    if dtype.hasobject:
        raise ValueError("expected plain numbers, got Python objects (a pickle), which are never read")
    if dtype.kind not in _PLAIN or dtype.itemsize > _WIDEST or dtype.names:
        raise ValueError(f"expected plain numbers or booleans, got values of type {dtype}")
    size = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or size > held:
        raise ValueError(f"expected the values of the shape {tuple(shape)} that its head states, got {held} bytes")
    return ArrayFacts(tuple(shape), dtype, bool(fortran))
