"""Turn a stored plane so that a reader sees it as radiologists do, whatever order its voxels lie in.

Words: a display is written as in the DICOM field Patient Orientation: where columns run to, then where rows run to.
"LP" shows the patient's left on the right and the back below: an axial image in radiological convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from robustness.errors import InputError
from robustness.runners.data.volumes.base import Affine, Header, Voxels, spacing_of_affine

Plane = Literal["axial", "coronal", "sagittal", "stored"]
PLANES: tuple[str, ...] = Plane.__args__  # type: ignore[attr-defined]

RADIOLOGICAL = {"axial": "LP", "coronal": "LF", "sagittal": "PF"}
NEUROLOGICAL = {"axial": "RP", "coronal": "RF", "sagittal": "PF"}
CONVENTIONS = {"radiological": RADIOLOGICAL, "neurological": NEUROLOGICAL}

# A remark is made beyond these angles: ordinary tilts of a head lie below.
_SKEWED_DEGREES, _TURNED_DEGREES = 2.0, 30.0
# The axis of millimetre space (RAS+) that a plane is cut across, and the direction of each letter in it.
_NORMALS = {"sagittal": 0, "coronal": 1, "axial": 2}
_LETTERS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "H": (2, 1), "S": (2, 1), "F": (2, -1), "I": (2, -1)}


def is_display(text: str) -> bool:
    """Tell whether a text names where columns and rows run to: two letters of two axes, such as "LP"."""
    axes = [_LETTERS[letter][0] for letter in text.upper() if letter in _LETTERS]
    return len(axes) == len(text) == 2 and axes[0] != axes[1]


@dataclass(frozen=True, slots=True)
class View:
    """How one plane of a volume becomes an image.

    Attributes:
        plane: its name.
        axis: the stored axis that it is cut across.
        transposed: the first remaining stored axis runs along columns.
        flip_rows, flip_columns: the image is turned upside down, or from side to side, after that.
        count: number of slices.
        spacing_mm: of the image (row, column), or None.
        display: where columns and rows run to in the patient ("LP"), or "" where that is unknown.
        ascending: a higher slice index lies further to the patient's right, front or top.
    """

    plane: str
    axis: int
    transposed: bool
    flip_rows: bool
    flip_columns: bool
    count: int
    spacing_mm: tuple[float, float] | None
    display: str
    ascending: bool

    def shape(self, header: Header) -> tuple[int, int]:
        """Return (rows, columns) of an image of this view."""
        first, second = (size for axis, size in enumerate(header.shape) if axis != self.axis)
        return (second, first) if self.transposed else (first, second)

    def image(self, plane: Voxels) -> Voxels:
        """Return a stored plane (two axes, channels last) as an image (rows, columns)."""
        turned = np.swapaxes(plane, 0, 1) if self.transposed else plane
        if self.flip_rows:
            turned = turned[::-1]
        if self.flip_columns:
            turned = turned[:, ::-1]
        return turned


def view_of(header: Header, plane: str, orientation: str, where: str) -> View:
    """Return how slices of a plane are shown.

    Args:
        header: of the volume.
        plane: "axial", "coronal", "sagittal", or "stored": slices along the third stored axis, the first axis along
            columns and nothing turned, for files that lie nowhere in the patient (ultrasound, microscopy).
        orientation: "radiological", "neurological", or where columns and rows run to ("LP").
        where: the file, for messages.

    Raises:
        InputError: no such plane or orientation, or the file does not say how it lies in the patient.
    """
    if plane not in PLANES:
        raise InputError(f"slices.plane: expected one of {', '.join(PLANES)}, got {plane!r}")
    if plane == "stored":
        return stored_view(header)
    if header.affine is None:
        raise InputError(
            f"slices.plane: {where} does not say how it lies in the patient, so no {plane} plane is known; state "
            "plane = 'stored'"
        )
    columns, rows = _directions(plane, orientation)
    axes, signs = stored_axes(header.affine)
    normal = axes.index(_NORMALS[plane])
    first, second = [axis for axis in range(3) if axis != normal]
    along_columns = first if axes[first] == columns[0] else second
    along_rows = second if along_columns == first else first
    sizes = spacing_of_affine(header.affine)
    return View(
        plane=plane,
        axis=normal,
        transposed=along_columns == first,
        flip_rows=signs[along_rows] != rows[1],
        flip_columns=signs[along_columns] != columns[1],
        count=header.shape[normal],
        spacing_mm=(sizes[along_rows], sizes[along_columns]),
        display=_display(plane, orientation),
        ascending=signs[normal] > 0,
    )


def stored_view(header: Header) -> View:
    """Return the view of slices along the third stored axis, the first axis along columns and nothing turned."""
    spacing = header.spacing_mm
    in_plane = (spacing[1], spacing[0]) if spacing else None
    return View("stored", 2, True, False, False, header.shape[2], in_plane, "", True)


def stored_axes(affine: Affine) -> tuple[list[int], list[int]]:
    """Return, for each stored axis, the patient axis that it runs along best (0 right, 1 front, 2 top) and its sign.

    Every patient axis is taken once: an assignment that maximises the sum of direction cosines.
    """
    from scipy.optimize import linear_sum_assignment

    cosines = affine[:3, :3] / np.maximum(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), 1e-12)
    patient, stored = linear_sum_assignment(-np.abs(cosines))
    axes = [0, 0, 0]
    for place, axis in zip(patient, stored, strict=True):
        axes[int(axis)] = int(place)
    return axes, [1 if cosines[axes[axis], axis] >= 0 else -1 for axis in range(3)]


def obliquity_degrees(affine: Affine) -> float:
    """Return the largest angle between a stored axis and the patient axis that stands for it."""
    lengths = np.maximum(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), 1e-12)
    axes, _ = stored_axes(affine)
    cosines = [abs(affine[axes[axis], axis]) / lengths[axis] for axis in range(3)]
    return float(np.degrees(np.arccos(np.clip(min(cosines), 0, 1))))


def skewness_degrees(affine: Affine) -> float:
    """Return by how much the angle of two stored axes differs from a right one: a tilted gantry, a registration."""
    lengths = np.maximum(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)), 1e-12)
    cosines = np.abs(affine[:3, :3].T @ affine[:3, :3] / np.outer(lengths, lengths))
    return float(np.degrees(np.arcsin(np.clip(np.triu(cosines, 1).max(), 0, 1))))


def remarks_on(header: Header) -> list[str]:
    """Return what a reader of results should know of how a volume lies in the patient, one sentence each."""
    if header.affine is None or header.shape[2] == 1:
        return []
    remarks = []
    skewed, turned = skewness_degrees(header.affine), obliquity_degrees(header.affine)
    if skewed > _SKEWED_DEGREES:
        remarks.append(
            f"its axes are not at right angles (by {skewed:.0f} degrees; a tilted gantry?): planes other than the "
            "stored slices are sheared"
        )
    if turned > _TURNED_DEGREES:
        remarks.append(
            f"lies {turned:.0f} degrees from the patient's axes: it is shown along the nearest ones, and sides and "
            "planes hold roughly"
        )
    return remarks


def stored_plane(affine: Affine | None, shape: tuple[int, int, int]) -> str:
    """Return the name of the plane whose slices a file stores ("stored" where that is unknown).

    They lie along the third stored axis; of a volume with one axis of length one they lie along that axis.
    """
    if affine is None:
        return "stored"
    single = [axis for axis, size in enumerate(shape) if size == 1]
    normal = stored_axes(affine)[0][single[0] if len(single) == 1 else 2]
    return next(name for name, axis in _NORMALS.items() if axis == normal)


def _display(plane: str, orientation: str) -> str:
    return CONVENTIONS[orientation][plane] if orientation in CONVENTIONS else orientation


def _directions(plane: str, orientation: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the patient axis and sign that columns and rows run along."""
    text = _display(plane, orientation).upper()
    in_plane = sorted(axis for axis in range(3) if axis != _NORMALS[plane])
    if len(text) != 2 or any(letter not in _LETTERS for letter in text):
        raise InputError(
            f"slices.orientation: expected 'radiological', 'neurological' or two letters such as 'LP' (where columns, "
            f"then rows run to), got {orientation!r}"
        )
    columns, rows = _LETTERS[text[0]], _LETTERS[text[1]]
    if sorted((columns[0], rows[0])) != in_plane:
        raise InputError(f"slices.orientation: expected two directions of the {plane} plane, got {orientation!r}")
    return columns, rows
