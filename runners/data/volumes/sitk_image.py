"""NRRD, MHA and MHD files by SimpleITK, and segmentations of 3D Slicer (NRRD with named segments)."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.regular_files import check_regular, open_regular
from robustness.runners.data.volumes.base import (
    MOST_PACKED,
    Header,
    Voxels,
    file_bytes,
    needs,
    refuse_absurd,
    refuse_damaged,
    take_plane,
    unreadable,
)

SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
_NRRD_SUFFIXES = (".nrrd", ".nhdr")
_NRRD_FILE = re.compile(r"^data ?file:[ \t]*(.*)$", re.M | re.I)
_META_FILE = re.compile(r"^[ \t]*ElementDataFile[ \t]*=[ \t]*(.*)$", re.M | re.I)
_BZIP2 = re.compile(rb"^encoding:\s*bz", re.M | re.I)
_OF_THE_LIBRARY = re.compile(r"^.*?ITK ERROR: (?:\w+\(0x[0-9a-f]+\): )?")
_LISTED_BYTES, _MOST_FILES = 1 << 20, 10_000
_PATIENT_FIELDS = ("0010|0020", "PatientID", "patient_id")
# SimpleITK takes a file that says nothing of the patient for one whose axes run to the left, the back and the top.
_PLACED_NRRD = "left-posterior-superior"
_PLACED_META = re.compile(rb"^\s*(TransformMatrix|Rotation|Orientation|AnatomicalOrientation)\s*=\s*[^?\s]", re.M)
_META_HEADER_BYTES = 8192
_META_PACKED = re.compile(rb"^[ \t]*CompressedData[ \t]*=[ \t]*(?:True|T|1)\b", re.M | re.I)
_META_LOCAL = re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*LOCAL[ \t]*\r?\n", re.M | re.I)
# SimpleITK reads an NRRD's numbers as millimetres, whatever its field "space units" says.
_NRRD_UNITS = re.compile(r"^space units:\s*(.*?)\s*$", re.M)
_MILLIMETRES = {
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "um": 0.001,
    "\N{MICRO SIGN}m": 0.001,
    "micron": 0.001,
    "microns": 0.001,
}


class Segment(NamedTuple):
    """A segment of a segmentation: its name, its layer, and its value there."""

    name: str
    layer: int
    value: int


class SitkVolume:
    """A file that SimpleITK reads; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reader = _reader(path)
        self._segments = _segments(self._reader)
        self.header = _header(self._reader, self._segments, path)

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        import SimpleITK as sitk  # noqa: N813

        try:
            image = self._reader.Execute()
        except RuntimeError as error:
            raise unreadable(self.path, _reason(error)) from None
        # SimpleITK's arrays count axes from the slowest: (K, J, I) and channels last.
        array = np.asarray(sitk.GetArrayFromImage(image))
        _refuse_damaged(self.path, array.nbytes)
        several = int(self._reader.GetNumberOfComponents()) > 1
        axes = array.ndim - several
        if axes == 2:
            array = array[None]
        stored = np.transpose(array, (2, 1, 0, 3) if several else (2, 1, 0))
        return (
            np.stack([stored[..., s.layer] == s.value for s in self._segments], axis=-1)
            if several and self._segments
            else stored
        )

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        return take_plane(self.voxels(), axis, index)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return False


def _reader(path: Path) -> Any:
    try:
        import SimpleITK as sitk  # noqa: N813
    except ImportError:
        raise needs("SimpleITK", "an NRRD, MHA or MHD file", path) from None
    held = _refuse_files_elsewhere(path)
    reader: Any = sitk.ImageFileReader()  # type: ignore[no-untyped-call]
    # Of the readers that the library has, the one of this suffix alone.
    reader.SetImageIO("NrrdImageIO" if path.suffix.lower() in _NRRD_SUFFIXES else "MetaImageIO")
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise CaseError(f"image {path}: expected an NRRD, MHA or MHD file, got {_reason(error)}") from None
    if reader.GetDimension() not in (2, 3):
        raise CaseError(f"image {path}: expected 2 or 3 axes, got {reader.GetDimension()}")
    # A voxel has a byte at least, and a file of text or of bits says no more of it.
    refuse_absurd(path, math.prod(reader.GetSize()) * reader.GetNumberOfComponents(), held * _most_packed(path))
    return reader


