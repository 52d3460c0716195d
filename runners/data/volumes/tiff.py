"""TIFF stacks and deep TIFF images by tifffile: 16 bits and floats, pages as slices."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from robustness.errors import CaseError, one_line
from robustness.regular_files import open_regular
from robustness.runners.data.volumes.base import Header, Voxels, needs, take_plane

SUFFIXES = (".tif", ".tiff")
_COLORS = (3, 4)


class TiffVolume:
    """A TIFF file; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        shape, color = _shape(path)
        self._color = color
        self.header = Header(shape=shape, affine=None, spacing_mm=None, channels=3 if color else 1, color=color)

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        pages = [self._page(number) for number in range(self.header.shape[2])]
        return np.stack(pages, axis=2)

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        return self._page(index) if axis == 2 else take_plane(self.voxels(), axis, index)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return axis == 2

    def _page(self, number: int) -> Voxels:
        """Return one page with columns along the first axis."""
        import tifffile

        try:
            with tifffile.TiffFile(self.path) as file:
                pages: Any = file.pages
                image = pages[number].asarray()
        except Exception as error:  # tifffile's decoders raise many kinds
            raise CaseError(
                f"image {self.path}: expected a readable page {number}, got {one_line(error, most=200)}"
            ) from None
        if self._color:
            image = image[..., :3]
        return np.swapaxes(image, 0, 1)


def is_stack(path: Path) -> bool:
    """Tell whether a TIFF holds several pages of one size; further pages of other sizes are previews of one image."""
    try:
        facts = path.stat()
    except OSError:
        return False
    return _is_stack(path, (facts.st_size, facts.st_mtime_ns))


@lru_cache(maxsize=65536)
def _is_stack(path: Path, version: tuple[int, int]) -> bool:
    try:
        with open_regular(path) as file, PILImage.open(file, formats=("TIFF",)) as image:
            first = image.size
            image.seek(1)
            return image.size == first
    except (OSError, SyntaxError, ValueError, EOFError, PILImage.DecompressionBombError, Warning):
        return False


def _shape(path: Path) -> tuple[tuple[int, int, int], bool]:
    try:
        import tifffile
    except ImportError:
        raise needs("tifffile", "a TIFF stack", path) from None
    try:
        with tifffile.TiffFile(path) as file:
            pages: Any = file.pages
            shapes = {page.shape for page in pages}
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except Exception as error:
        raise CaseError(f"image {path}: expected a TIFF file, got {one_line(error, most=200)}") from None
    if len(shapes) != 1:
        raise CaseError(f"image {path}: expected pages of one size, found {len(shapes)} sizes")
    shape = shapes.pop()
    color = len(shape) == 3 and shape[2] in _COLORS
    if len(shape) != 2 and not color:
        raise CaseError(f"image {path}: expected gray or RGB pages, got the shape {shape}")
    return (int(shape[1]), int(shape[0]), len(pages)), color
