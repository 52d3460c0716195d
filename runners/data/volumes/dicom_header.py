"""Facts of DICOM headers: geometry, display windows, patient and further ones; headers that cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.volumes.base import Affine, DisplayWindow

# Groups that a plan may ask for: short names, and the DICOM keywords that they stand for.
FACTS = {
    "scanner": "ManufacturerModelName",
    "manufacturer": "Manufacturer",
    "site": "InstitutionName",
    "sex": "PatientSex",
    "age": "PatientAge",
    "field_strength": "MagneticFieldStrength",
    "kvp": "KVP",
    "body_part": "BodyPartExamined",
    "protocol": "ProtocolName",
    "station": "StationName",
}
# Codes of the field Modality (DICOM PS3.3, C.7.3.1.1.1) in the words of `robustness.perturb.modality`.
MODALITIES = {
    "CT": "CT",
    "MR": "MRI",
    "US": "ultrasound",
    "IVUS": "ultrasound",
    "CR": "x-ray",
    "DX": "x-ray",
    "MG": "x-ray",
    "RF": "x-ray",
    "XA": "x-ray",
    "PX": "x-ray",
    "IO": "x-ray",
    "ES": "endoscopy",
    "OP": "fundus",
    "OPT": "OCT",
    "SM": "microscopy",
    "GM": "microscopy",
    "DMS": "dermoscopy",
    "XC": "photograph",
}
# Fields that name a person or lead to one (DICOM PS3.15, table E.1-1); a file for research holds none of them.
IDENTIFIERS = (
    "PatientName",
    "PatientBirthDate",
    "PatientBirthName",
    "PatientMotherBirthName",
    "OtherPatientIDs",
    "OtherPatientIDsSequence",
    "OtherPatientNames",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "MilitaryRank",
    "IssuerOfPatientID",
    "AccessionNumber",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "ResponsiblePerson",
)

# How far black and white of a step lie apart, as a share of its place.
_STEP = 1e-6
_SIXTEEN_BITS = 16
# What a decoder gives as RGB. HSV, ARGB, CMYK and partial YBR are retired.
_COLORS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
# Spacings that differ by more than this factor are no rounding.
_SAME_SPACING = 1.01
_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def facts_of(dataset: Any) -> dict[str, Any]:
    """Return the facts that a header states, under their short names."""
    values = {name: str(getattr(dataset, keyword, "") or "").strip() for name, keyword in FACTS.items()}
    return {name: value for name, value in values.items() if value}


def identifiers_of(dataset: Any) -> list[str]:
    """Return the keywords of fields that name a person and are not empty."""
    return [keyword for keyword in IDENTIFIERS if str(getattr(dataset, keyword, "") or "").strip(" ^")]


def windows_of(dataset: Any) -> tuple[DisplayWindow, ...]:
    """Return the windows that a header, or a frame's group of it, proposes; one that it may not state is left out.

    A window of centre c and width w of at least 1 reaches from c - 0.5 - (w - 1) / 2 to c - 0.5 + (w - 1) / 2 (function
    LINEAR, which also holds where none is stated); LINEAR_EXACT, with any w above 0, from c - w / 2 to c + w / 2.
    SIGMOID shows a value x as 1 / (1 + exp(-4 (x - c) / w)). Reference: DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
    """
    centers, widths = (_numbers(getattr(dataset, key, None)) for key in ("WindowCenter", "WindowWidth"))
    function = str(getattr(dataset, "VOILUTFunction", "") or "LINEAR").strip().upper()
    pairs = [(c, w) for c, w in zip(centers, widths, strict=False) if math.isfinite(c) and 0 < w < math.inf]
    if function in ("LINEAR_EXACT", "SIGMOID"):
        return tuple(DisplayWindow(c - w / 2, c + w / 2, function == "SIGMOID") for c, w in pairs)
    if function != "LINEAR":
        return ()
    return tuple(_linear(c, w) for c, w in pairs if w >= 1)


def _linear(center: float, width: float) -> DisplayWindow:
    low, high = center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2
    # A width of 1 is a step: black up to `low`, white above.
    return DisplayWindow(low, max(high, low + _STEP * max(1.0, abs(low))))


def frame_display_groups(dataset: Any, frame: int) -> list[Any]:
    """Return what may propose how one frame of an enhanced multi-frame image is shown, its own group first."""
    return _group_items(dataset, frame, "FrameVOILUTSequence")


def in_plane_spacing(dataset: Any) -> tuple[float, float] | None:
    """Return pixel spacing (row, column) in mm: of the patient, of the detector, or of an ultrasound region."""
    for key in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        pair = _numbers(getattr(dataset, key, None))
        if len(pair) == 2 and all(value > 0 for value in pair):
            return pair[0], pair[1]
    regions = getattr(dataset, "SequenceOfUltrasoundRegions", None) or []
    sizes = {(abs(float(r.PhysicalDeltaY)) * 10, abs(float(r.PhysicalDeltaX)) * 10) for r in regions if _in_cm(r)}
    return sizes.pop() if len(sizes) == 1 else None


def detector_spacing(dataset: Any) -> bool:
    """Tell whether a header states the pixel size on the detector only, which a cone of rays enlarges.

    A size in the patient (PixelSpacing) that equals the detector's says that nothing was calibrated, unless a type of
    calibration stands beside it. Reference: DICOM PS3.3, 10.7.1.1 and 10.7.1.2.
    """
    detector = _numbers(getattr(dataset, "ImagerPixelSpacing", None))
    patient = _numbers(getattr(dataset, "PixelSpacing", None))
    if not detector or not patient:
        return bool(detector)
    calibrated = str(getattr(dataset, "PixelSpacingCalibrationType", None) or "").strip()
    same = len(detector) == len(patient) and all(map(math.isclose, patient, detector))
    return same and not calibrated


def stored_padding(dataset: Any) -> tuple[float, float] | None:
    """Return the stored values (lowest, highest) that stand for no measurement, or None.

    They have the sign of the pixels, however a writer has typed them. Reference: DICOM PS3.3, C.7.5.1.1.2 (Pixel
    Padding Value and Pixel Padding Range Limit).
    """
    bounds = [*_numbers(getattr(dataset, "PixelPaddingValue", None))[:1]]
    bounds += _numbers(getattr(dataset, "PixelPaddingRangeLimit", None))[:1]
    if not bounds:
        return None
    signed = int(getattr(dataset, "PixelRepresentation", 0) or 0) == 1
    if int(getattr(dataset, "BitsAllocated", 16) or 16) == _SIXTEEN_BITS:
        words = [int(bound) & 0xFFFF for bound in bounds]
        bounds = [word - (1 << _SIXTEEN_BITS) if signed and word >> (_SIXTEEN_BITS - 1) else word for word in words]
    return float(min(bounds)), float(max(bounds))


def frame_place(dataset: Any) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return (orientation of six cosines, position in mm, LPS+), or None where the header states none."""
    cosines, position = (
        _numbers(getattr(dataset, key, None)) for key in ("ImageOrientationPatient", "ImagePositionPatient")
    )
    return (cosines, position) if len(cosines) == 6 and len(position) == 3 else None


