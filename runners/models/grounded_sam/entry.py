"""The model `grounded-sam`: a detector of what words name, and a SAM that draws a mask in each box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from torch import nn

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import Tokenizer, Tokens
from robustness.runners.models.entry import Config
from robustness.runners.models.grounded_sam.detectors import Detector, GroundingDino, Owl
from robustness.runners.models.grounded_sam.network import GroundedSamNetwork, Sam, Sam2, SamHq, side_of
from robustness.runners.models.instances import check_enlarge
from robustness.runners.models.pretrained import (
    PretrainedEntry,
    config_object,
    load_whole,
    model_type,
    plain_config,
)
from robustness.runners.models.tokenizers.clip import ClipTokenizer, has_vocabulary
from robustness.runners.models.tokenizers.wordpiece import WordPieceTokenizer, vocabulary_file

if TYPE_CHECKING:
    from robustness.runners.checkpoints.checkpoint import Checkpoint


class Kind(NamedTuple):
    """A kind of detector or SAM: where its configuration stands, transformers' class, and ours."""

    key: str
    name: str
    config: str
    part: type[Any]


# By the ``model_type`` of their folders; the first of each is the one that a configuration without others means.
DETECTORS = {
    "grounding-dino": Kind("detector", "GroundingDinoForObjectDetection", "GroundingDinoConfig", GroundingDino),
    "mm-grounding-dino": Kind(
        "mm_grounding_dino", "MMGroundingDinoForObjectDetection", "MMGroundingDinoConfig", GroundingDino
    ),
    "owlv2": Kind("owlv2", "Owlv2ForObjectDetection", "Owlv2Config", Owl),
}
SAMS = {
    "sam": Kind("sam", "SamModel", "SamConfig", Sam),
    "sam_hq": Kind("sam_hq", "SamHQModel", "SamHQConfig", SamHq),
    "sam2": Kind("sam2", "Sam2Model", "Sam2Config", Sam2),
}
# The published SAM 2 folders are those of the video model; its image part is read.
_SAM_TYPES = {**SAMS, "sam2_video": SAMS["sam2"]}
_OWL_THRESHOLD = 0.1
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


