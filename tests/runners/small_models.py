"""Small networks of the runners' tests: one whose worst image is known, looks into a training, shared assertions."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.request import Request
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


def assert_logits_of_the_network(model, images, texts, expected):
    """Assert that the network of `model` gives the `expected` logits, float32 (len(images), 1, 16, 16)."""
    ids, mask = model.tokenize(texts)
    with torch.inference_mode():
        found = model.network(model.preprocess.pixel_values(images), ids, mask)
    assert found.shape == (4, 1, 16, 16)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def assert_cached_codes_give_full_forwards(model, images, texts, whole_forward):
    """Every image under every text: encoded once, and the maps are those of whole forward passes."""
    pairs = list(itertools.product(range(len(images)), texts))
    engine = Engine(model, batch_size=5, image_batch=2, resolution="network")
    maps = np.stack(list(engine.predict([Request(images[i], f"image{i}", text) for i, text in pairs])))
    assert (engine.counters.n_image_encodes, engine.counters.n_text_encodes) == (len(images), len(texts))
    expected, _ = whole_forward(model, [images[i] for i, _ in pairs], [text for _, text in pairs])
    np.testing.assert_allclose(maps, expected.sigmoid()[:, 0], atol=1e-4)
    by_image = maps.reshape(len(images), len(texts), -1)
    assert np.ptp(by_image, axis=0).max() > 0.01
    assert np.ptp(by_image, axis=1).max() > 0.01


SMALL = {"image_size": 32, "widths": [8, 16], "token_width": 16, "text_width": 24}
FAST = {
    "config": SMALL,
    "device": "cpu",
    "batch_size": 5,
    "lr": 5e-3,
    "quiet": True,
    "prompt": ["p2", "p6"],
    "loggers": "none",
}
TINY = {"config": {"preset": "tiny"}, "device": "cpu", "quiet": True, "lr": 1e-2, "loggers": "none"}


def weights(folder):
    return load_file(Path(folder) / "model.safetensors")


def rows(folder):
    with (Path(folder) / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def losses(folder):
    return [[float(row[key]) for key in ("loss", "val_loss", "val_dice")] for row in rows(folder)]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)


def largest_difference(first, second):
    return max(float((first[k].float() - second[k].float()).abs().max()) for k in first)


def settings_of(name, folder):
    """Return what the tiny preset of `name` needs: BiomedCLIPSeg's vocabulary is none that lies here."""
    if not name.startswith("biomedclipseg"):
        return TINY
    words = "[PAD] [UNK] [CLS] [SEP] one small left right caudate nucleus in axial t1 brain mri , located the of image"
    path = Path(folder) / "vocab.txt"
    path.write_text("\n".join(words.split()))
    return {**TINY, "options": {"tokenizer": str(path)}}
