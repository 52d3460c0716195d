"""`joint_worst_case`: the worst words of the same meaning together with an attack on the image."""

from __future__ import annotations

from typing import ClassVar

from robustness.perturb.attacks.base import Attack
from robustness.perturb.attacks.fgsm import NO_GRADIENT
from robustness.registry import PERTURBATIONS


@PERTURBATIONS.add("joint_worst_case")
class JointWorstCase(Attack):
    """Search the words (`worst_case`) and attack the image (`pgd`) in turns, and keep the pair that scores worst.

    Each of `rounds` turns searches a paraphrase on the image as it then is, then attacks the clean
    image under that paraphrase. Either change alone is among the candidates, the words alone being those of
    `worst_case` in the same plan. The budget is `text_budget` texts in each turn and `steps` times `restarts` gradient
    steps in each of `rounds + 1` attacks. Condition: ``image:pgd@3+worst_case``.

    Params: as `Attack`, with `text` (the words kept), `tried` (texts), `scores` (Dice of: clean, words alone, image
    alone, both) and `attacks`.

    Source: the threat model joins `worst_case` and Madry et al. 2018, arXiv:1706.06083.
    """

    name = "joint_worst_case"
    uses: ClassVar[tuple[str, ...]] = (
        "steps",
        "restarts",
        "step_size",
        "random_start",
        "loss",
        "round_trip",
        "text_budget",
        "rounds",
    )
    target: ClassVar[str] = "both"
    unbound: ClassVar[str] = f"joint_worst_case needs the gradient of a model, and {NO_GRADIENT}"

    def condition(self, severity: int) -> str:
        """Return the condition's name, that of a joint change."""
        return f"image:pgd@{severity}+worst_case" if severity else "worst_case"
