"""A dataset whose prompts a plan's own template makes, from what the data state and what the masks show."""

from __future__ import annotations

import dataclasses

from robustness.errors import CaseError
from robustness.perturb.language.measured import measure
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.templates import named, render, worded
from robustness.runners.data.annotate import stated_words
from robustness.runners.data.dataset import Dataset
from robustness.runners.data.label_words import label_of
from robustness.types import Case, CaseInfo, Prompt


def with_template(dataset: Dataset, template: str) -> Dataset:
    """Return `dataset` with one prompt per case, made by `template` ("[{number} ]{size} {target}").

    Number, size, location, shape and colour are measured, by the conventions of `robustness prompts --from`; the rest
    is what the data state. Every mask is read. A case that cannot be read keeps its prompt and fails when it is looked
    at, as it would have without a template.

    Raises:
        InputError: the template names a kind that does not exist, or one outside of brackets that a case lacks.
    """
    infos = [_with_prompt(dataset, index, info, template) for index, info in enumerate(dataset.infos)]
    return dataset.with_infos(infos, note=f"prompts are made by the template {template!r}")


def _with_prompt(dataset: Dataset, index: int, info: CaseInfo, template: str) -> CaseInfo:
    try:
        case = dataset.decode(index)
    except CaseError:
        return info
    return dataclasses.replace(info, prompts=(templated_prompt(case, template),))


def templated_prompt(case: Case, template: str) -> Prompt:
    """Return the prompt that `template` makes of a case."""
    stated = stated_words({"attributes": dict(case.metadata.get("attributes") or {})})
    words = {**measure(case.mask, case.image), **stated, "target": case.target}
    text = render(template, named(worded(words), template, label_of(case.target, case.metadata.get("attributes"))))
    return parse_prompt(text, modality=str(case.metadata.get("modality") or ""), attributes=words, target=case.target)
