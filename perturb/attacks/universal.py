"""`universal`: one perturbation for a whole dataset."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.attacks.base import Attack
from robustness.perturb.attacks.fgsm import NO_GRADIENT
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("universal")
class Universal(Attack):
    """Add one and the same perturbation, made from some images of the dataset, to all the others.

    It is a square of the network's input size, resized to each image (weights that are positive and sum to 1, so
    that eps holds there too) and clipped to [0, 1]. It is made by signed gradient steps on drawn images, those of whole
    subjects where there are at least two; on these the change is not applicable, because it has seen them. An attacker
    who can place one pattern in a scanner needs no access to the single image.

    Params: as `Attack`, with `n_made_from`, the number of images that it was made from, and `made_from_loss`, their
    mean loss before and after.

    Source: Moosavi-Dezfooli et al., "Universal adversarial perturbations", CVPR 2017, arXiv:1610.08401; steps by sign
    as Shafahi et al., "Universal Adversarial Training", AAAI 2020, arXiv:1811.11304.
    """

    name = "universal"
    uses: ClassVar[tuple[str, ...]] = ("universal_images", "universal_epochs", "loss", "round_trip")
    unbound: ClassVar[str] = f"universal needs the gradient of a model, and {NO_GRADIENT}"
