"""`worst_case`: of many paraphrases, the one that hurts a given model most."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np

from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.edit import Edit, record
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, DataContext, NotApplicable, Params

# Edits that keep the meaning, each with the severities that a reader would still overlook.
MEANING_KEPT: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("paraphrase", (0,)),
    ("synonym", (0,)),
    ("order", (0,)),
    ("case", (1, 2, 3, 4)),
    ("punctuation", (1, 2, 3)),
    ("typo", (1, 2)),
)
BUDGET = 64
BEAM = 3

Judge = Callable[[Case, Sequence[str]], Sequence[float]]


@PERTURBATIONS.add("worst_case")
class WorstCase(PromptPerturbation):
    """Search for the paraphrase under which a model scores worst on the case.

    A seeded beam search over paraphrases, synonyms, order, letter case, punctuation and one or two typos, edit on edit,
    until `budget` texts have been scored. It needs the model: `runners.worst_prompt.bind` gives it one (an audit does
    so by itself); without one it is not applicable. What it finds is a bound from below on the worst harm: a larger
    budget can only find worse. Expectation: "none" (a bound). Params: `text kind old new start stop source edits
    repairs clean_score worst_score tried budget steps`.
    """

    name = "worst_case"
    expectation = "none"

    def __init__(self, *, context: DataContext | None = None, judge: Judge | None = None, budget: int = BUDGET) -> None:
        super().__init__(context=context)
        self.judge = judge
        self.budget = budget
        self._moves: list[tuple[BasePerturbation, int]] | None = None

    def bound_to(self, judge: Judge, budget: int | None = None) -> WorstCase:
        """Return this search with a model in the loop: `judge(case, texts)` gives one score per text, high is good."""
        return WorstCase(context=self.context, judge=judge, budget=budget or self.budget)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the worst text that was found."""
        if self.judge is None:
            return NotApplicable("the search needs a model in the loop: audit a model, or use runners.worst_prompt")
        text = case.prompt.text
        seed = int(rng.integers(2**31))
        clean = float(self.judge(case, [text])[0])
        scored: dict[str, tuple[float, tuple[str, ...]]] = {text: (clean, ())}
        beam = [text]
        while beam and len(scored) <= self.budget:
            fresh = dict(self._neighbours(case, beam, scored, seed))
            if not fresh:
                break
            for new, score in zip(fresh, self.judge(case, list(fresh)), strict=True):
                scored[new] = (float(score), fresh[new])
            beam = sorted(fresh, key=lambda t: (scored[t][0], t))[:BEAM]
        tried = len(scored) - 1
        if not tried:
            return NotApplicable("no edit that keeps the meaning applies")
        worst = min((t for t in scored if t != text), key=lambda t: (scored[t][0], t))
        scores: dict[str, Any] = {"clean_score": clean, "worst_score": scored[worst][0], "tried": tried}
        return record(
            text,
            [Edit(0, len(text), text, worst)],
            kind="",
            old=text,
            new=worst,
            source=f"seeded search over {tried} texts of the same meaning",
            budget=self.budget,
            steps=list(scored[worst][1]),
            **scores,
        )

    def _neighbours(
        self, case: Case, beam: Sequence[str], scored: dict[str, tuple[float, tuple[str, ...]]], seed: int
    ) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield new texts one edit away from the beam, turn by turn over its texts, as far as the budget goes."""
        left = self.budget + 1 - len(scored)
        seen = set(scored)
        streams = [self._edits_of(case, text, seed) for text in beam]
        while streams and left > 0:
            for stream, text in zip(list(streams), list(beam), strict=False):
                neighbour = next(stream, None)
                if neighbour is None:
                    streams.remove(stream)
                elif neighbour[0] not in seen and left > 0:
                    seen.add(neighbour[0])
                    left -= 1
                    yield neighbour[0], (*scored[text][1], neighbour[1])

    def _edits_of(self, case: Case, text: str, seed: int) -> Iterator[tuple[str, str]]:
        """Yield (text, condition) of every edit of one text that keeps its meaning, in a drawn order."""
        changed = case if text == case.prompt.text else self._reworded(case, text)
        moves = self._all_moves()
        for i in generator(seed, case.case_id, "worst_case", text).permutation(len(moves)):
            move, severity = moves[int(i)]
            params = move.propose(changed, severity, generator(seed, case.case_id, move.name, severity, text))
            if isinstance(params, dict):
                yield from ((new, move.condition(severity)) for new in params.get("texts") or [params["text"]])

    def _reworded(self, case: Case, text: str) -> Case:
        modality = str(case.metadata.get("modality") or "")
        prompt = parse_prompt(text, modality=modality, target=case.target)
        return dataclasses.replace(case, prompt=prompt)

    def _all_moves(self) -> list[tuple[BasePerturbation, int]]:
        if self._moves is None:
            moves: list[tuple[BasePerturbation, int]] = []
            for name, severities in MEANING_KEPT:
                for instance in PERTURBATIONS.get(name).expand(self.context):
                    moves += [(cast("BasePerturbation", instance), s) for s in severities]
            self._moves = moves
        return self._moves
