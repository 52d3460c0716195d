"""DICOM by pydicom: a folder with one series, a single image, or a multi-frame file.

Frames are sorted by their place along the slice normal. Values are rescaled (slope and intercept or modality LUT);
windows, tables for display (VOI LUT) and MONOCHROME1 are left to the scale that the dataset decides on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.runners.data.volumes.base import Display, Header, Voxels
from robustness.runners.data.volumes.dicom_frames import Frame, Stored, read_series
from robustness.runners.data.volumes.dicom_header import (
    MODALITIES,
    affine_of,
    along_normal,
    detector_spacing,
    facts_of,
    functional_groups,
    in_plane_spacing,
    photometric,
)
from robustness.runners.data.volumes.dicom_tables import eight_bits, modality_values, palette_colors

_GAP = 0.05


class DicomVolume:
    """A DICOM series or file; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        series = read_series(path)
        paddings = {frame.rescaled_padding for frame in series.frames}
        # Where slices differ in it (slopes of their own, a table) each is masked as it is read.
        common = paddings.pop() if len(paddings) == 1 else None
        one = common is not None and not math.isnan(common[0])
        self._frames = [frame._replace(padding=None) for frame in series.frames] if one else series.frames
        self.header = _header(series.frames, series.header, path, series.remarks, common if one else None)

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        first = self._frame(0)
        voxels = np.empty((*first.shape[:2], len(self._frames), *first.shape[2:]), dtype=first.dtype)
        for number in range(len(self._frames)):
            plane = first if number == 0 else self._frame(number)
            if not np.can_cast(plane.dtype, voxels.dtype):
                # Slices have slopes of their own (PET): one of them needs a wider type.
                voxels = voxels.astype(np.result_type(plane.dtype, voxels.dtype))
            voxels[:, :, number] = plane
        return voxels

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
        return np.swapaxes(read_frame(self._frames[number]), 0, 1)


def _header(
    frames: Sequence[Frame], dataset: Any, path: Path, remarks: Sequence[str], padding: tuple[float, float] | None
) -> Header:
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
    if spacing is None and len(frames) > 1:
        warnings.append("states no pixel spacing: how it lies in the patient is unknown, and distances are in pixels")
    elif own is None and detector_spacing(dataset):
        warnings.append(
            "states the detector's pixel size only (ImagerPixelSpacing): in the patient distances are shorter"
        )
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
        windows=_windows(frames),
        inverted=photometric(dataset).strip() == "MONOCHROME1",
        facts=facts_of(dataset),
        frame_of_reference=str(getattr(dataset, "FrameOfReferenceUID", "") or "").strip(),
        padding=padding,
        warnings=(*remarks, *warnings, *_polarity_remarks(dataset), *_mosaic_remarks(dataset)),
    )


def _mosaic_remarks(dataset: Any) -> list[str]:
    """Return a remark on one image that is a sheet of many slices (Siemens, of functional and diffusion scans)."""
    if "MOSAIC" not in str(getattr(dataset, "ImageType", "")).upper():
        return []
    return ["is a MOSAIC, many slices side by side in one image, and is shown as that: convert it to a volume"]


def _polarity_remarks(dataset: Any) -> list[str]:
    """Return what to say of a Presentation LUT; its shape repeats Photometric Interpretation and never turns twice.

    Reference: DICOM PS3.3, C.8.11.3 (IDENTITY goes with MONOCHROME2, INVERSE with MONOCHROME1).
    """
    kind = photometric(dataset).strip()
    shape = str(getattr(dataset, "PresentationLUTShape", "") or "").strip().upper()
    remarks = []
    if (kind, shape) in (("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")):
        remarks.append(
            f"states Presentation LUT Shape {shape} with {kind}, which contradict each other: {kind} counts; look "
            "whether bright and dark are right"
        )
    if getattr(dataset, "PresentationLUTSequence", None):
        remarks.append("states a Presentation LUT Sequence, a table of a printer or a display, which is not applied")
    return remarks


