"""JPEG compression: images exported for teaching, teleconsultation or an archive with a tight budget."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from PIL import Image as PILImage

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import between, stacked, to_bytes, to_unit
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, NotApplicable, Params

if TYPE_CHECKING:
    import torch

LOSSLESS = 0


@PERTURBATIONS.add("jpeg")
class Jpeg(ImagePerturbation):
    """Compress as JPEG and decompress: baseline, standard tables, 4:2:0 chroma; the value is the quality.

    Imitates lossy export. A gray image is compressed as one channel, a deep one at 8 bits. It runs on the host. The
    bytes depend on the JPEG library that Pillow was built with; decoded values may differ by a level between libraries.

    At some qualities (62, 40, 23, 15, 8, 5) the step of the mean of a block cannot hold black: a black background turns
    to level 2 or more, and similarity is lower than at the next lower quality. The severities leave them out; only the
    strongest lifts black, by one level.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536 (jpeg_compression); ITU-T T.81.
    """

    name = "jpeg"
    values = (30, 17, 10, 7, 3)
    identity = LOSSLESS
    span: ClassVar[tuple[float, float]] = (95.0, 1.0)
    whole_numbers = True

    def at_strength(self, strength: float) -> Any:
        """Return the quality, or the next lower one that keeps black black."""
        quality = round(between(*self.span, strength))
        return next((lower for lower in range(quality, 0, -1) if _keeps_black(lower)), quality)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the quality (1 to 95; 0 means no compression); nothing is drawn."""
        return {"quality": round(value)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images after the round trip."""
        unit = pixels.permute(0, 2, 3, 1).cpu().numpy()
        done = [
            source if one["quality"] == LOSSLESS else to_unit(_round_trip(to_bytes(source), one["quality"]))
            for source, one in zip(unit, params, strict=True)
        ]
        return stacked(done, pixels).permute(0, 3, 1, 2)


@lru_cache(maxsize=128)
def _keeps_black(quality: int) -> bool:
    return not _round_trip(np.zeros((8, 8, 1), np.uint8), quality).any()


def _round_trip(image: Image, quality: int) -> Image:
    """Return uint8 (H, W, C), C = 1 or 3, after compression."""
    buffer = io.BytesIO()
    source = image[..., 0] if image.shape[2] == 1 else image
    PILImage.fromarray(np.ascontiguousarray(source)).save(buffer, format="JPEG", quality=quality, subsampling="4:2:0")
    buffer.seek(0)
    with PILImage.open(buffer) as picture:
        return np.array(picture, dtype=np.uint8).reshape(image.shape)
