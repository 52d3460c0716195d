"""Grounding DINO + SAM: boxes of what the words name, a mask for each box, their union as the mask.

References: Liu et al. 2023, "Grounding DINO: marrying DINO with grounded pre-training for open-set object detection",
arXiv:2303.05499; Kirillov et al. 2023, "Segment anything", arXiv:2304.02643; Ren et al. 2024, "Grounded SAM",
arXiv:2401.14159. The modules and the forward passes are those of transformers.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import Tokens
from robustness.runners.models.entry import Config
from robustness.runners.models.instances import Enlarge, InstanceNetwork, check_enlarge, interpolated
from robustness.runners.models.pretrained import (
    PretrainedEntry,
    config_object,
    load_whole,
    model_type,
    plain_config,
)
from robustness.runners.models.tokenizers.wordpiece import WordPieceTokenizer, vocabulary_file

if TYPE_CHECKING:
    from robustness.runners.checkpoints.checkpoint import Checkpoint

_BOXES_AT_ONCE = 16
_TINY: Config = {
    "detector_size": 128,
    "detector": {
        "d_model": 64,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "num_queries": 6,
        "backbone_config": {"embed_dim": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 2, 2, 2], "window_size": 2},
        "text_config": {
            "vocab_size": 1100,
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 48,
        },
    },
    "sam": {
        "vision_config": {
            "hidden_size": 32,
            "output_channels": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 64,
            "window_size": 2,
            "global_attn_indexes": [0],
            "mlp_dim": 64,
            "num_pos_feats": 16,
        },
        "prompt_encoder_config": {"hidden_size": 32, "image_size": 64, "image_embedding_size": 4},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2, "iou_head_hidden_dim": 16},
    },
}


class PhraseTokenizer(WordPieceTokenizer):
    """BERT's tokenizer over phrases as Grounding DINO wants them: a period ends each."""

    def __call__(self, texts: Sequence[str]) -> Tokens:
        """Return ids and mask (B, context_length) of `texts`."""
        return super().__call__([_phrase(text) for text in texts])

    def count(self, text: str) -> int:
        """Return the number of ids that `text` needs, start, end and its period included."""
        return super().count(_phrase(text))


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


