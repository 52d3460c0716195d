"""Preprocessing of an image for a network, as data that a manifest can hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage

from robustness.errors import InputError
from robustness.limits import limits
from robustness.perturb.attacks.base import ExactImage
from robustness.runners.inference.devices import to_device
from robustness.types import Image

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
# The limit of the data readers too: beyond it, one map at the image's size takes hundreds of megabytes.
MAX_PIXELS = int(PILImage.MAX_IMAGE_PIXELS or 89_478_485)
_FILTERS = {
    "nearest": PILImage.Resampling.NEAREST,
    "bilinear": PILImage.Resampling.BILINEAR,
    "bicubic": PILImage.Resampling.BICUBIC,
}

# Rows of the identity that are resized at once; an image of 8192 pixels a side then needs 16 MiB.
_BLOCK = 512


@lru_cache(maxsize=16)
def resize_matrix(length: int, size: int, filter_number: int) -> torch.Tensor:
    """Return the float32 matrix (size, length) that resizes a line of `length` pixels to `size` pixels as PIL does.

    Its columns are what PIL itself makes of a line with a single 1, so the weights are PIL's own, antialiasing
    included; each row sums to 1. The weights of "nearest" and "bilinear" are not negative.

    Args:
        filter_number: a member of `PIL.Image.Resampling`.
    """
    columns = np.empty((length, size), dtype=np.float32)
    for start in range(0, length, _BLOCK):
        rows = min(_BLOCK, length - start)
        lines = np.zeros((rows, length), dtype=np.float32)
        lines[np.arange(rows), start + np.arange(rows)] = 1
        image = PILImage.fromarray(lines).resize((size, rows), PILImage.Resampling(filter_number))
        columns[start : start + rows] = np.array(image)
    return torch.from_numpy(np.ascontiguousarray(columns.T))


def resized(planes: torch.Tensor, size: tuple[int, int], filter_number: int) -> torch.Tensor:
    """Return `planes` (..., H, W) resized to `size` (h, w); differentiable, each plane by itself.

    Equal to PIL's resizing of images of mode "F" up to rounding of float32; PIL's 8-bit images differ from it by their
    rounding (about one level at most for "bilinear").
    """
    height, width = planes.shape[-2:]
    if (height, width) == tuple(size):
        return planes
    down = resize_matrix(height, size[0], filter_number).to(planes)
    across = resize_matrix(width, size[1], filter_number).to(planes)
    return down @ (planes @ across.T)


@dataclass(frozen=True)
class Preprocess:
    """Image and text preparation of one model.

    Attributes:
        image_size: side of the square that every image is resized to; the aspect ratio is not kept.
        interpolation: "nearest", "bilinear" or "bicubic"; PIL's filters, which antialias when they shrink.
        mean, std: per-channel normalisation of values in [0, 1].
        tokenizer: what turns text into ids ("clip-bpe"), None for a model without text.
        context_length: number of token ids per text, padding included.
        threshold: the probability above which a pixel belongs to the mask.
    """

    image_size: int
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    tokenizer: str | None = None
    context_length: int = 77
    threshold: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", tuple(float(v) for v in self.mean))
        object.__setattr__(self, "std", tuple(float(v) for v in self.std))
        if self.interpolation not in _FILTERS:
            raise InputError(f"interpolation: expected one of {', '.join(_FILTERS)}, got {self.interpolation!r}")
        if self.image_size < 1:
            raise InputError(f"image_size: expected at least 1 pixel, got {self.image_size}")
        longest = math.isqrt(limits().pixels)
        if self.image_size > longest:
            raise InputError(f"image_size: expected at most {longest} pixels (limits.pixels), got {self.image_size}")
        if not 0 < self.threshold < 1:
            raise InputError(f"threshold: expected a probability between 0 and 1, got {self.threshold}")

    def pixel_values(self, images: Sequence[Image], device: torch.device | str = "cpu") -> torch.Tensor:
        """Return float32 (B, 3, S, S) on `device`: resized with PIL, scaled to [0, 1], normalised.

        Equal to torchvision's ``Resize((S, S)) -> ToTensor -> Normalize`` on PIL images. Bytes travel to the device,
        to CUDA out of pinned memory while the processor goes on; the arithmetic is done there, each step correctly
        rounded as on the processor.

        Args:
            images: uint8 RGB arrays (H, W, 3); sizes may differ. The `ExactImage` of an attack is resized and
                normalised without rounding to 8 bits (`of_unit`).

        Raises:
            InputError: an array of another type or shape.
        """
        size = self.image_size
        device = torch.device(device)
        if not images:
            return torch.empty(0, 3, size, size, device=device)
        if any(isinstance(image, ExactImage) for image in images):
            return torch.cat([self._one(image) for image in images]).to(device)
        squares = to_device(torch.stack([torch.from_numpy(self.square(image)) for image in images]), device)
        values = squares.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.contiguous_format)
        levels, mean, std = _constants(self.mean, self.std, device)
        return values.div_(levels).sub_(mean).div_(std)

    def of_unit(self, unit: torch.Tensor) -> torch.Tensor:
        """Return pixel values (B, 3, S, S) of images (B, 3, H, W) in [0, 1], with a gradient.

        The same filter as `pixel_values`, in floating point throughout: where that rounds to 8 bits after resizing,
        the two differ by that rounding, and not at all where nothing is resized. Overshoot of "bicubic" is clipped.
        """
        square = resized(unit, (self.image_size, self.image_size), int(_FILTERS[self.interpolation])).clamp(0, 1)
        mean, std = (unit.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        return (square - mean) / std

    def _one(self, image: Any) -> torch.Tensor:
        if not isinstance(image, ExactImage):
            return self.pixel_values([image])
        check_unit_image(image)
        return self.of_unit(torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None])

    def square(self, image: Image) -> Image:
        """Return a uint8 RGB image (H, W, 3) resized to (S, S, 3), itself where it has that size already.

        Raises:
            InputError: an array of another type or shape.
        """
        check_image(image)
        if image.shape[:2] == (self.image_size, self.image_size) and image.flags.writeable:
            return np.ascontiguousarray(image)
        picture = PILImage.fromarray(np.ascontiguousarray(image))
        return np.array(picture.resize((self.image_size, self.image_size), _FILTERS[self.interpolation]))

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Preprocess:
        """Return the preprocessing that `as_dict` described.

        Raises:
            InputError: unknown or missing fields.
        """
        try:
            return cls(**fields)
        except TypeError as error:
            raise InputError(
                f"preprocess: expected the fields of Preprocess, got {dict(fields)!r} ({error})"
            ) from error


@lru_cache(maxsize=16)
def _constants(
    mean: tuple[float, ...], std: tuple[float, ...], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return 255, mean and std (1, 3, 1, 1) as tensors on a device.

    A number would be replaced by its reciprocal on CUDA, which rounds twice.
    """
    with torch.inference_mode(mode=False):
        values = (torch.tensor(one, dtype=torch.float32).reshape(1, -1, 1, 1) for one in ((255.0,), mean, std))
        levels, means, deviations = (value.to(device) for value in values)
    return levels, means, deviations


def check_unit_image(image: ExactImage) -> None:
    """Check that `image` is a float32 RGB array (H, W, 3) with values in [0, 1].

    Raises:
        InputError: it is not.
    """
    check_image(np.broadcast_to(np.uint8(0), image.shape))
    low, high = float(image.min()), float(image.max())
    if image.dtype != np.float32 or not (low >= 0 and high <= 1):
        raise InputError(f"images: expected float32 values in [0, 1], got {image.dtype} from {low:g} to {high:g}")


def check_image(image: Any) -> None:
    """Check that `image` is a uint8 RGB array (H, W, 3) with 1 to `MAX_PIXELS` pixels.

    Raises:
        InputError: it is not.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        got = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"images: expected uint8 arrays (H, W, 3) in RGB, got {got}; load_dataset gives such arrays")
    if 0 in image.shape:
        raise InputError(f"images: expected at least one pixel, got an array of shape {image.shape}")
    height, width = image.shape[:2]
    if height * width > MAX_PIXELS:
        raise InputError(f"images: expected at most {MAX_PIXELS} pixels, got {height} x {width}; tile or downsample it")
