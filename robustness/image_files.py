"""Open image files that others made: regular files, allowed formats, a bounded number of pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import numpy as np
import numpy.typing as npt
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.limits import limits
from robustness.regular_files import open_regular

# What medical image sets come in. A file that poses as an image is offered to these decoders and to no other that
# happens to be installed: some of them start programs (EPS) or have little use and a long history of faults.
FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

UNREADABLE: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, OverflowError)


# Fields of a TIFF's directory: bits of a sample, what its values stand for, and where its channels lie.
TIFF_BITS, TIFF_PHOTOMETRIC, TIFF_PLANAR = 258, 262, 284
_TIFF_DESCRIPTION = 270
_PLANES_APART = 2
_TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_UPPER_OF_TWELVE_BITS = 15
_PNG_SIGNATURE_BYTES = 8


class TooManyPixelsError(ValueError):
    """An image of more pixels than allowed; nothing of it was decoded."""


def open_image(
    source: str | Path | bytes, *, formats: Sequence[str] = FORMATS, max_pixels: int | None = None
) -> PILImage.Image:
    """Return a decoded image.

    Args:
        source: a file, or what one holds.
        formats: the decoders that may look at it.
        max_pixels: the largest width x height; None for the limit in force.

    Raises:
        FileNotFoundError: there is no such file.
        TooManyPixelsError: it states more pixels than allowed.
        OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, OverflowError: it is no
            regular file or cannot be decoded (`UNREADABLE`).
    """
    bounds = limits()
    most = bounds.pixels if max_pixels is None else max_pixels
    handle = io.BytesIO(source) if isinstance(source, bytes) else open_regular(source, max_bytes=bounds.image_bytes)
    with handle, _opened(handle, formats, most) as image:
        width, height = image.size
        if width * height > most:
            raise TooManyPixelsError(f"{width} x {height}")
        image.load()
        if image.format == "PNG":
            refuse_damaged(handle)
        return image


def refuse_damaged(file: IO[bytes]) -> None:
    """Refuse a PNG whose pixels contradict their checksum, which Pillow passes over.

    Raises:
        OSError: they do.
    """
    file.seek(_PNG_SIGNATURE_BYTES)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        if kind != b"IDAT":
            file.seek(size + 4, io.SEEK_CUR)
        elif zlib.crc32(file.read(size), zlib.crc32(kind)).to_bytes(4, "big") != file.read(4):
            raise OSError("pixels that contradict their checksum: the file is damaged")


def tiff_tag(image: PILImage.Image, number: int) -> int | None:
    """Return a number of a TIFF's directory; None for other files, or where it is not there."""
    tags = getattr(image, "tag_v2", None)
    value = tags.get(number) if tags is not None else None
    return int(value[0] if isinstance(value, tuple) else value) if value is not None else None


def has_inverted_table(image: PILImage.Image) -> bool:
    """Tell whether a TIFF of ImageJ shows 0 as white: what is selected has high values there and looks black."""
    tags = getattr(image, "tag_v2", None) or {}
    return tiff_tag(image, TIFF_PHOTOMETRIC) == 0 and str(tags.get(_TIFF_DESCRIPTION, "")).startswith("ImageJ=")


def lost_colors(image: PILImage.Image, path: Path) -> str:
    """Return what is wrong with colours of 16 bits that Pillow does not keep, "" where it does.

    It keeps the upper byte of each value, so that values below 4096 are nearly black, and it mixes up channels that lie
    one after the other.
    """
    deep = _png_bits(path) == 16 if image.format == "PNG" else (tiff_tag(image, TIFF_BITS) or 8) > 8
    bands = [band for band in image.getextrema() if isinstance(band, tuple)] if deep else []
    if not bands:
        return ""
    if tiff_tag(image, TIFF_PLANAR) == _PLANES_APART:
        return "expected colours of 16 bits whose channels lie together, got planes one after the other"
    top = max(band[1] for band in (bands[:1] if image.mode == "LA" else bands[:3]))
    if top <= _UPPER_OF_TWELVE_BITS:
        return "expected colours of 16 bits that fill them, got values below 4096, which would be shown nearly black"
    return ""


def is_unfilled(image: PILImage.Image) -> bool:
    """Tell whether a palette image has a palette that was never filled in: its indices are all there is."""
    return image.mode == "P" and not any(image.getpalette() or ())


def is_contradicted(indices: npt.NDArray[np.integer], colors: npt.NDArray[np.uint8]) -> bool:
    """Tell whether a palette image of two states calls one thing inside by its indices and another by its colours.

    Both come about: tools that choose a palette call the brightest colour 0, and an inverting table shows 0 as white.

    Args:
        indices: (H, W); 0 and one other at most, else no state is outside by its index alone.
        colors: (H, W, 3) as they are seen, black where nothing is.

    Example:
        >>> indices = np.array([[0, 1]], np.uint8)
        >>> white, black = [255, 255, 255], [0, 0, 0]
        >>> [is_contradicted(indices, np.uint8([colors])) for colors in ([black, white], [white, black])]
        [False, True]
    """
    inside = indices > 0
    if len(np.unique(indices[inside])) > 1:
        return False
    return bool((inside != colors.any(axis=-1)).any())


def _png_bits(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(25)
    return head[24] if len(head) == 25 else 8


@contextmanager
def image_header(path: str | Path) -> Iterator[PILImage.Image]:
    """Open an image file for its size and tags; no pixel is decoded.

    Raises:
        OSError, SyntaxError, ValueError, EOFError, struct.error: it is no regular file or no image (`UNREADABLE`).
    """
    with open_regular(path) as handle, _opened(handle, FORMATS, limits().pixels) as image:
        yield image


@contextmanager
def _opened(handle: IO[bytes], formats: Sequence[str], most: int) -> Iterator[PILImage.Image]:
    """Open what a handle holds; what Pillow refuses then or later is said in this module's words."""
    # Pillow has a bound of its own, which must not come before one that a user has raised.
    PILImage.MAX_IMAGE_PIXELS = max(PILImage.MAX_IMAGE_PIXELS or most, most)
    try:
        with PILImage.open(handle, formats=list(formats)) as image:
            yield image
    except UnidentifiedImageError as error:
        handle.seek(0)
        if handle.read(4) in _TIFF_HEADS and "TIFF" in formats:
            raise UnidentifiedImageError(
                "a TIFF of a kind that is not read (floats of 16 or 64 bits, colours of floats, five channels, ...); "
                "save it with 8 or 16 bits or floats of 32, of one channel or three colours"
            ) from error
        # Pillow's own sentence holds an address or the number of a file, and a stored error must be the same each time.
        raise UnidentifiedImageError(f"none of the formats that are read ({', '.join(formats)}) fits it") from error
    except (PILImage.DecompressionBombError, PILImage.DecompressionBombWarning) as error:
        raise TooManyPixelsError("more") from error
