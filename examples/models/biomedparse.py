"""BiomedParse v1 (Zhao et al. 2024, doi:10.1038/s41592-024-02499-w) as a model of a plan; see docs/successors.md.

[model]
name = "python"
checkpoint = "biomedparse.py:make"
options.arguments = { repository = "BiomedParse", weights = "biomed_parse.pt" }
options.max_tokens = 77
options.tokenize = "biomedparse.py:count"
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage

Image = npt.NDArray[np.uint8]
Probability = npt.NDArray[np.float32]


class Predictor:
    """Maps of pairs from the authors' `interactive_infer_image`, which takes one image.

    One prompt a call: prompts of one call attend to each other. The authors enlarge the shorter side to 1024 and return
    maps of that size; they are resized back.
    """

    def __init__(self, infer: Callable[[Any, list[str]], Any]) -> None:
        self.infer = infer

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Probability]:
        """Return one map of probabilities (H, W) per pair."""
        return [self._one(image, prompt) for image, prompt in zip(images, prompts, strict=True)]

    def _one(self, image: Image, prompt: str) -> Probability:
        maps, _ = self.infer(PILImage.fromarray(image), [prompt])
        found = torch.as_tensor(np.asarray(maps, np.float32)[:1])[None]
        sized = torch.nn.functional.interpolate(found, size=image.shape[:2], mode="bilinear", align_corners=False)
        return np.asarray(sized[0, 0].numpy(), np.float32)


def make(*, repository: str, weights: str, config: str = "configs/biomedparse_inference.yaml") -> Predictor:
    """Load the network with the authors' code (branch v1), which needs a GPU.

    Args:
        repository: a checkout of microsoft/BiomedParse, with its requirements installed.
        weights: ``biomed_parse.pt``.
        config: inside `repository`.
    """
    sys.path.insert(0, str(Path(repository).resolve()))
    from inference_utils.inference import interactive_infer_image
    from modeling import build_model
    from modeling.BaseModel import BaseModel
    from utils.arguments import load_opt_from_config_files
    from utils.constants import BIOMED_CLASSES
    from utils.distributed import init_distributed

    options = init_distributed(load_opt_from_config_files([str(Path(repository) / config)]))
    model = BaseModel(options, build_model(options)).from_pretrained(weights).eval().cuda()
    encoder = model.model.sem_seg_head.predictor.lang_encoder
    with torch.no_grad():
        encoder.get_text_embeddings([*BIOMED_CLASSES, "background"], is_eval=True)
    return Predictor(lambda image, prompts: interactive_infer_image(model, image, prompts))


def count(text: str) -> int:
    """Return the ids of a text for its text encoder: CLIP's, of which it reads 77."""
    from robustness.runners.models.tokenizers.clip import ClipTokenizer

    return ClipTokenizer(context_length=77).count(text)
