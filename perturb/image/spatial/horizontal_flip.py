"""Left-right mirroring of image, mask and words together, and the control that leaves the words as they were."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.image.spatial.flip import Flip
from robustness.perturb.language.mirror_words import Mirror
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("horizontal_flip")
class HorizontalFlip(Flip):
    """Mirror the image about its vertical axis, move the mask, and rewrite the words that this makes false.

    Imitates another display convention (neurological against radiological) or a mirrored export. "top left" becomes
    "top right"; a side word ("left hippocampus") becomes the other side where the side can be seen, which the data's
    attribute `side_visible` says, or the view (sagittal and lateral images show no side). A side that names both
    stays. Where the words cannot be kept true it is not applicable, with the reason. Scores are taken in the mirrored
    frame.

    Source: Shorten and Khoshgoftaar, "A survey on Image Data Augmentation for Deep Learning", J. Big Data 2019,
    doi:10.1186/s40537-019-0197-0 (label safety of flips).
    """

    name = "horizontal_flip"
    mirror: ClassVar[Mirror] = "horizontal"


@PERTURBATIONS.add("horizontal_flip_unrewritten")
class HorizontalFlipUnrewritten(Flip):
    """The control of `horizontal_flip`: image and mask are mirrored, the words stay and are false now.

    Imitates an audit that flips images without reading its prompts. It applies where `horizontal_flip` rewrites at
    least one word, so that both speak of the same cases: a model that follows side or location words loses here what it
    keeps there, a model that does not read them loses nothing in either. A control carries no verdict.

    Source: the label-safety argument of Shorten and Khoshgoftaar 2019, doi:10.1186/s40537-019-0197-0, for words.
    """

    name = "horizontal_flip_unrewritten"
    expectation = "control"
    mirror: ClassVar[Mirror] = "horizontal"
    rewrites: ClassVar[bool] = False
