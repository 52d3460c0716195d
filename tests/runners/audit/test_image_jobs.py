"""Jobs on changed images: how often images are changed and encoded, and what a batch may not change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from robustness.errors import CaseError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.intensity.gamma import GammaUp
from robustness.perturb.image.intensity.gaussian_noise import GaussianNoise
from robustness.perturb.image.intensity.saturation import SaturationUp
from robustness.perturb.image.pixels import changed_cases
from robustness.perturb.select import Selected
from robustness.runners.audit.image_jobs import image_jobs
from robustness.runners.audit.jobs import Group, Job, JobMaker
from robustness.runners.audit.rows import SeriesIdentity
from robustness.types import Case, NotApplicable, Params, Prompt

SERIES = SeriesIdentity("m", "d", "test")
PROMPTS = (Prompt("one polyp"), Prompt("a polyp"))


def case_of(name: str, image_id: str, seed: int, *, size: tuple[int, int] = (40, 32)) -> Case:
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 1), dtype=np.uint8).repeat(3, axis=2)
    return Case(name, name, pixels, np.ones(size, dtype=np.bool_), PROMPTS[0], "polyp", {"image_id": image_id})


def groups() -> list[Group]:
    """Two cases on one image, one on another of the same size, one on a wider image; two prompts each."""
    of = [("a", "one", 1), ("b", "one", 1), ("c", "two", 2)]
    cases = [case_of(*each) for each in of] + [case_of("d", "three", 3, size=(32, 48))]
    entries = [(number, case, PROMPTS) for number, case in enumerate(cases)]
    return [Group(tuple(entries[:2]), ()), Group((entries[2],), ()), Group((entries[3],), ())]


def jobs_of(*changes: BasePerturbation, severity: int = 3, **how: object) -> list[object]:
    maker = JobMaker(series=SERIES, selected=[Selected(change, severity) for change in changes], seed=0)
    return list(image_jobs(maker, groups(), **how))  # type: ignore[arg-type]


class Counting(ImagePerturbation):
    name = "counting"
    values = (0.1, 0.2, 0.3, 0.4, 0.5)

    def __init__(self) -> None:
        self.batches: list[int] = []

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        self.batches.append(len(pixels))
        return pixels * (1 - params[0]["value"])

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: object = "cpu") -> list[Case]:
        # "meta" stands for any device that is not the CPU: it is only asked whether images go together.
        together = str(device) != "cpu"
        return changed_cases(self.change, cases, params, torch.device("cpu", 0) if together else "cpu")


class PerPrompt(GammaUp):
    name = "per_prompt"
    per_prompt = True


class Refusing(Counting):
    name = "refusing"
    per_prompt = True

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: object = "cpu") -> list[Case]:
        if any(case.case_id == "b" for case in cases):
            raise CaseError("b cannot be changed")
        return super().apply_batch(cases, params, device)


class Picky(Counting):
    name = "picky"

    def parameters(self, value: float, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        return NotApplicable("c is not liked") if case.case_id == "c" else {"value": value}


def test_a_picture_is_changed_once_for_all_its_prompts_and_cases_where_nothing_is_drawn() -> None:
    change = Counting()
    jobs = jobs_of(change)
    assert len(jobs) == 8
    assert change.batches == [1, 1, 1]
    assert len({job.request.image_key for job in jobs}) == 3


def test_on_a_device_pictures_of_one_size_go_together() -> None:
    change = Counting()
    jobs = jobs_of(change, device="meta", at_once=32)
    assert len(jobs) == 8
    assert sorted(change.batches) == [1, 2]


def test_cases_with_draws_of_their_own_have_pictures_of_their_own() -> None:
    jobs = jobs_of(GaussianNoise())
    keys = {job.request.image_key for job in jobs}
    assert len(keys) == 4
    pictures = {job.rows[0].case_id: job.request.image for job in jobs}
    assert not np.array_equal(pictures["a"], pictures["b"])


def test_a_change_that_reads_the_prompt_has_a_picture_per_prompt() -> None:
    assert len({job.request.image_key for job in jobs_of(PerPrompt())}) == 8


def test_batches_change_nothing_but_the_order() -> None:
    changes = [GaussianNoise(), GammaUp()]
    alone, together = jobs_of(*changes), jobs_of(*changes, at_once=32)
    assert [job.order for job in alone] != [job.order for job in together]
    for one, other in zip(*(sorted(jobs, key=lambda j: j.order) for jobs in (alone, together)), strict=True):
        assert one.order == other.order
        assert one.rows == other.rows
        assert one.request.image_key == other.request.image_key
        np.testing.assert_array_equal(one.request.image, other.request.image)


def test_every_job_keeps_its_own_prompt_and_mask() -> None:
    for job in jobs_of(GammaUp()):
        assert isinstance(job, Job)
        assert job.request.text == job.rows[0].prompt == PROMPTS[job.rows[0].prompt_index].text
        assert job.reference.shape == job.request.image.shape[:2]


@pytest.mark.parametrize("at_once", [1, 32])
def test_one_case_that_fails_does_not_take_the_others_with_it(at_once: int) -> None:
    items = jobs_of(Refusing(), at_once=at_once)
    failed = [item[1] for item in items if not isinstance(item, Job)]
    assert [(row.case_id, row.error) for row in failed] == [("b", "b cannot be changed")] * 2
    assert len(items) == 8


def test_what_does_not_apply_is_a_row_with_the_reason() -> None:
    items = jobs_of(SaturationUp(), Picky())
    rows = [item[1] for item in items if not isinstance(item, Job)]
    reasons = {(row.condition, row.case_id): row.note for row in rows}
    assert reasons["image:picky@3", "c"] == "c is not liked"
    assert reasons["image:saturation_up@3", "a"].startswith("the image is gray")
    assert len(rows) == 8 + 2
    assert not any(row.applicable for row in rows)
