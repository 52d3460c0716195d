"""Read the mask of one case: one file or several, an image, a volume, JSON, or written in the annotation itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from robustness.array_files import is_array_file
from robustness.errors import CaseError
from robustness.limits import limits
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.mask_pixels import read_pixels, unchangeable
from robustness.runners.data.masks.mask_values import MaskReading, foreground
from robustness.runners.data.masks.shapes import rasterize, read_json_mask
from robustness.runners.data.masks.volume_mask import Place, read_volume_mask
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.open import is_volume

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSource:
    """The mask of one case.

    Attributes:
        paths: files whose foregrounds count together; none where it is written inline.
        declaration: what their pixels mean.
        key: where a mask stands in a JSON file.
        inline: a run-length code or polygons, as the annotation holds them.
        parts: the masks of several annotations, which count together; `paths` are then all their files.
    """

    paths: tuple[Path, ...] = ()
    declaration: MaskDeclaration = field(default_factory=MaskDeclaration)
    key: tuple[str, ...] = ()
    inline: Any = None
    parts: tuple[MaskSource, ...] = ()

    def count(self) -> int:
        """Return how many masks count together."""
        return max(len(self.parts), len(self.paths), 1)

    def joined(self, other: MaskSource) -> MaskSource:
        """Return the union with the mask of another annotation; the same mask twice is one."""
        own = list(self.parts or (self,))
        own += [part for part in (other.parts or (other,)) if part not in own]
        paths = tuple(dict.fromkeys(path for part in own for path in part.paths))
        return self if len(own) == 1 else MaskSource(paths=paths, declaration=self.declaration, parts=tuple(own))


def read_source(
    source: MaskSource, size: Size | None, *, cache: VolumeCache, upright: bool = True, place: Place | None = None
) -> MaskReading:
    """Return the mask of one case; several files count together.

    Args:
        source: where it lies.
        size: (H, W) of the image; needed for polygons.
        cache: of volumes.
        upright: turn image files as their EXIF orientation asks.
        place: the slice of the image volume; needed where the mask is a volume.

    Raises:
        CaseError: a file is missing or broken, or does not fit the declaration or the image.
    """
    if source.inline is not None:
        return MaskReading(rasterize(source.inline, size, "written inline"), "run lengths or polygons")
    if source.parts:
        readings = [read_source(part, size, cache=cache, upright=upright, place=place) for part in source.parts]
    else:
        readings = [_read(path, source, size, cache=cache, upright=upright, place=place) for path in source.paths]
    if len(readings) == 1:
        return readings[0]
    shapes = {reading.mask.shape for reading in readings}
    if len(shapes) != 1:
        sizes = ", ".join(f"{width} x {height}" for height, width in sorted(shapes))
        raise CaseError(f"mask {_first(source)}: expected masks of one size, got {sizes} for one case")
    union = np.logical_or.reduce([reading.mask for reading in readings])
    return MaskReading(np.asarray(union), f"union of {len(readings)} masks ({readings[0].decision})")


def _first(source: MaskSource) -> str:
    return str(source.paths[0]) if source.paths else "written inline"


def _read(
    path: Path, source: MaskSource, size: Size | None, *, cache: VolumeCache, upright: bool, place: Place | None
) -> MaskReading:
    if path.suffix.lower() == ".json":
        return MaskReading(read_json_mask(path, source.key, size), "run lengths or polygons")
    if not is_volume(path):
        key = source.key[0] if source.key and is_array_file(path) else ""
        pixels = cache.mask_file(
            (path, _written(path), upright, key, size, limits().pixels),
            lambda: unchangeable(read_pixels(path, upright=upright, key=key, size=size)),
        )
        return foreground(pixels, source.declaration, str(path))
    if place is None:
        raise CaseError(f"mask {path}: expected an image of the same volume, got an ordinary image; name its slice")
    mask = read_volume_mask(path, source.declaration, place, cache)
    return MaskReading(mask, source.declaration.shown())


def _written(path: Path) -> tuple[int, int] | None:
    """Return when a file was written and its size, None where there is none."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_mtime_ns, facts.st_size
