"""The interface of a volume: voxels on demand, a place in the patient, and what the header says."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from robustness.errors import CaseError, InputError, one_line
from robustness.regular_files import check_regular, open_regular

Voxels = npt.NDArray[Any]
Affine = npt.NDArray[np.float64]

# Deflate packs at most so many bytes into one.
MOST_PACKED = 1032
CHUNK_BYTES = 1 << 20
INSTALL = 'pip install "vlsm-robustness[medical]"'


class DisplayWindow(NamedTuple):
    """Which stored values a header proposes to show as black and white.

    Attributes:
        low, high: the two values; of a sigmoid, centre minus and plus half of the width, where it is at 12 and 88%.
        sigmoid: the curve between them is a sigmoid and no line.
    """

    low: float
    high: float
    sigmoid: bool = False


class DisplayTable(NamedTuple):
    """Which shade a header proposes for each stored value (an item of a DICOM VOI LUT Sequence).

    Attributes:
        first: the value that the first entry stands for; each further entry stands for the next whole number.
        bits: of an entry: 0 is black, 2 ** bits - 1 white.
        entries: numbers of 16 bits, little-endian.
    """

    first: int
    bits: int
    entries: bytes


Display = DisplayWindow | DisplayTable


@dataclass(frozen=True)
class Header:
    """What a file says about its voxels before any of them is read.

    Attributes:
        shape: voxels along the three stored axes (I, J, K); a single image has K = 1.
        affine: 4 x 4, from voxel indices to millimetres toward the patient's right, front and top (RAS+); None where
            the format or the file states no place in the patient.
        spacing_mm: voxel size along the stored axes, or None.
        channels: of one voxel: 1, 3 (colour) or the number of sequences of a 4D file.
        color: the channels are red, green and blue.
        patient: an id from the header, or "".
        modality: in the words of `robustness.perturb.modality`, or "".
        windows: what the header proposes for display, tables first: alternatives of which one is used.
        inverted: low values are shown bright (MONOCHROME1).
        facts: further fields of the header that a plan may name as groups (scanner, site, sex, age, ...).
        frame_of_reference: the UID of the space that the affine leads to, or "".
        padding: values from lowest to highest that stand for no measurement (outside of the field of view), or None.
        sparse_mm: how far from a slice of a mask background begins, where slices between those that are there are left
            out; None where they follow each other.
        step: how far apart two neighbouring values are where a scale makes them of stored integers; 0 without one.
        warnings: what a reader of the results should know about the file, one sentence each.
    """

    shape: tuple[int, int, int]
    affine: Affine | None
    spacing_mm: tuple[float, float, float] | None
    channels: int = 1
    color: bool = False
    patient: str = ""
    modality: str = ""
    windows: tuple[Display, ...] = ()
    inverted: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    frame_of_reference: str = ""
    padding: tuple[float, float] | None = None
    sparse_mm: float | None = None
    step: float = 0.0
    warnings: tuple[str, ...] = ()


class Volume(Protocol):
    """A volume whose voxels are read when they are asked for."""

    path: Path
    header: Header

    def voxels(self) -> Voxels:
        """Return all voxels (I, J, K) or (I, J, K, channels), rescaled as the header asks."""

    def plane(self, axis: int, index: int) -> Voxels:
        """Return the voxels at one index of a stored axis; the two other axes keep their order."""

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane across this axis costs much less than the volume."""


def needs(library: str, role: str, path: Path) -> InputError:
    """Return the error for a format whose library is not installed."""
    return InputError(f"data: {path.name} is {role}, which needs {library}; install the extra: {INSTALL}")


def file_bytes(path: Path) -> int:
    """Return the size of a file that a reader is to open: a pipe would let it wait for ever.

    Raises:
        CaseError: no such file, or no regular one.
    """
    try:
        return check_regular(path).st_size
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except OSError as error:
        raise CaseError(f"image {path}: {one_line(error)}") from None


def refuse_absurd(path: Path, stated: int, held: int) -> None:
    """Refuse a header that states more voxels than its file can hold, before memory is asked for.

    Args:
        path: the file, for the message.
        stated: bytes of voxels that the header states.
        held: bytes that the file holds, or can hold once it is unpacked.

    Raises:
        CaseError: it does.
    """
    if stated > held:
        raise CaseError(
            f"image {path}: expected a file that holds the {stated} bytes of voxels that its header states, got one "
            f"of at most {held}; is it complete?"
        )


def unreadable(path: Path, reason: str) -> CaseError:
    """Return the error of a file whose voxels a library cannot read, for what reason."""
    return CaseError(f"image {path}: expected readable voxels, got {reason}; is the file complete?")


def refuse_damaged(path: Path, start: int, size: int) -> None:
    """Refuse packed bytes (zlib or gzip) that end too early or contradict their checksum.

    A library may hand on what it could unpack of them.

    Args:
        path: the file.
        start: where the packed bytes begin in it.
        size: how many bytes they stand for.

    Raises:
        CaseError: they are damaged.
    """
    unpacker, count = zlib.decompressobj(zlib.MAX_WBITS | 32), 0
    try:
        with open_regular(path) as file:
            file.seek(start)
            while not unpacker.eof and (packed := file.read(CHUNK_BYTES)):
                while packed and not unpacker.eof:
                    count += len(unpacker.decompress(packed, CHUNK_BYTES))
                    packed = unpacker.unconsumed_tail
    except (OSError, zlib.error) as error:
        raise unreadable(path, one_line(error)) from None
    if not unpacker.eof or count < size:
        raise CaseError(f"image {path}: expected {size} bytes of voxels, got {count}; is the file complete?")


def spacing_of_affine(affine: Affine) -> tuple[float, float, float]:
    """Return the voxel size along the stored axes: the lengths of an affine's columns."""
    lengths = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return float(lengths[0]), float(lengths[1]), float(lengths[2])


def take_plane(voxels: Voxels, axis: int, index: int) -> Voxels:
    """Return a copy of one plane of an array of all voxels, in the order of its memory."""
    return np.array(voxels[(slice(None),) * axis + (index,)])
