"""Top-bottom mirroring of image, mask and words together."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.image.spatial.flip import Flip
from robustness.perturb.language.mirror_words import Mirror
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("vertical_flip")
class VerticalFlip(Flip):
    """Mirror the image about its horizontal axis, move the mask, and rewrite top and bottom.

    Imitates an image read with its rows in the wrong order (the origin at the lower left, as in NIfTI and in plots).
    "top left" becomes "bottom left". A side that can be seen cannot be decided: the image's convention keeps left
    where it was, while the anatomy, being a mirror image now, reads as the other side's; such a prompt makes it not
    applicable.
    "left and right" stays, and so does a side in a view that does not show it.

    Source: Shorten and Khoshgoftaar, "A survey on Image Data Augmentation for Deep Learning", J. Big Data 2019,
    doi:10.1186/s40537-019-0197-0 (label safety of flips).
    """

    name = "vertical_flip"
    mirror: ClassVar[Mirror] = "vertical"
