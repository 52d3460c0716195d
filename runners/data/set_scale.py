"""The scale of a dataset's deep images: decided once, from the plan, the headers, or a sample of the whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage

from robustness.array_files import array_facts, is_array_file, read_array
from robustness.errors import CaseError
from robustness.image_files import UNREADABLE, open_image
from robustness.regular_files import open_regular
from robustness.runners.data.masks.mask_pixels import without_single_axes
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import Record
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.open import is_volume
from robustness.runners.data.volumes.scale import (
    QUANTILES,
    TWELVE_BITS,
    Scale,
    Window,
    display_scale,
    header_scale,
    padded,
    quantile_scale,
    unsigned_scale,
)

_SAMPLED = 64
_SAMPLED_VOLUMES = 12
# Of all sampled volumes together, at least.
_SAMPLED_VALUES = 50_000
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")

Array = npt.NDArray[Any]


@dataclass
class SetScale:
    """What becomes black and white in deep image files and in volumes; None where the set has none of them.

    Attributes:
        files: of image files deeper than 8 bits.
        volumes: of volumes; None also where each volume has its own.
        per_volume: what the plan asks for where each volume has its own: quantiles, or what its header proposes.
        channel: which sequence of 4D files is used.
    """

    files: Scale | None = None
    volumes: Scale | None = None
    per_volume: Window | None = None
    cache: VolumeCache = field(default_factory=VolumeCache)
    channel: int | None = None
    own: dict[Path, Scale] = field(default_factory=dict)

    def of_file(self) -> Scale | None:
        """Return the scale of deep image files."""
        return self.files

    def of_volume(self, path: Path) -> Scale:
        """Return the scale of a volume's slices."""
        if path not in self.own:
            header = self.cache.volume(path).header
            scale = self._whole(path) if self.per_volume else self.volumes
            if scale is None:
                raise CaseError(
                    f"image {path}: expected one window or table (VOI LUT) that all headers propose, found none or "
                    'several; state [data] window = [low, high], {quantiles = [0.005, 0.995]} or "each header"'
                )
            self.own[path] = replace(scale, inverted=header.inverted)
        return self.own[path]

    def notes(self) -> list[str]:
        """Return the decisions in sentences."""
        notes = [f"deep images: {self.files.note()}"] if self.files else []
        if self.volumes:
            notes.append(f"volumes: {self.volumes.note()}")
        if self.per_volume and self.per_volume.header:
            notes.append("volumes: each is shown as its own header proposes, by its first table or window")
        if self.per_volume and self.per_volume.quantiles:
            low, high = self.per_volume.quantiles
            notes.append(f"volumes: each is scaled between its own quantiles {low:g} and {high:g}")
        return notes

    def _whole(self, path: Path) -> Scale:
        assert self.per_volume is not None
        header = self.cache.volume(path).header
        if self.per_volume.header:
            if not header.windows:
                raise CaseError(
                    f"image {path}: expected a window or table (VOI LUT) that all of its slices propose, found none or "
                    "several; state [data] window = [low, high] or {quantiles = [0.005, 0.995]}"
                )
            return display_scale(header.windows[0], "its header")
        assert self.per_volume.quantiles is not None
        voxels = self.cache.voxels(path)
        if header.channels > 1 and not header.color:
            voxels = voxels[..., self.channel or 0]
        return quantile_scale([_measured(voxels, header)], self.per_volume.quantiles, "quantiles of the volume")


def decide_scale(records: Sequence[Record], pool: Sequence[Path], options: ReadingOptions) -> SetScale:
    """Return the scale of a set.

    Args:
        records: of the chosen split.
        pool: the image files of all splits, so that each split gets the same decision; their order changes nothing.
        options: a stated window goes first.
    """
    paths = list(dict.fromkeys(record.image_path for record in records))
    volumes = list(dict.fromkeys(record.image_path for record in records if record.slice is not None))
    cut = set(volumes)
    deep = any(is_deep(path) for path in paths if path not in cut)
    channel = next((record.slice.channel for record in records if record.slice), None)
    decided = SetScale(cache=options.cache, channel=channel)
    window = options.window
    if window and window.interval:
        scale = Scale(*window.interval, "stated in the plan")
        decided.files, decided.volumes = (scale if deep else None), (scale if volumes else None)
        return decided
    everywhere = sorted(set(pool))
    if deep:
        decided.files = _of_files([path for path in everywhere if is_deep(path)] or paths, window)
    if volumes:
        if window and window.per_volume:
            decided.per_volume = window
        else:
            decided.volumes = _of_volumes([p for p in everywhere if is_volume(p)] or volumes, window, options, channel)
    return decided


