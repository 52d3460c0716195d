"""Letters drawn into images: names, dates and measures of ultrasound, endoscopy and screenshots.

Drawn letters have one value, brighter than all around, stand in a line, and are of one height. Highlights, calcified
spots and catheters are bright, too, but do not stand in lines of like height.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import counted
from robustness.runners.data.check.findings import Finding
from robustness.runners.data.records import Record
from robustness.types import Image, Mask

# Letters of common fonts, in pixels; smaller ones cannot be read, larger ones are no overlay.
_HEIGHTS = (5, 48)
_LEAST_LETTERS = 5
# How far a letter's box may be from its neighbours': foot and height, as a share of the height; gap, in heights.
_FOOT, _HEIGHT_SPREAD, _GAP = 0.15, 0.2, 1.2
_BRIGHT = 200
# Components that an image with text may hold; more is texture.
_MOST = 4000

Boxes = npt.NDArray[np.int64]


class _Text(NamedTuple):
    split: str
    record: Record
    letters: int
    row: int
    column: int


class BurntInText:
    """Looks for lines of letters; see `robustness.runners.data.check.files.PixelRule`."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()
        self._images: dict[str, int] = {}
        self._texts: list[_Text] = []

    def see(self, split: str, record: Record, subject: str, image: Image, mask: Mask | None) -> None:
        """Look at one image."""
        if (split, record.image_name) in self._seen:
            return
        self._seen.add((split, record.image_name))
        self._images[split] = self._images.get(split, 0) + 1
        line = line_of_letters(image)
        if line is not None:
            self._texts.append(_Text(split, record, *line))

    def findings(self) -> Iterator[Finding]:
        """Yield how many images of a split seem to hold letters."""
        for split, count in self._images.items():
            texts = [text for text in self._texts if text.split == split]
            if texts:
                first = texts[0]
                verb = "seems" if len(texts) == 1 else "seem"
                where = f"row {first.row}, column {first.column} of {first.record.image_name}"
                message = (
                    f"{len(texts)} of {counted(count, 'image')} {verb} to hold letters or digits"
                    f" (first: {first.letters} in a line, {where}): they may name the patient,"
                    " and a model may read the side or the finding from them"
                )
                yield Finding("warning", "burnt_in_text", message, split, first.record.case_id, first.record.image_name)


def line_of_letters(image: Image) -> tuple[int, int, int] | None:
    """Return the longest line of letters in an image, as (letters, row, column of its start); None where there is none.

    Args:
        image: uint8 (H, W, 3).
    """
    boxes = _letters(image)
    best: tuple[int, int, int] | None = None
    for start in range(len(boxes)):
        line = _line_from(boxes, start)
        if len(line) >= _LEAST_LETTERS and (best is None or len(line) > best[0]):
            best = (len(line), int(boxes[start, 0]), int(boxes[start, 1]))
    return best


def _letters(image: Image) -> Boxes:
    """Return boxes (top, left, bottom, right) of bright components of letter size and one value, by their left."""
    from scipy import ndimage

    bright = image.max(axis=2)
    labels, count = ndimage.label(_drawn(bright), structure=np.ones((3, 3)))
    if not 0 < count <= _MOST:
        return np.zeros((0, 4), dtype=np.int64)
    areas = np.bincount(labels.ravel())
    boxes = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        fill = areas[number] / (height * width)
        if _HEIGHTS[0] <= height <= _HEIGHTS[1] and width <= 1.5 * height and 0.15 <= fill <= 1:
            boxes.append((rows.start, columns.start, rows.stop, columns.stop))
    return np.array(sorted(boxes, key=lambda box: box[1]), dtype=np.int64).reshape(-1, 4)


def _drawn(bright: npt.NDArray[np.uint8]) -> Mask:
    """Return where an image has its brightest value or nearly that, and is darker within three pixels of it."""
    from scipy import ndimage

    top = int(bright.max())
    if top < _BRIGHT:
        return np.zeros(bright.shape, dtype=np.bool_)
    lit = bright >= top - 58
    around = ndimage.minimum_filter(bright, size=7)
    return np.asarray(lit & (around < 0.6 * top))


def _line_from(boxes: Boxes, start: int) -> list[int]:
    """Return the letters that follow one to its right, each on the line of the last and of like height."""
    line = [start]
    for index in range(start + 1, len(boxes)):
        last, box = boxes[line[-1]], boxes[index]
        height = last[2] - last[0]
        if box[1] - last[3] > _GAP * height:
            break
        on_line = abs(int(box[2] - last[2])) <= _FOOT * height
        alike = abs(int(box[2] - box[0] - height)) <= _HEIGHT_SPREAD * height
        if on_line and alike and box[1] >= last[3] - 1:
            line.append(index)
    return line
