"""Images and maps as files and bytes, for predictors outside this process; sizes are checked before decoding."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.errors import InputError
from robustness.types import Image

_FULL = {"1": 1.0, "L": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I": 65535.0}


def png_bytes(image: Image) -> bytes:
    """Return a uint8 RGB image (H, W, 3) as PNG."""
    buffer = io.BytesIO()
    PILImage.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


def read_png_map(content: bytes | Path, size: tuple[int, int], where: str) -> np.ndarray[Any, Any]:
    """Return a grey PNG as float32 (H, W): 0 to full scale (255, or 65535 for 16 bits) becomes 0 to 1.

    Raises:
        InputError: no PNG, or one of another size than (H, W); larger ones are not decoded.
    """
    source = io.BytesIO(content) if isinstance(content, bytes) else content
    try:
        with PILImage.open(source, formats=("PNG",)) as opened:
            if (opened.height, opened.width) != size:
                raise InputError(f"{where}: expected a map of size {size}, got {(opened.height, opened.width)}")
            picture = opened.convert("RGB") if opened.mode == "P" else opened
            values, full = np.asarray(picture), _FULL.get(picture.mode, 255.0)
    except (OSError, UnidentifiedImageError, SyntaxError, PILImage.DecompressionBombError) as error:
        raise InputError(f"{where}: expected a PNG, got something unreadable ({error})") from error
    return (values if values.ndim == 2 else values[..., 0]).astype(np.float32) / full


def read_npy(path: Path, where: str, *, max_bytes: int) -> np.ndarray[Any, Any]:
    """Return the array in a ``.npy`` file of at most `max_bytes`; pickles in it are not read.

    Raises:
        InputError: larger, or no such array.
    """
    if path.stat().st_size > max_bytes:
        raise InputError(f"{where}: expected at most {max_bytes} bytes in {path.name}, got {path.stat().st_size}")
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{where}: {path.name} is no readable array ({error})") from error
