"""Shared parts of the image changes: from a case to unit floats and back, batches, and the values of severities."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, counted
from robustness.perturb.base import Device
from robustness.types import Case, Image, Params

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]
OneChange: TypeAlias = Callable[["torch.Tensor", Params], "torch.Tensor"]
Change: TypeAlias = Callable[["torch.Tensor", Sequence[Params]], "torch.Tensor"]

DEEP = "image_float"
_REFERENCE_SIDE = 256
# Below half of the reference side a kernel that shrinks further would no longer reach the next pixel.
_LEAST_RATIO = 0.5
# Noise, contrast and fields overshoot [0, 1] and are clipped, some far but in few pixels. Where most of what is not
# dark lies so far beyond white, the levels are those of bytes.
_FAR, _WHITE, _DARK = 16.0, 4.0, 0.02


def to_unit(image: Image) -> Floats:
    """Return uint8 values as float32 in [0, 1]."""
    return image.astype(np.float32) / np.float32(255)


def to_bytes(unit: Floats) -> Image:
    """Return floats, clipped to [0, 1], as uint8, rounded to the nearest level."""
    return np.rint(np.clip(unit, 0.0, 1.0) * 255).astype(np.uint8)


def is_gray(image: Image) -> bool:
    """Tell whether the three channels of (H, W, 3) are equal."""
    return bool(np.array_equal(image[..., 0], image[..., 1]) and np.array_equal(image[..., 0], image[..., 2]))


def n_planes(case: Case) -> int:
    """Return how many channels of a case are changed: 1 for a gray or deep image, 3 for colour."""
    return 1 if DEEP in case.metadata or is_gray(case.image) else 3


def detail_scale(case: Case) -> float:
    """Return by how much a length stated for a shorter side of 256 pixels grows on this image (at least 0.5).

    So one severity costs one share of the detail at any resolution.
    """
    return float(max(min(case.image.shape[:2]) / _REFERENCE_SIDE, _LEAST_RATIO))


def planes(case: Case) -> Floats:
    """Return the pixels that are changed, float32 (C, H, W) in [0, 1]: the deep copy where the case holds one."""
    deep = case.metadata.get(DEEP)
    if deep is not None:
        return np.ascontiguousarray(deep[None], dtype=np.float32)
    image = case.image[..., :1] if is_gray(case.image) else case.image
    return np.ascontiguousarray(to_unit(image).transpose(2, 0, 1))


def with_planes(case: Case, unit: Floats) -> Case:
    """Return the case with the image that `unit` (C, H, W) in [0, 1] is.

    The uint8 image follows from the deep copy as the data readers make it: rounded to the nearest of 255 levels.
    """
    pixels = to_bytes(unit).transpose(1, 2, 0)
    image = np.ascontiguousarray(np.repeat(pixels, 3, axis=2) if unit.shape[0] == 1 else pixels)
    if DEEP not in case.metadata:
        return dataclasses.replace(case, image=image)
    return dataclasses.replace(case, image=image, metadata={**case.metadata, DEEP: unit[0]})


def changed_cases(change: Change, cases: Sequence[Case], params: Sequence[Params], device: Device) -> list[Case]:
    """Return `cases` with their images changed by `change`, those of one shape together on `device`.

    On the CPU images go one by one: a batch gains nothing there, and no bit can depend on a neighbour.
    """
    sources = [planes(case) for case in cases]
    results: dict[int, Case] = {}
    for batch in _batches(sources, alone=str(device) == "cpu"):
        changed = _changed(change, [sources[i] for i in batch], [params[i] for i in batch], device)
        results.update((i, with_planes(cases[i], unit)) for i, unit in zip(batch, changed, strict=True))
    return [results[i] for i in range(len(cases))]


def _batches(sources: Sequence[Floats], *, alone: bool) -> list[list[int]]:
    if alone:
        return [[i] for i in range(len(sources))]
    by_shape: dict[tuple[int, ...], list[int]] = {}
    for i, source in enumerate(sources):
        by_shape.setdefault(source.shape, []).append(i)
    return list(by_shape.values())


def _changed(change: Change, sources: Sequence[Floats], params: Sequence[Params], device: Device) -> list[Floats]:
    import torch

    with torch.no_grad():
        pixels = torch.from_numpy(np.stack(sources)).to(device)
        shown = pixels > _DARK
        changed = _checked_pixels(change(pixels, params), tuple(pixels.shape))
        if not str(getattr(change, "__module__", "")).startswith("robustness."):
            _refuse_bytes(changed[shown])
        unit = changed.clamp(0, 1).cpu().numpy()
    return list(unit)


def _refuse_bytes(shown: torch.Tensor) -> None:
    """Refuse levels up to 255 of pixels that are not dark, which would all be white."""
    if shown.numel() and float(shown.max()) > _FAR and float(shown.median()) > _WHITE:
        raise InputError(
            f"expected pixels about [0, 1] from change(), got up to {float(shown.max()):.3g}; divide by 255"
        )


def _checked_pixels(changed: Any, shape: tuple[int, ...]) -> torch.Tensor:
    """Return what `change` gave back; NaN would be read as black, and levels up to 255 as white.

    Raises:
        InputError: no tensor of floats of that shape, or values that are not finite.
    """
    import torch

    if not isinstance(changed, torch.Tensor):
        raise InputError(f"expected a tensor {shape} from change(), got an object of type {type(changed).__name__}")
    if tuple(changed.shape) != shape:
        raise InputError(f"expected pixels of shape {shape} from change(), got {tuple(changed.shape)}")
    if not changed.is_floating_point():
        raise InputError(f"expected floats in [0, 1] from change(), got {changed.dtype}; divide levels by 255")
    low, high = (float(end) for end in changed.aminmax()) if changed.numel() else (0.0, 0.0)
    if not (math.isfinite(low) and math.isfinite(high)):
        count = int((~changed.isfinite()).sum())
        raise InputError(f"expected finite pixels from change(), got {count} that are NaN or infinite")
    return changed


def column(params: Sequence[Params], key: str, like: torch.Tensor) -> torch.Tensor:
    """Return one number of every record as a tensor (B, 1, 1, 1) beside `like`."""
    return like.new_tensor([float(one[key]) for one in params]).view(-1, 1, 1, 1)


def stacked(fields: Sequence[npt.NDArray[Any]], like: torch.Tensor) -> torch.Tensor:
    """Return arrays that were drawn on the host, one for each image, as one float32 tensor beside `like`."""
    import torch

    return torch.from_numpy(np.stack([np.asarray(field, dtype=np.float32) for field in fields])).to(like.device)


def luminance(pixels: torch.Tensor) -> torch.Tensor:
    """Return the luma (B, 1, H, W) of gray or colour images (ITU-R BT.601)."""
    if pixels.shape[1] == 1:
        return pixels
    return 0.299 * pixels[:, :1] + 0.587 * pixels[:, 1:2] + 0.114 * pixels[:, 2:3]


def per_image(pixels: torch.Tensor, params: Sequence[Params], change: OneChange) -> torch.Tensor:
    """Apply `change` to each image (C, H, W) with its own record."""
    import torch

    return torch.stack([change(image, record) for image, record in zip(pixels, params, strict=True)])


def per_record(pixels: torch.Tensor, params: Sequence[Params], change: OneChange) -> torch.Tensor:
    """Apply `change` to the images (n, C, H, W) of each distinct record together."""
    import torch

    if all(record == params[0] for record in params):
        return change(pixels, params[0])
    changed = [change(pixels[i : i + 1], record) for i, record in enumerate(params)]
    return torch.cat(changed)


def severity_value(values: Sequence[Any], severity: int, *, identity: Any) -> Any:
    """Return the parameter of a severity: `identity` at 0, the values in order from 1.

    Raises:
        InputError: no such severity.
    """
    if not 0 <= severity <= len(values):
        raise InputError(f"severity: expected 0 to {len(values)}, got {severity}")
    return identity if severity == 0 else values[severity - 1]


def between(mild: float, strong: float, strength: float) -> float:
    """Return the value at a share of the way, in equal ratios where both ends are positive, else in equal steps."""
    if mild > 0 and strong > 0:
        return float(mild * (strong / mild) ** strength)
    return float(mild + (strong - mild) * strength)


def along(stations: Sequence[Any], strength: float) -> Any:
    """Return the value at a share of the way from the first station to the last, straight between neighbours."""
    position = min(max(strength, 0.0), 1.0) * (len(stations) - 1)
    left = min(int(position), len(stations) - 2)
    if isinstance(stations[0], tuple):
        pairs = zip(stations[left], stations[left + 1], strict=True)
        return tuple(float(one + (other - one) * (position - left)) for one, other in pairs)
    return float(stations[left] + (stations[left + 1] - stations[left]) * (position - left))


def checked_values(name: str, values: Sequence[Any], *, count: int, like: Any) -> tuple[Any, ...]:
    """Return `values` as an entry keeps them: `count` of them, each shaped as `like` (a number, or a tuple of numbers).

    Raises:
        InputError: another number of values, or a value of another shape or not finite.
    """
    if not isinstance(values, list | tuple) or len(values) != count:
        raise InputError(
            f"parameters of {name}: expected {counted(count, 'value')}, one for each severity, got {values!r}"
        )
    arity = len(like) if isinstance(like, tuple) else 0
    return tuple(_checked_value(name, value, arity) for value in values)


def _checked_value(name: str, value: Any, arity: int) -> Any:
    numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
    is_number = all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
    if not is_number or isinstance(value, list | tuple) != bool(arity) or len(numbers) != max(arity, 1):
        expected = f"{arity} finite numbers in each" if arity else "finite numbers"
        raise InputError(f"parameters of {name}: expected {expected}, got {value!r}")
    return numbers if arity else value
