"""The model in the loop of attacks: which searches a model allows, and attacks as a plan sets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from robustness.perturb.attacks.base import Attack, Attacked, AttackSettings, Search
from robustness.perturb.select import Selected
from robustness.plans.audit import Plan
from robustness.runners.attacks.gradient import fgsm, pgd
from robustness.runners.attacks.joint import JointAttack
from robustness.runners.attacks.model import AttackCounters, GradientModel, no_gradient
from robustness.runners.attacks.query import QueryModel, query_attack
from robustness.runners.attacks.universal import UniversalAttack
from robustness.runners.attacks.worst_prompt import bind
from robustness.runners.data.dataset import Dataset
from robustness.types import Case, NotApplicable, Segmenter

GRADIENT_ATTACKS = ("fgsm", "pgd", "universal", "joint_worst_case")


def settings_of(plan: Plan) -> AttackSettings:
    """Return the plan's ``[perturbations.attack]``."""
    spec = plan.perturbations.attack.model_dump()
    return AttackSettings(**{**spec, "eps": tuple(spec["eps"])})


@dataclass(eq=False)
class Attacks:
    """The searches of one model on one dataset; what is made once for the dataset is kept between calls.

    Attributes:
        seed: the plan's.
        counters: the work of all searches so far.
    """

    model: Segmenter
    dataset: Dataset
    settings: AttackSettings = field(default_factory=AttackSettings)
    seed: int = 0
    counters: AttackCounters = field(default_factory=AttackCounters)

    def __post_init__(self) -> None:
        self.searches: Mapping[str, Search] = {
            **self._by_gradient(),
            "query_attack": partial(query_attack, QueryModel(self.model, self.counters)),
        }

    def _by_gradient(self) -> dict[str, Search]:
        reason = no_gradient(self.model)
        if reason is not None:
            refused = partial(_refused, reason)
            return dict.fromkeys(GRADIENT_ATTACKS, refused)
        model = GradientModel(self.model, self.counters)  # type: ignore[arg-type]
        return {
            "fgsm": partial(fgsm, model),
            "pgd": partial(pgd, model),
            "universal": UniversalAttack(model, self.dataset, self.seed),
            "joint_worst_case": JointAttack(model, self.dataset.context(self.seed), self.seed),
        }

    def bind(self, selected: Sequence[Selected]) -> list[Selected]:
        """Return the perturbations of a plan with the model in the loop of those that search; the others unchanged."""
        bound = []
        for chosen in bind(selected, self.model, budget=self.settings.text_budget):
            change: Any = chosen.perturbation
            search = self.searches.get(change.name) if isinstance(change, Attack) else None
            if search is not None:
                chosen = Selected(change.bound_to(search, self.settings), chosen.severity)
            bound.append(chosen)
        return bound


def _refused(reason: str, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked | NotApplicable:
    instead = "" if reason.startswith("stored") else "; use query_attack, which only asks for predictions"
    return NotApplicable(f"{reason}{instead}")
