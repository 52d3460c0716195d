"""Open image files that others made: regular files, allowed formats, a bounded number of pixels."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.limits import limits
from robustness.regular_files import open_regular

# What medical image sets come in. A file that poses as an image is offered to these decoders and to no other that
# happens to be installed: some of them start programs (EPS) or have little use and a long history of faults.
FORMATS: Final = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")

UNREADABLE: Final = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, OverflowError)


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
        return image


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
        # Pillow's own sentence holds an address or the number of a file, and a stored error must be the same each time.
        raise UnidentifiedImageError(f"none of the formats that are read ({', '.join(formats)}) fits it") from error
    except (PILImage.DecompressionBombError, PILImage.DecompressionBombWarning) as error:
        raise TooManyPixelsError("more") from error
