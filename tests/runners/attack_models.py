"""Shared by the attack tests: a linear network whose worst image is known, and cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import NetworkSegmenter, SplitNetwork
from robustness.types import Case, Prompt
from tests.synthetic import disc

SIDE = 16


class Linear(SplitNetwork):
    """``logit = weight * (mean of the channels - 1/2)``, pixel by pixel: the gradient's sign is known everywhere."""

    takes_text = False

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(weight)

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        return (self.weight * (pixel_values.mean(1, keepdim=True) - 0.5),)

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        return image[0]


def segmenter(network: SplitNetwork, *, side: int = SIDE, **options: Any) -> NetworkSegmenter:
    """Return a network as a model without text whose input is the image itself, in [0, 1]."""
    prepare = Preprocess(image_size=side, mean=(0, 0, 0), std=(1, 1, 1))
    return NetworkSegmenter("net", network, prepare, takes_text=False, **options)


def linear(seed: int = 0, *, side: int = SIDE) -> NetworkSegmenter:
    """Return a linear model with weights of both signs, none near 0."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(2, 6, (1, 1, side, side)) * rng.choice([-1, 1], (1, 1, side, side))
    return segmenter(Linear(torch.tensor(weight, dtype=torch.float32)), side=side)


def picture(seed: int = 0, size: tuple[int, int] = (SIDE, SIDE), *, gray: bool = False) -> np.ndarray:
    """Return random pixels, all levels from 0 to 255 possible, so that clipping occurs."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (*size, 1 if gray else 3), dtype=np.uint8)
    return np.repeat(pixels, 3, axis=2) if gray else pixels


def case_of(image: np.ndarray, *, name: str = "case", text: str = "one small left caudate nucleus") -> Case:
    """Return a case whose reference is a disc in the middle."""
    height, width = image.shape[:2]
    mask = disc(height // 2, width // 2, min(height, width) // 4, max(height, width))[:height, :width]
    return Case(name, name, image, mask, Prompt(text), "nucleus", {"image_id": name})


def smooth(seed: int = 0, size: tuple[int, int] = (48, 64), *, gray: bool = False) -> np.ndarray:
    """Return a soft image with a bright disc, as networks expect images to be."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    base = 90 + 40 * np.sin(rows / 9 + seed) + 30 * np.cos(columns / 7)
    base = base + 70 * disc(size[0] // 2, size[1] // 2, min(size) // 4, max(size))[: size[0], : size[1]]
    channels = [base + rng.normal(0, 4, size) for _ in range(1 if gray else 3)]
    pixels = np.clip(np.stack(channels, axis=2), 0, 255).astype(np.uint8)
    return np.repeat(pixels, 3, axis=2) if gray else pixels
