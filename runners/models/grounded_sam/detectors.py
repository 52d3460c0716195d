"""Detectors of what words name: their parts for an image, for a text, and for a pair.

References: Liu et al. 2023, "Grounding DINO: marrying DINO with grounded pre-training for open-set object detection",
arXiv:2303.05499; Zhao et al. 2024, "An open and comprehensive pipeline for unified object grounding and detection"
(MM Grounding DINO), arXiv:2401.02361; Minderer et al. 2023, "Scaling open-vocabulary object detection" (OWLv2),
arXiv:2306.09683. The modules and the forward passes are those of transformers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD


class Detector:
    """What the network asks of a detector.

    Attributes:
        whole: the module of transformers.
        size: side of the square that it sees, in pixels.
    """

    def __init__(self, whole: Any, size: int) -> None:
        self.whole, self.size = whole, int(size)

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return tensors with B rows from pixel values (B, 3, S, S) with ImageNet's statistics."""
        raise NotImplementedError(f"{type(self).__name__} must define see()")

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> Tensors:
        """Return tensors with B rows from ids and mask (B, L)."""
        raise NotImplementedError(f"{type(self).__name__} must define read()")

    def find(self, image: Sequence[torch.Tensor], text: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes (B, N, 4) as centre and extent in [0, 1], and scores (B, N)."""
        raise NotImplementedError(f"{type(self).__name__} must define find()")

    def _sized(self, pixels: torch.Tensor) -> torch.Tensor:
        size = (self.size, self.size)
        if tuple(pixels.shape[-2:]) == size:
            return pixels
        return functional.interpolate(pixels, size=size, mode="bilinear", antialias=True)


class GroundingDino(Detector):
    """Grounding DINO and MM Grounding DINO, which differ in layers alone.

    Of an image: the feature maps of the backbone, finest first. Of a text: BERT's hidden states, each phrase by itself,
    the ids and the mask. Words and image are joined from the encoder on.
    """

    def __init__(self, whole: Any, size: int) -> None:
        super().__init__(whole, size)
        self._sees = _Remembered(whole.model.backbone)
        self._reads = _Remembered(whole.model.text_backbone)

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return the backbone's maps."""
        pixels = self._sized(pixels)
        maps, _ = self.whole.model.backbone(pixels, _everywhere(pixels))
        return tuple(level for level, _ in maps)

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> Tensors:
        """Return BERT's hidden states, ids and mask."""
        from transformers.models.grounding_dino import modeling_grounding_dino as source

        # transformers' types name legacy tensor classes, hence Any.
        given: Any = ids
        phrases, places = source.generate_masks_with_special_tokens_and_transfer_map(given)
        encoded = self.whole.model.text_backbone(ids, phrases[:, None], torch.zeros_like(ids), places, return_dict=True)
        return encoded.last_hidden_state, ids, mask

    def find(self, image: Sequence[torch.Tensor], text: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes and the scores of their best words."""
        from transformers.modeling_outputs import BaseModelOutput

        hidden: Any
        hidden, ids, mask = text
        seen = [(level, _everywhere(level).bool()) for level in image]
        places = [self.whole.model.backbone.position_embedding(*pair).to(pair[0].dtype) for pair in seen]
        # The detector asks these pixels for nothing but their size.
        pixels = image[0].new_empty(len(ids), 3, self.size, self.size)
        read = BaseModelOutput(last_hidden_state=hidden)
        with self._sees.holding((seen, places)), self._reads.holding(read):
            found = self.whole(pixel_values=pixels, input_ids=ids, attention_mask=mask)
        return found.pred_boxes, found.logits.sigmoid().amax(-1)


class Owl(Detector):
    """OWLv2: patches of the image and the whole text meet in a product alone; no word sees the image."""

    def __init__(self, whole: Any, size: int) -> None:
        super().__init__(whole, size)
        imagenet = [torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD)]
        clip = [torch.tensor(values).view(1, 3, 1, 1) for values in (CLIP_MEAN, CLIP_STD)]
        # From one normalisation to the other: x * scale + shift.
        self._scale = imagenet[1] / clip[1]
        self._shift = (imagenet[0] - clip[0]) / clip[1]

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return the features of the patches (B, h, w, width)."""
        own = self._sized(pixels) * self._scale.to(pixels.device) + self._shift.to(pixels.device)
        features: torch.Tensor = self.whole.image_embedder(pixel_values=own)[0]
        return (features,)

    def read(self, ids: torch.Tensor, mask: torch.Tensor) -> Tensors:
        """Return the projected text (B, width) of length 1."""
        projected = self.whole.owlv2.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        return (projected / projected.norm(dim=-1, keepdim=True),)

    def find(self, image: Sequence[torch.Tensor], text: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a box for each patch, and how well it fits the text."""
        (features,) = image
        patches = features.flatten(1, 2)
        logits, _ = self.whole.class_predictor(patches, text[0][:, None])
        return self.whole.box_predictor(patches, features), logits[..., 0].sigmoid()


class _Remembered:
    """Stands for a module's forward pass, which `holding` answers from memory."""

    def __init__(self, module: nn.Module) -> None:
        self._compute = module.forward
        self._answer: Any = None
        module.forward = self

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._compute(*arguments, **options) if self._answer is None else self._answer

    @contextlib.contextmanager
    def holding(self, answer: Any) -> Iterator[None]:
        """Answer every call with `answer` inside the block."""
        self._answer = answer
        try:
            yield
        finally:
            self._answer = None


def _everywhere(pixels: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(pixels), *pixels.shape[-2:], dtype=torch.long, device=pixels.device)
