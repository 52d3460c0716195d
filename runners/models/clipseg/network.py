"""The network of CLIPSeg, split, and what prompt tuning and adapters add to it.

References: Lüddecke & Ecker 2022, "Image segmentation using text and image prompts" (CVPR),
doi:10.1109/CVPR52688.2022.00695; Zhou et al. 2022, "Learning to prompt for vision-language models" (CoOp),
doi:10.1007/s11263-022-01653-1, on CLIPSeg by Adhikari et al. 2024 (TuneVLSeg), arXiv:2410.05239; Dhakal et al. 2024,
"VLSM-Adapter: finetuning vision-language segmentation efficiently with lightweight blocks", arXiv:2405.06196. The
modules are those of transformers; the forward pass is split here, because transformers runs both encoders under
``no_grad`` and through layers that never reach the mask.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import SplitNetwork


class ClipSegNetwork(SplitNetwork):
    """CLIPSeg, split; state-dict keys are those of ``CLIPSegForImageSegmentation``.

    Image features: the reduced activations (B, tokens, reduce_dim), deepest layer first. Text features: the FiLM factor
    and offset (B, reduce_dim). Logits: (B, 1, S, S) for sides that are multiples of the patch.
    """

    def __init__(self, whole: nn.Module) -> None:
        super().__init__()
        self.clip: Any = whole.clip
        self.decoder: Any = whole.decoder
        self.extract_layers = tuple(int(layer) for layer in whole.config.extract_layers)  # type: ignore[union-attr]

    def encode_image(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the reduced activations of the extracted layers; deeper layers are not run."""
        return self.image_embedding(self.image_features(pixel_values))

    def image_features(self, pixel_values: torch.Tensor) -> Tensors:
        """Return the activations (B, tokens, width) of the extracted layers, deepest first."""
        vision = self.clip.vision_model
        hidden = vision.pre_layrnorm(vision.embeddings(pixel_values, interpolate_pos_encoding=True))
        activations: dict[int, torch.Tensor] = {}
        for index, layer in enumerate(vision.encoder.layers[: max(self.extract_layers) + 1]):
            hidden = layer(hidden, None)
            activations[index] = hidden
        return tuple(activations[index] for index in reversed(self.extract_layers))

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return the activations reduced to the decoder's width."""
        return tuple(reduce(activation) for reduce, activation in zip(self.decoder.reduces, features, strict=True))

    def encode_text(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the FiLM factor and offset of the projected text."""
        return self.text_embedding(self.text_features(input_ids, attention_mask))

    def text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the projected text (B, projection_dim)."""
        pooled = self.clip.text_model(input_ids=input_ids, attention_mask=attention_mask).pooler_output
        return (self.clip.text_projection(pooled),)

    def text_embedding(self, features: Tensors) -> Tensors:
        """Return the FiLM factor and offset (B, reduce_dim)."""
        (condition,) = features
        return self.decoder.film_mul(condition), self.decoder.film_add(condition)

    def decode(self, image: Tensors, text: Tensors) -> torch.Tensor:
        """Return logits (B, 1, S, S)."""
        factor, offset = text
        output: torch.Tensor | None = None
        for index, (reduced, layer) in enumerate(zip(image, self.decoder.layers, strict=True)):
            output = reduced if output is None else reduced + output
            if index == self.decoder.conditional_layer:
                output = factor[:, None] * output + offset[:, None]
            output = layer(output, None)
        if output is None:
            raise InputError("extract_layers: expected at least one layer, got none")
        patches = output[:, 1:].transpose(1, 2)
        side = math.isqrt(patches.shape[2])
        grid = patches.reshape(patches.shape[0], patches.shape[1], side, side)
        logits: torch.Tensor = self.decoder.transposed_convolution(grid)
        return logits


class Bottleneck(nn.Module):
    """Two linear layers with a ReLU after each, added to their input (Houlsby et al. 2019, arXiv:1902.00751)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return features (..., width) with their change added."""
        change = functional.relu(self.fc2(functional.relu(self.fc1(features))))
        return features + change


class TunedClipSegNetwork(ClipSegNetwork):
    """CLIPSeg whose text is read behind learned context tokens, or whose features pass through bottlenecks.

    Args:
        whole: transformers' CLIPSeg.
        context_tokens: vectors between the start token and the words; they take as many places of the context.
        adapters: inner widths of the bottlenecks; "vision": one for each extracted layer; "text": one for each text
            layer of the same number, whose end tokens are added to the projected text; "condition": on the projected
            text.

    Raises:
        InputError: text adapters of layers that the text network does not have.
    """

    def __init__(self, whole: Any, *, context_tokens: int = 0, adapters: Mapping[str, int] | None = None) -> None:
        super().__init__(whole)
        text, vision = whole.config.text_config.hidden_size, whole.config.vision_config.hidden_size
        inner = dict(adapters or {})
        depth = len(self.extract_layers)
        if context_tokens:
            self.context_vectors = nn.Parameter(torch.randn(context_tokens, text) * 0.02)
        if "vision" in inner:
            self.vision_adapters = nn.ModuleList(Bottleneck(vision, inner["vision"]) for _ in range(depth))
        deepest = max(self.extract_layers) + 1
        if "text" in inner and whole.config.text_config.num_hidden_layers < deepest:
            raise InputError(
                f"adapters: expected a text network of at least {deepest} layers, got "
                f"{whole.config.text_config.num_hidden_layers}"
            )
        if "text" in inner:
            self.text_adapters = nn.ModuleList(Bottleneck(text, inner["text"]) for _ in range(depth))
        if "condition" in inner:
            self.condition_adapter = Bottleneck(whole.config.projection_dim, inner["condition"])
        self.context_tokens = int(context_tokens)

    def image_embedding(self, features: Tensors) -> Tensors:
        """Return the activations, adapted where there are adapters, reduced to the decoder's width."""
        adapters = getattr(self, "vision_adapters", None)
        if adapters is not None:
            # Features come deepest layer first, adapters shallowest first.
            features = tuple(adapter(one) for adapter, one in zip(reversed(adapters), features, strict=True))
        return super().image_embedding(features)

    def text_features(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> Tensors:
        """Return the projected text (B, projection_dim), with what the tuned parts add to it."""
        hidden, ends = self._read(input_ids, attention_mask)
        pooled = self.clip.text_model.final_layer_norm(hidden[-1])[ends]
        condition: torch.Tensor = self.clip.text_projection(pooled)
        if hasattr(self, "condition_adapter"):
            condition = self.condition_adapter(condition)
        if hasattr(self, "text_adapters"):
            for layer, adapter in zip(self.extract_layers, self.text_adapters, strict=True):
                condition = condition + adapter(hidden[layer + 1][ends])
        return (condition,)

    def _read(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> tuple[list[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
        """Return the hidden states (B, L, width) before and after each layer, and where in them the texts end."""
        from transformers.masking_utils import create_causal_mask

        reader = self.clip.text_model
        words = reader.embeddings.token_embedding(input_ids)
        if self.context_tokens:
            context = self.context_vectors.to(words.dtype).expand(len(words), -1, -1)
            words = torch.cat([words[:, :1], context, words[:, 1:]], dim=1)
            if attention_mask is not None:
                ones = attention_mask.new_ones(len(words), self.context_tokens)
                attention_mask = torch.cat([ones, attention_mask], dim=1)
        state = reader.embeddings(inputs_embeds=words)
        mask = create_causal_mask(
            config=reader.config, inputs_embeds=state, attention_mask=attention_mask, past_key_values=None
        )
        hidden = [state]
        for layer in reader.encoder.layers:
            hidden.append(layer(hidden[-1], mask, is_causal=True))
        # An `eos_token_id` of 2 is that of old configurations: the end token is the highest id then.
        last = input_ids if reader.eos_token_id == 2 else (input_ids == reader.eos_token_id).int()
        ends = torch.arange(len(input_ids), device=input_ids.device), last.argmax(dim=-1) + self.context_tokens
        return hidden, ends
