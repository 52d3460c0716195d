"""A detector and a SAM as one split network, and the SAMs that turn boxes into masks.

References: Ren et al. 2024, "Grounded SAM", arXiv:2401.14159; Kirillov et al. 2023, "Segment anything",
arXiv:2304.02643; Ke et al. 2023, "Segment anything in high quality", arXiv:2306.01567; Ravi et al. 2024, "SAM 2:
segment anything in images and videos", arXiv:2408.00714. The modules and the forward passes are those of transformers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from robustness.runners.inference.embedding import Tensors
from robustness.runners.models.grounded_sam.detectors import Detector
from robustness.runners.models.instances import Enlarge, InstanceNetwork, interpolated

_BOXES_AT_ONCE = 16


class Sam:
    """SAM.

    Attributes:
        whole: the module of transformers.
        side: of its square input, in pixels.
        count: tensors of an embedding.
    """

    count: int = 1

    def __init__(self, whole: Any) -> None:
        self.whole = whole
        self.side = side_of(whole.config.to_dict())

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return the image embedding (B, width, g, g)."""
        return (self.whole.vision_encoder(pixels).last_hidden_state,)

    def draw(self, embedding: Tensors, boxes: torch.Tensor) -> torch.Tensor:
        """Return mask logits (N, h, w) of boxes (N, 4) in pixels of the input, for the embedding of one image."""
        (seen,) = embedding
        return self._logits(self.whole(image_embeddings=seen, input_boxes=boxes[None], multimask_output=False))

    def mask_side(self, embedding: Tensors) -> int:
        """Return the side of the masks."""
        return 4 * int(embedding[0].shape[-1])

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W): logits are enlarged to the network's input, then to the image."""
        return interpolated(interpolated(masks, (self.side, self.side)), size).sigmoid()

    def _logits(self, output: Any) -> torch.Tensor:
        masks: torch.Tensor = output.pred_masks[0, :, 0].float()
        return masks


class SamHq(Sam):
    """SAM-HQ: the mask decoder reads an early layer of the image encoder too."""

    count = 2

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return the image embedding and the first global layer's output (B, g, g, width)."""
        seen = self.whole.vision_encoder(pixels)
        return seen.last_hidden_state, seen.intermediate_embeddings[0]

    def draw(self, embedding: Tensors, boxes: torch.Tensor) -> torch.Tensor:
        """Return mask logits (N, h, w)."""
        seen, early = embedding
        return self._logits(
            self.whole(
                image_embeddings=seen,
                intermediate_embeddings=[early],
                input_boxes=boxes[None],
                multimask_output=False,
            )
        )


class Sam2(Sam):
    """SAM 2 and 2.1 on single images."""

    def __init__(self, whole: Any) -> None:
        super().__init__(whole)
        self.count = len(whole.backbone_feature_sizes)

    def see(self, pixels: torch.Tensor) -> Tensors:
        """Return the feature maps that the mask decoder reads, coarsest first, with what stands for no memory."""
        maps = list(self.whole.get_image_features(pixels, return_dict=True).fpn_hidden_states)
        maps[-1] = maps[-1] + self.whole.no_memory_embedding
        sizes = self.whole.backbone_feature_sizes
        levels = [m.permute(1, 2, 0).reshape(len(pixels), -1, *size) for m, size in zip(maps, sizes, strict=False)]
        return tuple(reversed(levels))

    def draw(self, embedding: Tensors, boxes: torch.Tensor) -> torch.Tensor:
        """Return mask logits (N, h, w)."""
        levels = list(reversed(embedding))
        return self._logits(self.whole(image_embeddings=levels, input_boxes=boxes[None], multimask_output=False))

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W): logits are enlarged to the image at once."""
        return interpolated(masks, size).sigmoid()


def side_of(config: Mapping[str, Any]) -> int:
    """Return the side of a SAM's square input, from its configuration."""
    size = config["vision_config"].get("image_size") or config["prompt_encoder_config"]["image_size"]
    return int(size if isinstance(size, int) else size[0])


class GroundedSamNetwork(InstanceNetwork):
    """A detector and a SAM, split; state-dict keys are theirs, under ``detector.`` and ``sam.``.

    Image embedding: what the SAM and the detector make of the image alone. Text embedding: what the detector makes of
    the text alone. Boxes and masks are computed for each pair. Logits: (B, 1, h, w) at the SAM's mask size (256 for the
    published networks), the union of the masks of the boxes that score above `score_threshold`.
    """

    def __init__(self, detector: Detector, sam: Sam, *, score_threshold: float, enlarge: Enlarge = "instances") -> None:
        super().__init__()
        self.detector: Any = detector.whole
        self.sam: Any = sam.whole
        self.score_threshold = float(score_threshold)
        self.enlarge = enlarge
        # Tuples, so that no weights are listed a second time.
        self._parts = (detector, sam)

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the SAM's embedding, then the detector's."""
        detector, sam = self._parts
        return (*sam.see(pixel_values), *detector.see(pixel_values))

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return what the detector reads."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        return self._parts[0].read(input_ids, mask)

    def instances(self, image: Tensors, text: Tensors) -> Iterator[torch.Tensor]:
        """Yield the mask logits (N, h, w) of the boxes that count, for each pair."""
        detector, sam = self._parts
        embedding, seen = image[: sam.count], image[sam.count :]
        boxes, scores = detector.find(seen, text)
        centre, extent = boxes[..., :2], boxes[..., 2:]
        corners = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)
        for row in range(len(boxes)):
            own = tuple(t[row : row + 1] for t in embedding)
            yield self._masks(own, corners[row][scores[row] > self.score_threshold])

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W) as the SAM's own post-processing enlarges masks."""
        return self._parts[1].enlarged(masks, size)

    def _masks(self, embedding: Tensors, boxes: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, h, w) of one pair; boxes (N, 4) as corners in [0, 1]."""
        sam = self._parts[1]
        side = sam.mask_side(embedding)
        masks = [embedding[0].new_empty((0, side, side), dtype=torch.float32)]
        for start in range(0, len(boxes), _BOXES_AT_ONCE):
            masks.append(sam.draw(embedding, boxes[start : start + _BOXES_AT_ONCE] * sam.side))
        return torch.cat(masks)
