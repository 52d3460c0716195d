"""Facts of DICOM headers: geometry, display windows, patient and further ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

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
    """Tell whether a header states the pixel size on the detector only, which a cone of rays enlarges."""
    return not _numbers(getattr(dataset, "PixelSpacing", None)) and bool(
        _numbers(getattr(dataset, "ImagerPixelSpacing", None))
    )


def padding_of(dataset: Any) -> tuple[float, float] | None:
    """Return the rescaled values (lowest, highest) that stand for no measurement, or None.

    Reference: DICOM PS3.3, C.7.5.1.1.2 (Pixel Padding Value and Pixel Padding Range Limit).
    """
    bounds = [*_numbers(getattr(dataset, "PixelPaddingValue", None))[:1]]
    bounds += _numbers(getattr(dataset, "PixelPaddingRangeLimit", None))[:1]
    if not bounds or getattr(dataset, "ModalityLUTSequence", None):
        return None
    slope = (_numbers(getattr(dataset, "RescaleSlope", None)) or [1.0])[0]
    intercept = (_numbers(getattr(dataset, "RescaleIntercept", None)) or [0.0])[0]
    rescaled = sorted(bound * slope + intercept for bound in bounds)
    return rescaled[0], rescaled[-1]


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
