"""BiomedCLIP's encoders under the names of open_clip: a vision transformer and PubMedBERT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from robustness.errors import InputError


class BiomedClip(nn.Module):
    """Both encoders; state-dict keys are those of open_clip's ``CustomTextCLIP``.

    Args:
        config: with the fields `embed_dim`, `vit` and `bert`.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.visual = ImageEncoder(config["vit"], config["embed_dim"])
        self.text = TextEncoder(config["bert"], config["embed_dim"])
        # Part of the layout; nothing is compared by cosine here.
        self.logit_scale = nn.Parameter(torch.tensor(2.6592))


class ImageEncoder(nn.Module):
    """A pre-norm vision transformer with learned positions for one image size."""

    def __init__(self, vit: Mapping[str, Any], embed_dim: int) -> None:
        super().__init__()
        from timm.models.vision_transformer import VisionTransformer

        width, heads = vit["embed_dim"], vit["num_heads"]
        if width % heads or vit["img_size"] % vit["patch_size"]:
            raise InputError("config: expected vit.embed_dim / num_heads and vit.img_size / patch_size to be whole")
        self.trunk = VisionTransformer(
            img_size=vit["img_size"],
            patch_size=vit["patch_size"],
            embed_dim=width,
            depth=vit["depth"],
            num_heads=heads,
            mlp_ratio=vit["mlp_ratio"],
            num_classes=0,
            global_pool="",
        )
        self.head = nn.ModuleDict({"proj": nn.Linear(width, embed_dim, bias=False)})
        self.image_size: int = vit["img_size"]

    def block_outputs(self, pixel_values: torch.Tensor, blocks: Sequence[int]) -> list[torch.Tensor]:
        """Return the outputs (B, 1 + patches, width) of `blocks`, in their order, without the last norm.

        Raises:
            InputError: pixel values of another size than the positions are for.
        """
        size = self.image_size
        if tuple(pixel_values.shape[-2:]) != (size, size):
            height, width = pixel_values.shape[-2:]
            raise InputError(
                f"pixel_values: expected {size} x {size}, the size of the positions, got {height} x {width}"
            )
        trunk: Any = self.trunk
        patches = trunk.patch_embed(pixel_values)
        hidden = torch.cat([trunk.cls_token.expand(len(patches), -1, -1), patches], dim=1) + trunk.pos_embed
        outputs: dict[int, torch.Tensor] = {}
        for index, block in enumerate(trunk.blocks[: max(blocks) + 1]):
            hidden = block(hidden)
            outputs[index] = hidden
        return [outputs[index] for index in blocks]


class TextEncoder(nn.Module):
    """BERT without a pooler; the first token of the last layer, through two projections."""

    def __init__(self, bert: Mapping[str, Any], embed_dim: int) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        try:
            self.transformer = BertModel(BertConfig(**bert), add_pooling_layer=False)  # type: ignore[no-untyped-call]
        except Exception as error:  # transformers validates with errors of its own, none of them a ValueError
            raise InputError(
                f"config: expected the sizes of a BERT under bert ({' '.join(str(error).split())})"
            ) from error
        width = bert["hidden_size"]
        hidden = (width + embed_dim) // 2
        self.proj = nn.Sequential(
            nn.Linear(width, hidden, bias=False), nn.GELU(), nn.Linear(hidden, embed_dim, bias=False)
        )

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return (B, embed_dim) of ids (B, L) and a mask (B, L), 0 for padding.

        Raises:
            InputError: more ids than the model has positions.
        """
        limit = self.transformer.config.max_position_embeddings
        if input_ids.shape[1] > limit:
            raise InputError(f"input_ids: expected at most {limit} ids per text, got {input_ids.shape[1]}")
        hidden = self.transformer(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return self.proj(hidden[:, 0])
