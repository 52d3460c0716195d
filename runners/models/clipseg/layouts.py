"""CLIPSeg's weights under other people's keys: its authors' repository, context tokens of TuneVLSeg, VLSM-Adapter.

Facts of the layouts: ``models/clipseg.py`` of timojl/clipseg, ``src/models/core_models/coop`` of naamiinepal/tunevlseg
and ``src/models/clipseg_adapter.py`` of naamiinepal/vlsm-adapter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from robustness.errors import InputError
from robustness.runners.checkpoints.prefixes import Relaid, is_position_ids, places_of, same_tensors, under

State = dict[str, torch.Tensor]

_ORIGINAL = ("film_mul.", "trans_conv.", "reduces.")
# What the authors' code can add to a decoder and transformers' network has no place for.
_EXTRAS = ("extra_blocks.", "reduce_cond.", "upsample_proj.", "shift_vector", "reduce2.")
_DECODER_WORDS = (
    ("trans_conv.", "transposed_convolution."),
    ("blocks.", "layers."),
    ("linear1.", "mlp.fc1."),
    ("linear2.", "mlp.fc2."),
    ("norm1.", "layer_norm1."),
    ("norm2.", "layer_norm2."),
)
_BLOCK_WORDS = (
    ("attn.", "self_attn."),
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
)
# Keys of OpenAI's CLIP with a ViT outside of its blocks; True: stored the other way round.
_CLIP_KEYS = {
    "visual.class_embedding": ("vision_model.embeddings.class_embedding", False),
    "visual.positional_embedding": ("vision_model.embeddings.position_embedding.weight", False),
    "visual.conv1.weight": ("vision_model.embeddings.patch_embedding.weight", False),
    "visual.proj": ("visual_projection.weight", True),
    "token_embedding.weight": ("text_model.embeddings.token_embedding.weight", False),
    "positional_embedding": ("text_model.embeddings.position_embedding.weight", False),
    "text_projection": ("text_projection.weight", True),
    "logit_scale": ("logit_scale", False),
    **{
        f"{theirs}.{leaf}": (f"{ours}.{leaf}", False)
        for theirs, ours in (
            ("visual.ln_pre", "vision_model.pre_layrnorm"),
            ("visual.ln_post", "vision_model.post_layernorm"),
            ("ln_final", "text_model.final_layer_norm"),
        )
        for leaf in ("weight", "bias")
    },
}
# Facts that OpenAI's archive holds beside the weights.
_CLIP_FACTS = ("input_resolution", "context_length", "vocab_size")
_BLOCK = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.(.+)$")
_ADAPTERS = {
    "vision_extract_adapters.": "vision_adapters.",
    "text_extract_adapters.": "text_adapters.",
    "cond_adapter.": "condition_adapter.",
}
_DENSE = ("v_attn_adapters.", "v_out_adapters.", "l_attn_adapters.", "l_out_adapters.")
_CONTEXT = "context_learner.context_vectors"


def relaid(state: Mapping[str, torch.Tensor], base: Mapping[str, torch.Tensor] | None, source: str) -> Relaid | None:
    """Return the weights of a file in another layout under this package's keys; None where it has no such layout.

    Args:
        state: of the whole file.
        base: the weights of CLIP or of a whole CLIPSeg, for a decoder that comes alone.
        source: the file, for messages.

    Raises:
        InputError: the layout is known, and the network would not be the one that was trained.
    """
    for prefix in places_of(state, _ORIGINAL):
        return Relaid(_from_original(under(state, prefix), base, source), "original CLIPSeg")
    for prefix in places_of(state, ("model.clip.vision_model.", "context_learner.")):
        return Relaid(_with_context(under(state, prefix), source), "TuneVLSeg")
    for prefix in places_of(state, ("clipseg.clip.vision_model.",)):
        inside = under(state, prefix)
        if any(key.startswith((*_ADAPTERS, *_DENSE)) for key in inside):
            return Relaid(_with_adapters(inside, source), "VLSM-Adapter")
    return None


def clip_weights(state: Mapping[str, torch.Tensor], source: str | Path) -> State:
    """Return the encoders that a checkpoint holds, under ``clip.``: of a CLIPSeg, of transformers' CLIP, of OpenAI's.

    Raises:
        InputError: it holds none of them.
    """
    for prefix in places_of(state, ("clip.vision_model.", "clip.text_model.")):
        return {k: v for k, v in under(state, prefix).items() if k.startswith("clip.") and not is_position_ids(k)}
    for prefix in places_of(state, ("vision_model.embeddings.", "text_model.embeddings.", "visual_projection.")):
        return {f"clip.{k}": v for k, v in under(state, prefix).items() if not is_position_ids(k)}
    for prefix in places_of(state, ("visual.conv1.", "visual.transformer.", "transformer.resblocks.")):
        return dict(_of_openai(under(state, prefix), str(source)))
    raise InputError(
        f"base: expected the weights of CLIP ViT-B/16 or of a CLIPSeg in {source}, found neither; give "
        "openai/clip-vit-base-patch16 or OpenAI's ViT-B-16.pt"
    )


def _from_original(state: State, base: Mapping[str, torch.Tensor] | None, source: str) -> State:
    extra = sorted({key.partition(".")[0] for key in state if key.startswith(_EXTRAS)})
    if extra:
        raise InputError(
            f"checkpoint: {source} is an original CLIPSeg with {', '.join(extra)}, for which transformers' network has "
            "no place; wrap the authors' code with name = 'python'"
        )
    encoders = under(state, "clip_model.")
    if encoders:
        clip = dict(_of_openai(encoders, source))
    elif base is not None:
        clip = clip_weights(base, "base")
    else:
        raise InputError(
            f"checkpoint: {source} is the decoder alone of the original CLIPSeg repository (rd64-uni); give base = the "
            "CLIP ViT-B/16 that it was trained on (openai/clip-vit-base-patch16 or ViT-B-16.pt), or take "
            "CIDAS/clipseg-rd64-refined"
        )
    # "model." repeats the image encoder, "reduce." is a layer that the authors' forward pass does not use.
    left = ("clip_model.", "model.", "reduce.")
    decoder = {key: value for key, value in state.items() if not key.startswith(left)}
    return {**clip, **{f"decoder.{key}": value for key, value in _renamed(decoder, _DECODER_WORDS)}}


def _of_openai(state: Mapping[str, torch.Tensor], source: str) -> Iterator[tuple[str, torch.Tensor]]:
    for key, value in state.items():
        block = _BLOCK.match(key)
        if block:
            part = "vision_model" if block[1] else "text_model"
            for name, tensor in _renamed({block[3]: value}, _BLOCK_WORDS):
                yield f"clip.{part}.encoder.layers.{block[2]}.{name}", tensor
        elif key in _CLIP_KEYS:
            name, transposed = _CLIP_KEYS[key]
            yield f"clip.{name}", value.T if transposed else value
        elif key not in _CLIP_FACTS:
            raise InputError(f"checkpoint: {source} holds {key!r}, which CLIP with a ViT does not have")


def _renamed(
    state: Mapping[str, torch.Tensor], words: tuple[tuple[str, str], ...]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield keys with `words` replaced where a word starts; packed attention becomes three projections."""
    for key, value in state.items():
        name = key
        for theirs, ours in words:
            name = re.sub(rf"(^|\.){re.escape(theirs)}", rf"\g<1>{ours}", name)
        packed = re.match(r"^(.*\.|)in_proj_(weight|bias)$", name)
        if packed is None:
            yield name, value
            continue
        for projection, part in zip("qkv", value.chunk(3), strict=True):
            yield f"{packed[1]}{projection}_proj.{packed[2]}", part


