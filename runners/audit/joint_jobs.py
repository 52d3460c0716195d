"""The jobs of joint conditions: the image of an image change, asked with the words of a prompt change."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from robustness.errors import CaseError
from robustness.perturb.base import applied, expectation_of
from robustness.perturb.joint import Joint
from robustness.perturb.language.parse import parse_prompt
from robustness.results import PARAPHRASE
from robustness.runners.audit.jobs import Item, JobMaker, Order, as_json, truth_of
from robustness.types import Case, NotApplicable, Params


def joint_jobs(
    maker: JobMaker,
    joint: Joint,
    order: Order,
    case: Case,
    index: int,
    *,
    image_params: Params,
    changed: Case,
    key: str,
) -> Iterator[Item]:
    """Yield the jobs of one joint condition on one case and prompt, or the row that says why there is none.

    Both halves are drawn as they are drawn alone, so that this row, its image row, its prompt row and the clean row
    form a 2 x 2.

    Args:
        maker: makes draws and rows.
        order: sorts the rows.
        case, index: the case with one of its listed prompts.
        image_params, changed: what the image half drew, and the case that it made.
        key: of the changed image, which the model has encoded for the image row already.
    """
    chosen = joint.prompt.perturbation
    reworded = chosen.name == PARAPHRASE
    if reworded and index:
        # Paraphrases are compared with the first listed text only.
        return
    row = maker.row(case, joint.condition, index, joint.prompt)
    params = maker.propose(joint.prompt, case)
    if isinstance(params, NotApplicable):
        yield order, row.inapplicable(params.reason)
        return
    row = dataclasses.replace(row, expectation=_expectation(joint, case, image_params, params))
    for place, text in enumerate(params.get("texts") or [params["text"]]):
        one = {key: value for key, value in params.items() if key != "texts"} | {"text": text}
        worded = _worded(case, *applied(chosen, [case], [one]))
        try:
            both = _with_image(joint, worded, image_params, changed)
        except CaseError as error:
            yield (*order, place), row.inapplicable(str(error))
            continue
        filled = dataclasses.replace(
            row,
            prompt=both.prompt.text,
            prompt_index=place if reworded else index,
            params=as_json({"image": image_params, "prompt": one}),
            note=str(params.get("note") or ""),
            truth=truth_of(both),
        )
        yield maker.job(
            (*order, place),
            case,
            both,
            0 if reworded else index,
            filled,
            key=key,
            perturbation=joint.image.perturbation,
            params=image_params,
        )


def refused_joint(
    maker: JobMaker,
    joint: Joint,
    order: Order,
    case: Case,
    index: int,
    *,
    reason: str = "",
    error: CaseError | None = None,
) -> Item:
    """Return the row of a joint condition whose image half did not apply (`reason`) or failed (`error`)."""
    row = maker.row(case, joint.condition, index, joint.prompt)
    return order, row.inapplicable(reason) if error is None else row.failed(error)


def _worded(case: Case, changed: Case) -> Case:
    """Return the case with its changed words read again: a move of the image must know which of them are places."""
    prompt = parse_prompt(
        changed.prompt.text,
        modality=str(case.metadata.get("modality") or ""),
        attributes=case.metadata.get("attributes"),
        target=case.target,
    )
    return dataclasses.replace(changed, prompt=prompt)


def _with_image(joint: Joint, worded: Case, image_params: Params, changed: Case) -> Case:
    if joint.image.perturbation.target == "both":
        return applied(joint.image.perturbation, [worded], [image_params])[0]
    return dataclasses.replace(changed, prompt=worded.prompt)


def _expectation(joint: Joint, case: Case, image_params: Params, params: Params) -> str:
    """Return what should happen to the mask: what the words ask for, unless the image makes the row a control."""
    of_image = expectation_of(joint.image.perturbation, case, image_params)
    return expectation_of(joint.prompt.perturbation, case, params) if of_image == "invariant" else of_image