def affine_of(
    cosines: Sequence[float], first: Sequence[float], last: Sequence[float], spacing: tuple[float, float], count: int
) -> Affine:
    """Return the affine (RAS+) of slices from the first to the last position.

    Stored axes are columns (I), rows (J) and slices (K). Reference: DICOM PS3.3, C.7.6.2.1.1.
    """
    affine = np.eye(4)
    along_columns, along_rows = np.array(cosines[:3]), np.array(cosines[3:])
    affine[:3, 0], affine[:3, 1] = along_columns * spacing[1], along_rows * spacing[0]
    if count > 1:
        affine[:3, 2] = (np.array(last) - np.array(first)) / (count - 1)
    else:
        affine[:3, 2] = np.cross(along_columns, along_rows)
    affine[:3, 3] = first
    return np.asarray(_TO_RAS @ affine)


def along_normal(cosines: Sequence[float], position: Sequence[float]) -> float:
    """Return how far a position lies along the normal of its slice, in mm."""
    return float(np.dot(np.cross(cosines[:3], cosines[3:]), position))


def functional_groups(dataset: Any, frame: int) -> Mapping[str, Any]:
    """Return orientation, position and spacing of one frame of an enhanced multi-frame image, where stated."""
    fields: dict[str, Any] = {}
    for name, sequence, key in (
        ("cosines", "PlaneOrientationSequence", "ImageOrientationPatient"),
        ("position", "PlanePositionSequence", "ImagePositionPatient"),
        ("spacing", "PixelMeasuresSequence", "PixelSpacing"),
        ("slope", "PixelValueTransformationSequence", "RescaleSlope"),
        ("intercept", "PixelValueTransformationSequence", "RescaleIntercept"),
    ):
        stated = (getattr(item, key, None) for item in _group_items(dataset, frame, sequence))
        value = next((value for value in stated if value is not None), None)
        if value is not None:
            fields[name] = _numbers(value)
    return fields


