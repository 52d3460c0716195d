"""``[report]`` of a plan: what only the submitter of a regulatory report knows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from robustness.plans.toml import StrictModel
from robustness.plans.validation import validated


class ReportSpec(StrictModel):
    """``[report]``: answers to the blanks of the regulatory edition; what is left out stays a marked blank.

    They change no result: a run may be reported with other answers (`robustness report --answers FILE`).
    """

    intended_use: str | None = None
    intended_users: str | None = None
    device: str | None = None
    prompt_source: str | None = None
    variations_reason: str | None = None
    variations_missing: str | None = None
    registration: str | None = None
    margin_reason: str | None = None
    sample_size: str | None = None
    sites: str | None = None
    demographics: str | None = None
    independence: str | None = None
    reference_standard: str | None = None
    acceptance: str | None = None
    safety_words: str | None = None
    user_information: str | None = None
    severity_meaning: str | None = None
    product_hardware: str | None = None
    subgroups_missing: str | None = None
    failure_consequence: str | None = None
    case_review: str | None = None
    quality_control: str | None = None
    threat_model: str | None = None
    training_data_control: str | None = None
    residual_risk: str | None = None
    stated_limits: str | None = None
    gates_owner: str | None = None
    retest_triggers: str | None = None
    responsible: str | None = None
    contact: str | None = None
    signed_off: date | None = None


def report_answers(tree: Mapping[str, Any], *, source: str) -> dict[str, str]:
    """Return the answers of a ``[report]`` table as texts, dates as YYYY-MM-DD.

    Raises:
        InputError: an unknown key (the near one is named), or a value that is no text.
    """
    spec = validated(ReportSpec, tree, source=source)
    return {key: str(value) for key, value in spec.model_dump().items() if value is not None and str(value).strip()}
