"""JPEG compression: pictures exported for teaching, teleconsultation or an archive with a tight budget."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image as PILImage

from robustness.perturb.base import ImagePerturbation
from robustness.perturb.pixels import degree, is_gray
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, NotApplicable, Params

LOSSLESS = 0


@PERTURBATIONS.add("jpeg")
class Jpeg(ImagePerturbation):
    """Compress as JPEG and decompress: baseline, standard tables, 4:2:0 chroma, qualities 50, 30, 17, 10, 7.

    Imitates lossy export. A gray image is compressed as one channel. The bytes depend on the JPEG library that Pillow
    was built with; decoded values may differ by a level between libraries.

    Qualities are those of MedMNIST-C for X-ray, CT and ultrasound, except that 17 stands for 15: at 15 the DC step
    (53) cannot hold black, so a black background turns to level 2 and SSIM falls below that of quality 10.
    Source: Di Salvo et al., "MedMNIST-C", 2024, arXiv:2406.17536; ITU-T T.81.
    """

    name = "jpeg"
    qualities = (50, 30, 17, 10, 7)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the quality (1 to 95; 0 means no compression); nothing is drawn."""
        return {"quality": int(degree(self.qualities, severity, identity=LOSSLESS))}

    def change(self, image: Image, params: Params) -> Image:
        """Return the image after the round trip, uint8 (H, W, 3)."""
        if params["quality"] == LOSSLESS:
            return image.copy()
        source = image[..., 0] if is_gray(image) else image
        buffer = io.BytesIO()
        PILImage.fromarray(np.ascontiguousarray(source)).save(
            buffer, format="JPEG", quality=params["quality"], subsampling="4:2:0"
        )
        buffer.seek(0)
        with PILImage.open(buffer) as picture:
            return np.array(picture.convert("RGB"), dtype=np.uint8)
