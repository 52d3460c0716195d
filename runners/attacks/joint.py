"""Words and image together: searches for the worst paraphrase and attacks on the image, in turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from robustness.perturb.attacks.base import Attacked, AttackSettings, ImageArray, evaluated_image, reworded, with_image
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.runners.attacks.gradient import pgd
from robustness.runners.attacks.model import GradientModel
from robustness.runners.attacks.worst_prompt import DiceOfTexts
from robustness.seeds import generator
from robustness.types import Case, DataContext, NotApplicable, Params


class _Candidate(NamedTuple):
    """An image and a text, the Dice that they leave, and what the attack on the image tells of itself."""

    score: float
    image: ImageArray
    text: str
    attack: Attacked | None


@dataclass(eq=False)
class JointAttack:
    """Searches one case; see `robustness.perturb.attacks.joint_worst_case`.

    Attributes:
        seed: the plan's. With it the first search for words is that of `worst_case` in the same plan, text by text, so
            that the pair never does less harm than those words alone.
    """

    model: GradientModel
    context: DataContext
    seed: int = 0
    judge: DiceOfTexts = field(init=False)

    def __post_init__(self) -> None:
        self.judge = DiceOfTexts(self.model.plain)

    def __call__(self, case: Case, eps: float, seed: int, settings: AttackSettings) -> Attacked | NotApplicable:
        """Return the worst pair of image and text, or why the words cannot change."""
        if not self.model.plain.takes_text:
            return NotApplicable(f"{self.model.plain.name} reads no text; pgd alone is its worst case")
        clean = _Candidate(self.judge(case, [case.prompt.text])[0], case.image, case.prompt.text, None)
        alone = self._attacked(case, case.prompt.text, eps, seed, settings)
        pairs, words, tried = self._turns(case, eps, seed, settings)
        if isinstance(words, NotApplicable):
            return words
        # Of equals the pair counts: it is what the condition is called.
        best = min([*pairs, alone, words], key=lambda candidate: candidate.score)
        attack = best.attack or alone.attack
        scores = {
            "clean": clean.score,
            "words": words.score,
            "picture": alone.score,
            "both": min(p.score for p in pairs),
        }
        facts = {} if attack is None else attack.facts
        record = {"text": best.text, "tried": tried, "scores": scores, "attacks": settings.rounds + 1}
        return Attacked(best.image, {**facts, **record}, best.text)

    def _turns(
        self, case: Case, eps: float, seed: int, settings: AttackSettings
    ) -> tuple[list[_Candidate], _Candidate | NotApplicable, int]:
        """Return every pair that was tried, the worst words on the clean image, and the number of texts tried."""
        pairs: list[_Candidate] = []
        words: _Candidate | None = None
        now, tried = case, 0
        for turn in range(settings.rounds):
            search = self._searched(now, seed, turn, settings)
            if isinstance(search, NotApplicable):
                return pairs, search, tried
            self.model.counters.n_attack_texts += search["tried"]
            tried += search["tried"]
            image = evaluated_image(now)
            reached = _Candidate(search["worst_score"], image, search["text"], pairs[-1].attack if pairs else None)
            if words is None:
                words = reached
            else:
                pairs.append(reached)
            pairs.append(self._attacked(case, search["text"], eps, seed + 1 + turn, settings))
            now = with_image(case, pairs[-1].image)
        return pairs, words or NotApplicable("no turn was asked for"), tried

    def _searched(self, case: Case, seed: int, turn: int, settings: AttackSettings) -> Params | NotApplicable:
        search = WorstCase(context=self.context, judge=self.judge, budget=settings.text_budget)
        first = generator(self.seed, case.case_id, search.name, 0)
        return search.propose(case, 0, generator(seed, "joint_worst_case", turn) if turn else first)

    def _attacked(self, case: Case, text: str, eps: float, seed: int, settings: AttackSettings) -> _Candidate:
        """Attack the clean image under `text`."""
        attack = pgd(self.model, reworded(case, text), eps, seed, settings)
        score = self.judge(with_image(case, attack.image), [text])[0]
        return _Candidate(score, attack.image, text, attack)
