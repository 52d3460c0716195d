"""Secondary descriptions of paired effects: never the test that decides."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from robustness.metrics.inference.intervals import Values
from robustness.metrics.inference.signflip import sign_flip
from robustness.metrics.pairing.direction import orientation_of
from robustness.metrics.pairing.pairs import Pairs, pair, subject_means
from robustness.metrics.pairing.rows import read_rows
from robustness.results import CLEAN

WILCOXON_COLUMNS = (
    "model",
    "dataset",
    "condition",
    "metric",
    "n_subjects",
    "n_zero",
    "p_wilcoxon",
    "share_worse",
    "role",
)
MIXED_COLUMNS = (
    "model",
    "dataset",
    "condition",
    "metric",
    "n_images",
    "n_subjects",
    "effect",
    "ci_low",
    "ci_high",
    "method",
    "note",
)


def wilcoxon_table(
    table: pd.DataFrame, *, metric: str = "dice", higher_is_better: Mapping[str, bool | None] | None = None
) -> pd.DataFrame:
    """Return the signed-rank test of every condition on subject means, labelled as secondary.

    It does not test the mean: with skewed differences of mean zero it errs in 12% (30 subjects) to 26% (100) of runs.
    Differences are rounded to 1e-9, so that rounding does not split ties; zeros are split (zsplit), because the other
    two conventions move p up to 900-fold. All zero: p is 1. NaN with fewer than two subjects.

    Source: Wilcoxon 1945, doi:10.2307/3001968.
    """
    rows = read_rows(table)
    pairs = pair(rows, metric, orientation_of(metric, higher_is_better))
    records = []
    for cell, row in rows.cells[rows.cells["condition"] != CLEAN].iterrows():
        values = _subject_effects(pairs, int(cell))
        records.append(
            {name: row[name] for name in WILCOXON_COLUMNS[:3]}
            | {
                "metric": metric,
                "n_subjects": values.size,
                "n_zero": int((np.abs(values) < 5e-10).sum()),
                "p_wilcoxon": signed_rank_p(values),
                "share_worse": float((values > 5e-10).mean()) if values.size else math.nan,
                "role": "secondary: ranks, not the mean",
            }
        )
    return pd.DataFrame(records, columns=list(WILCOXON_COLUMNS))


def signed_rank_p(values: Values, *, resamples: int = 9999, seed: int = 0) -> float:
    """Return the two-sided signed-rank p value; 1 where all are zero, NaN for fewer than two values.

    The signs of the ranks are flipped, every flip enumerated for up to 13 values, so ties and few subjects need no
    normal approximation.
    """
    from scipy.stats import rankdata

    rounded = np.round(values, 9)
    ranks = np.sign(rounded) * rankdata(np.abs(rounded))
    return float(sign_flip(ranks[:, None], resamples=resamples, seed=seed).p_value[0])


def mixed_model(
    table: pd.DataFrame,
    *,
    metric: str = "dice",
    alpha: float = 0.05,
    higher_is_better: Mapping[str, bool | None] | None = None,
) -> pd.DataFrame:
    """Return, as a sensitivity analysis, each effect by a random-intercept model of the image-level differences.

    d_ki = mu + u_k + e_ki, fitted by REML (statsmodels MixedLM) on differences times 100, because on the scale of Dice
    nearly every fit stops at the boundary with a warning; the interval is a t interval on K - 1 degrees of freedom,
    because the normal one errs in 10.5% of null runs at K = 10. Where the model cannot be fitted (one image per
    subject, no spread, no convergence) the estimate is that of least squares with subject-clustered errors, and `note`
    says why. With fewer than two subjects nothing is estimated. Unlike `effects` it weights subjects by their number of
    images.
    """
    rows = read_rows(table)
    pairs = pair(rows, metric, orientation_of(metric, higher_is_better))
    records = []
    for cell, row in rows.cells[rows.cells["condition"] != CLEAN].iterrows():
        where = pairs.of(int(cell))
        fit = _fit(pairs.effect[where], pairs.subject[where], alpha)
        key = {name: row[name] for name in MIXED_COLUMNS[:3]} | {"metric": metric}
        records.append(key | {"n_images": pairs.effect[where].size} | fit)
    return pd.DataFrame(records, columns=list(MIXED_COLUMNS))


def _fit(values: Values, subject: np.ndarray, alpha: float) -> dict[str, Any]:
    k, nan = np.unique(subject).size, math.nan
    nothing = {"effect": nan, "ci_low": nan, "ci_high": nan, "method": "none", "n_subjects": k}
    if k < 2:
        return nothing | {"note": "fewer than 2 subjects"}
    if np.ptp(values) <= 1e-12:
        mean = float(values.mean())
        return nothing | {"effect": mean, "note": "all differences are equal: no spread to model"}
    reason = "one image per subject" if k == values.size else ""
    estimate, error = (nan, nan) if reason else _mixed(values, subject)
    method = "mixed model, t on K - 1"
    if not (error > 0 and math.isfinite(estimate)):
        reason = reason or "the mixed model did not converge"
        (estimate, error), method = _clustered(values, subject), "least squares, clustered errors, t on K - 1"
    half = _t(k - 1, alpha) * error
    bounds = {"effect": estimate, "ci_low": estimate - half, "ci_high": estimate + half}
    return bounds | {"method": method, "note": reason, "n_subjects": k}


def _mixed(values: Values, subject: np.ndarray) -> tuple[float, float]:
    from statsmodels.regression.mixed_linear_model import MixedLM

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fit = MixedLM(100 * values, np.ones((values.size, 1)), groups=subject).fit(reml=True)
        except np.linalg.LinAlgError:
            return math.nan, math.nan
    return (float(fit.fe_params[0]) / 100, float(fit.bse_fe[0]) / 100) if fit.converged else (math.nan, math.nan)


def _clustered(values: Values, subject: np.ndarray) -> tuple[float, float]:
    from statsmodels.regression.linear_model import OLS

    groups = np.unique(subject, return_inverse=True)[1]
    fit = OLS(values, np.ones((values.size, 1))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    return float(fit.params[0]), float(fit.bse[0])


def _t(df: int, alpha: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(df, 1 - alpha / 2))


def _subject_effects(pairs: Pairs, cell: int) -> Values:
    where = pairs.of(cell)
    return subject_means(pairs.effect[where], pairs.subject[where])[1]