def _windows(frames: Sequence[Frame]) -> tuple[Display, ...]:
    """Return the windows and tables that all frames propose; none where they differ, as those of MRI often do."""
    proposed = {frame.windows for frame in frames}
    return proposed.pop() if len(proposed) == 1 else ()


def _geometry(frames: Sequence[Frame], spacing: tuple[float, float] | None, path: Path) -> tuple[Any, list[str]]:
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


def read_frame(frame: Frame) -> Voxels:
    """Return one frame's rescaled values (rows, columns) or (rows, columns, 3).

    Raises:
        CaseError: its pixels cannot be decoded.
    """
    try:
        return _decoded(frame)
    except Exception as error:  # decoders raise many kinds
        raise CaseError(f"image {frame.path}: expected readable pixels, got {one_line(error, most=200)}") from None


def _decoded(frame: Frame) -> Voxels:
    if frame.stored is not None and frame.rescale is not None:
        values = _plain(frame, frame.stored)
        return _without_padding(_rescaled(values, *frame.rescale), values, frame)
    values, dataset = _opened(frame)
    if "PALETTE" in photometric(dataset):
        return palette_colors(values, dataset)
    if values.ndim == 3:
        return eight_bits(values, int(getattr(dataset, "BitsStored", 16) or 16))
    if frame.rescale is not None:
        return _without_padding(_rescaled(values, *frame.rescale), values, frame)
    return _without_padding(modality_values(values, dataset), values, frame)


def _opened(frame: Frame) -> tuple[Voxels, Any]:
    """Return the stored values of a frame whose file is opened anew, and what its header says of pixels."""
    from pydicom import dcmread
    from pydicom.dataset import Dataset
    from pydicom.filereader import read_file_meta_info
    from pydicom.pixels.utils import pixel_array

    dataset: Any = Dataset()
    syntax = read_file_meta_info(frame.path).get("TransferSyntaxUID")
    if syntax is not None and syntax.is_deflated:
        # Such a file is packed as a whole: no part of it can be found without reading it all.
        dataset = dcmread(frame.path)
        return pixel_array(dataset, index=frame.number), dataset
    return pixel_array(frame.path, ds_out=dataset, index=frame.number), dataset


def _without_padding(rescaled: Voxels, values: Voxels, frame: Frame) -> Voxels:
    """Return rescaled values with NaN where the stored ones stand for no measurement; as they are where none does."""
    if frame.padding is None:
        return rescaled
    nothing = (values >= frame.padding[0]) & (values <= frame.padding[1])
    return np.where(nothing, np.float32(np.nan), rescaled.astype(np.float32)) if nothing.any() else rescaled


def _plain(frame: Frame, stored: Stored) -> Voxels:
    from pydicom.pixels.decoders.base import get_decoder

    decoder = get_decoder(stored.options["transfer_syntax_uid"])
    with frame.path.open("rb") as file:
        file.seek(stored.start)
        values, _ = decoder.as_array(file, index=frame.number, **stored.options)
    return values


def _rescaled(values: Voxels, slope: float, intercept: float) -> Voxels:
    """Return values times slope plus intercept; whole numbers stay integers (Hounsfield units)."""
    if (slope, intercept) == (1.0, 0.0):
        return values
    if slope == 1.0 and intercept.is_integer() and values.dtype.itemsize <= 2:
        shifted = values.astype(np.int32) + int(intercept)
        small = shifted.min(initial=0) > -32768 and shifted.max(initial=0) < 32768
        return shifted.astype(np.int16) if small else shifted.astype(np.float32)
    return _compact(values * slope + intercept)


def _compact(values: Voxels) -> Voxels:
    """Return floats that are whole numbers as integers of half the size (Hounsfield units)."""
    if values.dtype != np.float64:
        return values
    if np.abs(values).max(initial=0) < 32767 and (values == np.rint(values)).all():
        return values.astype(np.int16)
    return values.astype(np.float32)
