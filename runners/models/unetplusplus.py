"""U-Net++ (Zhou et al. 2018, doi:10.1007/978-3-030-00889-5_1) on an encoder of choice."""

from __future__ import annotations

from typing import ClassVar

from robustness.registry import MODELS
from robustness.runners.models.cnn import CnnEntry, numbered_widths
from robustness.runners.models.entry import Config, Shapes


@MODELS.add("unetplusplus")
class UNetPlusPlusEntry(CnnEntry):
    """U-Net++ of segmentation-models-pytorch; sides of images are multiples of 32."""

    title: ClassVar[str] = "U-Net++ (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "UnetPlusPlus"
    fields: ClassVar[Config] = {"decoder_channels": [256, 128, 64, 32, 16]}

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the widths of the decoder's first row."""
        return {"decoder_channels": numbered_widths(shapes, lambda n: f"decoder.blocks.x_0_{n}.conv1.0.weight")}
