"""A model that moves by itself: what two identical runs change is no effect of words or of images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from tests.metrics.tables import rows_of

IMAGE = "image:gaussian_noise@1"


def moving(*, noise, wording, swap=None, image=None, n=40):
    """Mask changes of a model that two identical runs change by `noise`; the margin is .05."""
    rng = np.random.default_rng(0)
    parts = {"rerun": noise, "paraphrase": wording, "antonym:size": wording if swap is None else swap, IMAGE: image}
    frames = [rows_of("clean", np.zeros(n), metric="mask_change")]
    frames += [
        rows_of(name, np.clip(mean + rng.normal(0, 0.01, n), 0, 1), metric="mask_change")
        for name, mean in parts.items()
        if mean is not None
    ]
    return rb.verdicts(pd.concat(frames)).set_index(["claim", "condition"])


class TestUnstable:
    @pytest.mark.parametrize(("noise", "wording"), [(0.20, 0.20), (0.20, 0.24), (0.04, 0.08)])
    def test_wording_that_moves_no_more_than_margin_and_noise_is_not_called_unstable(self, noise, wording):
        found = moving(noise=noise, wording=wording).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "INCONCLUSIVE"
        assert "two identical runs differ by" in found["rule"]

    def test_wording_that_moves_more_than_margin_and_noise_is(self):
        found = moving(noise=0.04, wording=0.30).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "UNSTABLE"

    def test_the_certificate_is_held_to_margin_and_noise_too(self):
        found = moving(noise=0.15, wording=0.208).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "UNSTABLE*"
        assert moving(noise=0.0, wording=0.208).loc[("prompt", "antonym:size"), "verdict"] == "UNSTABLE"

    def test_a_swap_that_moves_no_more_than_rewording_is_no_reaction_however_much_both_move(self):
        found = moving(noise=0.20, wording=0.22, swap=0.23).loc[("prompt", "antonym:size")]
        assert found["verdict"] == "INCONCLUSIVE"


class TestFragile:
    @pytest.mark.parametrize("image", [0.07, 0.085])
    def test_a_change_beyond_the_margin_but_not_beyond_margin_and_noise_is_open(self, image):
        found = moving(noise=0.04, wording=0.0, image=image).loc[("robustness", IMAGE)]
        assert found["verdict"] == "INCONCLUSIVE"
        assert "not by more than two identical runs differ" in found["sentence"]

    def test_a_change_beyond_both_is_fragile(self):
        assert moving(noise=0.04, wording=0.0, image=0.3).loc[("robustness", IMAGE), "verdict"] == "FRAGILE"
