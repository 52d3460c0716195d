"""DICOM Segmentation objects: one channel for each segment, on a grid that the places of the frames span."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robustness.errors import CaseError, one_line
from robustness.regular_files import is_regular
from robustness.runners.data.volumes.base import Affine, Header, Voxels, spacing_of_affine, take_plane
from robustness.runners.data.volumes.dicom_header import affine_of, along_normal, functional_groups

_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
# Rounding of headers: how far frames may be off a grid, in voxels; by how much cosines and pixel sizes may differ; the
# share of a stated distance of slices; and mm between two positions of one slice.
_TOLERANCE, _SAME, _SAME_STEP, _SAME_PLACE_MM = 0.1, 1e-3, 0.01, 0.05
# Frames may be left out between all that are there: the smallest distance that is seen is so many slices at most.
_MOST_LEFT_OUT = 6
# Frames that are so many times further apart than they are thick leave slices out.
_APART = 1.5
# A distance of slices that would give more of them is not meant.
_MOST_SLICES = 4096


class Grid(NamedTuple):
    """Where frames lie: the slice of each, how many slices there are, and the affine (None: nowhere in the patient)."""

    slices: list[int]
    depth: int
    affine: Affine | None


class SegVolume:
    """A segmentation object; see `robustness.runners.data.volumes.base.Volume`.

    `header.facts["segments"]` maps each segment's number to its label; channels follow in that order.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        dataset = _read(path)
        labels = _labels(dataset, path)
        grid = _grid(dataset, path)
        self._voxels = _voxels(dataset, list(labels), grid, path)
        shape = self._voxels.shape
        self.header = Header(
            shape=(shape[0], shape[1], shape[2]),
            affine=grid.affine,
            spacing_mm=None if grid.affine is None else spacing_of_affine(grid.affine),
            channels=len(labels),
            patient=str(getattr(dataset, "PatientID", "") or "").strip(),
            frame_of_reference=str(getattr(dataset, "FrameOfReferenceUID", "") or "").strip(),
            facts={"segments": labels},
            sparse_mm=_sparse_mm(dataset, grid),
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
        _ = [int(item.SegmentNumber) for item in dataset.SegmentSequence]
    except Exception as error:  # pydicom raises several kinds of its own
        raise CaseError(f"mask {path}: expected a DICOM segmentation, got {one_line(error, most=200)}") from None
    return dataset


def _labels(dataset: Any, path: Path) -> dict[int, str]:
    """Return the number and label of each segment; number 0 of a label map is its background."""
    labels = {int(item.SegmentNumber): str(item.get("SegmentLabel") or "").strip() for item in dataset.SegmentSequence}
    if _is_label_map(dataset):
        labels.pop(0, None)
    nameless = [number for number, label in labels.items() if not label]
    if nameless or not labels:
        missing = f"none for segment {nameless[0]}" if nameless else "no segment"
        raise CaseError(f"mask {path}: expected segments, each with its label (Segment Label), found {missing}")
    return labels


def _is_label_map(dataset: Any) -> bool:
    return str(getattr(dataset, "SegmentationType", "")) == "LABELMAP"


def _grid(dataset: Any, path: Path) -> Grid:
    """Return where the frames lie; frames that are left out are empty slices.

    Raises:
        CaseError: frames of several orientations, sizes or origins, or at distances that no grid has.
    """
    count = int(getattr(dataset, "NumberOfFrames", 1) or 1)
    described = len(getattr(dataset, "PerFrameFunctionalGroupsSequence", None) or [])
    if described != count and (described or count > 1):
        raise CaseError(f"mask {path}: expected a description of each of its {count} frames, found {described}")
    groups = [functional_groups(dataset, number) for number in range(count)]
    placed = [group for group in groups if {"cosines", "position", "spacing"} <= set(group)]
    if not placed:
        # A radiograph lies nowhere in the patient.
        return Grid([0] * count, 1, None)
    first = placed[0]
    alike = all(
        np.allclose(group[field], first[field], rtol=_SAME, atol=_SAME)
        for group in placed
        for field in ("cosines", "spacing")
    )
    if len(placed) < count or not alike:
        raise _no_grid(path, "frames without a place" if alike else "frames of several orientations or pixel sizes")
    heights = np.array([along_normal(group["cosines"], group["position"]) for group in groups])
    step = _step(heights - heights.min(), dataset)
    if step is None:
        raise _no_grid(path, "frames at uneven distances")
    slices = np.rint((heights - heights.min()) / step).astype(int)
    low, high = (groups[int(place)]["position"] for place in (slices.argmin(), slices.argmax()))
    affine = affine_of(first["cosines"], low, high, first["spacing"], int(slices.max()) + 1)
    if not slices.any():
        affine[:3, 2] *= step
    _refuse_shifted(affine, slices, np.array([group["position"] for group in groups]), path)
    return Grid(slices.tolist(), int(slices.max()) + 1, affine)


def _stated(dataset: Any, *keys: str) -> list[float]:
    """Return what a header states of its slices: how far apart they are, how thick."""
    measures = [getattr(group, "PixelMeasuresSequence", None) for group in _groups(dataset, 0)]
    items = [item[0] for item in measures if item]
    return [abs(float(value)) for key in keys for item in items if (value := item.get(key))]


def _sparse_mm(dataset: Any, grid: Grid) -> float | None:
    """Return half of the thickness of frames that are further apart than they are thick; 0 of a single one.

    How thick a single frame is says nothing of where another one would lie.
    """
    places = sorted(set(grid.slices))
    thick = _stated(dataset, "SliceThickness")
    if grid.affine is None or _stated(dataset, "SpacingBetweenSlices"):
        return None
    if len(places) == 1:
        return 0.0
    nearest = min(np.diff(places)) * spacing_of_affine(grid.affine)[2]
    return thick[0] / 2 if thick and nearest > _APART * thick[0] else None


def _step(heights: Voxels, dataset: Any) -> float | None:
    """Return the distance of slices of which the frames' distances are multiples; None where there is none.

    Frames without foreground may be left out, so that the smallest distance that is seen can be several slices.
    """
    stated, thick = _stated(dataset, "SpacingBetweenSlices"), _stated(dataset, "SliceThickness")
    levels = np.unique(heights)
    gaps = np.diff(levels)
    gaps = gaps[gaps > min(_TOLERANCE * min((*stated, *thick), default=_SAME_PLACE_MM), _SAME_PLACE_MM)]
    if not gaps.size:
        return next(iter((*stated, *thick)), 1.0)
    # Behind a gap of two slices and one of three, none of which is stated, lies a third or half of it.
    for step in (*stated, *(float(gaps.min()) / part for part in range(1, _MOST_LEFT_OUT + 1))):
        count = max(1.0, np.rint(levels[-1] / step))
        exact = float(levels[-1] / count)
        off = np.abs(levels / exact - np.rint(levels / exact)).max()
        if count < _MOST_SLICES and off <= _TOLERANCE and abs(exact - step) <= _SAME_STEP * step:
            return exact
    return None


def _refuse_shifted(affine: Affine, slices: Voxels, positions: Voxels, path: Path) -> None:
    corners = np.stack([slices * 0, slices * 0, slices, slices * 0 + 1])
    expected = (affine @ corners)[:3].T * (-1, -1, 1)
    if np.abs(expected - positions).max() > _TOLERANCE * min(spacing_of_affine(affine)):
        raise _no_grid(path, "frames that are shifted against each other")


def _no_grid(path: Path, found: str) -> CaseError:
    return CaseError(f"mask {path}: expected segments on one regular grid, got {found}")


def _voxels(dataset: Any, numbers: Sequence[int], grid: Grid, path: Path) -> Voxels:
    """Return the voxels (columns, rows, slices, segments): 0 and 1, or shares of a fractional segmentation."""
    rows, columns, frames = int(dataset.Rows), int(dataset.Columns), len(grid.slices)
    try:
        pixels = np.asarray(dataset.pixel_array).reshape(frames, rows, columns)
    except Exception as error:  # pydicom and decoders raise many kinds
        raise CaseError(f"mask {path}: expected readable pixels, got {one_line(error, most=200)}") from None
    fractional = str(getattr(dataset, "SegmentationType", "")) == "FRACTIONAL"
    kind = np.float32 if fractional else np.uint8
    voxels = np.zeros((columns, rows, grid.depth, len(numbers)), dtype=kind)
    top = float(getattr(dataset, "MaximumFractionalValue", 255) or 255) if fractional else 1
    taken = set()
    for place, number, plane in _planes(dataset, pixels, numbers, grid):
        if (place, number) in taken:
            where = "in a film, whose frames state no place in the patient" if grid.affine is None else "at one place"
            raise CaseError(
                f"mask {path}: expected one frame for each segment and place, got several of segment {number} {where}; "
                "convert it to a volume of labels"
            )
        taken.add((place, number))
        voxels[:, :, place, numbers.index(number)] = plane.T / top if fractional else plane.T != 0
    return voxels


def _planes(dataset: Any, pixels: Voxels, numbers: Sequence[int], grid: Grid) -> Iterator[tuple[int, int, Voxels]]:
    """Yield the slice, the segment's number and the pixels of each frame; of a label map for each segment."""
    label_map = _is_label_map(dataset)
    for frame, (place, plane) in enumerate(zip(grid.slices, pixels, strict=True)):
        if label_map:
            yield from ((place, number, plane == number) for number in numbers)
            continue
        number = _segment_of(dataset, frame)
        # A frame of a segment that the file does not describe is nobody's.
        if number in numbers:
            yield place, number, plane


def _groups(dataset: Any, frame: int) -> list[Any]:
    own = list(getattr(dataset, "PerFrameFunctionalGroupsSequence", None) or [])[frame : frame + 1]
    return [*own, *(getattr(dataset, "SharedFunctionalGroupsSequence", None) or [])[:1]]


def _segment_of(dataset: Any, frame: int) -> int:
    for group in _groups(dataset, frame):
        items = getattr(group, "SegmentIdentificationSequence", None)
        if items:
            return int(items[0].ReferencedSegmentNumber)
    return 0