@MODELS.add("grounded-sam")
class GroundedSamModel(PretrainedEntry):
    """A detector and a SAM from two transformers folders or hub names; the union of the masks of all boxes.

    Detectors: Grounding DINO, MM Grounding DINO, OWLv2. SAMs: SAM, SAM-HQ, SAM 2 (and 2.1).
    """

    title = "Grounding DINO or OWLv2 + SAM, SAM-HQ or SAM 2 (boxes of the words, a mask per box)"
    published = "IDEA-Research/grounding-dino-tiny"
    model_types = tuple(DETECTORS)
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY}
    shapes: ClassVar[Config] = {"detector": {"max_text_len": 256}, "sam": {"vision_config": {"image_size": 1024}}}

    def default_config(self) -> Config:
        """Return transformers' defaults, which are grounding-dino-tiny and sam-vit-base, and the score of its demos.

        A configuration under the key of another kind (`owlv2`, `sam2`, ...) takes the place of the default's.
        """
        from transformers import GroundingDinoConfig, SamConfig

        return {
            "score_threshold": 0.25,
            "enlarge": "instances",
            "detector_size": 800,
            "sam_from": "facebook/sam-vit-base",
            "detector": plain_config(GroundingDinoConfig()),
            "sam": plain_config(SamConfig()),
            **{kind.key: {} for kind in (*DETECTORS.values(), *SAMS.values()) if kind.key not in ("detector", "sam")},
        }

    def read(self, folder: Path, given: Config) -> Checkpoint:
        """Return the detector of `folder` and the SAM of the folder or hub name `sam_from`."""
        from robustness.runners.checkpoints.checkpoint import Checkpoint
        from robustness.runners.checkpoints.weight_files import locate

        name = str(given.get("sam_from") or self.default_config()["sam_from"])
        sam_folder = locate(name)
        sam_type = model_type(sam_folder) if sam_folder.is_dir() else ""
        if sam_type not in _SAM_TYPES:
            raise InputError(
                f"sam_from: expected a transformers folder or hub name of a SAM ({', '.join(SAMS)}), got {name!r}"
                f"{f' of {sam_type}' if sam_type else ''}"
            )
        kinds = {"detector": DETECTORS[model_type(folder)], "sam": _SAM_TYPES[sam_type]}
        parts = {
            part: load_whole(_of(kind.name), where)
            for (part, kind), where in zip(kinds.items(), (folder, sam_folder), strict=True)
        }
        state = {f"{part}.{key}": value for part, whole in parts.items() for key, value in whole.state_dict().items()}
        document: Config = {kind.key: plain_config(parts[part].config) for part, kind in kinds.items()}
        if kinds["detector"].part is Owl:
            document |= {"detector_size": document["owlv2"]["vision_config"]["image_size"]}
            document |= {"score_threshold": _OWL_THRESHOLD}
        return Checkpoint(
            source=str(folder),
            state=state,
            document=document,
            own=False,
            threshold=None,
            folder=folder,
            files=tuple(file for where in (folder, sam_folder) for file in sorted(where.glob("*.safetensors"))),
        )

    def preprocess(self, config: Config) -> Preprocess:
        """Return the SAM's square; the detector sees the same square at `detector_size`."""
        detector, sam = _chosen(DETECTORS, config), _chosen(SAMS, config)
        owl = detector.part is Owl
        return Preprocess(
            image_size=side_of(config[sam.key]),
            tokenizer="clip-bpe" if owl else "wordpiece",
            context_length=_context(config),
        )

    def build(self, config: Config) -> nn.Module:
        """Return a `GroundedSamNetwork` with fresh weights."""
        parts: list[Any] = []
        for kinds in (DETECTORS, SAMS):
            kind = _chosen(kinds, config)
            parts.append((kind.part, _of(kind.name)(config_object(_of(kind.config), config[kind.key]))))
        (detector, found), (sam, drawn) = parts
        if detector is Owl and config["detector_size"] != found.config.vision_config.image_size:
            size = found.config.vision_config.image_size
            raise InputError(f"detector_size: expected {size} for this OWLv2, got {config['detector_size']}")
        seeing: Detector = detector(found, config["detector_size"])
        return GroundedSamNetwork(
            seeing,
            sam(drawn),
            score_threshold=config["score_threshold"],
            enlarge=check_enlarge(config["enlarge"]),
        )

    def skeleton(self, config: Config) -> nn.Module:
        """Return a `GroundedSamNetwork` whose weights will be overwritten."""
        from transformers.initialization import no_init_weights

        with no_init_weights():
            return self.build(config)

    def tokenizer(self, config: Config, folder: Path | None) -> Tokenizer | None:
        """Return BERT's tokenizer from `folder`, or CLIP's for OWLv2; None where it holds no vocabulary."""
        if _chosen(DETECTORS, config).part is Owl:
            return ClipTokenizer(context_length=_context(config), folder=folder if has_vocabulary(folder) else None)
        if folder is None or vocabulary_file(folder) is None:
            return None
        return PhraseTokenizer(folder, context_length=_context(config))

    def display_name(self, name: str, config: Config) -> str:
        """Return the name, and what it is made of where that is not Grounding DINO and SAM."""
        chosen = [_chosen(kinds, config) for kinds in (DETECTORS, SAMS)]
        usual = [kind.key for kind in chosen] == ["detector", "sam"]
        detector = "grounding_dino" if chosen[0].key == "detector" else chosen[0].key
        return name if usual else f"{name} ({detector} + {chosen[1].key})"


def _chosen(kinds: Mapping[str, Kind], config: Config) -> Kind:
    """Return the kind whose configuration is given; the first where no other is."""
    usual, *others = kinds.values()
    return next((kind for kind in others if config.get(kind.key)), usual)


def _context(config: Config) -> int:
    detector = _chosen(DETECTORS, config)
    own = config[detector.key]
    return int(own["text_config"]["max_position_embeddings"] if detector.part is Owl else own["max_text_len"])


def _of(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def _phrase(text: str) -> str:
    text = text.strip()
    return text if text.endswith(".") else f"{text}."