def _refuse_files_elsewhere(path: Path) -> int:
    """Return the bytes of a header and of the files of its voxels; refuse files outside of its folder, and pipes.

    A header may name any file of the machine, whose bytes would become an image of the report.

    Raises:
        CaseError: it does; the message names the file.
    """
    held = file_bytes(path)
    for name in _named_files(path):
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise CaseError(f"image {path}: expected its voxels in a file beside it, got {name!r}; move the file there")
        try:
            held += check_regular(path.parent / name).st_size
        except FileNotFoundError:
            raise CaseError(f"image {path}: expected its voxels in {name!r} beside it, found none") from None
        except OSError as error:
            raise CaseError(f"image {path}: {name}: {one_line(error)}") from None
    return held


def _most_packed(path: Path) -> int:
    """Return into how many bytes one byte of a file may unpack; bzip2 writes an empty mask in a few bytes."""
    with open_regular(path) as file:
        return 1_000_000 if _BZIP2.search(file.read(_META_HEADER_BYTES)) else MOST_PACKED


def _refuse_damaged(path: Path, size: int) -> None:
    """Refuse packed voxels of a MetaImage that are damaged: SimpleITK reads them as zeros, or as whatever it has.

    Of an NRRD it raises an error itself.
    """
    with open_regular(path) as file:
        head = file.read(_LISTED_BYTES)
    local = _META_LOCAL.search(head)
    if path.suffix.lower() in _NRRD_SUFFIXES or not _META_PACKED.search(head[: local.end()] if local else head):
        return
    names = [] if local else _named_files(path)
    if local:
        refuse_damaged(path, local.end(), size)
    elif len(names) == 1:
        refuse_damaged(path.parent / names[0], 0, size)


def _named_files(path: Path) -> list[str]:
    """Return the files that hold the voxels of a header, as it names them; none where they follow in the same file."""
    try:
        with open_regular(path) as file:
            text = file.read(_LISTED_BYTES).decode("latin-1")
    except OSError as error:
        raise CaseError(f"image {path}: {one_line(error)}") from None
    nrrd = path.suffix.lower() in _NRRD_SUFFIXES
    # The header of an NRRD file ends with an empty line, that of a MetaImage with the name of its data.
    header = re.split(r"\r?\n\r?\n", text, maxsplit=1)[0] if nrrd else text
    found = (_NRRD_FILE if nrrd else _META_FILE).search(header)
    if found is None or (not nrrd and found[1].strip().upper() == "LOCAL"):
        return []
    stated = found[1].strip()
    if stated.upper().startswith("LIST"):
        lines = header[found.end() :].splitlines()
        return [line.strip() for line in lines if line.strip()]
    return _numbered(stated)


def _numbered(stated: str) -> list[str]:
    """Return the names that a pattern stands for ("slice%03d.raw 1 60 1"), or the one name."""
    pattern, *numbers = stated.split()
    if "%" not in pattern or len(numbers) < 2 or not all(re.fullmatch(r"-?\d+", number) for number in numbers):
        return [stated]
    first, last, step = int(numbers[0]), int(numbers[1]), int(numbers[2]) if len(numbers) > 2 else 1
    count = (last - first) // (step or 1) + 1
    if not 1 <= count <= _MOST_FILES:
        raise CaseError(f"image: expected 1 to {_MOST_FILES} files of voxels, got the pattern {stated!r}")
    try:
        return [pattern % number for number in range(first, first + count * (step or 1), step or 1)]
    except (TypeError, ValueError):
        return [stated]


