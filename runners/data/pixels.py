"""Decode the image and the mask of a record, with one scale and one EXIF decision for the whole dataset."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.image_files import UNREADABLE, image_header
from robustness.runners.data.decode import DecodedImage, read_image
from robustness.runners.data.masks.mask_values import MaskReading
from robustness.runners.data.masks.source import read_source
from robustness.runners.data.masks.volume_mask import Place
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import Record
from robustness.runners.data.set_scale import SetScale
from robustness.runners.data.volumes.base import Voxels
from robustness.runners.data.volumes.orientation import View, view_of
from robustness.runners.data.volumes.scale import TWELVE_BITS, padded
from robustness.types import Mask

_KEPT_IMAGES = 4


class PixelReader:
    """Reads images and masks of one dataset; may be used by several threads.

    Args:
        options: what the plan states.
        scale: the set's decision about deep images.
        records: of the set, whose sizes tell how masks lie on turned images.
    """

    def __init__(self, options: ReadingOptions, scale: SetScale, records: Sequence[Record]) -> None:
        self.options = options
        self.scale = scale
        self._records = tuple(records)
        self._recent: OrderedDict[Any, DecodedImage] = OrderedDict()
        self._exif: str | None = options.exif
        self._lock = RLock()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_recent": OrderedDict(), "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock = RLock()

    def read(self, record: Record) -> tuple[DecodedImage, MaskReading]:
        """Return a record's image and mask, of one size.

        Raises:
            CaseError: a file cannot be read, sizes differ, or it cannot be known how the mask lies on a turned image.
        """
        if record.slice is not None:
            return self._of_volume(record)
        decoded = self._image(record.image_path, upright=True)
        if decoded.orientation == 1:
            return decoded, self._fitting(record, decoded, upright=True)
        return self._turned(record, decoded)

    def image(self, record: Record) -> DecodedImage:
        """Return a record's image alone, upright.

        Raises:
            CaseError: the file cannot be read.
        """
        if record.slice is None:
            return self._image(record.image_path, upright=True)
        header = self.options.cache.volume(record.image_path).header
        view = view_of(header, record.slice.plane, record.slice.orientation, record.image_name)
        return self._remembered((record.image_path, record.slice), lambda: self._slice(record, view))

    def _turned(self, record: Record, upright: DecodedImage) -> tuple[DecodedImage, MaskReading]:
        """Read an image with an EXIF orientation and its mask, which some tools draw on the stored pixels."""
        mask = self._mask(record, upright, upright=True)
        stored = self._image(record.image_path, upright=False)
        if upright.image.shape != stored.image.shape:
            if mask.mask.shape == upright.image.shape[:2]:
                return upright, mask
            return stored, self._fitting(record, stored, upright=False)
        if _exif_of(record) == upright.orientation or self._drawn_upright(record):
            return upright, self._fitting(record, upright, upright=True)
        return stored, self._fitting(record, stored, upright=False)

    def _drawn_upright(self, record: Record) -> bool:
        """Tell how masks lie on turned images whose sizes do not tell: as stated, or as on the set's other images."""
        with self._lock:
            if self._exif is None:
                self._exif = exif_of_set(self._records)
        if self._exif is None:
            raise CaseError(
                f"image {record.image_path}: its EXIF orientation turns it, its size does not tell whether the mask is "
                'drawn on the turned or on the stored pixels; state [data] exif = "upright" or "stored"'
            )
        return self._exif == "upright"

    def _fitting(self, record: Record, decoded: DecodedImage, *, upright: bool) -> MaskReading:
        reading = self._mask(record, decoded, upright=upright)
        _same_size(record, decoded, reading.mask)
        return reading

    def _mask(self, record: Record, decoded: DecodedImage, *, upright: bool) -> MaskReading:
        height, width = decoded.image.shape[:2]
        return read_source(record.mask_source, (height, width), cache=self.options.cache, upright=upright)

    def _image(self, path: Path, *, upright: bool) -> DecodedImage:
        scale = self.scale.of_file()
        return self._remembered((path, upright), lambda: read_image(path, upright=upright, scale=scale))

    def _of_volume(self, record: Record) -> tuple[DecodedImage, MaskReading]:
        address = record.slice
        assert address is not None
        cache = self.options.cache
        header = cache.volume(record.image_path).header
        view = view_of(header, address.plane, address.orientation, record.image_name)
        decoded = self._remembered((record.image_path, address), lambda: self._slice(record, view))
        place = Place(header, view, address.index)
        height, width = decoded.image.shape[:2]
        reading = read_source(record.mask_source, (height, width), cache=cache, place=place)
        _same_size(record, decoded, reading.mask)
        return decoded, reading

    def _slice(self, record: Record, view: View) -> DecodedImage:
        assert record.slice is not None
        cache = self.options.cache
        header = cache.volume(record.image_path).header
        if not 0 <= record.slice.index < view.count:
            raise CaseError(
                f"image {record.image_path}: expected a slice of 0 to {view.count - 1}, got {record.slice.index}"
            )
        values = view.image(cache.plane(record.image_path, view.axis, record.slice.index))
        if header.color:
            return DecodedImage(_eight_bit_color(values, record.image_path), None, None, 1)
        values = one_channel(values, header.channels, record.slice.channel, record.image_path)
        scale = self.scale.of_volume(record.image_path)
        unit = scale.unit(values)
        nothing = padded(values, header.padding)
        if nothing is not None:
            unit[nothing] = 0
        gray = np.rint(unit * 255).astype(np.uint8)
        return DecodedImage(np.repeat(gray[..., None], 3, axis=2), unit, scale.high, 1)

    def _remembered(self, key: Any, read: Any) -> DecodedImage:
        with self._lock:
            decoded: DecodedImage = self._recent.pop(key) if key in self._recent else _shared(read())
            self._recent[key] = decoded
            while len(self._recent) > _KEPT_IMAGES:
                self._recent.popitem(last=False)
            return decoded


