"""TIFF stacks and deep TIFF images by tifffile: 16 bits and floats, pages as slices or channels."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PILImage

from robustness.errors import CaseError, one_line
from robustness.regular_files import open_regular
from robustness.runners.data.volumes.base import Header, Voxels, needs, take_plane

SUFFIXES = (".tif", ".tiff")
_COLORS = (3, 4)


class Pages(NamedTuple):
    """How the pages of a stack are to be read.

    Attributes:
        axes: of the stack, as tifffile names them ("ZCYX"); those before Y and X count pages, S are samples.
        sizes: of the axes that count pages.
        rows, columns: of one page.
        samples: of one pixel: 1, or 3 and 4 of colours.
        inverted: low values are bright (photometric "white is zero").
        palette: pixels are numbers of colours.
    """

    axes: str
    sizes: tuple[int, ...]
    rows: int
    columns: int
    samples: int
    inverted: bool
    palette: bool

    @property
    def channels(self) -> int:
        """The size of the channel axis; 1 where there is none."""
        return self.sizes[self.axes.index("C")] if "C" in self.axes[: len(self.sizes)] else 1

    @property
    def slices(self) -> int:
        """The number of pages of one channel."""
        return int(np.prod(self.sizes, dtype=int)) // self.channels

    def page(self, number: int, channel: int) -> int:
        """Return the place of a slice of one channel among all pages."""
        if "C" not in self.axes[: len(self.sizes)]:
            return number
        axis = self.axes.index("C")
        others = [size for index, size in enumerate(self.sizes) if index != axis]
        where = list(np.unravel_index(number, others)) if others else []
        where.insert(axis, np.intp(channel))
        return int(np.ravel_multi_index(where, self.sizes))


class TiffVolume:
    """A TIFF file; see `robustness.runners.data.volumes.base.Volume`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pages = _pages(path)
        color = self._pages.samples in _COLORS
        self.header = Header(
            shape=(self._pages.columns, self._pages.rows, self._pages.slices),
            affine=None,
            spacing_mm=None,
            channels=3 if color else self._pages.channels,
            color=color,
            inverted=self._pages.inverted,
            warnings=("its colours are read as the numbers of a palette",) if self._pages.palette else (),
        )

    def voxels(self) -> Voxels:
        """Return all voxels; see `Volume`."""
        return np.stack([self._slice(number) for number in range(self.header.shape[2])], axis=2)

    def plane(self, axis: int, index: int) -> Voxels:
        """Return one plane; see `Volume`."""
        return self._slice(index) if axis == 2 else take_plane(self.voxels(), axis, index)

    def single_planes(self, axis: int) -> bool:
        """Tell whether one plane costs much less than the volume."""
        return axis == 2

    def _slice(self, number: int) -> Voxels:
        """Return one slice with columns along the first axis, channels last."""
        import tifffile

        pages, count = self._pages, self._pages.channels
        try:
            with tifffile.TiffFile(self.path) as file:
                stored: Any = file.pages
                images = [stored[pages.page(number, channel)].asarray() for channel in range(count)]
        except Exception as error:  # tifffile's decoders raise many kinds
            raise CaseError(
                f"image {self.path}: expected a readable page {number}, got {one_line(error, most=200)}"
            ) from None
        if pages.samples in _COLORS:
            # Colours may be stored one after the other ("separate" planes).
            first = images[0].shape[0] == pages.samples and images[0].shape[:2] != (pages.rows, pages.columns)
            image = np.moveaxis(images[0], 0, -1)[..., :3] if first else images[0][..., :3]
        else:
            image = images[0] if count == 1 else np.stack(images, axis=-1)
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
            # Pillow exchanges the sides of a page that its orientation turns, and not of each.
            first = sorted(image.size)
            image.seek(1)
            return sorted(image.size) == first
    except (OSError, SyntaxError, ValueError, EOFError, PILImage.DecompressionBombError, Warning):
        return False


def _pages(path: Path) -> Pages:
    try:
        import tifffile
    except ImportError:
        raise needs("tifffile", "a TIFF stack", path) from None
    try:
        with tifffile.TiffFile(path) as file:
            pages: Any = file.pages
            shapes = {page.shape for page in pages}
            series, first, count = file.series[0], pages[0], len(pages)
            axes, shape = str(series.axes), tuple(int(size) for size in series.shape)
            photometric = getattr(first, "photometric", None)
            # Further pages of one kind are frames, which have the tags of the first.
            tags = [page.tags.get("Orientation") for page in pages if hasattr(page, "tags")]
            turned = {int(tag.value) for tag in tags if tag} - {1}
    except FileNotFoundError:
        raise CaseError(f"image {path}: no such file") from None
    except Exception as error:
        raise CaseError(f"image {path}: expected a TIFF file, got {one_line(error, most=200)}") from None
    if turned:
        raise CaseError(
            f"image {path}: expected pages that lie as they are stored (Orientation 1), got Orientation "
            f"{', '.join(map(str, sorted(turned)))}; turn the pages and save them without it"
        )
    if len(shapes) != 1:
        raise CaseError(f"image {path}: expected pages of one size, found {len(shapes)} sizes")
    samples = int(first.samplesperpixel)
    if samples not in (1, *_COLORS):
        raise CaseError(f"image {path}: expected gray or RGB pages, got {samples} samples for each pixel")
    sizes = shape[: min(axes.index("Y"), axes.index("S") if "S" in axes else len(axes))]
    if int(np.prod(sizes, dtype=int)) != count or ("S" in axes) != (samples > 1):
        # What the description says does not fit the pages: they are taken as they come.
        axes, sizes = "QYX", (count,)
    name = getattr(photometric, "name", "")
    return Pages(
        axes, sizes, int(first.imagelength), int(first.imagewidth), samples, name == "MINISWHITE", name == "PALETTE"
    )
