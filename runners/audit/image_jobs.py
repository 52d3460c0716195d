"""The jobs on changed images: every image is changed once, in batches on an accelerator."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from robustness.errors import CaseError
from robustness.perturb.base import BasePerturbation, Device, applied, expectation_of
from robustness.perturb.image.pixels import DEEP
from robustness.perturb.select import Selected
from robustness.runners.audit.jobs import Entry, Group, Item, JobMaker, Order, as_json, at_prompt, image_key, truth_of
from robustness.runners.audit.joint_jobs import joint_jobs, refused_joint
from robustness.runners.audit.rows import ResultRow
from robustness.types import Case, NotApplicable, Params


class Drawn(NamedTuple):
    """One row that an image change will fill, with what was drawn for it."""

    order: Order
    case: Case
    prompt_index: int
    row: ResultRow
    params: Params


def image_jobs(maker: JobMaker, groups: Sequence[Group], *, device: Device = "cpu", at_once: int = 1) -> Iterator[Item]:
    """Yield the jobs on changed images of a part, and the rows where a change does not apply.

    Args:
        maker: knows the conditions and makes rows.
        groups: the part's images.
        device: where images are changed.
        at_once: how many cases are changed together, condition by condition; at 1 it is those on one image.
    """
    first = 2 + len(maker.prompt_side)
    for entries in _together(groups, at_once):
        for place, chosen in enumerate(maker.image_side):
            yield from _under_one_change(maker, entries, first + place, chosen, device)


def _together(groups: Sequence[Group], at_once: int) -> Iterator[Sequence[Entry]]:
    if at_once == 1:
        yield from (group.cases for group in groups)
        return
    entries = [entry for group in groups for entry in group.cases]
    for start in range(0, len(entries), at_once):
        yield entries[start : start + at_once]


def _under_one_change(
    maker: JobMaker, entries: Sequence[Entry], place: int, chosen: Selected, device: Device
) -> Iterator[Item]:
    drawn: list[Drawn] = []
    for number, case, prompts in entries:
        for index, prompt in enumerate(prompts):
            at, order = at_prompt(case, prompt, index), (number, index, place)
            row = maker.row(at, chosen.condition, index, chosen)
            try:
                params = maker.propose(chosen, at)
            except CaseError as error:
                yield order, row.failed(error)
                yield from _joint_refused(maker, chosen, order, at, error=error)
                continue
            if isinstance(params, NotApplicable):
                yield order, row.inapplicable(params.reason)
                yield from _joint_refused(maker, chosen, order, at, reason=params.reason)
            else:
                drawn.append(Drawn(order, at, index, row, params))
    for one, changed in zip(drawn, _changed_cases(chosen, drawn, device), strict=True):
        yield _item(maker, chosen, one, changed)
        yield from _joint(maker, chosen, one, changed)


def _joint(maker: JobMaker, chosen: Selected, one: Drawn, changed: Case | CaseError) -> Iterator[Item]:
    """Yield what the words of joint conditions make of a changed image, while the model has it."""
    if isinstance(changed, CaseError):
        yield from _joint_refused(maker, chosen, one.order, one.case, error=changed)
        return
    for order, joint in maker.joint_with(chosen, one.order):
        yield from joint_jobs(
            maker,
            joint,
            order,
            one.case,
            one.prompt_index,
            image_params=one.params,
            changed=changed,
            key=_image_key(chosen, one),
        )


def _joint_refused(
    maker: JobMaker,
    chosen: Selected,
    order: Order,
    case: Case,
    *,
    reason: str = "",
    error: CaseError | None = None,
) -> Iterator[Item]:
    for place, joint in maker.joint_with(chosen, order):
        yield refused_joint(maker, joint, place, case, order[1], reason=reason, error=error)


def _item(maker: JobMaker, chosen: Selected, one: Drawn, changed: Case | CaseError) -> Item:
    if isinstance(changed, CaseError):
        return one.order, one.row.failed(changed)
    row = dataclasses.replace(
        one.row,
        expectation=expectation_of(chosen.perturbation, one.case, one.params),
        prompt=changed.prompt.text,
        params=as_json(one.params),
        note=str(one.params.get("note") or ""),
        truth=truth_of(changed),
    )
    return maker.job(
        one.order,
        one.case,
        changed,
        one.prompt_index,
        row,
        key=_image_key(chosen, one),
        perturbation=chosen.perturbation,
        params=one.params,
    )


def _changed_cases(chosen: Selected, drawn: Sequence[Drawn], device: Device) -> list[Case | CaseError]:
    """Return the changed case of every row; a change that reads pixels only is made once for equal images."""
    if chosen.perturbation.per_prompt:
        return _apply(chosen.perturbation, drawn, device)
    first: dict[str, Drawn] = {}
    for one in drawn:
        first.setdefault(_image_key(chosen, one), one)
    images = _apply(chosen.perturbation, list(first.values()), device)
    image_by_key = dict(zip(first, images, strict=True))
    return [_with_image(one.case, image_by_key[_image_key(chosen, one)]) for one in drawn]


def _image_key(chosen: Selected, one: Drawn) -> str:
    """Return what makes changed images the same, so that a model encodes them once.

    Cases on one image share an image where their records are equal. A change that may depend on more has an image per
    case, and one that leaves the words alone, as an attack on a prompt does, an image per prompt.
    """
    change = chosen.perturbation
    if not change.per_prompt:
        return f"{image_key(one.case)}|{chosen.condition}|{as_json(one.params)}"
    key = f"{one.case.case_id}|{chosen.condition}"
    return f"{key}|{one.prompt_index}" if change.target == "image" or change.needs_model else key


def _with_image(case: Case, changed: Case | CaseError) -> Case | CaseError:
    if isinstance(changed, CaseError):
        return changed
    return dataclasses.replace(case, image=changed.image, metadata={**case.metadata, **_deep(changed)})


def _apply(change: BasePerturbation, drawn: Sequence[Drawn], device: Device) -> list[Case | CaseError]:
    """Return the changed cases; where a batch fails, each case is asked alone."""
    try:
        return [*applied(change, [one.case for one in drawn], [one.params for one in drawn], device)]
    except CaseError as error:
        if len(drawn) == 1:
            return [error]
        return [changed for one in drawn for changed in _apply(change, [one], device)]


def _deep(case: Case) -> dict[str, Any]:
    return {DEEP: case.metadata[DEEP]} if DEEP in case.metadata else {}
