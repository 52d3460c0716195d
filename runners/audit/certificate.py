"""A determinism certificate: how far predictions move when nothing but the way of computing them changes.

The first readable cases of every data set are predicted as the plan says, then again with one knob turned: the same
once more, other batch sizes, another order, other thread counts, precisions and devices. Any difference is noise of the
computation; a claim about changes smaller than it would be a claim about rounding.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from robustness.errors import CaseError
from robustness.metrics.scores.mask_change import mask_change
from robustness.metrics.scores.masks import mask_metrics
from robustness.plans.audit import Plan
from robustness.runners.audit.plan_engine import engine_of
from robustness.runners.audit.scoring import resize_nearest
from robustness.runners.data.dataset import Dataset
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Case, Mask, Probability, Segmenter

CASES = 4


class Noise(NamedTuple):
    """What one knob does to the predictions of one model.

    Attributes:
        model, dataset: names in the results.
        knob: "rerun", "batch_size", "image_batch", "order", "threads", "precision" or "device".
        setting: what it was turned to, from what.
        n: pairs of predictions compared.
        n_unequal_failures: pairs of which only one could be predicted; they are in no other figure.
        probability: largest difference of a pixel's probability, 0 to 1; None where nothing was compared.
        mask_change: largest 1 - IoU of the two masks; None as above.
        dice: largest difference of Dice against the reference; None as above.
        identical: whether every bit is the same, and the same predictions failed.
    """

    model: str
    dataset: str
    knob: str
    setting: str
    n: int
    n_unequal_failures: int
    probability: float | None
    mask_change: float | None
    dice: float | None
    identical: bool


class Asked(NamedTuple):
    """A request, and the mask that its answer is scored against."""

    request: Request
    reference: Mask


def certify(
    plan: Plan, models: Sequence[Segmenter], datasets: Sequence[Dataset], names: Sequence[str], *, cases: int = CASES
) -> dict[str, Any]:
    """Measure the noise of the computation; return it as JSON values.

    Nothing is measured for a model that looks stored predictions up: nothing is computed.

    Args:
        plan: the resolved plan.
        models, datasets: its `model` and `data`, loaded.
        names: what the results call each model.
        cases: how many cases of each data set are predicted, with all their prompts.

    Returns:
        `cases`, `rows` (each a `Noise`), and `not_measured`: knobs that this machine does not have, with the reason.
    """
    rows: list[Noise] = []
    for model, name in zip(models, names, strict=True):
        for dataset in datasets:
            if not hasattr(model, "lookup"):
                rows += _noise(plan, model, _asked(dataset, cases), model_name=name, dataset=dataset.name)
    return {"cases": cases, "rows": [row._asdict() for row in rows], "not_measured": _not_measured(models)}


def _asked(dataset: Dataset, cases: int) -> list[Asked]:
    """Return the clean requests of the first readable cases of a data set."""
    requests: list[Asked] = []
    readable = 0
    for number, info in enumerate(dataset.infos):
        if readable == cases:
            break
        try:
            case = dataset[number]
        except CaseError:
            continue
        readable += 1
        requests += [
            _one(case, info.image_id, prompt.text, prompt_index) for prompt_index, prompt in enumerate(info.prompts)
        ]
    return requests


def _one(case: Case, image_id: str, text: str, prompt_index: int) -> Asked:
    request = Request(case.image, f"image|{image_id}", text, case_id=case.case_id, prompt_index=prompt_index)
    return Asked(request, case.mask)


def _noise(plan: Plan, model: Segmenter, pairs: Sequence[Asked], *, model_name: str, dataset: str) -> Iterator[Noise]:
    if not pairs:
        return
    # Not from the cache: what is read from disk was computed only once.
    engine = dataclasses.replace(engine_of(model, plan), cache=None)
    references, requests = [one.reference for one in pairs], [one.request for one in pairs]
    reference = _predicted(engine, requests)
    for knob, setting, turned in _knobs(model, engine):
        with turned as other:
            again = _predicted(other, requests, reverse=knob == "order")
        measured = _compared(reference, again, references, model.threshold)
        yield Noise(model=model_name, dataset=dataset, knob=knob, setting=setting, **measured)


def _predicted(engine: Engine, requests: Sequence[Request], *, reverse: bool = False) -> list[Probability | None]:
    ordered = list(reversed(requests)) if reverse else list(requests)
    maps = [None if isinstance(one, CaseError) else one for one in engine.outcomes(ordered, fresh=True)]
    return maps[::-1] if reverse else maps


Turned = contextlib.AbstractContextManager[Engine]


def _knobs(model: Segmenter, engine: Engine) -> Iterator[tuple[str, str, Turned]]:
    """Yield each knob, what it is turned to, and the engine with it turned."""
    yield "rerun", "the same again", contextlib.nullcontext(engine)
    for knob in ("batch_size", "image_batch"):
        now = getattr(engine, knob)
        for value in sorted({1, 2 * now} - {now}):
            turned = dataclasses.replace(engine, **{knob: value})
            yield knob, f"{value} instead of {now}", contextlib.nullcontext(turned)
    yield "order", "reversed", contextlib.nullcontext(engine)
    if not isinstance(model, NetworkSegmenter):
        return
    threads = torch.get_num_threads()
    for count in sorted({1, 2, os.cpu_count() or 1} - {threads}):
        if count <= (os.cpu_count() or 1):
            yield "threads", f"{count} instead of {threads}", _with_threads(engine, count)
    for precision in sorted(_precisions(model.device) - {model.precision}):
        other = dataclasses.replace(engine, model=dataclasses.replace(model, precision=precision))
        yield "precision", f"{precision} instead of {model.precision}", contextlib.nullcontext(other)
    for device in _devices():
        if torch.device(device).type != model.device.type:
            yield "device", f"{device} instead of {model.device}", _on_device(engine, model, device)


def _precisions(device: torch.device) -> set[str]:
    return {"float32", "bf16", "fp16"} if device.type == "cuda" else {"float32", "bf16"}


def _devices() -> list[str]:
    return ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def _not_measured(models: Sequence[Segmenter]) -> dict[str, str]:
    """Return the knobs that nothing could be turned on, with the reason."""
    reasons = {}
    if not torch.cuda.is_available():
        reasons["device"] = "this machine has no accelerator beside the processor"
    if (os.cpu_count() or 1) == 1:
        reasons["threads"] = "this machine has one core"
    if all(hasattr(model, "lookup") for model in models):
        return {"all": "stored predictions are looked up and not computed"}
    if not any(isinstance(model, NetworkSegmenter) for model in models):
        reasons |= dict.fromkeys(("threads", "precision", "device"), "no model's arithmetic is this suite's to choose")
    return reasons


@contextlib.contextmanager
def _with_threads(engine: Engine, count: int) -> Iterator[Engine]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield engine
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _on_device(engine: Engine, model: NetworkSegmenter, device: str) -> Iterator[Engine]:
    """Hold the network on another device for a block; it is moved and not copied, it may be large."""
    before = model.device
    try:
        yield dataclasses.replace(engine, model=dataclasses.replace(model, device=torch.device(device)))
    finally:
        model.network.to(before)


def _compared(
    first: Sequence[Probability | None],
    again: Sequence[Probability | None],
    references: Sequence[Mask],
    threshold: float,
) -> dict[str, Any]:
    """Return the figures of `Noise` over the predictions of one knob."""
    triples = list(zip(first, again, references, strict=True))
    both = [(one, other, mask) for one, other, mask in triples if one is not None and other is not None]
    unequal = sum((one is None) != (other is None) for one, other, _ in triples)
    return {
        "n": len(both),
        "n_unequal_failures": unequal,
        "probability": max((float(np.abs(one - other).max()) for one, other, _ in both), default=None),
        "mask_change": max((mask_change(one > threshold, other > threshold) for one, other, _ in both), default=None),
        "dice": max((_dice_difference(*triple, threshold) for triple in both), default=None),
        "identical": not unequal and all(np.array_equal(one, other) for one, other, _ in both),
    }


def _dice_difference(one: Probability, other: Probability, mask: Mask, threshold: float) -> float:
    reference = resize_nearest(mask, one.shape)
    scores = [mask_metrics(p > threshold, reference, names=("dice",))["dice"] for p in (one, other)]
    return abs(float(scores[0]) - float(scores[1]))
