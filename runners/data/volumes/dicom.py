"""DICOM by pydicom: a folder with one series, a single image, or a multi-frame file.

Frames are sorted by their place along the slice normal. Values are rescaled (slope and intercept or modality LUT);
windows and MONOCHROME1 are left to the scale that the dataset decides on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.regular_files import open_regular
from robustness.runners.data.volumes.base import Header, Voxels, needs
from robustness.runners.data.volumes.dicom_header import (
    MODALITIES,
    affine_of,
    along_normal,
    facts_of,
    frame_place,
    functional_groups,
    in_plane_spacing,
    windows_of,
)

SUFFIXES = (".dcm", ".dicom", ".ima")
_GAP = 0.05


class Frame(NamedTuple):
    """One frame: its file, its number in the file, and its place (orientation, position), or None."""

    path: Path
    number: int
    place: tuple[tuple[float, ...], tuple[float, ...]] | None
    rescale: tuple[float, float] | None


class DicomVolume:
    """A DICOM series or file; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._frames, first = _frames(path)
        self.header = _header(self._frames, first, path)

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        return np.stack([self._frame(number) for number in range(len(self._frames))], axis=2)

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        if axis == 2:
            return self._frame(index)
        return np.take(self.voxels(), index, axis=axis)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return axis == 2

    def files(self) -> list[Path]:
        """Return the files of the series, in the order of its slices."""
        return list(dict.fromkeys(frame.path for frame in self._frames))

    def _frame(self, number: int) -> Voxels:
        """Return one frame with columns along the first axis, as stored axes are counted."""
        return np.swapaxes(_pixels(self._frames[number]), 0, 1)


def is_dicom(path: Path) -> bool:
    """Tell whether a file begins as DICOM files do, whatever its name is."""
    try:
        with open_regular(path) as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def series_files(folder: Path) -> list[Path]:
    """Return the DICOM files of a folder, by name."""
    files = sorted(entry for entry in folder.iterdir() if entry.is_file() and not entry.name.startswith("."))
    return [file for file in files if file.suffix.lower() in SUFFIXES or is_dicom(file)]


def read_header(path: Path) -> Any:
    """Return a file's data set without its pixels.

    Raises:
        InputError: pydicom is not installed.
        CaseError: no DICOM file.
    """
    try:
        import pydicom
    except ImportError:
        raise needs("pydicom", "a DICOM file", path) from None
    try:
        return pydicom.dcmread(path, stop_before_pixels=True)
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except Exception as error:  # pydicom raises several kinds of its own
        raise CaseError(f"image {path}: expected a DICOM file, got {one_line(error, most=200)}") from None


def _frames(path: Path) -> tuple[list[Frame], Any]:
    files = series_files(path) if path.is_dir() else [path]
    if not files:
        raise CaseError(f"image {path}: expected DICOM files in the folder, found none")
    headers = [(file, read_header(file)) for file in files]
    series = {str(getattr(dataset, "SeriesInstanceUID", "")) for _, dataset in headers}
    if len(series) > 1:
        raise CaseError(f"image {path}: expected one series, found {len(series)}; give each its own folder")
    frames = [frame for file, dataset in headers for frame in _of_file(file, dataset)]
    if all(frame.place for frame in frames):
        frames.sort(key=lambda frame: along_normal(*frame.place) if frame.place else 0.0)
    elif len(headers) > 1:
        order = {file: int(getattr(dataset, "InstanceNumber", 0) or 0) for file, dataset in headers}
        frames.sort(key=lambda frame: (order[frame.path], frame.number))
    return frames, headers[0][1]


def _of_file(path: Path, dataset: Any) -> list[Frame]:
    frames = []
    for number in range(int(getattr(dataset, "NumberOfFrames", 1) or 1)):
        groups = functional_groups(dataset, number)
        place = frame_place(dataset)
        if "cosines" in groups and "position" in groups:
            place = groups["cosines"], groups["position"]
        elif int(getattr(dataset, "NumberOfFrames", 1) or 1) > 1:
            # Frames of a plain multi-frame image (a film) have no place of their own.
            place = None
        rescale = (groups["slope"][0], groups["intercept"][0]) if {"slope", "intercept"} <= set(groups) else None
        frames.append(Frame(path, number, (tuple(place[0]), tuple(place[1])) if place else None, rescale))
    return frames


