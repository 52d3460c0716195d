"""Frames of a DICOM series or file: which files count, where each frame lies, and where its values are stored."""

from __future__ import annotations

import filecmp
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from robustness.errors import CaseError, one_line
from robustness.regular_files import open_regular
from robustness.runners.data.volumes.base import Display, needs, refuse_absurd
from robustness.runners.data.volumes.dicom_header import (
    along_normal,
    frame_place,
    functional_groups,
    photometric,
    refuse_colors,
    refuse_mixture,
    stored_padding,
)
from robustness.runners.data.volumes.dicom_tables import proposed_display

SUFFIXES = (".dcm", ".dicom", ".ima")

# Objects that lie beside images and are none: segmentations, display states, reports, plans, doses, measurements.
_NO_IMAGES = frozenset("SEG PR KO SR RTSTRUCT RTPLAN RTDOSE RTRECORD REG PLAN DOC AU ECG".split())
# Elements beyond this many bytes stay on disk while a header is read: pixels, above all.
_HEADER_BYTES = 4096
# A frame of a compressed file has a header of its own, larger than this.
_FRAME_BYTES = 64

Place = tuple[tuple[float, ...], tuple[float, ...]]
Windows = tuple[Display, ...]


class Stored(NamedTuple):
    """Uncompressed gray pixels of a file: where they begin, and what pydicom's decoder must know of them."""

    start: int
    options: dict[str, Any]

    @property
    def frame_bytes(self) -> int:
        """The bytes of one frame."""
        return int(self.options["rows"] * self.options["columns"] * self.options["bits_allocated"] // 8)


class Frame(NamedTuple):
    """One frame: its file, its number in the file, its place (orientation, position), slope and intercept, windows.

    `stored` is None where pixels are compressed, coloured or mapped by a table: then the file is opened anew.
    `padding` are the stored values that stand for no measurement; `remarks` say what a reader of the results should
    know of how it is shown.
    """

    path: Path
    number: int
    place: Place | None
    rescale: tuple[float, float] | None
    windows: Windows = ()
    stored: Stored | None = None
    padding: tuple[float, float] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def rescaled_padding(self) -> tuple[float, float] | None:
        """What stands for no measurement once values are rescaled; NaN where a table does that."""
        if self.padding is None:
            return None
        slope, intercept = self.rescale or (math.nan, math.nan)
        bounds = sorted(bound * slope + intercept for bound in self.padding)
        return bounds[0], bounds[1]


class Series(NamedTuple):
    """Frames in the order of slices, the header of the first file, and remarks for readers of results."""

    frames: list[Frame]
    header: Any
    remarks: list[str]


def is_dicom(path: Path) -> bool:
    """Tell whether a file begins as DICOM files do, whatever its name is."""
    try:
        with open_regular(path) as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder, by name; the index that a disc holds (DICOMDIR) is none of them."""
    return sorted(_candidates(folder))


def only_file(path: Path) -> Path:
    """Return the one DICOM file of a folder that holds no other; any other path as it is."""
    files = series_files(path) if os.path.isdir(path) else []
    return files[0] if len(files) == 1 else path


def _candidates(folder: Path) -> Iterator[Path]:
    for entry in folder.iterdir():
        named = not entry.name.startswith(".") and entry.name.upper() != "DICOMDIR" and entry.is_file()
        if named and (entry.suffix.lower() in SUFFIXES or is_dicom(entry)):
            yield entry


def read_header(path: Path) -> Any:
    """Return a file's data set, whose pixels stay on disk.

    Raises:
        InputError: pydicom is not installed.
        CaseError: no DICOM file.
    """
    try:
        import pydicom
        from pydicom.errors import InvalidDicomError
    except ImportError:
        raise needs("pydicom", "a DICOM file", path) from None
    try:
        return pydicom.dcmread(path, defer_size=_HEADER_BYTES)
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except InvalidDicomError:
        # pydicom's own advice is of its function.
        raise CaseError(
            f"image {path}: expected a DICOM file, got one that does not begin as one ('DICM' behind 128 bytes); name "
            "it by what it is, or convert it to a DICOM file with its header"
        ) from None
    except Exception as error:  # pydicom raises several kinds of its own
        raise CaseError(f"image {path}: expected a DICOM file, got {one_line(error, most=200)}") from None


def read_series(path: Path) -> Series:
    """Return the frames of a file, or of the one series of images in a folder.

    Frames are sorted by their place along the slice normal, without places by instance and frame number.

    Raises:
        CaseError: no image, several series, or images of several sizes.
    """
    files = series_files(path) if os.path.isdir(path) else [path]
    if not files:
        inner = sorted(entry.name for entry in path.iterdir() if entry.is_dir())[:4]
        found = f"the folders {', '.join(inner)}; name that of one series" if inner else "none"
        raise CaseError(f"image {path}: expected DICOM files in the folder, found {found}")
    headers, remarks = _images([(file, read_header(file)) for file in files], path)
    refuse_mixture([dataset for _, dataset in headers], path)
    headers, repeated = _once(headers)
    if repeated:
        remarks.append(f"copies of {repeated} of its files lie beside them; each is used once")
    frames = [frame for file, dataset in headers for frame in _of_file(file, dataset)]
    if all(frame.place for frame in frames):
        frames.sort(key=lambda frame: along_normal(*frame.place) if frame.place else 0.0)
    elif len(headers) > 1:
        order = _by_number(headers, path)
        frames.sort(key=lambda frame: (order[frame.path], frame.number))
        remarks.append("some images state no place in the patient: they are taken by InstanceNumber")
    remarks.extend(dict.fromkeys(text for frame in frames for text in frame.remarks))
    return Series(frames, headers[0][1], remarks)


def _by_number(headers: list[tuple[Path, Any]], path: Path) -> dict[Path, int]:
    """Return each file's InstanceNumber.

    Raises:
        CaseError: one is missing or there twice, so that nothing tells the order of the slices.
    """
    stated: list[Any] = [getattr(dataset, "InstanceNumber", None) for _, dataset in headers]
    if None in stated or len(set(stated)) < len(stated):
        raise CaseError(
            f"image {path}: expected slices with a place in the patient or an InstanceNumber of their own, which tell "
            "their order, found some with neither; give each file its own row and mask"
        )
    return {file: int(number) for (file, _), number in zip(headers, stated, strict=True)}


def _images(headers: list[tuple[Path, Any]], path: Path) -> tuple[list[tuple[Path, Any]], list[str]]:
    """Leave out objects that are no images where there are images; a single one is left to the reader's message."""
    images = [(file, dataset) for file, dataset in headers if _is_image(dataset)]
    others = sorted({_modality(dataset) or "others" for _, dataset in headers if not _is_image(dataset)})
    if not images and len(headers) > 1:
        raise CaseError(
            f"image {path}: expected images or one segmentation, got {len(headers)} other objects "
            f"({', '.join(others)}); name one of the files"
        )
    if not images or not others:
        return headers, []
    return images, [f"objects beside its images are left out ({', '.join(others)})"]


def _modality(dataset: Any) -> str:
    return str(getattr(dataset, "Modality", "") or "").strip()


def _is_image(dataset: Any) -> bool:
    return _modality(dataset) not in _NO_IMAGES and bool(getattr(dataset, "Rows", 0))


def _once(headers: list[tuple[Path, Any]]) -> tuple[list[tuple[Path, Any]], int]:
    """Return the files without copies, byte for byte, and how many copies there were."""
    same: dict[str, list[Path]] = {}
    once = []
    for file, dataset in headers:
        others = same.setdefault(str(getattr(dataset, "SOPInstanceUID", "") or file), [])
        if not any(filecmp.cmp(file, other, shallow=False) for other in others):
            once.append((file, dataset))
        others.append(file)
    return once, len(headers) - len(once)


def _of_file(path: Path, dataset: Any) -> Iterator[Frame]:
    count = int(getattr(dataset, "NumberOfFrames", 1) or 1)
    _bounded(path, dataset, count)
    stored = _stored(dataset, count)
    own, padding = _slope_intercept(dataset), stored_padding(dataset)
    refuse_colors(path, dataset)
    if stored is not None:
        refuse_absurd(path, count * stored.frame_bytes, path.stat().st_size - stored.start)
    high, bits = getattr(dataset, "HighBit", None), getattr(dataset, "BitsStored", None)
    if None not in (high, bits) and int(high or 0) != int(bits or 0) - 1:
        raise CaseError(
            f"image {path}: expected HighBit one below BitsStored, as DICOM asks, got {high} and {bits}; convert the "
            "file"
        )
    for number in range(count):
        groups = functional_groups(dataset, number)
        place = frame_place(dataset)
        if "cosines" in groups and "position" in groups:
            place = groups["cosines"], groups["position"]
        elif count > 1:
            # Frames of a plain multi-frame image (a film) have no place of their own.
            place = None
        rescale = (groups["slope"][0], groups["intercept"][0]) if {"slope", "intercept"} <= set(groups) else own
        if rescale is not None and rescale[0] == 0:
            raise CaseError(f"image {path}: expected a RescaleSlope other than 0, got 0, which makes all values one")
        shown = proposed_display(dataset, number, rescale)
        where = (tuple(place[0]), tuple(place[1])) if place else None
        yield Frame(path, number, where, rescale, shown.windows, stored, padding, shown.remarks)


def _bounded(path: Path, dataset: Any, frames: int) -> None:
    """Refuse a header that promises more frames than its file can hold.

    Raises:
        CaseError: it does; the message holds both numbers.
    """
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is not None and syntax.is_deflated:
        return
    size = path.stat().st_size
    if frames < 1 or frames > max(1, size // _FRAME_BYTES):
        raise CaseError(f"image {path}: expected at most as many frames as its {size} bytes can hold, got {frames}")


def _slope_intercept(dataset: Any) -> tuple[float, float] | None:
    """Return a header's slope and intercept; None where a table stands for them, which goes first."""
    if getattr(dataset, "ModalityLUTSequence", None):
        return None
    slope, intercept = getattr(dataset, "RescaleSlope", None), getattr(dataset, "RescaleIntercept", None)
    return (float(slope), float(intercept)) if slope is not None and intercept is not None else (1.0, 0.0)


def _stored(dataset: Any, frames: int) -> Stored | None:
    """Return where uncompressed gray pixels begin; None for all others."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    element = dataset.get_item("PixelData", keep_deferred=True) if "PixelData" in dataset else None
    plain = syntax is not None and not syntax.is_compressed and syntax.is_little_endian and not syntax.is_deflated
    gray = int(getattr(dataset, "SamplesPerPixel", 1) or 1) == 1 and "PALETTE" not in photometric(dataset)
    if element is None or not plain or not gray or int(dataset.BitsAllocated) not in (8, 16, 32):
        return None
    options = {
        "transfer_syntax_uid": syntax,
        "rows": int(dataset.Rows),
        "columns": int(dataset.Columns),
        "samples_per_pixel": 1,
        "photometric_interpretation": photometric(dataset),
        "bits_allocated": int(dataset.BitsAllocated),
        "bits_stored": int(dataset.BitsStored),
        "pixel_representation": int(dataset.PixelRepresentation),
        "number_of_frames": frames,
        "pixel_keyword": "PixelData",
    }
    return Stored(int(element.value_tell), options)