def is_deep(path: Path) -> bool:
    """Tell whether an image file holds more than 8 bits; only its header is read."""
    suffix = path.suffix.lower()
    try:
        if is_array_file(path):
            return array_facts(path, "image").dtype not in (np.bool_, np.uint8)
        if suffix == ".png":
            with open_regular(path) as file:
                head = file.read(26)
            return len(head) == 26 and head[24] == 16 and head[25] == 0
        if suffix in (".tif", ".tiff"):
            with open_regular(path) as file, PILImage.open(file, formats=("TIFF",)) as image:
                return image.mode in _DEEP_MODES
    except UNREADABLE:
        return False
    return False


def _of_files(paths: Sequence[Path], window: Window | None) -> Scale | None:
    samples = [values for path in _spread(paths, _SAMPLED) if (values := _values(path)) is not None]
    if not samples:
        return None
    if window and window.quantiles:
        return quantile_scale(samples, window.quantiles, "quantiles of the set")
    if all(np.issubdtype(v.dtype, np.integer) and v.min() >= 0 and v.max() <= 65535 for v in samples):
        return unsigned_scale(
            [float(values.max()) for values in samples], [float((values <= TWELVE_BITS).mean()) for values in samples]
        )
    if all(v.min() >= 0 and v.max() <= 1 for v in samples):
        return Scale(0.0, 1.0, "values of 0 to 1 in the set")
    return quantile_scale(samples, QUANTILES, "quantiles 0.005 and 0.995 of the set")


def _of_volumes(
    paths: Sequence[Path], window: Window | None, options: ReadingOptions, channel: int | None
) -> Scale | None:
    readable = [(path, header) for path in _spread(paths, _SAMPLED) if (header := _header(path, options.cache))]
    if window is None or window.header:
        proposed = header_scale([header.windows for _, header in readable])
        if proposed or (window and window.header):
            return proposed
    chosen = [(path, header) for path, header in _spread(readable, _SAMPLED_VOLUMES) if not header.color]
    along_axis = round((_SAMPLED_VALUES / max(1, len(chosen))) ** (1 / 3))
    samples = [_sample(path, header, channel, options.cache, along_axis) for path, header in chosen]
    if not any(values.size for values in samples):
        return None
    quantiles = window.quantiles if window and window.quantiles else QUANTILES
    return quantile_scale(samples, quantiles, f"quantiles {quantiles[0]:g} and {quantiles[1]:g} of the set")


def _sample(path: Path, header: Header, channel: int | None, cache: VolumeCache, along_axis: int) -> Array:
    """Return values of a volume that lie evenly in it, at least `along_axis` along each axis that has as many.

    A part of the values gives the same quantiles in little memory. In which order axes are stored, and from which end,
    changes nothing, so that copies of a set in other formats are shown alike.
    """
    rows, columns, indices = (_from_both_ends(size, max(1, size // along_axis)) for size in header.shape)
    sampled: list[Array] = [np.zeros(0)]
    for index in indices.tolist():
        try:
            plane = cache.plane(path, 2, index)
        except CaseError:
            break
        values = plane[..., channel or 0] if plane.ndim == 3 else plane
        sampled.append(values[np.ix_(rows, columns)].ravel())
    return _measured(np.concatenate(sampled), header)


def _from_both_ends(size: int, step: int) -> npt.NDArray[np.int_]:
    """Return indices `step` apart that are the same counted from either end.

    Example:
        >>> _from_both_ends(8, 3).tolist(), _from_both_ends(7, 2).tolist()
        ([0, 3, 4, 7], [1, 3, 5])
    """
    half = np.arange((size - 1) // 2, -1, -step)
    return np.unique(np.concatenate([half, size - 1 - half]))


def _measured(values: Array, header: Header) -> Array:
    """Return the values without those that stand for no measurement; all where none is left."""
    nothing = padded(values, header.padding)
    return values if nothing is None or nothing.all() else values[~nothing]


def _header(path: Path, cache: VolumeCache) -> Header | None:
    try:
        return cache.volume(path).header
    except CaseError:
        return None


def _values(path: Path) -> Array | None:
    try:
        values = without_single_axes(read_array(path, "image")) if is_array_file(path) else np.asarray(open_image(path))
    except UNREADABLE:
        return None
    return values if values.ndim == 2 and np.isfinite(values).all() else None


def _spread(items: Sequence[Any], most: int) -> list[Any]:
    if len(items) <= most:
        return list(items)
    return [items[int(index)] for index in np.linspace(0, len(items) - 1, most)]