def _with_context(state: State, source: str) -> State:
    network = _without_positions(under(state, "model."))
    context = state.get(_CONTEXT)
    others = sorted(k for k in state if not k.startswith("model.") and k != _CONTEXT)
    text = network.get("clip.text_model.embeddings.token_embedding.weight")
    vision = network.get("clip.vision_model.embeddings.class_embedding")
    widths = tuple(None if one is None else one.shape[-1] for one in (text, vision))
    shape = () if context is None else tuple(context.shape)
    if context is None or others or len(shape) != 3 or shape[0] != 1 or shape[2] != widths[0] or len(set(widths)) < 2:
        found = f"{_CONTEXT} {list(shape)}" if context is not None else "none"
        more = f" and {', '.join(others[:3])}" if others else ""
        raise InputError(
            f"checkpoint: {source} is a tuned CLIPSeg of TuneVLSeg; expected context tokens of the first text layer "
            f"alone (CoOp: {_CONTEXT} [1, N, text width]), found {found}{more}; wrap it with name = 'python'"
        )
    return {**network, "context_vectors": context[0]}


def _with_adapters(state: State, source: str) -> State:
    network = _without_positions(under(state, "clipseg."))
    dense = sorted({key.partition(".")[0] for key in state if key.startswith(_DENSE)})
    if dense:
        raise InputError(
            f"checkpoint: {source} is a dense VLSM-Adapter ({', '.join(dense)}), whose layers sit inside the encoders; "
            "only the shallow one is read; wrap it with name = 'python'"
        )
    adapters = {
        ours + key[len(theirs) :]: value
        for key, value in state.items()
        for theirs, ours in _ADAPTERS.items()
        if key.startswith(theirs)
    }
    # The authors register the encoders a second time.
    repeated = {f"clip.{key}": value for key, value in _without_positions(under(state, "clip.")).items()}
    same = same_tensors(repeated, {k: network[k] for k in repeated if k in network})
    others = [k for k in state if not k.startswith(("clipseg.", "clip.", *_ADAPTERS))]
    if others or not same:
        what = ", ".join(others[:3]) or "encoders that differ under 'clip.' and 'clipseg.clip.'"
        raise InputError(f"checkpoint: {source} is a VLSM-Adapter that holds {what}, which no version of it has")
    return {**network, **adapters}


def _without_positions(state: State) -> State:
    return {key: value for key, value in state.items() if not is_position_ids(key)}
