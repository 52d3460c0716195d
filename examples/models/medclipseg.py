"""MedCLIPSeg (Koleilat et al. 2026, arXiv:2602.20423) as a model of a plan; see docs/successors.md.

[model]
name = "python"
checkpoint = "medclipseg.py:make"
options.arguments.repository = "MedCLIPSeg"
options.arguments.config = "configs/NAME.yaml"
options.arguments.weights = "NAME_best_dice.pth"
options.arguments.mean = [0.0, 0.0, 0.0]      # as datasets/dataloader.py of the checkout says
options.arguments.std = [1.0, 1.0, 1.0]
options.arguments.bgr = true
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

Image = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


class Predictor:
    """Maps of pairs: the mean of the sigmoids of several random passes, as in the authors' test script.

    The passes draw from a generator that the image starts: a pair gives the same map in whatever batch it comes, and
    two prompts of an image see the same draws, so that what changes is what the words change.

    Args:
        network: called with `image` (1, 3, S, S), `text` and `num_samples`; returns logits (N, 1, S, S).
        size: S.
        mean, std: of each channel, for values in [0, 1].
        bgr: whether channels come blue first.
        samples: passes.
    """

    def __init__(
        self, network: Any, *, size: int, mean: Sequence[float], std: Sequence[float], bgr: bool, samples: int = 30
    ) -> None:
        self.network, self.size, self.bgr, self.samples = network, size, bgr, samples
        self._mean, self._std = (torch.tensor(values).view(3, 1, 1) for values in (mean, std))

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Probability]:
        """Return one map of probabilities (S, S) per pair."""
        return [self._one(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _one(self, image: Image, prompt: str) -> Probability:
        digest = hashlib.sha256(np.ascontiguousarray(image).tobytes()).digest()
        device = next(iter(self.network.parameters())).device
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(int.from_bytes(digest[:7], "big"))
            pixels = self._pixels(image)[None].to(device)
            logits = self.network(image=pixels, text=[prompt], num_samples=self.samples)
        return np.asarray(logits.sigmoid().mean(dim=0)[0].float().cpu().numpy(), np.float32)

    def _pixels(self, image: Image) -> torch.Tensor:
        channels = torch.from_numpy(np.ascontiguousarray(image[..., ::-1] if self.bgr else image)).permute(2, 0, 1)
        sized = functional.interpolate(
            channels[None].float(), size=(self.size, self.size), mode="bilinear", align_corners=False
        )[0]
        return (sized / 255 - self._mean) / self._std


def make(
    *,
    repository: str,
    config: str,
    weights: str,
    mean: Sequence[float],
    std: Sequence[float],
    bgr: bool,
    clip: str = "unimedclip",
) -> Predictor:
    """Load the network with the authors' code.

    Args:
        repository: a checkout of HealthX-Lab/MedCLIPSeg, with its requirements installed.
        config: inside `repository`; its sizes, device and number of samples are used.
        weights: a checkpoint of its training (``model`` inside).
        mean, std, bgr: how ``datasets/dataloader.py`` of the checkout prepares images; read it there.
        clip: "unimedclip", "biomedclip", "clip" or "pubmedclip".
    """
    sys.path.insert(0, str(Path(repository).resolve()))
    settings = importlib.import_module("utils.main_utils").load_cfg_from_cfg_file(str(Path(repository) / config))
    network = getattr(importlib.import_module("trainers"), f"build_medclipseg_{clip}")(settings)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True)["model"])
    size, samples = int(settings.DATASET.SIZE), int(settings.TEST.NUM_SAMPLES)
    network = network.to(settings.MODEL.DEVICE).eval()
    return Predictor(network, size=size, mean=mean, std=std, bgr=bgr, samples=samples)
