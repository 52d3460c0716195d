"""From cases and perturbations to jobs: what is to be predicted, and which rows it will fill."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from robustness.metrics.scores.pair import overlap_coefficient
from robustness.perturb.attacks.base import evaluated_image
from robustness.perturb.base import BasePerturbation, applied, expectation_of, proposed
from robustness.perturb.joint import Joint
from robustness.perturb.language.landmarks import Landmark
from robustness.perturb.language.truth import judge_prompt
from robustness.perturb.select import Selected
from robustness.results import CLEAN, PARAPHRASE, RERUN
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.runners.inference.request import Request
from robustness.seeds import generator
from robustness.types import Case, Mask, NotApplicable, Params, Prompt

_TRUTHS: dict[tuple[Any, ...], tuple[Any, str]] = {}
_MOST_TRUTHS = 256

# So many jobs on changed images are held at least; more would cost memory, fewer would starve the batches.
CHANGED_IMAGES_AT_ONCE = 32

Order = tuple[int, ...]
Placed = tuple[Order, ResultRow]
Entry = tuple[int, Case, tuple[Prompt, ...]]


@dataclass(frozen=True)
class Job:
    """One prediction: its request, the references that it is scored against, and the rows that it fills.

    Attributes:
        order: sorts the rows of a part as the plan lists them.
        baseline: the clean prediction that `mask_change` compares with, as (case_id, prompt_index).
        perturbation, params: move the baseline into this job's frame; None where nothing moves.
    """

    order: Order
    request: Request
    rows: tuple[ResultRow, ...]
    reference: Mask
    spacing_mm: tuple[float, float] | None
    baseline: tuple[str, int]
    other_references: tuple[Mask | None, ...] = (None,)
    perturbation: BasePerturbation | None = None
    params: Params = field(default_factory=dict)
    clean_case: Case | None = None


Item = Job | Placed


@dataclass(frozen=True)
class Group:
    """The readable cases on one image, with every listed prompt, and the rows of those that cannot be read."""

    cases: tuple[Entry, ...]
    failed: tuple[Placed, ...]

    def mask_of(self, case_id: str) -> Mask | None:
        """The reference mask of another case on this image; None where it could not be read."""
        return next((case.mask for _, case, _ in self.cases if case.case_id == case_id), None)

    def landmarks(self, case: Case) -> tuple[Landmark, ...]:
        """Return the other targets of this image, by which the relating words of a prompt are judged."""
        others = (other for _, other, _ in self.cases if other.case_id != case.case_id)
        return tuple(Landmark(_name_of(other), _side_of(other), other.mask) for other in others)


def _name_of(case: Case) -> str:
    attributes = case.metadata.get("attributes") or {}
    return str(attributes.get("structure") or case.target)


def _side_of(case: Case) -> str:
    side = str((case.metadata.get("attributes") or {}).get("side", "")).lower()
    return side if side in ("left", "right") else ""


class JobMaker:
    """Makes the jobs of one dataset; draws depend on (plan seed, case, perturbation, severity) only."""

    def __init__(
        self, *, series: SeriesIdentity, selected: Sequence[Selected], seed: int, joint: Sequence[Joint] = ()
    ) -> None:
        self.series = series
        self.prompt_side = [s for s in selected if s.perturbation.target == "prompt"]
        self.image_side = [s for s in selected if s.perturbation.target != "prompt"]
        self.joint = tuple(joint)
        self.seed = seed

    def joint_with(self, image: Selected, order: Order) -> Iterator[tuple[Order, Joint]]:
        """Yield the joint conditions of an image condition, each with the order of its row after all single ones."""
        first = 2 + len(self.prompt_side) + len(self.image_side)
        for place, joint in enumerate(self.joint):
            if joint.image.condition == image.condition:
                yield (*order[:2], first + place), joint

    def clean_image_jobs(self, group: Group) -> Iterator[Item]:
        """Yield clean jobs and every prompt-side job or finished (not applicable) row of a group."""
        for number, case, prompts in group.cases:
            for index, prompt in enumerate(prompts):
                at = at_prompt(case, prompt, index)
                others = list(self._others(at, group))
                yield self._clean(number, at, index, [o for o in others if o is not None], group.landmarks(at))
                for place, chosen in enumerate(self.prompt_side):
                    # Paraphrases are compared with the first listed text only.
                    if chosen.perturbation.name != PARAPHRASE or index == 0:
                        yield from self._prompt_jobs((number, index, 2 + place), at, index, chosen, group)

    def rerun_jobs(self, group: Group) -> Iterator[Job]:
        """Yield the second clean run: the rerun noise of the model itself."""
        for number, case, prompts in group.cases:
            for index, prompt in enumerate(prompts):
                at = at_prompt(case, prompt, index)
                yield self.job((number, index, 1), at, at, index, self.row(at, RERUN, index), key=image_key(case))

    def _clean(
        self,
        number: int,
        case: Case,
        index: int,
        others: Sequence[tuple[Params, Mask]],
        landmarks: Sequence[Landmark],
    ) -> Job:
        rows, masks = [], []
        row = replace(self.row(case, CLEAN, index), truth=truth_of(case, landmarks=landmarks))
        for params, mask in others:
            second = replace(row, attribute=params["kind"], other_case_id=params["other_case_id"])
            rows.append(replace(second, other_overlap=overlap_coefficient(case.mask, mask)))
            masks.append(mask)
        return self.job(
            (number, index, 0),
            case,
            case,
            index,
            *(rows or [row]),
            key=image_key(case),
            other_references=tuple(masks) or (None,),
        )

    def _others(self, case: Case, group: Group) -> Iterator[tuple[Params, Mask] | None]:
        for chosen in self.prompt_side:
            if chosen.perturbation.expectation == "follow":
                params = self.propose(chosen, case)
                mask = None if isinstance(params, NotApplicable) else group.mask_of(str(params.get("other_case_id")))
                yield (params, mask) if isinstance(params, dict) and mask is not None else None

    def _prompt_jobs(self, order: Order, case: Case, index: int, chosen: Selected, group: Group) -> Iterator[Item]:
        params = self.propose(chosen, case)
        row = self.row(case, chosen.condition, index, chosen)
        if isinstance(params, NotApplicable):
            yield order, row.inapplicable(params.reason)
            return
        row = replace(row, expectation=expectation_of(chosen.perturbation, case, params))
        other, mask = params.get("other_case_id"), None
        if other:
            mask = group.mask_of(str(other))
            if mask is None:
                yield order, row.inapplicable(f"the other case {other} on this image could not be read")
                return
            row = replace(row, other_case_id=other, other_overlap=overlap_coefficient(case.mask, mask))
        for place, text in enumerate(params.get("texts") or [params["text"]]):
            one = {**params, "text": text}
            one.pop("texts", None)
            (changed,) = applied(chosen.perturbation, [case], [one])
            is_paraphrase = chosen.perturbation.name == PARAPHRASE
            filled = replace(
                row,
                prompt=changed.prompt.text,
                prompt_index=place if is_paraphrase else index,
                params=as_json(one),
                note=str(params.get("note") or ""),
                truth=truth_of(case, changed.prompt.text, landmarks=group.landmarks(case)),
            )
            yield self.job(
                (*order, place),
                case,
                changed,
                0 if is_paraphrase else index,
                filled,
                key=image_key(case),
                other_references=(mask,),
                params=one,
            )

    def propose(self, chosen: Selected, case: Case) -> Params | NotApplicable:
        """Return what is drawn for a case under one condition, or why it does not apply."""
        rng = generator(self.seed, case.case_id, chosen.perturbation.name, chosen.severity)
        return proposed(chosen.perturbation, case, chosen.severity, rng)

    def job(self, order: Order, clean: Case, case: Case, index: int, *rows: ResultRow, key: str, **more: Any) -> Job:
        """Return the job of `case`, the clean case changed; equal keys stand for equal images."""
        request = Request(
            image=evaluated_image(case),
            image_key=key,
            text=case.prompt.text,
            condition=rows[0].condition,
            case_id=case.case_id,
            prompt_index=rows[0].prompt_index,
        )
        return Job(
            order=order,
            request=request,
            rows=rows,
            reference=case.mask,
            spacing_mm=case.spacing_mm,
            baseline=(case.case_id, index),
            clean_case=clean,
            **more,
        )

    def row(self, case: Case, condition: str, index: int, chosen: Selected | None = None) -> ResultRow:
        """Return what a row holds before anything is measured."""
        return replace(
            ResultRow.of(self.series, case, condition),
            expectation=chosen.perturbation.expectation if chosen else "none",
            prompt=case.prompt.text,
            prompt_index=index,
            truth=truth_of(case),
        )


def at_prompt(case: Case, prompt: Prompt, index: int) -> Case:
    """Return the case with one of its listed prompts."""
    return replace(case, prompt=prompt, metadata={**case.metadata, "prompt_index": index})


def image_key(case: Case) -> str:
    """Return what the cases on one image share."""
    return f"image|{case.metadata.get('image_id', case.case_id)}"


def truth_of(case: Case, text: str | None = None, *, landmarks: Sequence[Landmark] = ()) -> str:
    """Return, as JSON, which words of a prompt are true of the case.

    The image changes of one image ask for the same again and again. A case that differs in its image alone holds the
    same objects, which the memory keeps alive, so that no other object can bear their identity.
    """
    if landmarks:
        return json.dumps(judge_prompt(case, text, landmarks=landmarks), sort_keys=True)
    held = case.mask, case.prompt, case.metadata.get("attributes"), case.metadata.get("convention")
    key = (*map(id, held), case.target, case.metadata.get("modality"), text)
    if key not in _TRUTHS:
        if len(_TRUTHS) >= _MOST_TRUTHS:
            _TRUTHS.clear()
        _TRUTHS[key] = held, json.dumps(judge_prompt(case, text), sort_keys=True)
    return _TRUTHS[key][1]


def as_json(params: Params) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(params, sort_keys=True, ensure_ascii=False)


def jobs_of_streams(streams: Iterable[Iterable[Item]], rows: list[Placed]) -> list[Job]:
    """Return the jobs of several streams; rows that are finished already go to `rows`."""
    return [job for stream in streams for job in jobs_of(stream, rows)]


def jobs_of(items: Iterable[Item], rows: list[Placed]) -> Iterator[Job]:
    """Yield the jobs of a stream; rows that are finished already go to `rows`."""
    for item in items:
        if isinstance(item, Job):
            yield item
        else:
            rows.append(((*item[0], 0), item[1]))


class Wave(NamedTuple):
    """Jobs that a model is given together; `fresh`: their images are encoded though a cache may hold them."""

    jobs: Sequence[Job]
    fresh: bool = False


def in_full_batches(jobs: Iterable[Job], image_batch: int) -> Iterator[list[Job]]:
    """Yield jobs in waves of whole batches of images; jobs on one image stay together, so that it is encoded once."""
    waiting: list[Job] = []
    images = 0
    for job in jobs:
        another = not waiting or job.request.image_key != waiting[-1].request.image_key
        if another and len(waiting) >= CHANGED_IMAGES_AT_ONCE and images % image_batch == 0:
            yield waiting
            waiting, images = [], 0
        waiting.append(job)
        images += another
    yield waiting
