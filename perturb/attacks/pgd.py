"""`pgd`: many small gradient steps inside the ball of allowed changes."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.attacks.base import Attack
from robustness.perturb.attacks.fgsm import NO_GRADIENT
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("pgd")
class Pgd(Attack):
    """Climb the loss by signed gradient steps, each projected back to within eps of the image and into [0, 1].

    Starts at random points of the ball (`random_start`, `restarts`); of all points seen the one with the highest loss
    counts. The image is evaluated as it is, float32 and not rounded to 8 bits, unless `round_trip` is set.

    Params: as `Attack`, with `noise_loss`, `fgsm_loss` and `gradient`, against which the attack is checked.

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR 2018, arXiv:1706.06083.
    """

    name = "pgd"
    uses: ClassVar[tuple[str, ...]] = ("steps", "restarts", "step_size", "random_start", "loss", "round_trip")
    unbound: ClassVar[str] = f"pgd needs the gradient of a model, and {NO_GRADIENT}"
