"""A replayed prediction as an image: what the model was shown, its reference, the stored and the recomputed mask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.files import write_atomic

if TYPE_CHECKING:
    from robustness.types import Image, Mask
    from robustness.workflows.replay import Replayed

# Okabe and Ito's colours, which readers with any colour vision tell apart: reference, stored, recomputed.
_REFERENCE, _STORED, _RECOMPUTED = (0, 158, 115), (86, 180, 233), (230, 159, 0)


def write_image(replayed: Replayed, path: Path) -> Path:
    """Write a PNG with panels from left to right: image, reference, stored mask where one was saved, recomputed mask.

    Masks are drawn as outlines on the image that the model was shown, at the size that they were scored at.

    Raises:
        InputError: the row has no prediction, or the file cannot be written.
    """
    from PIL import Image as PilImage

    if replayed.scored is None:
        raise InputError("--png: expected a row with a prediction, this one has none (not applicable, or it failed)")
    panels = _panels(replayed)
    gap = np.full((panels[0].shape[0], 4, 3), 255, np.uint8)
    parts = [part for panel in panels for part in (gap, panel)][1:]
    sheet = PilImage.fromarray(np.concatenate(parts, axis=1))
    write_atomic(path, lambda temporary: sheet.save(temporary, format="PNG"))
    return path


def _panels(replayed: Replayed) -> list[Image]:
    from robustness.image_files import open_image

    assert replayed.scored is not None
    job, predicted = replayed.scored.job, replayed.scored.predicted
    image = _resized(job.request.image, predicted.shape)
    panels = [image, _outlined(image, _resized_mask(job.reference, predicted.shape), _REFERENCE)]
    if replayed.stored_mask is not None:
        stored = np.asarray(open_image(replayed.stored_mask)).astype(np.bool_)
        panels.append(_outlined(image, _resized_mask(stored, predicted.shape), _STORED))
    return [*panels, _outlined(image, predicted, _RECOMPUTED)]


def _outlined(image: Image, mask: Mask, colour: tuple[int, int, int]) -> Image:
    from scipy.ndimage import binary_erosion

    inside = np.asarray(mask, np.bool_)
    line: npt.NDArray[np.bool_] = inside & ~binary_erosion(inside)
    painted = image.copy()
    painted[line] = colour
    return painted


def _resized(image: Image, shape: tuple[int, ...]) -> Image:
    from PIL import Image as PilImage

    if image.shape[:2] == shape:
        return image
    resized = PilImage.fromarray(image).resize((shape[1], shape[0]), PilImage.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8)


def _resized_mask(mask: Mask, shape: tuple[int, ...]) -> Mask:
    from robustness.runners.audit.scoring import resize_nearest

    return resize_nearest(mask, shape)
