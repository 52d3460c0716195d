"""`query_attack`: random squares, kept where they hurt; for models of which only predictions are known."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.attacks.base import Attack
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("query_attack")
class QueryAttack(Attack):
    """Paint squares of +eps or -eps at random places and keep each that raises the loss of the predicted map.

    Needs predictions only, at most `budget` of them; the number used is recorded (`queries`), and the search ends
    early once the mask misses the reference altogether. The squares shrink as the budget is spent. Images are
    8-bit, as black boxes take them; a fraction of a level is rounded towards the clean image.

    Params: as `Attack`, with `queries` and `noise_loss`.

    Source: Andriushchenko et al., "Square Attack: a query-efficient black-box adversarial attack via random search",
    ECCV 2020, arXiv:1912.00049 (the L-infinity version, with the loss of a segmentation).
    """

    name = "query_attack"
    uses: ClassVar[tuple[str, ...]] = ("budget", "loss")
    unbound: ClassVar[str] = "query_attack needs a model in the loop that predicts any image: audit one"
