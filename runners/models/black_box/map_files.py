"""Images as PNG bytes, for predictors outside this process."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PILImage

from robustness.types import Image


def png_bytes(image: Image) -> bytes:
    """Return a uint8 RGB image (H, W, 3) as PNG."""
    buffer = io.BytesIO()
    PILImage.fromarray(np.ascontiguousarray(image)).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
