"""What holds for every entry that changes an image."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.errors import InputError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.parse import parse_prompt
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Image, NotApplicable, Params

# Attacks need a model in the loop and have a contract of their own.
CHANGES = {name: PERTURBATIONS.get(name) for name in PERTURBATIONS.names()}
ENTRIES = [name for name, change in CHANGES.items() if change.target != "prompt" and not change.needs_model]
GRADED = [name for name in ENTRIES if len(PERTURBATIONS.get(name)().severities) == 5]
TEXT = "one small left hippocampus in axial T1 brain MRI, located in the top right of the image"


def picture(number: int, size: tuple[int, int] = (96, 80), *, gray: bool = False) -> Image:
    """A smooth scene with edges and texture, on black as medical pictures are."""
    rng = np.random.default_rng(number)
    rows, columns = np.mgrid[: size[0], : size[1]] / max(size)
    planes = []
    for _ in range(1 if gray else 3):
        waves = sum(
            np.sin(2 * np.pi * (rng.uniform(1, 5) * rows + rng.uniform(1, 5) * columns) + rng.uniform(0, 6))
            for _ in range(4)
        )
        planes.append(0.5 + 0.1 * waves + 0.02 * rng.standard_normal(size))
    scene = np.stack(planes, axis=-1)
    scene[(rows - 0.4) ** 2 + (columns - 0.4) ** 2 > 0.12] = 0.0
    scene[(rows - 0.5) ** 2 + (columns - 0.3) ** 2 < 0.01] = 0.9
    out = np.rint(np.clip(scene, 0, 1) * 255).astype(np.uint8)
    return np.repeat(out, 3, axis=2) if gray else out


def case_of(image: Image, case_id: str = "c") -> Case:
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    mask[: image.shape[0] // 3, : image.shape[1] // 4] = True
    attributes = {"side": "left", "structure": "hippocampus", "side_visible": True}
    prompt = parse_prompt(TEXT, modality="MRI", attributes=attributes)
    return Case(case_id, "s", image, mask, prompt, "hippocampus", {"modality": "MRI", "attributes": attributes})


def entry(name: str) -> BasePerturbation:
    made: BasePerturbation = PERTURBATIONS.get(name)()
    return made


def proposed(perturbation: BasePerturbation, case: Case, severity: int, seed: int = 0) -> Params:
    params = perturbation.propose(case, severity, generator(seed, case.case_id, perturbation.name, severity))
    assert not isinstance(params, NotApplicable)
    return params


def degrees() -> list[tuple[str, int]]:
    return [(name, degree) for name in ENTRIES for degree in entry(name).severities]


def ssim(one: Image, other: Image) -> float:
    import torch
    from monai.metrics import SSIMMetric

    tensors = [torch.from_numpy(np.ascontiguousarray(i.transpose(2, 0, 1)[None])).float() / 255 for i in (one, other)]
    return float(SSIMMetric(spatial_dims=2, data_range=1.0)(*tensors))


def means(name: str, images: Sequence[Image]) -> list[float]:
    perturbation = entry(name)
    cases = [case_of(image, f"c{number}") for number, image in enumerate(images)]
    return [
        float(np.mean([ssim(c.image, perturbation.apply(c, proposed(perturbation, c, degree)).image) for c in cases]))
        for degree in perturbation.severities
    ]


def test_the_first_entries_are_registered() -> None:
    assert set(ENTRIES) >= {"gaussian_noise", "gamma_up", "gamma_down", "gaussian_blur", "jpeg", "horizontal_flip"}


@pytest.mark.parametrize("name", ENTRIES)
class TestEveryEntry:
    def test_name_docstring_and_source(self, name: str) -> None:
        cls = PERTURBATIONS.get(name)
        assert cls.name == name
        assert "Source:" in cls.__doc__

    def test_expectation_is_that_nothing_changes(self, name: str) -> None:
        assert entry(name).expectation == "invariant"

    def test_severity_zero_is_the_identity(self, name: str) -> None:
        case = case_of(picture(0))
        changed = entry(name).apply(case, proposed(entry(name), case, 0))
        np.testing.assert_array_equal(changed.image, case.image)
        np.testing.assert_array_equal(changed.mask, case.mask)
        assert changed.prompt == case.prompt

    def test_the_mask_stays_unless_it_is_declared_to_move(self, name: str) -> None:
        case, perturbation = case_of(picture(1)), entry(name)
        params = proposed(perturbation, case, perturbation.severities[-1])
        changed = perturbation.apply(case, params)
        np.testing.assert_array_equal(changed.mask, perturbation.apply_mask(case.mask, params))
        if perturbation.target == "image":
            np.testing.assert_array_equal(changed.mask, case.mask)
            assert changed.prompt == case.prompt

    def test_the_prompt_moves_as_apply_prompt_says(self, name: str) -> None:
        case, perturbation = case_of(picture(1)), entry(name)
        params = proposed(perturbation, case, perturbation.severities[-1])
        assert perturbation.apply(case, params).prompt == perturbation.apply_prompt(case.prompt, params)


@pytest.mark.parametrize(("name", "degree"), degrees())
class TestEveryDegree:
    @pytest.mark.parametrize("gray", [False, True])
    @pytest.mark.parametrize("size", [(32, 32), (33, 70)])
    def test_size_and_type_are_kept_and_gray_stays_gray(
        self, name: str, degree: int, size: tuple[int, int], gray: bool
    ) -> None:
        image = picture(2, size, gray=gray)
        case = case_of(image)
        out = entry(name).apply(case, proposed(entry(name), case, degree)).image
        assert (out.shape, out.dtype) == (image.shape, np.uint8)
        assert out.flags.c_contiguous
        assert not np.array_equal(out, image)
        if gray:
            assert (out == out[..., :1]).all()

    def test_the_input_is_left_alone(self, name: str, degree: int) -> None:
        case = case_of(picture(3))
        before = case.image.copy(), case.mask.copy(), dict(case.metadata)
        entry(name).apply(case, proposed(entry(name), case, degree))
        np.testing.assert_array_equal(case.image, before[0])
        np.testing.assert_array_equal(case.mask, before[1])
        assert dict(case.metadata) == before[2]

    def test_the_same_seed_gives_the_same_bytes_and_the_record_replays_them(self, name: str, degree: int) -> None:
        case = case_of(picture(4))
        params = proposed(entry(name), case, degree)
        assert params == proposed(entry(name), case, degree)
        first = entry(name).apply(case, params)
        np.random.seed(degree)
        replayed = entry(name).apply(case, json.loads(json.dumps(params)))
        np.testing.assert_array_equal(first.image, replayed.image)
        assert first.prompt == replayed.prompt

    def test_a_constant_image_is_no_error(self, name: str, degree: int) -> None:
        case = case_of(np.full((40, 32, 3), 77, np.uint8))
        assert entry(name).apply(case, proposed(entry(name), case, degree)).image.shape == (40, 32, 3)


@pytest.mark.parametrize("name", GRADED)
class TestSeverity:
    def test_one_that_does_not_exist_is_refused(self, name: str) -> None:
        with pytest.raises(InputError, match="severity: expected 0 to 5, got 6"):
            entry(name).propose(case_of(picture(0)), 6, np.random.default_rng(0))

    def test_it_moves_the_image_away_step_by_step(self, name: str) -> None:
        values = [1.0, *means(name, [picture(number, gray=number % 2 == 0) for number in range(6)])]
        assert all(before > after for before, after in pairwise(values)), values

    @pytest.mark.parametrize("data", ["brain_mni_aal", "brain_colin", "nuclei_dsb", "head_ct"])
    def test_it_does_so_on_real_images(self, name: str, data: str, shared: Path) -> None:
        paths = sorted((shared / "data" / data / "images").glob("*.png"))[::9][:4]
        images = []
        for path in paths:
            with PILImage.open(path) as opened:
                images.append(np.array(opened.convert("RGB")))
        values = [1.0, *means(name, images)]
        assert all(before > after for before, after in pairwise(values)), values
