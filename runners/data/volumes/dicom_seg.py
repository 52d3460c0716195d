"""DICOM Segmentation objects by highdicom: one channel for each segment, on the segmentation's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.regular_files import is_regular
from robustness.runners.data.volumes.base import Header, Voxels, needs, spacing_of_affine, take_plane

_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


class SegVolume:
    """A segmentation object; see `robustness.runners.data.volumes.base.Volume`.

    `header.facts["segments"]` maps each segment's number to its label; channels follow in that order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        dataset = _read(path)
        labels = {int(item.SegmentNumber): str(item.SegmentLabel) for item in dataset.SegmentSequence}
        if str(getattr(dataset, "SegmentationType", "")) == "LABELMAP":
            # Number 0 of a label map is its background, which no other kind numbers.
            labels.pop(0, None)
        single = _single_plane(dataset, list(labels))
        self._voxels, affine = (single, None) if single is not None else _volume(path, list(labels))
        shape = self._voxels.shape
        self.header = Header(
            shape=(shape[0], shape[1], shape[2]),
            affine=affine,
            spacing_mm=None if affine is None else spacing_of_affine(affine),
            channels=len(labels),
            patient=str(getattr(dataset, "PatientID", "") or "").strip(),
            frame_of_reference=str(getattr(dataset, "FrameOfReferenceUID", "") or "").strip(),
            facts={"segments": labels},
        )

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        return self._voxels

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        return take_plane(self._voxels, axis, index)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return True


def is_segmentation(path: Path) -> bool:
    """Tell whether a file is a DICOM segmentation object."""
    if not is_regular(path):
        return False
    try:
        import pydicom

        storage = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID")
    except Exception:  # whatever is wrong with the file is said by the reader of images
        return False
    return str(storage) in _STORAGE


def _read(path: Path) -> Any:
    import pydicom

    try:
        dataset = pydicom.dcmread(path)
        _ = [(item.SegmentNumber, item.SegmentLabel) for item in dataset.SegmentSequence]
    except Exception as error:  # pydicom raises several kinds of its own
        raise CaseError(f"mask {path}: expected a DICOM segmentation, got {one_line(error, most=200)}") from None
    return dataset


def _single_plane(dataset: Any, numbers: list[int]) -> Voxels | None:
    """Return segments of one image that lies nowhere in the patient (a radiograph); None for all others.

    highdicom asks for measures that such images do not have.
    """
    frames = list(getattr(dataset, "PerFrameFunctionalGroupsSequence", None) or [])
    placed = [frame for frame in frames if getattr(frame, "PlanePositionSequence", None)]
    named = [_segment_of(frame, dataset) for frame in frames]
    if not frames or placed or len(set(named)) < len(named) or not set(named) <= set(numbers):
        return None
    pixels = np.asarray(dataset.pixel_array).reshape(len(frames), int(dataset.Rows), int(dataset.Columns))
    top = float(getattr(dataset, "MaximumFractionalValue", 1) or 1)
    voxels = np.zeros((int(dataset.Columns), int(dataset.Rows), 1, len(numbers)), dtype=np.float32)
    for number, plane in zip(named, pixels, strict=True):
        voxels[:, :, 0, numbers.index(number)] = plane.T / top
    return voxels


def _segment_of(frame: Any, dataset: Any) -> int:
    shared = (getattr(dataset, "SharedFunctionalGroupsSequence", None) or [None])[0]
    for group in (frame, shared):
        items = getattr(group, "SegmentIdentificationSequence", None)
        if items:
            return int(items[0].ReferencedSegmentNumber)
    return 0


def _volume(path: Path, numbers: list[int]) -> tuple[Voxels, Any]:
    try:
        import highdicom
    except ImportError:
        raise needs("highdicom", "a DICOM segmentation", path) from None
    try:
        segmentation = highdicom.seg.segread(path)
        volume = segmentation.get_volume(segment_numbers=numbers, combine_segments=False, rescale_fractional=True)
        array, affine = np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)
    except Exception as error:  # pydicom, highdicom and decoders raise many kinds
        raise CaseError(
            f"mask {path}: expected segments on one regular grid, got {one_line(error, most=200)}"
        ) from None
    # highdicom counts (slice, row, column); stored axes here are columns, rows, slices. LPS+ becomes RAS+.
    voxels = np.transpose(array, (2, 1, 0, 3))
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    return voxels, ras
