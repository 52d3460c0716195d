"""What holds for every entry that changes an image."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from robustness.errors import InputError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import DEEP, planes, to_bytes
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.severity.similarity import similarity
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Image, NotApplicable, Params
from robustness.workflows.demo_files import demo_data

CHANGES = {name: PERTURBATIONS.get(name) for name in PERTURBATIONS.names()}
# Attacks need a model in the loop and have a contract of their own.
ENTRIES = [name for name, change in CHANGES.items() if change.target != "prompt" and not change.needs_model]
# SSIM compares what stands at the same place: of an image that has moved it soon reads noise. Moves are graded by how
# far pixels go, in test_geometry.py.
PIXELS = [name for name in ENTRIES if CHANGES[name].target == "image"]
GRADED = [name for name in PIXELS if len(CHANGES[name]().severities) == 5]
# True of the mask below, and decidable under every change: a side that is not seen, a place, no size.
TEXT = "one left hippocampus in sagittal T1 brain MRI, located in the top left of the image"


@lru_cache
def picture(number: int, size: tuple[int, int] = (96, 80), *, gray: bool = False) -> Image:
    """A smooth scene with edges and texture, on black as medical images are."""
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
    height, width = mask.shape
    mask[height // 6 : height // 2, width // 6 : width // 2] = True
    attributes = {"side": "left", "structure": "hippocampus", "side_visible": False}
    prompt = parse_prompt(TEXT, modality="MRI", attributes=attributes)
    return Case(case_id, "s", image, mask, prompt, "hippocampus", {"modality": "MRI", "attributes": attributes})


def deep_case(size: tuple[int, int] = (96, 80)) -> Case:
    """A gray case of a 16-bit source: no value lies on one of 255 levels."""
    unit = picture(5, size, gray=True)[..., 0] / np.float32(300) + np.float32(0.011)
    case = case_of(np.repeat(to_bytes(unit)[..., None], 3, axis=2))
    return dataclasses.replace(case, metadata={**case.metadata, DEEP: unit})


def entry(name: str) -> BasePerturbation:
    made: BasePerturbation = CHANGES[name]()
    return made


def drawn(perturbation: BasePerturbation, case: Case, severity: int, seed: int = 0) -> Params | NotApplicable:
    return perturbation.propose(case, severity, generator(seed, case.case_id, perturbation.name, severity))


def proposed(perturbation: BasePerturbation, case: Case, severity: int) -> Params:
    params = drawn(perturbation, case, severity)
    assert not isinstance(params, NotApplicable)
    return params


def suited(name: str, number: int = 0, size: tuple[int, int] = (96, 80)) -> Case:
    """A case that the entry applies to: in colour, or gray where the entry is for gray images."""
    case = case_of(picture(number, size))
    if isinstance(drawn(entry(name), case, entry(name).severities[-1]), NotApplicable):
        case = case_of(picture(number, size, gray=True))
    return case


def ends(name: str) -> tuple[int, ...]:
    """The mildest and the strongest severity."""
    severities = entry(name).severities
    return tuple(dict.fromkeys((severities[0], severities[-1])))


@pytest.mark.parametrize("name", ENTRIES)
class TestEveryEntry:
    def test_name_source_and_expectation_are_stated(self, name: str) -> None:
        cls = CHANGES[name]
        assert cls.name == name
        assert "Source:" in cls.__doc__
        # Nothing is to change, but in a control.
        assert entry(name).expectation == ("control" if name.endswith("_unrewritten") else "invariant")

    def test_severity_zero_is_the_identity(self, name: str) -> None:
        for case in (suited(name), suited(name, 1, (33, 70))):
            changed = entry(name).apply(case, proposed(entry(name), case, 0))
            np.testing.assert_array_equal(changed.image, case.image)
            np.testing.assert_array_equal(changed.mask, case.mask)
            assert changed.prompt == case.prompt

    def test_mask_and_prompt_move_as_declared(self, name: str) -> None:
        case, perturbation = suited(name, 1), entry(name)
        params = proposed(perturbation, case, perturbation.severities[-1])
        changed = perturbation.apply(case, params)
        np.testing.assert_array_equal(changed.mask, perturbation.apply_mask(case.mask, params))
        assert changed.prompt == perturbation.apply_prompt(case.prompt, params)
        if perturbation.target == "image":
            np.testing.assert_array_equal(changed.mask, case.mask)
            assert changed.prompt == case.prompt

    def test_size_and_type_are_kept_and_gray_stays_gray(self, name: str) -> None:
        for size, gray in itertools.product([(32, 32), (33, 70)], (False, True)):
            case = case_of(picture(2, size, gray=gray))
            for degree in ends(name):
                params = drawn(entry(name), case, degree)
                if isinstance(params, NotApplicable):
                    assert params.reason
                    continue
                out = entry(name).apply(case, params).image
                assert (out.shape, out.dtype) == (case.image.shape, np.uint8)
                assert out.flags.c_contiguous
                if gray:
                    assert (out == out[..., :1]).all()

    def test_the_picture_changes_and_the_input_is_left_alone(self, name: str) -> None:
        case = suited(name, 3)
        before = case.image.copy(), case.mask.copy(), dict(case.metadata)
        changed = entry(name).apply(case, proposed(entry(name), case, entry(name).severities[-1]))
        assert not np.array_equal(changed.image, case.image)
        np.testing.assert_array_equal(case.image, before[0])
        np.testing.assert_array_equal(case.mask, before[1])
        assert dict(case.metadata) == before[2]

    def test_the_record_replays_the_bytes_and_no_global_generator_is_touched(self, name: str) -> None:
        case = suited(name, 4)
        degree = entry(name).severities[-1]
        held = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
        params = proposed(entry(name), case, degree)
        first = entry(name).apply(case, params)
        assert params == proposed(entry(name), case, degree)
        assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == held
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        replayed = entry(name).apply(case, json.loads(json.dumps(params)))
        np.testing.assert_array_equal(first.image, replayed.image)
        assert first.prompt == replayed.prompt

    def test_a_constant_image_is_no_error(self, name: str) -> None:
        for level, degree in itertools.product((0, 200), entry(name).severities[-1:]):
            case = case_of(np.full((40, 32, 3), level, np.uint8))
            params = drawn(entry(name), case, degree)
            if not isinstance(params, NotApplicable):
                assert entry(name).apply(case, params).image.shape == (40, 32, 3)

    @pytest.mark.slow
    def test_a_batch_is_its_pictures_to_the_bit(self, name: str) -> None:
        perturbation = entry(name)
        cases = [dataclasses.replace(suited(name, number), case_id=f"c{number}") for number in range(2)]
        cases.append(dataclasses.replace(suited(name, 3, (40, 32)), case_id="c2"))
        params = [proposed(perturbation, case, perturbation.severities[-1]) for case in cases]
        together = perturbation.apply_batch(cases, params)
        for case, one, found in zip(cases, params, together, strict=True):
            np.testing.assert_array_equal(found.image, perturbation.apply(case, one).image)
            assert found.case_id == case.case_id


@pytest.mark.parametrize("name", PIXELS)
class TestPixels:
    def test_a_deep_picture_changes_at_its_own_depth(self, name: str) -> None:
        case, perturbation = deep_case(), entry(name)
        for degree in (0, perturbation.severities[-1]):
            params = drawn(perturbation, case, degree)
            if isinstance(params, NotApplicable):
                return
            changed = perturbation.apply(case, params)
            deep = changed.metadata[DEEP]
            assert (deep.shape, deep.dtype) == (case.metadata[DEEP].shape, np.float32)
            assert 0 <= deep.min() <= deep.max() <= 1
            np.testing.assert_array_equal(changed.image, np.repeat(to_bytes(deep)[..., None], 3, axis=2))
            assert np.array_equal(deep, case.metadata[DEEP]) == (degree == 0)

    def test_a_batch_on_an_accelerator_is_computed_picture_by_picture(self, name: str) -> None:
        """There, `change` sees whole batches: no image may leak into another. The CPU stands in for the device."""
        perturbation = entry(name)
        assert isinstance(perturbation, ImagePerturbation)
        cases = [dataclasses.replace(suited(name, number), case_id=f"c{number}") for number in range(2)]
        params = [proposed(perturbation, case, perturbation.severities[-1]) for case in cases]
        pixels = [torch.from_numpy(planes(case)) for case in cases]
        with torch.no_grad():
            together = perturbation.change(torch.stack(pixels), params)
            alone = [perturbation.change(one[None], [record])[0] for one, record in zip(pixels, params, strict=True)]
        assert together.dtype == torch.float32
        torch.testing.assert_close(together, torch.stack(alone), atol=2e-5, rtol=0)

    def test_severities_have_values_that_can_be_replaced(self, name: str) -> None:
        perturbation = entry(name)
        assert isinstance(perturbation, ImagePerturbation)
        assert len(perturbation.values) == len(perturbation.severities)
        assert perturbation.with_values(list(perturbation.values)).values == perturbation.values
        with pytest.raises(InputError, match=f"parameters of {name}: expected {len(perturbation.values)} values?"):
            perturbation.with_values(perturbation.values[1:])


@lru_cache
def demo_cases() -> tuple[Case, ...]:
    """Real images: four brain slices, two fields of nuclei, and these in colours as of a stain."""
    files = [
        *sorted((demo_data("brain") / "images").glob("*.png"))[5::40],
        *sorted((demo_data("nuclei") / "images").glob("*"))[::9],
    ]
    gray = [np.array(PILImage.open(file).convert("RGB")) for file in files]
    stained = [stain(image) for image in gray[::2]]
    return tuple(case_of(image, f"demo{number}") for number, image in enumerate([*gray, *stained]))


def stain(image: Image) -> Image:
    """Return a gray image in the colours of a pink and violet stain on white."""
    white, dye = np.array([0.98, 0.95, 0.97]), np.array([0.55, 0.2, 0.5])
    unit = image[..., :1] / 255
    return np.rint(255 * (white * (1 - unit) + dye * unit)).astype(np.uint8)


def mean_similarities(name: str, cases: tuple[Case, ...]) -> list[float]:
    perturbation = entry(name)
    found = []
    for degree in perturbation.severities:
        params = [(case, drawn(perturbation, case, degree)) for case in cases]
        scores = [similarity(c, perturbation.apply(c, p)) for c, p in params if not isinstance(p, NotApplicable)]
        assert scores, f"{name} applies to none of the images"
        found.append(float(np.mean(scores)))
    return found


@pytest.mark.parametrize("name", GRADED)
class TestSeverity:
    def test_one_that_does_not_exist_is_refused(self, name: str) -> None:
        with pytest.raises(InputError, match="severity: expected 0 to 5, got 6"):
            entry(name).propose(suited(name), 6, np.random.default_rng(0))

    @pytest.mark.slow
    def test_it_moves_real_pictures_away_step_by_step(self, name: str) -> None:
        values = [1.0, *mean_similarities(name, demo_cases())]
        assert all(before > after for before, after in pairwise(values)), values

    @pytest.mark.slow
    @pytest.mark.parametrize("data", ["brain_mni_aal", "brain_colin", "nuclei_dsb", "head_ct"])
    def test_it_does_so_on_other_real_images(self, name: str, data: str, shared: Path) -> None:
        paths = sorted((shared / "data" / data / "images").glob("*.png"))[::6][:6]
        images = [np.array(PILImage.open(path).convert("RGB")) for path in paths]
        if isinstance(drawn(entry(name), case_of(images[0]), 5), NotApplicable):
            images = [stain(image) for image in images]
        values = [1.0, *mean_similarities(name, tuple(case_of(image, f"c{i}") for i, image in enumerate(images)))]
        assert all(before > after for before, after in pairwise(values)), values
