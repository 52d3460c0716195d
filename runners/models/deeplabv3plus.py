"""DeepLabV3+ (Chen et al. 2018, doi:10.1007/978-3-030-01234-2_49) on an encoder of choice."""

from __future__ import annotations

from typing import ClassVar

from robustness.registry import MODELS
from robustness.runners.models.cnn import CnnEntry, axis
from robustness.runners.models.entry import Config, Shapes


@MODELS.add("deeplabv3plus")
class DeepLabV3PlusEntry(CnnEntry):
    """DeepLabV3+ of segmentation-models-pytorch; sides of images are multiples of 16."""

    title: ClassVar[str] = "DeepLabV3+ (segmentation-models-pytorch), image only"
    arch: ClassVar[str] = "DeepLabV3Plus"
    fields: ClassVar[Config] = {
        "decoder_channels": 256,
        "encoder_output_stride": 16,
        "decoder_atrous_rates": [12, 24, 36],
        "upsampling": 4,
    }
    multiple: ClassVar[int] = 16

    def decoder_fields(self, shapes: Shapes) -> Config:
        """Return the decoder's width."""
        return {"decoder_channels": axis(shapes, "decoder.block2.0.1.weight", 0)}