def _group_items(dataset: Any, frame: int, sequence: str) -> list[Any]:
    """Return a frame's own item of a functional group and the one that all frames share, where they are there."""
    shared = (getattr(dataset, "SharedFunctionalGroupsSequence", None) or [None])[0]
    per_frame = getattr(dataset, "PerFrameFunctionalGroupsSequence", None) or []
    own = per_frame[frame] if frame < len(per_frame) else None
    return [items[0] for group in (own, shared) if (items := getattr(group, sequence, None))]


def _in_cm(region: Any) -> bool:
    return all(getattr(region, f"PhysicalUnits{axis}Direction", 0) == 3 for axis in "XY")


def _numbers(value: Any) -> list[float]:
    if value is None or value == "":
        return []
    items = value if hasattr(value, "__iter__") and not isinstance(value, str) else [value]
    try:
        return [float(item) for item in items]
    except (TypeError, ValueError):
        return []


def refuse_mixture(datasets: Sequence[Any], path: Path) -> None:
    """Refuse files that are no slices of one series, one size, one pixel spacing and one way to be shown.

    Raises:
        CaseError: they are not.
    """
    series = {str(getattr(dataset, "SeriesInstanceUID", "")) for dataset in datasets}
    if len(series) > 1:
        raise CaseError(f"image {path}: expected one series, found {len(series)}; give each its own folder")
    sizes = {(int(getattr(d, "Columns", 0) or 0), int(getattr(d, "Rows", 0) or 0)) for d in datasets}
    if len(sizes) > 1:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(sizes))
        raise CaseError(f"image {path}: expected slices of one size, found {shown} (a localizer?); take the others out")
    kinds = sorted({_shade(dataset) for dataset in datasets})
    if len(kinds) > 1:
        raise CaseError(
            f"image {path}: expected slices that are shown in one way, found {' and '.join(kinds)}; take the others out"
        )
    _refuse_spacings([in_plane_spacing(dataset) for dataset in datasets], path)


def _shade(dataset: Any) -> str:
    """Return how a header's values are shown: as colours, or in gray with low values dark or bright."""
    colors = int(getattr(dataset, "SamplesPerPixel", 1) or 1) > 1 or "PALETTE" in photometric(dataset)
    return "colours" if colors else photometric(dataset).strip() or "MONOCHROME2"


def _refuse_spacings(stated: Sequence[Sequence[float] | None], path: Path) -> None:
    """Refuse slices whose pixels are of several sizes: one of them would be taken for all.

    Raises:
        CaseError: they are.
    """
    sizes = [tuple(spacing) for spacing in stated if spacing]
    for axis in zip(*sizes, strict=True):
        if max(axis) > min(axis) * _SAME_SPACING:
            shown = ", ".join(f"{row:g} x {column:g}" for row, column in sorted(set(sizes))[:4])
            raise CaseError(
                f"image {path}: expected slices of one pixel spacing, found {shown} mm; take the others out"
            )


def refuse_colors(path: Path, dataset: Any) -> None:
    """Refuse colours that are no RGB once they are decoded (HSV, CMYK, ...), and counts of samples that none have.

    Raises:
        CaseError: they are.
    """
    samples, kind = int(getattr(dataset, "SamplesPerPixel", 1) or 1), photometric(dataset).strip()
    if samples != 1 and (samples != 3 or kind not in _COLORS):
        raise CaseError(
            f"image {path}: expected one sample for each pixel, or three of {', '.join(_COLORS)}, got {samples} of "
            f"{kind or 'no Photometric Interpretation'}; convert it to RGB"
        )


def photometric(dataset: Any) -> str:
    """Return how a header says that its values are shown ("MONOCHROME2")."""
    return str(getattr(dataset, "PhotometricInterpretation", "") or "")
