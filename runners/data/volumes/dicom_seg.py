"""DICOM Segmentation objects by highdicom: one channel for each segment, on the segmentation's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.volumes.base import Header, Voxels, needs, take_plane

_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")


class SegVolume:
    """A segmentation object; see `robustness.runners.data.volumes.base.Volume`.

    `header.facts["segments"]` maps each segment's number to its label; channels follow in that order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        segmentation = _read(path)
        labels = {
            int(number): str(segmentation.get_segment_description(number).SegmentLabel)
            for number in segmentation.segment_numbers
        }
        self._voxels, affine = _volume(segmentation, list(labels), path)
        shape = self._voxels.shape
        sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
        self.header = Header(
            shape=(shape[0], shape[1], shape[2]),
            affine=affine,
            spacing_mm=(float(sizes[0]), float(sizes[1]), float(sizes[2])),
            channels=len(labels),
            patient=str(getattr(segmentation, "PatientID", "") or "").strip(),
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
    if path.is_dir():
        return False
    try:
        import pydicom

        storage = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID")
    except Exception:  # whatever is wrong with the file is said by the reader of images
        return False
    return str(storage) in _STORAGE


def _read(path: Path) -> Any:
    try:
        import highdicom
    except ImportError:
        raise needs("highdicom", "a DICOM segmentation", path) from None
    try:
        return highdicom.seg.segread(path)
    except Exception as error:  # pydicom, highdicom and decoders raise many kinds
        raise CaseError(f"mask {path}: expected a DICOM segmentation, got {_reason(error)}") from None


def _volume(segmentation: Any, numbers: list[int], path: Path) -> tuple[Voxels, Any]:
    try:
        volume = segmentation.get_volume(segment_numbers=numbers, combine_segments=False, rescale_fractional=True)
        array, affine = np.asarray(volume.array), np.asarray(volume.affine, dtype=np.float64)
    except Exception as error:
        raise CaseError(f"mask {path}: expected segments on one regular grid, got {_reason(error)}") from None
    # highdicom counts (slice, row, column); stored axes here are columns, rows, slices. LPS+ becomes RAS+.
    voxels = np.transpose(array, (2, 1, 0, 3))
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    return voxels, ras


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
