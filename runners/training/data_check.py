"""The check of the data before a training: what names, headers and words tell, and what the two splits share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustness.runners.data.check.opened import check_opened, refuse_errors

if TYPE_CHECKING:
    from robustness.plans.finetune import TrainPlan
    from robustness.runners.training.setup import TrainingSetup


def check_before_training(plan: TrainPlan, setup: TrainingSetup) -> list[str]:
    """Return one line for each kind of finding in the data of a training.

    Raises:
        InputError: a dataset has an error and the plan does not say to go on (``[data] check``).
    """
    lines: list[str] = []
    pairs = zip([plan.data, *plan.pool], setup.training.parts, setup.validation.parts, strict=True)
    for spec, training, validation in pairs:
        if spec.check == "off":
            continue
        own, other = training.first, validation.first
        findings = check_opened(own, {other.split: other.records} if other.split != own.split else {})
        lines += [f"check: {own.name}: {f.level}: {f.message} ({f.code})" for f in findings]
        if spec.check != "warn":
            refuse_errors(findings, own.name)
    return lines
