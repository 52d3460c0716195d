"""Logits are those that were frozen when the networks agreed with the authors' code.

What is frozen: the outputs of small networks with formula weights, in `tests/golden/logits.npz`, computed by this
package at a state whose largest difference from the reference vectors was 1.8e-5 (`test_parity.py`; those vectors do
not belong to the checkout). So a later change of a forward pass, a default or a layer index shows here, on every
machine. CLIPSeg, SAM 3 and Grounding DINO + SAM are besides compared with transformers itself, in their own tests.
"""

import numpy as np
import pytest
import torch

from tests.golden.make import CASES, PATH, logits_of, sample, uniform

with np.load(PATH) as _file:
    FROZEN = dict(_file)
NEAR = 1e-4


def tolerance(name):
    """The project's tolerance, in units of the logits where they are large: rounding grows with them."""
    return NEAR * max(1.0, FROZEN[f"{name}.statistics"][1])


def test_the_file_is_small_and_whole():
    assert PATH.stat().st_size < 300_000
    assert set(FROZEN) == {*CASES, *(f"{name}.statistics" for name in CASES)}


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_that_were_frozen(name):
    logits = logits_of(name)
    np.testing.assert_allclose(sample(logits), FROZEN[name], atol=tolerance(name), rtol=0)
    found = [logits.mean(), logits.std(), logits.min(), logits.max()]
    np.testing.assert_allclose(found, FROZEN[f"{name}.statistics"], atol=5 * tolerance(name), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_what_was_frozen_depends_on_image_and_text(name):
    rows = FROZEN[name]
    assert np.isfinite(rows).all()
    assert np.abs(rows[0] - rows[2]).max() > 100 * tolerance(name)
    if CASES[name].ids is not None:
        assert np.abs(rows[0] - rows[1]).max() > 100 * tolerance(name)
    else:
        assert np.array_equal(rows[0], rows[1])


PAIRS = [
    ("biomedclipseg", "biomedclipseg-aligned"),
    ("clipseg", "clipseg-simple-head"),
    ("cris-end-padded", "cris-zero-padded"),
]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_options_that_change_the_network_change_what_was_frozen(one, other):
    assert np.abs(FROZEN[one] - FROZEN[other]).max() > 100 * tolerance(one)


def test_the_formula_is_the_same_everywhere():
    assert uniform("a.weight", 3).tolist() == [-0.8444655884222756, 0.3523497828851503, -0.5960435363116403]
    u = uniform("b.weight", 100_000)
    assert abs(u.mean()) < 0.01
    assert u.min() >= -1
    assert u.max() < 1
    assert abs(u.std() - 3**-0.5) < 0.005
    # Matrices have full rank.
    assert np.linalg.matrix_rank(u[:4096].reshape(64, 64)) == 64
    assert torch.from_numpy(u).dtype == torch.float64