def _shared(decoded: DecodedImage) -> DecodedImage:
    """Return an image that several cases can hold at once: none of them can change it."""
    for pixels in (decoded.image, decoded.image_float):
        if pixels is not None:
            pixels.setflags(write=False)
    return decoded


def exif_of_set(records: Sequence[Record]) -> str | None:
    """Return how masks lie on turned images whose sizes tell: "upright", "stored", or None where none tells."""
    seen: set[str] = set()
    for record in {record.image_path: record for record in records if record.slice is None}.values():
        try:
            with image_header(record.image_path) as image, image_header(record.mask_path) as mask:
                if _turns(image) and image.size[0] != image.size[1] and not _turns(mask):
                    seen.add("stored" if mask.size == image.size else "upright")
        except UNREADABLE:
            continue
    return seen.pop() if len(seen) == 1 else None


def one_channel(values: Voxels, channels: int, channel: int | None, path: Path) -> Voxels:
    """Return one sequence of a plane of a 4D file.

    Raises:
        CaseError: there are several and none is stated, or there are fewer.
    """
    if channels == 1:
        return values[..., 0] if values.ndim == 3 else values
    if channel is None or channel >= channels:
        got = "" if channel is None else f", got {channel}"
        raise CaseError(f"image {path}: holds {channels} sequences; state [data] slices.channel, counted from 0{got}")
    return values[..., channel]


def _turns(image: Any) -> bool:
    return image.getexif().get(0x0112, 1) in range(5, 9)


def _exif_of(record: Record) -> int:
    try:
        with image_header(record.mask_path) as mask:
            return int(mask.getexif().get(0x0112, 1))
    except UNREADABLE:
        return 1


def _eight_bit_color(values: Voxels, path: Path) -> Any:
    """Return colours with 8 bits.

    Raises:
        CaseError: 16 bits of which only the lower 12 are used.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values[..., :3])
    if values.dtype == np.uint16 and 0 < values.max(initial=0) <= TWELVE_BITS:
        raise CaseError(
            f"image {path}: expected colours of 16 bits that fill them, got values below 4096, which would be shown "
            "nearly black; save them with 8 bits"
        )
    top = 65535.0 if values.dtype == np.uint16 else max(float(values.max(initial=0)), 1.0)
    return np.rint(np.clip(values[..., :3] / top, 0, 1) * 255).astype(np.uint8)


def _same_size(record: Record, decoded: DecodedImage, mask: Mask) -> None:
    if decoded.image.shape[:2] == mask.shape:
        return
    (h, w), (mask_h, mask_w) = decoded.image.shape[:2], mask.shape
    raise CaseError(
        f"mask {record.mask_path}: expected the size of its image {record.image_name}, {w} x {h}, "
        f"got {mask_w} x {mask_h}"
    )
