"""SAM 3: a concept in words, every instance of it in the image, their union as the mask.

Reference: Carion et al. 2025, "SAM 3: Segment anything with concepts", arXiv:2511.16719. The modules and the forward
pass are those of transformers, for the published text encoder and for the small one of SAM3-LiteText.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from robustness.registry import MODELS
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.models.entry import Config
from robustness.runners.models.instances import Enlarge, InstanceNetwork, check_enlarge, interpolated
from robustness.runners.models.pretrained import PretrainedEntry, config_object, load_whole, model_type, plain_config
from robustness.runners.models.tokenizers.clip import VOCABULARY_SIZE, ClipTokenizer, has_vocabulary

if TYPE_CHECKING:
    from robustness.runners.checkpoints.checkpoint import Checkpoint

# At the published size one pair has 200 masks of 288 x 288: 66 MB, several times over.
_PAIRS_AT_ONCE = 2
_PADDED = 32
_TINY_PART = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48}
_TINY: Config = {
    "transformers": {
        "vision_config": {
            "fpn_hidden_size": 32,
            "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
            "backbone_config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "image_size": 56,
                "pretrain_image_size": 28,
                "window_size": 2,
                "global_attn_indexes": [1],
            },
        },
        "text_config": {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "projection_dim": 16,
        },
        "geometry_encoder_config": {**_TINY_PART, "num_layers": 1},
        "detr_encoder_config": {**_TINY_PART, "num_layers": 2},
        "detr_decoder_config": {**_TINY_PART, "num_layers": 2, "num_queries": 8},
        "mask_decoder_config": {"hidden_size": 32, "num_attention_heads": 2},
    },
}


class Sam3Network(InstanceNetwork):
    """SAM 3, split; state-dict keys are those of ``Sam3Model``.

    Image embedding: the three feature maps of the vision encoder that the detector and the mask decoder read. Text
    embedding: the projected tokens (B, L, width) and their mask. Logits: (B, 1, h, w) at the mask decoder's size (288
    for the published network), the union of the instances whose score (of the query, times that of presence) is above
    `score_threshold`.
    """

    def __init__(self, whole: Any, *, score_threshold: float, enlarge: Enlarge = "instances") -> None:
        super().__init__()
        for name, part in whole.named_children():
            self.add_module(name, part)
        self.score_threshold = float(score_threshold)
        self.enlarge = enlarge
        # In a tuple, so that its weights are not listed a second time.
        self._whole = (whole.eval(),)

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return feature maps (B, width, h, w), finest first."""
        maps: Tensors = self._whole[0].get_vision_features(pixel_values).fpn_hidden_states
        return maps[:-1]

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the projected tokens and their mask."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        features = self._whole[0].get_text_features(input_ids=input_ids, attention_mask=mask, return_dict=True)
        return features.pooler_output, mask

    def instances(self, image: Tensors, text: Tensors) -> Iterator[torch.Tensor]:
        """Yield the mask logits (N, h, w) of the queries that count, for each pair."""
        for start in range(0, len(image[0]), _PAIRS_AT_ONCE):
            part = (tuple(t[start : start + _PAIRS_AT_ONCE] for t in embedding) for embedding in (image, text))
            masks, scores = self._queries(*part)
            yield from (m[s > self.score_threshold].float() for m, s in zip(masks, scores, strict=True))

    def enlarged(self, masks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return probabilities (N, H, W): they are taken first and enlarged then, as transformers does."""
        return interpolated(masks.sigmoid(), size)

    def _queries(self, image: Tensors, text: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mask logits (B, Q, h, w) and scores (B, Q) of all queries."""
        from transformers.modeling_outputs import BaseModelOutputWithPooling
        from transformers.models.sam3.modeling_sam3 import Sam3VisionEncoderOutput

        position = self._whole[0].vision_encoder.neck.position_encoding
        places = (position(level.shape, level.device, level.dtype) for level in image)
        # The coarsest map of the encoder is never read. transformers' types name legacy tensor classes, hence Any.
        levels: Any = (*image, None)
        encodings: Any = (*places, None)
        seen = Sam3VisionEncoderOutput(fpn_hidden_states=levels, fpn_position_encoding=encodings)
        tokens: Any = text[0]
        read = BaseModelOutputWithPooling(pooler_output=tokens)
        output = self._whole[0](vision_embeds=seen, text_embeds=read, attention_mask=text[1])
        scores: torch.Tensor = output.pred_logits.sigmoid() * output.presence_logits.sigmoid()
        return output.pred_masks, scores


@MODELS.add("sam3")
class Sam3Model(PretrainedEntry):
    """SAM 3 from transformers folders or hub names; the union of the instances that the prompt names."""

    title = "SAM 3 (concept prompts, union of instances)"
    published = "facebook/sam3"
    model_types = ("sam3", "sam3_video", "sam3_lite_text", "sam3_lite_text_video")
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY}
    shapes: ClassVar[Config] = {
        "transformers": {
            "vision_config": {"backbone_config": {"image_size": 1008}},
            "text_config": {"max_position_embeddings": 32},
        },
        "lite_text": {},
    }

    def default_config(self) -> Config:
        """Return transformers' default, which is facebook/sam3, and the score of its post-processing."""
        from transformers import Sam3Config

        tree = plain_config(Sam3Config())
        return {"score_threshold": 0.3, "enlarge": "instances", "transformers": tree, "lite_text": {}}

    def read(self, folder: Path, given: Config) -> Checkpoint:
        """Return the image model of a folder; the video tracker beside it is left out."""
        from robustness.runners.checkpoints.checkpoint import Checkpoint

        lite = model_type(folder).startswith("sam3_lite_text")
        whole = load_whole(_classes(lite=lite)[0], folder)
        return Checkpoint(
            source=str(folder),
            state=whole.state_dict(),
            document={"lite_text" if lite else "transformers": plain_config(whole.config)},
            own=False,
            threshold=None,
            folder=folder,
            files=tuple(sorted(folder.glob("*.safetensors"))),
        )

    def preprocess(self, config: Config) -> Preprocess:
        """Return the square of the vision encoder, values in [-1, 1]."""
        tree = _tree(config)
        half = (0.5, 0.5, 0.5)
        return Preprocess(
            image_size=tree["vision_config"]["backbone_config"]["image_size"],
            mean=half,
            std=half,
            tokenizer="clip-bpe",
            context_length=_context(config),
        )

    def build(self, config: Config) -> nn.Module:
        """Return a `Sam3Network` with fresh weights."""
        kind, settings = _classes(lite=bool(config["lite_text"]))
        whole = kind(config_object(settings, _tree(config)))
        enlarge = check_enlarge(config["enlarge"])
        return Sam3Network(whole, score_threshold=config["score_threshold"], enlarge=enlarge)

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `Sam3Network` whose weights will be overwritten."""
        from transformers.initialization import no_init_weights

        with no_init_weights():
            return self.build(config)

    def tokenizer(self, config: Config, folder: Path | None) -> ClipTokenizer | None:
        """Return CLIP's tokenizer at this model's context; None where the vocabulary is another and has no files."""
        text = _tree(config)["text_config"]
        if not has_vocabulary(folder) and text["vocab_size"] < VOCABULARY_SIZE:
            return None
        return ClipTokenizer(context_length=_context(config), folder=folder)

    def trims_padding(self, config: Config) -> bool:
        """Return whether padding has no effect: SAM3-LiteText stretches its positions over the padded length."""
        return not config["lite_text"]


def _tree(config: Config) -> Config:
    """Return transformers' configuration: that of SAM3-LiteText where there is one."""
    tree: Config = config["lite_text"] or config["transformers"]
    return tree


def _context(config: Config) -> int:
    """Return the number of ids of a text; transformers' processor pads to 32, whatever a network has places for."""
    return _PADDED if config["lite_text"] else int(config["transformers"]["text_config"]["max_position_embeddings"])


def _classes(*, lite: bool) -> tuple[Any, Any]:
    """Return transformers' classes of the network and of its configuration."""
    import transformers

    name = "Sam3LiteText" if lite else "Sam3"
    return getattr(transformers, f"{name}Model"), getattr(transformers, f"{name}Config")
