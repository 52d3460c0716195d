"""DICOM segmentations written by highdicom over a series of the phantom's head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.runners.data.volumes import phantom

# What highdicom copies from its source images; every value is made up.
STUDY = {
    "PatientName": "",
    "PatientBirthDate": "",
    "PatientSex": "F",
    "AccessionNumber": "",
    "StudyID": "",
    "StudyDate": "",
    "StudyTime": "",
    "ReferringPhysicianName": "",
    "Manufacturer": "Maker",
    "ManufacturerModelName": "Scanner X",
    "SeriesNumber": 1,
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.1",
}
PLACED = {"FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.2", "PositionReferenceIndicator": "", "SliceThickness": 3}


def write_series(folder: Path, **fields: object) -> Path:
    """Write the head as a series with all that a segmentation refers to."""
    head, affine = phantom.stored(phantom.head_ras(), phantom.affine_ras(), "LPS")
    return phantom.write_series(folder, head, affine, **{**STUDY, **PLACED, **fields})


def sources(series: Path) -> list[Any]:
    """Return the files of a series in the order of their slices."""
    import pydicom

    files = [pydicom.dcmread(file) for file in sorted(series.iterdir())]
    return sorted(files, key=lambda file: float(file.ImagePositionPatient[2]))


def write_segmentation(
    path: Path, images: Sequence[Any], segments: Mapping[str, np.ndarray], *, kind: str = "BINARY", **options: Any
) -> Path:
    """Write a segmentation; `segments` maps labels to arrays (slices, rows, columns), numbered from 1."""
    import highdicom as hd

    tissue = hd.sr.CodedConcept("85756007", "SCT", "Tissue")
    manual = hd.seg.SegmentAlgorithmTypeValues.MANUAL
    array = np.stack(list(segments.values()), axis=-1)
    if kind == "LABELMAP":
        array = (array * np.arange(1, len(segments) + 1)).sum(axis=-1)
    segmentation = hd.seg.Segmentation(
        source_images=list(images),
        pixel_array=array.astype(np.float64 if kind == "FRACTIONAL" else np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues[kind],
        segment_descriptions=[
            hd.seg.SegmentDescription(number, label, tissue, tissue, manual)
            for number, label in enumerate(segments, start=1)
        ],
        series_instance_uid=hd.UID(),
        series_number=2,
        sop_instance_uid=hd.UID(),
        instance_number=1,
        manufacturer="Maker",
        manufacturer_model_name="Tool",
        software_versions="1",
        device_serial_number="0",
        **options,
    )
    segmentation.save_as(path)
    return path


def of_head(value: int) -> np.ndarray:
    """Return where the head holds a value, bool (slices, rows, columns), as the series stores it."""
    head, _ = phantom.stored(phantom.head_ras(), phantom.affine_ras(), "LPS")
    return np.asarray(head.transpose(2, 1, 0) == value)


def without(*names: str) -> Any:
    """Return a change that takes fields out of a segmentation and its functional groups."""

    def change(dataset: Any) -> None:
        for holder in (dataset, *dataset.PerFrameFunctionalGroupsSequence):
            for name in names:
                if name in holder:
                    delattr(holder, name)

    return change


def as_thick(thickness: float) -> Any:
    """Return a change that states how thick slices are, and not how far apart."""

    def change(dataset: Any) -> None:
        (measures,) = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
        measures.pop("SpacingBetweenSlices", None)
        measures.SliceThickness = thickness or None

    return change


def in_another_order(dataset: Any) -> None:
    from pydicom.pixels import pack_bits

    pixels, order = dataset.pixel_array, np.roll(np.arange(int(dataset.NumberOfFrames))[::-1], 2)
    dataset.PixelData = pack_bits(pixels[order].ravel())
    groups = dataset.PerFrameFunctionalGroupsSequence
    dataset.PerFrameFunctionalGroupsSequence = [groups[int(number)] for number in order]


def raised(distance: float) -> Any:
    """Return a change that moves all frames along the normal of their slices."""

    def change(dataset: Any) -> None:
        for group in dataset.PerFrameFunctionalGroupsSequence:
            (place,) = group.PlanePositionSequence
            place.ImagePositionPatient = [
                *place.ImagePositionPatient[:2],
                float(place.ImagePositionPatient[2]) + distance,
            ]

    return change


def shifted(dataset: Any) -> None:
    (place,) = dataset.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence
    place.ImagePositionPatient = [float(place.ImagePositionPatient[0]) + 1, *place.ImagePositionPatient[1:]]


def nameless(dataset: Any) -> None:
    dataset.SegmentSequence[0].SegmentLabel = ""


def undescribed(dataset: Any) -> None:
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:2]
