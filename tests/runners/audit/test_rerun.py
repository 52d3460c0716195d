"""The second clean run: on a seeded sample of images, on all where the first part shows noise."""

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.runners.audit.rerun import SAMPLE, sampled_images, shows_noise
from tests.synthetic import reads_side, write_dataset

IMAGES = [f"s{number:02d}" for number in range(50)]


class TestSample:
    def test_few_images_are_all_run_twice(self):
        assert sampled_images(IMAGES[:SAMPLE], first=8, seed=0) == set(IMAGES[:SAMPLE])

    def test_of_many_a_sample_with_the_whole_first_part(self):
        sample = sampled_images(IMAGES, first=8, seed=0)
        assert len(sample) == SAMPLE
        assert set(IMAGES[:8]) <= sample

    def test_a_large_first_part_is_run_twice_whole(self):
        assert sampled_images(IMAGES, first=40, seed=0) == set(IMAGES[:40])

    def test_another_seed_draws_another_sample_and_order_does_not_count(self):
        assert sampled_images(IMAGES, first=8, seed=0) != sampled_images(IMAGES, first=8, seed=1)
        turned = [*IMAGES[:8], *reversed(IMAGES[8:])]
        assert sampled_images(IMAGES, first=8, seed=0) == sampled_images(turned, first=8, seed=0)


@pytest.mark.parametrize(
    ("changes", "noisy"), [([0.0, 0.0], False), ([0.0, 1e-6], True), ([float("nan"), 0.0], False), ([], False)]
)
def test_noise_is_any_change_of_a_mask_between_two_equal_runs(changes, noisy):
    rows = pd.DataFrame({"condition": ["rerun"] * len(changes), "mask_change": pd.Series(changes, dtype=float)})
    other = pd.DataFrame({"condition": ["antonym:side"], "mask_change": [0.5]})
    assert shows_noise(pd.concat([rows, other])) is noisy


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rb.load_dataset(write_dataset(tmp_path_factory.mktemp("set") / "set", images=36), prompt="p5")


class TestAudit:
    def _twice(self, predict, data, out):
        model = rb.segmenter(predict, name="model")
        rows = rb.audit(model, data, perturbations=["empty"], out=out, report=False).results()
        return rows[rows.condition == "rerun"].case_id.nunique(), rows[rows.condition == "clean"].case_id.nunique()

    def test_a_quiet_model_runs_a_sample_twice(self, data, tmp_path):
        twice, clean = self._twice(reads_side, data, tmp_path / "run")
        assert twice / clean == SAMPLE / 36

    def test_a_noisy_model_runs_every_image_twice(self, data, tmp_path):
        rng = np.random.default_rng(0)

        def noisy(images, prompts):
            return [np.clip(p + rng.normal(0, 0.6, p.shape), 0, 1) for p in reads_side(images, prompts)]

        twice, clean = self._twice(noisy, data, tmp_path / "run")
        assert twice == clean
