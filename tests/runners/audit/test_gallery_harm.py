"""The worst pictures of a condition are its failures, never its successes."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from robustness.runners.audit.gallery import harm
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.types import CaseInfo, Prompt

INFO = CaseInfo("c", "i", "s", "polyp", (Prompt("a polyp"),))


def row(expectation: str, *, dice_other: float | None = None, **scores: float) -> ResultRow:
    blank = {"dice": 0.5, "mask_change": math.nan, "area_fraction": 0.0}
    return dataclasses.replace(
        ResultRow.of(SeriesIdentity("m", "d", "test"), INFO),
        expectation=expectation,
        dice_other=dice_other,
        measured={**blank, **scores},
    )


@pytest.mark.parametrize(
    ("expectation", "success", "failure"),
    [
        ("follow", {"dice": 0.0, "dice_other": 0.9}, {"dice": 0.9, "dice_other": 0.0}),
        ("change", {"dice": 0.0, "mask_change": 1.0}, {"dice": 0.9, "mask_change": 0.0}),
        ("abstain", {"dice": 0.0, "area_fraction": 0.0}, {"dice": 0.0, "area_fraction": 0.2}),
        ("invariant", {"dice": 0.9}, {"dice": 0.1}),
        ("none", {"dice": 0.9, "mask_change": 1.0}, {"dice": 0.1, "mask_change": 0.0}),
    ],
)
def test_failures_rank_above_successes(expectation: str, success: dict[str, Any], failure: dict[str, Any]) -> None:
    assert harm(row(expectation, **failure), 0.9) > harm(row(expectation, **success), 0.9)


def test_without_the_score_that_an_expectation_needs_the_loss_decides() -> None:
    assert harm(row("follow", dice=0.2), 0.9) == pytest.approx(0.7)