def _header(frames: list[Frame], dataset: Any, path: Path) -> Header:
    rows, columns = int(getattr(dataset, "Rows", 0)), int(getattr(dataset, "Columns", 0))
    if str(getattr(dataset, "Modality", "")) == "RTSTRUCT":
        raise CaseError(
            f"image {path}: expected an image or a DICOM segmentation, got an RT structure set; convert it to a "
            "segmentation (NIfTI, NRRD, or DICOM SEG)"
        )
    if not rows or not columns:
        raise CaseError(f"image {path}: expected an image with Rows and Columns, found none")
    groups = functional_groups(dataset, 0)
    own = groups.get("spacing")
    spacing = (own[0], own[1]) if own else in_plane_spacing(dataset)
    affine, warnings = _geometry(frames, spacing, path)
    color = int(getattr(dataset, "SamplesPerPixel", 1) or 1) == 3 or "PALETTE" in str(
        getattr(dataset, "PhotometricInterpretation", "")
    )
    thickness = float(np.linalg.norm(affine[:3, 2])) if affine is not None else 1.0
    return Header(
        shape=(columns, rows, len(frames)),
        affine=affine,
        spacing_mm=(spacing[1], spacing[0], thickness) if spacing else None,
        channels=3 if color else 1,
        color=color,
        patient=str(getattr(dataset, "PatientID", "") or "").strip(),
        modality=MODALITIES.get(str(getattr(dataset, "Modality", "") or "").strip(), ""),
        windows=_windows(dataset, groups),
        inverted=str(getattr(dataset, "PhotometricInterpretation", "")).strip() == "MONOCHROME1",
        facts=facts_of(dataset),
        warnings=tuple(warnings),
    )


def _windows(dataset: Any, groups: Any) -> tuple[tuple[float, float], ...]:
    windows = windows_of(dataset)
    if windows or not {"center", "width"} <= set(groups):
        return windows
    holder = type("Window", (), {"WindowCenter": groups["center"], "WindowWidth": groups["width"]})
    return windows_of(holder)


def _geometry(frames: list[Frame], spacing: tuple[float, float] | None, path: Path) -> tuple[Any, list[str]]:
    places = [frame.place for frame in frames if frame.place]
    if len(places) < len(frames) or spacing is None:
        return None, []
    if any(np.abs(np.subtract(place[0], places[0][0])).max() > 1e-3 for place in places):
        raise CaseError(f"image {path}: expected slices of one orientation, found several; give each its own folder")
    steps = np.diff([along_normal(*place) for place in places])
    warnings = []
    if len(steps):
        if steps.min() < 1e-4:
            raise CaseError(
                f"image {path}: expected one slice at each place, found two (several phases or echoes); give each its "
                "own folder"
            )
        typical = float(np.median(steps))
        if float(np.abs(steps - typical).max()) > _GAP * typical:
            warnings.append(f"slices are not evenly spaced ({steps.min():.3g} to {steps.max():.3g} mm)")
    affine = affine_of(places[0][0], places[0][1], places[-1][1], spacing, len(places))
    return affine, warnings


def _pixels(frame: Frame) -> Voxels:
    """Return one frame's rescaled values (rows, columns) or (rows, columns, 3)."""
    import pydicom
    from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
    from pydicom.pixels.utils import pixel_array

    try:
        dataset: Any = pydicom.dcmread(frame.path)
        several = int(getattr(dataset, "NumberOfFrames", 1) or 1) > 1
        values = pixel_array(dataset, index=frame.number if several else None)
        if "PALETTE" in str(dataset.PhotometricInterpretation):
            return _eight_bits(apply_color_lut(values, dataset))
        if values.ndim == 3:
            return values
        if frame.rescale is not None:
            return _rescaled(values, *frame.rescale)
        return _compact(apply_modality_lut(values, dataset))
    except Exception as error:  # decoders raise many kinds
        raise CaseError(f"image {frame.path}: expected readable pixels, got {one_line(error, most=200)}") from None


def _rescaled(values: Voxels, slope: float, intercept: float) -> Voxels:
    return values if (slope, intercept) == (1.0, 0.0) else _compact(values * slope + intercept)


def _compact(values: Voxels) -> Voxels:
    """Return floats that are whole numbers as integers of half the size (Hounsfield units)."""
    if values.dtype != np.float64:
        return values
    if np.abs(values).max(initial=0) < 32767 and (values == np.rint(values)).all():
        return values.astype(np.int16)
    return values.astype(np.float32)


def _eight_bits(values: Voxels) -> Voxels:
    return (values // 257).astype(np.uint8) if values.dtype == np.uint16 else values