def _segments(reader: Any) -> list[Segment]:
    """Return the segments that a header names, in its order."""
    keys = set(reader.GetMetaDataKeys())
    segments: list[Segment] = []
    while f"Segment{len(segments)}_Name" in keys and f"Segment{len(segments)}_LabelValue" in keys:
        field = f"Segment{len(segments)}_"
        layer = reader.GetMetaData(f"{field}Layer") if f"{field}Layer" in keys else "0"
        name, value = reader.GetMetaData(f"{field}Name").strip(), reader.GetMetaData(f"{field}LabelValue")
        segments.append(Segment(name, int(layer), int(value)))
    return segments


def _placed(reader: Any, path: Path) -> bool:
    """Tell whether a file says how it lies in the patient."""
    if path.suffix.lower() in _NRRD_SUFFIXES:
        return "NRRD_space" in reader.GetMetaDataKeys() and reader.GetMetaData("NRRD_space") == _PLACED_NRRD
    with open_regular(path) as file:
        return _PLACED_META.search(file.read(_META_HEADER_BYTES).split(b"ElementDataFile")[0]) is not None


def _millimetres(path: Path) -> float:
    """Return how many millimetres the unit of an NRRD's space has; 1 where it states none, and for MetaImages.

    Raises:
        CaseError: it states several, or one that is no length.
    """
    if path.suffix.lower() not in _NRRD_SUFFIXES:
        return 1.0
    with open_regular(path) as file:
        header = re.split(r"\r?\n\r?\n", file.read(_LISTED_BYTES).decode("utf-8", "replace"), maxsplit=1)[0]
    stated = _NRRD_UNITS.search(header)
    units = set(re.findall(r'"([^"]*)"', stated[1])) - {""} if stated else set()
    if not units:
        return 1.0
    if len(units) > 1 or not units <= set(_MILLIMETRES):
        raise CaseError(
            f"image {path}: expected space units of one length ({', '.join(_MILLIMETRES)}), got "
            f"{' '.join(sorted(units))}"
        )
    return _MILLIMETRES[units.pop()]


def _header(reader: Any, segments: list[Segment], path: Path) -> Header:
    components = int(reader.GetNumberOfComponents())
    placed = _placed(reader, path)
    named = {number if components > 1 else s.value: s.name for number, s in enumerate(segments, start=1)}
    dimension = reader.GetDimension()
    sizes = [int(size) for size in reader.GetSize()] + [1]
    unit = _millimetres(path) if placed else 1.0
    spacing = [float(size) * unit for size in reader.GetSpacing()] + [1.0]
    keys = reader.GetMetaDataKeys()
    patient = next((reader.GetMetaData(key).strip() for key in _PATIENT_FIELDS if key in keys), "")
    return Header(
        shape=(sizes[0], sizes[1], sizes[2]),
        affine=np.diag([unit, unit, unit, 1.0]) @ affine_of(reader) if dimension == 3 and placed else None,
        spacing_mm=(spacing[0], spacing[1], spacing[2]),
        channels=len(segments) if segments and components > 1 else components,
        color=components == 3 and not segments,
        patient=patient,
        facts={"segments": named} if segments else {},
        warnings=() if placed or dimension != 3 else ("does not say how it lies in the patient",),
    )


def affine_of(image: Any) -> np.ndarray:
    """Return the affine (RAS+) of a SimpleITK image or reader, whose own space is LPS+."""
    direction = np.array(image.GetDirection(), dtype=np.float64).reshape(3, 3)
    affine = np.eye(4)
    affine[:3, :3] = direction * np.array(image.GetSpacing(), dtype=np.float64)
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _reason(error: Exception) -> str:
    """Return what a library says of a failure, without its own files, addresses and the last error of the system."""
    text = _OF_THE_LIBRARY.sub("", " ".join(str(error).split()))
    return text.split(" Reason: ")[0].rstrip(". ")[:200]
