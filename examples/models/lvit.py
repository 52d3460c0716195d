"""LViT (Li et al. 2023, doi:10.1109/TMI.2023.3291719) as a model of a plan; see docs/successors.md.

[model]
name = "python"
checkpoint = "lvit.py:make"
options.image_size = 224
options.max_words = 10
options.arguments = { repository = "LViT", weights = "best_model-LViT.pth.tar" }
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

Image = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]
SIDE, WORDS = 224, 10


class Predictor:
    """Maps of pairs as the authors' test script prepares them.

    Images are blue, green, red and resized to 224 x 224, values in [0, 1]. Texts are the BERT vectors of exactly ten
    words: the network has ten channels for them. Longer texts are cut; shorter ones have no defined result and are an
    error, which costs the pair its row.

    Args:
        network: (image (B, 3, 224, 224), text (B, 10, 768)) -> probabilities (B, 1, 224, 224).
        embed: a text to the vectors (N, 768) of its words.
        resize: (image, size) -> image, as cv2.resize.
    """

    def __init__(
        self, network: Any, embed: Callable[[str], Any], resize: Callable[[Image, tuple[int, int]], Image]
    ) -> None:
        self.network, self.embed, self.resize = network, embed, resize

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Probability]:
        """Return one map of probabilities (224, 224) per pair."""
        texts = torch.stack([self._text(prompt) for prompt in prompts])
        pixels = torch.stack([self._pixels(image) for image in images])
        device = next(iter(self.network.parameters())).device
        with torch.no_grad():
            found = self.network(pixels.to(device), texts.to(device))
        return list(np.asarray(found[:, 0].float().cpu().numpy(), np.float32))

    def _pixels(self, image: Image) -> torch.Tensor:
        resized = self.resize(np.ascontiguousarray(image[..., ::-1]), (SIDE, SIDE))
        return torch.from_numpy(np.ascontiguousarray(resized)).permute(2, 0, 1).float() / 255

    def _text(self, prompt: str) -> torch.Tensor:
        vectors = np.asarray(self.embed(prompt.split("\n")[0]), np.float32)
        if len(vectors) < WORDS:
            raise ValueError(f"LViT reads exactly {WORDS} words, got {len(vectors)}")
        return torch.from_numpy(vectors[:WORDS])


def make(*, repository: str, weights: str, device: str = "cuda") -> Predictor:
    """Load the network with the authors' code; bert-embedding, ml-collections and opencv-python must be installed.

    Args:
        repository: a checkout of HUANGLIZI/LViT.
        weights: a checkpoint of its training (``state_dict`` inside), loaded strictly.
        device: of torch.
    """
    sys.path.insert(0, str(Path(repository).resolve()))
    import cv2
    from bert_embedding import BertEmbedding
    from Config import get_CTranS_config
    from nets.LViT import LViT

    network = LViT(get_CTranS_config(), n_channels=3, n_classes=1)
    state = torch.load(weights, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    reader = BertEmbedding()
    return Predictor(network.to(device).eval(), lambda text: reader([text])[0][1], cv2.resize)