class GroundedSamNetwork(InstanceNetwork):
    """Grounding DINO and SAM, split.

    Image embedding: SAM's image embedding and the feature maps of the detector's backbone. Text embedding: BERT's
    hidden states, ids and mask. The detector joins words and image from its encoder on, so that encoder, decoder, boxes
    and SAM's mask decoder are computed for each pair. Logits: (B, 1, h, w) at SAM's mask size (256 for the published
    networks), the union of the masks of the boxes whose best word scores above `score_threshold`.
    """

    def __init__(
        self, detector: Any, sam: Any, *, detector_size: int, score_threshold: float, enlarge: Enlarge = "instances"
    ) -> None:
        super().__init__()
        self.detector: Any = detector
        self.sam: Any = sam
        self.detector_size = int(detector_size)
        self.score_threshold = float(score_threshold)
        self.enlarge = enlarge
        self._sees = _Remembered(detector.model.backbone)
        self._reads = _Remembered(detector.model.text_backbone)

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return SAM's embedding (B, width, g, g) and the detector's feature maps, finest first."""
        embedding = self.sam.vision_encoder(pixel_values).last_hidden_state
        size = (self.detector_size, self.detector_size)
        if tuple(pixel_values.shape[-2:]) != size:
            pixel_values = functional.interpolate(pixel_values, size=size, mode="bilinear", antialias=True)
        maps, _ = self.detector.model.backbone(pixel_values, _everywhere(pixel_values))
        return embedding, *(level for level, _ in maps)

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return BERT's hidden states (each phrase attends to itself alone), the ids and the mask."""
        from transformers.models.grounding_dino import modeling_grounding_dino as source

        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        # transformers' types name legacy tensor classes, hence Any here and below.
        ids: Any = input_ids
        phrases, places = source.generate_masks_with_special_tokens_and_transfer_map(ids)
        encoded = self.detector.model.text_backbone(
            input_ids, phrases[:, None], torch.zeros_like(input_ids), places, return_dict=True
        )
        return encoded.last_hidden_state, input_ids, mask

    def instances(self, image: Tensors, text: Tensors) -> Iterator[torch.Tensor]:
        """Yield the mask logits (N, h, w) of the boxes that count, for each pair."""
        embedding, *maps = image
        boxes, scores = self._detect(maps, text)
        return (self._masks(*pair) for pair in zip(embedding, boxes, scores, strict=True))

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W): the logits are enlarged to SAM's input, then to the image, as SAM does."""
        side = int(self.sam.config.vision_config.image_size)
        return interpolated(interpolated(masks, (side, side)), size).sigmoid()

    def _detect(self, maps: Sequence[torch.Tensor], text: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return boxes (B, N, 4) as x0, y0, x1, y1 in [0, 1] and scores (B, N)."""
        from transformers.modeling_outputs import BaseModelOutput

        hidden: Any
        hidden, ids, mask = text
        seen = [(level, _everywhere(level).bool()) for level in maps]
        places = [self.detector.model.backbone.position_embedding(*pair).to(pair[0].dtype) for pair in seen]
        # The detector asks these pixels for nothing but their size.
        pixels = maps[0].new_empty(len(ids), 3, self.detector_size, self.detector_size)
        read = BaseModelOutput(last_hidden_state=hidden)
        with self._sees.holding((seen, places)), self._reads.holding(read):
            detections = self.detector(pixel_values=pixels, input_ids=ids, attention_mask=mask)
        centre, extent = detections.pred_boxes[..., :2], detections.pred_boxes[..., 2:]
        boxes = torch.cat([centre - extent / 2, centre + extent / 2], dim=-1)
        return boxes, detections.logits.sigmoid().amax(-1)

    def _masks(self, embedding: torch.Tensor, boxes: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Return the logits (N, h, w) of one pair."""
        side = 4 * embedding.shape[-1]
        chosen = boxes[scores > self.score_threshold] * self.sam.config.vision_config.image_size
        masks = [embedding.new_empty((0, side, side), dtype=torch.float32)]
        for start in range(0, len(chosen), _BOXES_AT_ONCE):
            part = chosen[None, start : start + _BOXES_AT_ONCE]
            output = self.sam(image_embeddings=embedding[None], input_boxes=part, multimask_output=False)
            masks.append(output.pred_masks[0, :, 0].float())
        return torch.cat(masks)


@MODELS.add("grounded-sam")
class GroundedSamModel(PretrainedEntry):
    """Grounding DINO and SAM from two transformers folders or hub names; the union of the masks of all boxes."""

    title = "Grounding DINO + SAM (boxes of the words, a mask per box)"
    published = "IDEA-Research/grounding-dino-tiny"
    model_types = ("grounding-dino",)
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY}

    def default_config(self) -> Config:
        """Return transformers' defaults, which are grounding-dino-tiny and sam-vit-base, and the score of its demos."""
        from transformers import GroundingDinoConfig, SamConfig

        return {
            "score_threshold": 0.25,
            "enlarge": "instances",
            "detector_size": 800,
            "sam_from": "facebook/sam-vit-base",
            "detector": plain_config(GroundingDinoConfig()),
            "sam": plain_config(SamConfig()),
        }

    def read(self, folder: Path, given: Config) -> Checkpoint:
        """Return the detector of `folder` and the SAM of the folder or hub name `sam_from`."""
        from transformers import GroundingDinoForObjectDetection, SamModel

        from robustness.runners.checkpoints.checkpoint import Checkpoint, locate

        name = str(given.get("sam_from") or self.default_config()["sam_from"])
        sam_folder = locate(name)
        if not sam_folder.is_dir() or model_type(sam_folder) != "sam":
            raise InputError(f"sam_from: expected a transformers folder or hub name of a SAM, got {name!r}")
        parts = {
            "detector": load_whole(GroundingDinoForObjectDetection, folder),
            "sam": load_whole(SamModel, sam_folder),
        }
        states = {part: whole.state_dict() for part, whole in parts.items()}
        return Checkpoint(
            source=str(folder),
            state={f"{part}.{key}": value for part, state in states.items() for key, value in state.items()},
            document={part: plain_config(whole.config) for part, whole in parts.items()},
            own=False,
            threshold=None,
            folder=folder,
            files=tuple(file for where in (folder, sam_folder) for file in sorted(where.glob("*.safetensors"))),
        )

    def preprocess(self, config: Config) -> Preprocess:
        """Return SAM's square; the detector sees the same square at `detector_size`."""
        return Preprocess(
            image_size=config["sam"]["vision_config"]["image_size"],
            tokenizer="wordpiece",
            context_length=config["detector"]["max_text_len"],
        )

    def build(self, config: Config) -> nn.Module:
        """Return a `GroundedSamNetwork` with fresh weights."""
        from transformers import GroundingDinoConfig, GroundingDinoForObjectDetection, SamConfig, SamModel

        return GroundedSamNetwork(
            GroundingDinoForObjectDetection(config_object(GroundingDinoConfig, config["detector"])),
            SamModel(config_object(SamConfig, config["sam"])),
            detector_size=config["detector_size"],
            score_threshold=config["score_threshold"],
            enlarge=check_enlarge(config["enlarge"]),
        )

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `GroundedSamNetwork` whose weights will be overwritten."""
        from transformers.initialization import no_init_weights

        with no_init_weights():
            return self.build(config)

    def tokenizer(self, config: Config, folder: Path | None) -> PhraseTokenizer | None:
        """Return BERT's tokenizer from `folder`; None where it holds no vocabulary."""
        if folder is None or vocabulary_file(folder) is None:
            return None
        return PhraseTokenizer(folder, context_length=config["detector"]["max_text_len"])


def _phrase(text: str) -> str:
    text = text.strip()
    return text if text.endswith(".") else f"{text}."


def _everywhere(pixels: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(pixels), *pixels.shape[-2:], dtype=torch.long, device=pixels.device)
