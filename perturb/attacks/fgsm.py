"""`fgsm`: one full step along the sign of the gradient."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.attacks.base import Attack
from robustness.registry import PERTURBATIONS

NO_GRADIENT = "the model gives no gradient; use query_attack, which only asks for predictions"


@PERTURBATIONS.add("fgsm")
class Fgsm(Attack):
    """Move every pixel by eps along the sign of the loss's gradient and clip: ``x + eps * sign(dL/dx)``.

    The weakest gradient attack, and the yardstick of the others: one that does not beat it is not to be trusted. Its
    image is exact in 8 bits wherever eps is a whole number of levels.

    Params: as `Attack`, with `noise_loss` and `gradient` (largest absolute value at the clean image).

    Source: Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples", ICLR 2015,
    arXiv:1412.6572.
    """

    name = "fgsm"
    uses: ClassVar[tuple[str, ...]] = ("loss", "round_trip")
    unbound: ClassVar[str] = f"fgsm needs the gradient of a model, and {NO_GRADIENT}"
