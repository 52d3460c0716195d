"""`order`: the same attributes in another order."""

from __future__ import annotations

import re

import numpy as np

from robustness.perturb.language.edit import Edit, article_repair, match_case, record
from robustness.perturb.language.slots import PLACES
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import PERTURBATIONS
from robustness.types import Attribute, Case, NotApplicable, Params, Prompt

_ADJECTIVES = ("size", "colour", "shape", "pathology")
_BEFORE = re.compile(r"(?:\b(?:it is |it's )?an? )$", re.IGNORECASE)
_CLAUSE = re.compile(
    r" of (?:shape )?[\w-]+(?: shape)?\b(?= in\b)"
    r"| in [\w-]+(?:-chamber)? view (?:of|in) the (?:heart|cardiac ultrasound)\b"
    r"| at (?:the )?end of the \w+ cycle\b| of an? (?:[\w-]+-old )?(?:fe)?male\b| with \w+ image quality\b"
    r"| in (?:axial|coronal|sagittal) [\w ]*?(?:MRI|CT)\b| in (?:two|three|\w+) separate regions\b"
    rf"|,? located in (?:the )?{PLACES} of the image\b| which (?:is|are) [^,.;]+?(?=,? located|[.]?$)",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?:-shaped| shaped?)\b", re.IGNORECASE)


@PERTURBATIONS.add("order")
class Order(PromptPerturbation):
    """Permute the adjectives before the target, else the clauses after it; every word stays.

    "small pink round polyp" becomes "round small pink polyp"; without two adjectives, "in two-chamber view of the heart
    at end of the systole cycle" changes places by clauses. The number stays in front, a side beside its target. The
    order is drawn. Expectation: "invariant". Params: as `antonym`, kind "".
    """

    name = "order"
    expectation = "invariant"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the permutation."""
        text = case.prompt.text
        spans = _adjectives(case.prompt)
        if len(spans) < 2:
            spans = _clauses(case.prompt)
        if len(spans) < 2:
            return NotApplicable("fewer than two attributes stand side by side")
        pieces = [text[a:b] for a, b in spans]
        order = _other_order(len(spans), rng)
        if [pieces[i] for i in order] == pieces:
            return NotApplicable("the attributes that stand side by side are the same words")
        edits = [_edit(text, span, pieces[i]) for span, i in zip(spans, order, strict=True)]
        repair = article_repair(text, spans[0][0], pieces[0], pieces[order[0]])
        return record(
            text,
            [e for e in edits if e.old != e.new],
            kind="",
            old=", ".join(pieces),
            new=", ".join(pieces[i] for i in order),
            source="another order of the same words",
            repairs=[repair] if repair else [],
        )


def _edit(text: str, span: tuple[int, int], piece: str) -> Edit:
    start, stop = span
    if start == 0:
        piece = match_case(piece, text[:1])
    elif piece[:1].isupper() and piece[1:2].islower():
        piece = piece[0].lower() + piece[1:]
    return Edit(start, stop, text[start:stop], piece)


def _other_order(count: int, rng: np.random.Generator) -> list[int]:
    """Return a drawn permutation that is not the identity: a rotation of the rest where the draw is the identity."""
    order = [int(i) for i in rng.permutation(count)]
    return order if order != sorted(order) else [*order[1:], order[0]]


def _adjectives(prompt: Prompt) -> list[tuple[int, int]]:
    """Return the spans of the adjectives before the target that follow one another with one blank between."""
    target = prompt.get("target")
    if target is None:
        return []
    spans = [_with_frame(prompt.text, a) for a in prompt.attributes if a.kind in _ADJECTIVES and a.stop <= target.start]
    run: list[tuple[int, int]] = []
    for span in spans:
        if run and prompt.text[run[-1][1] : span[0]] != " ":
            if len(run) > 1:
                break
            run = []
        run.append(span)
    return run


def _with_frame(text: str, a: Attribute) -> tuple[int, int]:
    """Return the span of an adjective with what belongs to it: "a thumb", "circle-shaped"."""
    if a.kind != "shape":
        return a.start, a.stop
    before, after = _BEFORE.search(text[: a.start]), _AFTER.match(text, a.stop)
    return (before.start() if before and before.start() else a.start), (after.end() if after else a.stop)


def _clauses(prompt: Prompt) -> list[tuple[int, int]]:
    """Return the spans of clauses that follow the target without a break, each with its leading blank or comma."""
    target = prompt.get("target")
    run: list[tuple[int, int]] = []
    at = target.stop if target else len(prompt.text)
    while match := _CLAUSE.match(prompt.text, at):
        run.append(match.span())
        at = match.end()
    return run
