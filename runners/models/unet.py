"""U-Net (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28) on an encoder of choice."""

from __future__ import annotations

from typing import ClassVar

from robustness.registry import MODELS
from robustness.runners.models.cnn import CnnEntry, numbered_widths
from robustness.runners.models.entry import Config, Shapes


@MODELS.add("unet")
class UNetEntry(CnnEntry):
    """U-Net of segmentation-models-pytorch; images may have any size."""

    title: ClassVar[str] = "U-Net (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "Unet"
    fields: ClassVar[Config] = {"decoder_channels": [256, 128, 64, 32, 16]}
    multiple: ClassVar[int] = 1

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the widths of the decoder's blocks."""
        return {"decoder_channels": numbered_widths(shapes, lambda n: f"decoder.blocks.{n}.conv1.0.weight")}
