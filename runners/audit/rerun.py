"""The images that are predicted a second time: a seeded sample, or all where the first part shows noise."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from robustness.results import RERUN
from robustness.seeds import generator

# So many images at least are run twice; where there are fewer, all.
SAMPLE = 30


def sampled_images(images: Sequence[str], *, first: int, seed: int) -> frozenset[str]:
    """Return the images that every audit predicts a second time.

    The first part's images are among them, so that noise is seen early; the others are drawn, each by (seed, image)
    alone, so that the sample depends on no order.

    Args:
        images: all images of a data set, in the order of the plan.
        first: how many of them the first part holds.
        seed: the plan's.
    """
    drawn = sorted(images[first:], key=lambda image: (float(generator(seed, "rerun", image).random()), image))
    return frozenset([*images[:first], *drawn[: max(SAMPLE - first, 0)]])


def shows_noise(first_part: pd.DataFrame) -> bool:
    """Return whether a second run of any image of the first part gave another mask than the first run."""
    again = first_part[first_part["condition"] == RERUN]
    return bool((again["mask_change"] > 0).any())
