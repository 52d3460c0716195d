"""Subject-weighted and image-weighted effects, side by side where they differ."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from robustness.errors import InputError
from robustness.metrics.analyses.effects import effects

COLUMNS = (
    "model",
    "dataset",
    "condition",
    "metric",
    "n_images",
    "n_subjects",
    "per_subject",
    "per_subject_low",
    "per_subject_high",
    "per_image",
    "per_image_low",
    "per_image_high",
    "differ",
    "note",
)


def estimands(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    margin: float = 0.10,
    alpha: float = 0.05,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return each effect with every subject weighted alike and with every image weighted alike.

    Both intervals respect the clustering (t on subject means; cluster-robust t). They part where subjects with many
    images react otherwise than those with few; `differ` is true where the estimates are more than half of `margin`
    apart, and a report must then show both and say which question it answers.

    Args:
        table: as for `effects`.
        margin: smallest difference that matters, in units of the metric.

    Raises:
        InputError: the margin is not positive.
    """
    if not margin > 0:
        raise InputError(f"margin: expected a positive number, got {margin!r}")
    options = {"metric": metric, "alpha": alpha, "resamples": 1, "higher_is_better": higher_is_better}
    by_subject = effects(table, weighting="subject", **options)  # type: ignore[arg-type]
    by_image = effects(table, weighting="image", **options)  # type: ignore[arg-type]
    frame = by_subject[list(COLUMNS[:6])].copy()
    for name, estimate in (("per_subject", by_subject), ("per_image", by_image)):
        frame[name], frame[f"{name}_low"], frame[f"{name}_high"] = (
            estimate["effect"],
            estimate["ci_low"],
            estimate["ci_high"],
        )
    frame["differ"] = (frame["per_subject"] - frame["per_image"]).abs() > margin / 2
    warning = "subjects with many images react otherwise: state which weighting answers the question"
    frame["note"] = frame["differ"].map({True: warning, False: ""}).astype("str")
    return frame[list(COLUMNS)]
