"""Device of a network, and its arithmetic."""

from __future__ import annotations

import contextlib
from typing import Literal

import torch

from robustness.errors import InputError, suggest

Precision = Literal["float32", "bf16", "fp16"]
PRECISIONS = ("auto", "float32", "bf16", "fp16")
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the device to use; "auto" is CUDA where there is one, else MPS, else the CPU.

    Raises:
        InputError: no such device, or it is not available here.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device(_best_device())
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device: expected auto, cpu, cuda, cuda:N or mps, got {device!r}") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device: expected one of {torch.cuda.device_count()} CUDA devices, got {device!r}; use cpu")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device: expected a device of this machine, got 'mps', which is not available; use cpu")
    return chosen


def resolve_precision(precision: str, device: torch.device) -> Precision:
    """Return the arithmetic to use; "auto" is float32 on CPU and MPS, bf16 autocast on CUDA.

    Raises:
        InputError: an unknown precision.
    """
    if precision not in PRECISIONS:
        names = ", ".join(PRECISIONS)
        raise InputError(f"precision: expected one of {names}, got {precision!r}{suggest(precision, PRECISIONS)}")
    if precision == "auto":
        return "bf16" if device.type == "cuda" else "float32"
    return precision  # type: ignore[return-value]


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor of the processor on `device`; to CUDA it goes out of pinned memory, and nothing waits for it."""
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return a context in which matrix products run in `precision`; nothing changes for float32."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device_type=device.type, dtype=_DTYPES[precision])


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
