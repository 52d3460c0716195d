"""Splits of a download: the publisher's own, or shares of whole subjects."""

from __future__ import annotations

from collections.abc import Sequence

from robustness.errors import InputError
from robustness.runners.data.prepare.base import Sample
from robustness.seeds import generator


def shared_out(samples: Sequence[Sample], *, val: float, test: float, seed: int) -> dict[str, str]:
    """Return the split of each image by its stem.

    The publisher's splits are kept where every image has one. Otherwise whole subjects (images, where no subject is
    known) are drawn; fewer than three of them are all tested.

    Raises:
        InputError: a share is out of range.
    """
    if all(sample.split for sample in samples):
        return {sample.stem: sample.split for sample in samples}
    for name, share in (("val", val), ("test", test)):
        if not 0 < share < 1:
            raise InputError(f"{name}: expected a share between 0 and 1, got {share}")
    subjects = list(dict.fromkeys(sample.subject or sample.stem for sample in samples))
    if len(subjects) < 3:
        return dict.fromkeys((sample.stem for sample in samples), "test")
    drawn = [subjects[i] for i in generator(seed, "prepare").permutation(len(subjects))]
    tested = max(1, round(len(drawn) * test))
    validated = max(1, round((len(drawn) - tested) * val))
    parts = dict.fromkeys(drawn[:tested], "test")
    parts |= dict.fromkeys(drawn[tested : tested + validated], "val")
    return {sample.stem: parts.get(sample.subject or sample.stem, "train") for sample in samples}
