"""Cluster sign-flip permutation test with the max-T family adjustment."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError
from robustness.metrics.inference.mean_interval import guarded_p
from robustness.seeds import generator

Matrix = npt.NDArray[np.float64]

_BLOCK_VALUES = 4_000_000
_TIE = 1e-10
# The signs that the bits of a byte stand for: one row for each byte.
_SIGNS = np.where(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1), -1.0, 1.0)


def check_alpha(alpha: float, resamples: int) -> None:
    """Raise InputError unless 0 < alpha < 0.5 and there is at least one resample."""
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha: expected a number between 0 and 0.5, got {alpha!r}")
    if resamples < 1:
        raise InputError(f"resamples: expected at least 1, got {resamples!r}")


class SignFlip(NamedTuple):
    """Two-sided p values of each condition; NaN for a condition with fewer than two subjects."""

    p_value: npt.NDArray[np.float64]
    p_adjusted: npt.NDArray[np.float64]
    family_size: int


def sign_flip(
    differences: Matrix, *, resamples: int = 9999, seed: int = 0, family: npt.NDArray[np.bool_] | None = None
) -> SignFlip:
    """Test that the mean of each column is 0, the signs of whole subjects being exchangeable.

    Statistic of a column with differences d_1..d_K: |sum d| / sqrt(sum d^2). For a given K it is a monotone function
    of the t statistic, so one condition's test is the t permutation test; across conditions with different subjects it
    stays comparable, because it never exceeds sqrt(K): two subjects that agree cannot take the maximum of the family.
    p = (1 + #{flips at least as extreme}) / (B + 1); the same flips serve every column, and the adjusted p compares
    with the largest statistic of the family (max-T). Where 2^K - 1 <= B every flip is enumerated instead, so that p is
    exact: K = 5 gives at least 0.0625. All-zero differences give p = 1.

    Args:
        differences: (subjects, conditions); NaN where a subject has no value for a condition.
        resamples: B.
        seed: of the flips.
        family: bool per condition, which ones are adjusted together; None: all. The rest get p_adjusted = p_value.

    Source: Westfall & Young 1993; Winkler 2014, doi:10.1016/j.neuroimage.2014.01.060.
    """
    present = np.isfinite(differences)
    testable = present.sum(axis=0) >= 2
    member = testable if family is None else testable & family
    values = np.where(present, differences, 0.0)
    scale = np.sqrt((values * values).sum(axis=0))
    unit = values / np.where(scale > 0, scale, 1.0)
    observed = np.abs(unit.sum(axis=0))
    reached = observed * (1 - _TIE)
    alone, jointly, n_flips = np.zeros(observed.size), np.zeros(observed.size), 0
    for signs in flips(len(values), resamples, seed):
        extreme = np.abs(signs @ unit)
        alone += (extreme >= reached).sum(axis=0)
        if member.any():
            largest = np.sort(extreme[:, member].max(axis=1))
            jointly += largest.size - np.searchsorted(largest, reached, side="left")
        n_flips += len(signs)
    p_value, p_adjusted = (1 + alone) / (n_flips + 1), (1 + jointly) / (n_flips + 1)
    p_adjusted = np.where(member, p_adjusted, p_value)
    missing = np.where(testable, 0.0, np.nan)
    return SignFlip(p_value + missing, p_adjusted + missing, int(member.sum()))


def guarded(
    test: SignFlip,
    differences: Matrix,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    family: npt.NDArray[np.bool_] | None = None,
) -> SignFlip:
    """Return the test with p values no smaller than what the skewness of a sample, or its lack of spread, allows.

    Flips of signs assume differences that are symmetric about their mean. Where the sample is skewed each p value
    is at least that of the widened interval (`mean_interval`), and its adjusted one that times the family
    (Bonferroni). Of values that all are equal it is the p value of the distribution-free interval.

    Args:
        low, high: ends of the differences.
        family: as given to `sign_flip`.
    """
    least = np.array([guarded_p(column[np.isfinite(column)], low=low, high=high) for column in differences.T])
    if not least.any():
        return test
    member = np.isfinite(test.p_value) if family is None else np.isfinite(test.p_value) & family
    jointly = np.where(member, np.minimum(1.0, test.family_size * least), least)
    return test._replace(p_value=np.maximum(test.p_value, least), p_adjusted=np.maximum(test.p_adjusted, jointly))


def flips(n_subjects: int, resamples: int, seed: int) -> Iterator[Matrix]:
    """Yield blocks of sign vectors (B, n_subjects), the identity left out where all are enumerated."""
    block = max(1, _BLOCK_VALUES // max(1, n_subjects))
    if n_subjects < 30 and 2**n_subjects - 1 <= resamples:
        every = (np.arange(1, 2**n_subjects)[:, None] >> np.arange(n_subjects)) & 1
        yield np.where(every, -1.0, 1.0)
        return
    rng = generator(seed, "sign-flip")
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        drawn = rng.integers(0, 256, (rows, -(-n_subjects // 8)), dtype=np.uint8)
        yield _SIGNS[drawn].reshape(rows, -1)[:, :n_subjects]
