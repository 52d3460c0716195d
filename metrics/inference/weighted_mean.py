"""Interval of a mean in which subjects count by their number of images."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.intervals import Interval, Values

WEIGHTED_METHOD = "cluster-robust t (CR2), images weighted alike"


def weighted_interval(means: Values, n_images: npt.NDArray[np.int64], *, level: float = 0.95) -> Interval:
    """Return the image-weighted mean of subject means with a cluster-robust interval that few large subjects widen.

    Each subject's squared residual is made unbiased for subjects that vary alike (CR2), and the t quantile has the
    degrees of freedom that Satterthwaite's approximation leaves: K - 1 for subjects of equal size, about 1 where one
    subject has nearly all images. No interval (NaN) with fewer than two subjects.

    Args:
        means: one per subject (K,).
        n_images: images of each subject (K,).

    Source: Bell & McCaffrey 2002; Pustejovsky & Tipton 2018, doi:10.1080/07350015.2016.1247004.
    """
    from scipy.special import stdtrit

    if means.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    weight = n_images / n_images.sum()
    mean = float(weight @ means)
    if means.size < 2:
        return Interval(mean, math.nan, math.nan)
    square = float(weight @ weight)
    scale = weight**2 / (1 - 2 * weight + square)
    variance = float(scale @ (means - mean) ** 2)
    half = float(stdtrit(_degrees_of_freedom(weight, scale), (1 + level) / 2)) * math.sqrt(variance)
    return Interval(mean, mean - half, mean + half)


def _degrees_of_freedom(weight: Values, scale: Values) -> float:
    """Return tr(B)^2 / tr(B^2) of the quadratic form B = (I - w 1') diag(scale) (I - 1 w')."""
    total, square, cross = float(scale.sum()), float(weight @ weight), float(weight @ scale)
    trace = total - 2 * cross + total * square
    diagonal = -2 * weight * scale + total * weight**2
    rest = 2 * (cross**2 + square * float(scale @ scale)) - 4 * total * cross * square + (total * square) ** 2
    return trace**2 / (float(scale @ scale) + 2 * float(scale @ diagonal) + rest)
