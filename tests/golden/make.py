"""Write tests/golden/logits.npz again: ``python -m tests.golden.make`` in the checkout.

Do this only where a network is meant to change, and only from a state that agrees with the authors' code
(``tests/runners/models/test_parity.py`` with the reference vectors beside the checkout): what is written here is what
later states are held to.

Weights and inputs come from a formula, so that every machine has the same network without a file of weights. A value
depends on the state-dict key and the flat index alone, through an integer hash: exact on every platform. A smooth
function of the index would give matrices of low rank, which hide most wiring errors.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from robustness.runners.models.load import load_model

PATH = Path(__file__).with_name("logits.npz")


TINY = {"preset": "tiny"}
_SMALL_CNN = {"encoder_name": "resnet18", "image_size": 64}
_CLIP = [[49406, 320, 2368, 49407, 49407, 49407], [49406, 736, 1579, 736, 518, 49407]]
_CLIP_MASK = [[1, 1, 1, 1, 0, 0], [1] * 6]
_BERT = [[2, 401, 77, 3, 0, 0], [2, 19, 3, 0, 0, 0]]
_BERT_MASK = [[1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0]]
_PHRASES = [[101, 320, 1012, 102, 0], [101, 77, 640, 1012, 102]]
_PHRASES_MASK = [[1, 1, 1, 1, 0], [1] * 5]


class Golden(NamedTuple):
    """A registered model, its configuration, and the texts as ids and mask; none for a network without text."""

    model: str
    config: dict[str, Any]
    ids: list[list[int]] | None = None
    mask: list[list[int]] | None = None


CASES = {
    "clipseg": Golden("clipseg", TINY, _CLIP, _CLIP_MASK),
    "clipseg-simple-head": Golden("clipseg", {**TINY, "use_complex_transposed_convolution": False}, _CLIP, _CLIP_MASK),
    "biomedclipseg": Golden("biomedclipseg", TINY, _BERT, _BERT_MASK),
    "biomedclipseg-aligned": Golden("biomedclipseg", {**TINY, "layer_offset": "aligned"}, _BERT, _BERT_MASK),
    "cris-end-padded": Golden("cris", {**TINY, "word_len": 6}, _CLIP),
    "cris-zero-padded": Golden(
        "cris", {**TINY, "word_len": 6, "padding": "zero"}, [[49406, 320, 2368, 49407, 0, 0], _CLIP[1]]
    ),
    "sam3": Golden("sam3", {**TINY, "score_threshold": 0.2}, _CLIP, _CLIP_MASK),
    "grounded-sam": Golden("grounded-sam", {**TINY, "score_threshold": 0.05}, _PHRASES, _PHRASES_MASK),
    "film-unet": Golden("film-unet", {"image_size": 64}, [[5, 9, 40, 0], [7, 0, 0, 0]], [[1, 1, 1, 0], [1, 0, 0, 0]]),
    "unet": Golden("unet", _SMALL_CNN),
    "unetplusplus": Golden("unetplusplus", _SMALL_CNN),
    "deeplabv3plus": Golden("deeplabv3plus", _SMALL_CNN),
}


def logits_of(name: str) -> np.ndarray:
    """Return float32 (4, 1, H, W): images 0 and 1, each with both texts."""
    golden = CASES[name]
    model = load_model(golden.model, config=golden.config, device="cpu")
    fill(model.network)
    pixels = pixel_values(model.image_size, 2)[[0, 0, 1, 1]]
    texts = [None if rows is None else torch.tensor(rows)[[0, 1, 0, 1]] for rows in (golden.ids, golden.mask)]
    with torch.no_grad():
        return np.asarray(model.network(pixels, *texts).float().numpy())


def sample(logits: np.ndarray) -> np.ndarray:
    """Return every fifth row and third column: no period of a patch or a stride."""
    return logits[:, 0, 1::5, 2::3]


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


def main() -> None:
    """Compute and write all cases."""
    arrays = {}
    for name in CASES:
        logits = logits_of(name)
        arrays[name] = sample(logits)
        arrays[f"{name}.statistics"] = np.array([logits.mean(), logits.std(), logits.min(), logits.max()], np.float64)
        print(f"{name:24}{logits.shape} mean {logits.mean():.3f} std {logits.std():.3f}")
    np.savez_compressed(PATH, **arrays)
    print(f"{PATH.stat().st_size} bytes")


if __name__ == "__main__":
    main()
