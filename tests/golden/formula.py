"""Weights and inputs by formula, so that every machine has the same network without a file of weights.

A value depends on the state-dict key and the flat index alone, through an integer hash: exact on every platform. A
smooth function of the index would give matrices of low rank, which hide most wiring errors.
"""

from __future__ import annotations

import zlib

import numpy as np
import torch

_GAIN = 1.2


def uniform(key: str, count: int) -> np.ndarray:
    """Return `count` float64 values in [-1, 1) that depend on `key` and their index (splitmix64's mixing steps)."""
    z = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z += np.uint64(zlib.crc32(key.encode())) << np.uint64(32)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) / 2**52 - 1


def fill(network: torch.nn.Module) -> None:
    """Overwrite every floating-point weight and statistic of `network` with the formula's values."""
    for key, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            values = _values(key, tuple(tensor.shape))
            tensor.copy_(torch.from_numpy(values.astype(np.float32)).reshape(tensor.shape))


def pixel_values(size: int, rows: int) -> torch.Tensor:
    """Return float32 (rows, 3, size, size), as normalised images are."""
    found = [1.5 * uniform(f"image {row}", 3 * size * size) for row in range(rows)]
    return torch.from_numpy(np.stack(found).astype(np.float32)).reshape(rows, 3, size, size)


def _values(key: str, shape: tuple[int, ...]) -> np.ndarray:
    count = int(np.prod(shape, dtype=np.int64))
    u, last = uniform(key, count), key.rpartition(".")[2]
    if last == "running_var":
        return 1 + 0.3 * u
    if last == "weight" and len(shape) == 1:
        return 1 + 0.1 * u
    if len(shape) < 2:
        return 0.1 * u
    if "embed" in key and "patch" not in key:
        return 0.8 * u
    return _GAIN * np.sqrt(3 * shape[0] / count) * u
