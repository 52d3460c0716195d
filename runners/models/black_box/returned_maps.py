"""Maps that foreign predictors return for a pair of image and prompt, read as one probability map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from robustness.errors import InputError, suggest
from robustness.types import Probability

RETURNS = ("probabilities", "mask", "logits", "instances")

# Rounding may carry a probability this far beyond [0, 1]; it is then clipped.
_SLACK = 1e-5


def check_returns(returns: str) -> str:
    """Return `returns`.

    Raises:
        InputError: it is none of `RETURNS`.
    """
    if returns not in RETURNS:
        raise InputError(f"returns: expected one of {', '.join(RETURNS)}, got {returns!r}{suggest(returns, RETURNS)}")
    return returns


def as_probability(value: Any, size: tuple[int, int], where: str, *, returns: str = "probabilities") -> Probability:
    """Return what a predictor gave for one pair as float32 (H, W) in [0, 1].

    Args:
        value: an array or tensor (H, W); with "instances" a sequence or array (N, H, W), N may be 0.
        size: (H, W) of the image.
        where: the pair, for messages.
        returns: what values mean. "probabilities" lie in [0, 1] (a bool mask does too); "mask": whatever is not 0 is
            inside; "logits" go through a sigmoid; "instances": N maps of probabilities, whose union, the largest value
            at each pixel, is the map, empty for none.

    Raises:
        InputError: another shape, no numbers, NaN, or values beyond [0, 1].
    """
    if returns == "instances":
        return _union(value, size, where)
    array = _array(value)
    if array.shape != size:
        raise InputError(f"{where}: expected a map of its image's size {size}, got shape {array.shape}")
    if array.dtype.kind not in "bfiu":
        raise InputError(f"{where}: expected numbers or booleans, got {array.dtype}")
    values = array.astype(np.float32)
    if np.isnan(values).any():
        raise InputError(f"{where}: expected probabilities in [0, 1], got NaN")
    if returns == "mask":
        return (values != 0).astype(np.float32)
    if returns == "logits":
        return torch.from_numpy(values).sigmoid().numpy()
    low, high = float(values.min()), float(values.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise InputError(
            f"{where}: expected probabilities in [0, 1], got {low:g} to {high:g}; apply a sigmoid to logits, or state "
            "returns='logits' or 'mask'"
        )
    return np.clip(values, 0.0, 1.0)


def _union(value: Any, size: tuple[int, int], where: str) -> Probability:
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim != 3:
        raise InputError(f"{where}: expected instances (N, H, W), got shape {tuple(value.shape)}")
    if not isinstance(value, np.ndarray | torch.Tensor | Sequence):
        raise InputError(f"{where}: expected a sequence of instance masks, got {type(value).__name__}")
    union = np.zeros(size, np.float32)
    for number, instance in enumerate(value):
        np.maximum(union, as_probability(instance, size, f"{where}, instance {number}"), out=union)
    return union


def _array(value: Any) -> np.ndarray[Any, Any]:
    return value.detach().float().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
