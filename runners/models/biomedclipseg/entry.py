"""BiomedCLIPSeg and BiomedCLIPSeg-D: CLIPSeg's decoder on the encoders of BiomedCLIP.

References: Zhang et al. 2023, "BiomedCLIP", arXiv:2303.00915; Lüddecke & Ecker 2022 (CLIPSeg),
doi:10.1109/CVPR52688.2022.00695; Poudel et al., "Exploring transfer learning in medical image segmentation using
vision-language models" (MIDL 2024), which joined them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from robustness.errors import InputError, one_line
from robustness.registry import MODELS
from robustness.runners.checkpoints.partial_weights import expect_part
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from robustness.runners.inference.segmenter import SplitNetwork
from robustness.runners.models.biomedclipseg.encoders import BiomedClip
from robustness.runners.models.biomedclipseg.shapes import backbone_part, config_from_shapes
from robustness.runners.models.clipseg.entry import PUBLISHED_DECODER
from robustness.runners.models.clipseg.network import ClipSegNetwork
from robustness.runners.models.entry import Config, ModelEntry, Shapes, merge, without_values
from robustness.runners.models.tokenizers.wordpiece import WordPieceTokenizer, vocabulary_source

_OFFSETS = {"reference": 1, "aligned": 0}
_CLIPSEG = "CIDAS/clipseg-rd64-refined"
_PUBLISHED: Config = {
    "embed_dim": 512,
    "context_length": 256,
    "layer_offset": "reference",
    "decoder_from": None,
    "loaded": "all",
    "vit": {
        "timm_model_name": "vit_base_patch16_224",
        "img_size": 224,
        "patch_size": 16,
        "embed_dim": 768,
        "depth": 12,
        "num_heads": 12,
        "mlp_ratio": 4.0,
    },
    "bert": {
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
    },
    # The decoder's configuration as the reference writes it down: that of CLIPSeg, whose encoders are not built, so
    # that nothing under text_config and vision_config has an effect.
    "clipseg": {**PUBLISHED_DECODER, "text_config": {}, "vision_config": {}},
}
_TINY: Config = {
    "embed_dim": 32,
    "context_length": 32,
    "vit": {"img_size": 64, "embed_dim": 48, "depth": 4, "num_heads": 4, "mlp_ratio": 2.0},
    "bert": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
    },
    "clipseg": {
        "projection_dim": 32,
        "extract_layers": [0, 1, 2],
        "reduce_dim": 16,
        "decoder_intermediate_size": 32,
    },
}


class BiomedClipSegNetwork(ClipSegNetwork):
    """BiomedCLIPSeg, split; state-dict keys are those of the reference. Features and decoding are CLIPSeg's.

    Args:
        biomedclip: both encoders.
        decoder: CLIPSeg's decoder.
        blocks: 0-based blocks of the image transformer whose outputs the decoder reads, shallowest first.
        pad_token_id: the id that stands for padding where no attention mask is given.
    """

    def __init__(self, biomedclip: BiomedClip, decoder: nn.Module, *, blocks: Sequence[int], pad_token_id: int) -> None:
        # CLIPSeg's own constructor would ask for CLIP's encoders.
        SplitNetwork.__init__(self)
        self.biomedclip = biomedclip
        self.decoder = decoder
        self.blocks = tuple(blocks)
        self.pad_token_id = pad_token_id

    def image_features(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the outputs of `blocks`, deepest first; deeper blocks are not run.

        Raises:
            InputError: not the size of the position table.
        """
        return tuple(reversed(self.biomedclip.visual.block_outputs(pixel_values, self.blocks)))

    def text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the projected text (B, embed_dim) of ids (B, L); without a mask, padding has `pad_token_id`.

        Raises:
            InputError: a row without a token.
        """
        mask = (input_ids != self.pad_token_id).long() if attention_mask is None else attention_mask
        empty = (mask == 0).all(dim=1).nonzero().flatten().tolist()
        if empty:
            raise InputError(
                f"input_ids: row {empty[0]} holds only padding; even an empty prompt needs its start and end token"
            )
        return (self.biomedclip.text(input_ids, mask),)


@MODELS.add("biomedclipseg")
class BiomedClipSegModel(ModelEntry):
    """BiomedCLIPSeg, trained; or BiomedCLIP as open_clip holds it, with a fresh decoder.

    `layer_offset` says which blocks of the image transformer the decoder reads. "reference": the blocks after those
    in `extract_layers` (4, 7, 10), as the reference benchmark does; every published checkpoint was trained so.
    "aligned": those in `extract_layers` (3, 6, 9), as CLIPSeg does, for decoders trained from CLIPSeg's.
    """

    title: ClassVar[str] = "BiomedCLIPSeg (BiomedCLIP encoders, CLIPSeg decoder)"
    published: ClassVar[str | None] = "microsoft/BiomedCLIP-PubMedBERT_256-vit_base_patch16_224"
    presets: ClassVar[Mapping[str, Config]] = {"tiny": _TINY}
    signature: ClassVar[tuple[str, ...]] = ("biomedclip.visual.", "decoder.film_mul.")
    encoders: ClassVar[Mapping[str, tuple[str, ...]]] = {"text": ("biomedclip.text.",), "image": ("biomedclip.",)}
    fresh_decoder: ClassVar[str | None] = None

    def default_config(self) -> Config:
        """Return the configuration of the reference benchmark."""
        return merge(_PUBLISHED, {})

    def config_from_shapes(self, shapes: Shapes, config: Config) -> Config:
        """Return all that shapes tell; `loaded` is "all", or "backbone" for the weights of BiomedCLIP alone."""
        read = config_from_shapes(shapes)
        if read["loaded"] == "all":
            # A trained decoder leaves nothing to start from.
            read["decoder_from"] = None
        return read

    def preprocess(self, config: Config) -> Preprocess:
        """Return the size of the position table and CLIP's statistics."""
        return Preprocess(
            image_size=config["vit"]["img_size"],
            mean=CLIP_MEAN,
            std=CLIP_STD,
            tokenizer="wordpiece",
            context_length=config["context_length"],
        )

    def build(self, config: Config) -> nn.Module:
        """Return a `BiomedClipSegNetwork` with fresh weights, its decoder from `decoder_from` where that is given."""
        network = _assemble(config)
        for module in network.decoder.modules():
            # transformers draws these with a deviation of 1, from which every mask starts saturated.
            if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                module.reset_parameters()
        return network

    def skeleton(self, config: Config) -> nn.Module:
        """Return a network with undefined weights, or one with a started decoder that waits for its backbone."""
        from transformers.initialization import no_init_weights

        if config["loaded"] == "backbone":
            network = self.build(config)
            start_decoder(network, config["decoder_from"] or self.fresh_decoder)
            return expect_part(network, backbone_part(network.state_dict()))
        with no_init_weights():
            return _assemble(config)

    def outline(self, config: Config) -> nn.Module:
        """Return the network on the device "meta"; no decoder is fetched."""
        with without_values():
            return _assemble(config)

    def tokenizer(self, config: Config, folder: Path | None) -> WordPieceTokenizer | None:
        """Return the tokenizer of a vocabulary in `folder`, else PubMedBERT's where the network's size is its size."""
        source = vocabulary_source(folder, vocab_size=config["bert"]["vocab_size"])
        return None if source is None else WordPieceTokenizer(source, context_length=config["context_length"])


@MODELS.add("biomedclipseg-d")
class BiomedClipSegDModel(BiomedClipSegModel):
    """BiomedCLIPSeg whose decoder started from CLIPSeg's; with BiomedCLIP's weights alone it is fetched again.

    Such a start reads CLIPSeg's decoder from `decoder_from`: a CLIPSeg checkpoint or hub name, or "random" for none.
    """

    title: ClassVar[str] = "BiomedCLIPSeg-D (BiomedCLIP encoders, decoder started from CLIPSeg's)"
    fresh_decoder: ClassVar[str | None] = _CLIPSEG


def start_decoder(network: nn.Module, clipseg: str | None) -> None:
    """Copy the decoder of a CLIPSeg checkpoint into `network`; None and "random" leave it as it is.

    Raises:
        InputError: the checkpoint is absent, or its decoder is of another shape.
    """
    from robustness.runners.checkpoints.checkpoint import open_checkpoint

    if clipseg is None or clipseg == "random":
        return
    prefixes = ("module.", "net.", "net.clipseg.", "clipseg.")
    try:
        state = open_checkpoint(clipseg, model="clipseg", prefixes=prefixes).state
    except InputError as error:
        raise InputError(f"decoder_from: expected a CLIPSeg checkpoint, its hub name or 'random' ({error})") from error
    given = {key.removeprefix("decoder."): value for key, value in state.items() if key.startswith("decoder.")}
    decoder: nn.Module = network.decoder  # type: ignore[assignment]
    expected = {key: tuple(value.shape) for key, value in decoder.state_dict().items()}
    if {key: tuple(value.shape) for key, value in given.items()} != expected:
        raise InputError(
            f"decoder_from: the decoder of {clipseg} is not of this network's shape; see `clipseg` in config"
        )
    decoder.load_state_dict(given)


def _assemble(config: Mapping[str, Any]) -> BiomedClipSegNetwork:
    from transformers import CLIPSegConfig
    from transformers.models.clipseg.modeling_clipseg import CLIPSegDecoder

    vit, clipseg = config["vit"], config["clipseg"]
    if clipseg["projection_dim"] != config["embed_dim"]:
        raise InputError(f"config: expected clipseg.projection_dim to be embed_dim, {config['embed_dim']}")
    # The decoder reads the image transformer's sizes under CLIPSeg's names.
    vision = {"hidden_size": vit["embed_dim"], "patch_size": vit["patch_size"], "image_size": vit["img_size"]}
    sizes: Config = {key: value for key, value in clipseg.items() if key not in ("text_config", "vision_config")}
    # A decoder alone has no model above it that would choose how attention is computed.
    sizes |= {"vision_config": vision, "attn_implementation": "sdpa"}
    try:
        decoder = CLIPSegDecoder(CLIPSegConfig(**sizes))
    except Exception as error:  # transformers validates with errors of its own, none of them a ValueError
        reason = one_line(error)
        raise InputError(f"config: expected the sizes of a CLIPSeg decoder under clipseg ({reason})") from error
    return BiomedClipSegNetwork(
        BiomedClip(config), decoder, blocks=_blocks(config), pad_token_id=config["bert"]["pad_token_id"]
    )


def _blocks(config: Mapping[str, Any]) -> list[int]:
    if config["layer_offset"] not in _OFFSETS:
        names = ", ".join(_OFFSETS)
        raise InputError(f"layer_offset: expected one of {names}, got {config['layer_offset']!r}")
    blocks = [layer + _OFFSETS[config["layer_offset"]] for layer in config["clipseg"]["extract_layers"]]
    if not blocks or not all(0 <= block < config["vit"]["depth"] for block in blocks):
        raise InputError(
            f"extract_layers: expected blocks between 0 and {config['vit']['depth'] - 1}, got {blocks} "
            f"with layer_offset={config['layer_offset']!r}"
        )
    return blocks
