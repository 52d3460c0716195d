"""Error control over the claims of one (model, dataset): what each rule may use of the family's error rate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from robustness.metrics.inference.evalues import closed_means, log_evalue_above, log_evalue_below
from robustness.metrics.inference.intervals import Values, sample_sd
from robustness.metrics.inference.multiplicity import step_down
from robustness.metrics.pairing.coverage import Flags
from robustness.metrics.pairing.pairs import subject_matrix
from robustness.metrics.verdicts.evidence import Evidence
from robustness.metrics.verdicts.settings import Settings

NOTHING = -math.inf


class Certificate(NamedTuple):
    """Log e-value of a claim, alone and within its family (`closed_means`)."""

    alone: float = NOTHING
    adjusted: float = NOTHING

    @property
    def penalty(self) -> float:
        """Log of the factor that the other claims cost; 0 where the claim is worth nothing alone."""
        return max(0.0, self.alone - self.adjusted) if math.isfinite(self.alone) else 0.0

    def holds(self, alpha: float, alone: float | None = None) -> bool:
        """Tell whether the e-value, or another one of the same claim at the same price, reaches 1 / alpha."""
        value = self.adjusted if alone is None else alone - self.penalty
        return value >= -math.log(alpha)


class Tests(NamedTuple):
    """What the rules of one claim may use.

    Attributes:
        m: testable claims of the family; `alpha`: error rate of one of them by Bonferroni.
        n_following: claims with a second target; `following_alpha`: error rate of this one in Holm's procedure.
        critical: t quantile of REACTS, step-down max-T; NaN: Bonferroni's.
        follows, reacts, unstable, ignores: certificates.
    """

    m: int
    alpha: float
    n_following: int
    following_alpha: float
    critical: float = math.nan
    follows: Certificate = Certificate()
    reacts: Certificate = Certificate()
    unstable: Certificate = Certificate()
    ignores: Certificate = Certificate()


def family_tests(family: Sequence[Evidence], settings: Settings) -> list[Tests]:
    """Return what each claim of a family may use; claims with fewer than `min_subjects` subjects take no part.

    FOLLOWS: Holm's procedure over the claims with a second target, each by the weaker of its two bounds (an
    intersection-union test). REACTS: step-down max-T. UNSTABLE, IGNORES: Bonferroni. Certificates: closed means of
    e-values.

    Source: Holm 1979, https://www.jstor.org/stable/4615733; Berger 1982, doi:10.1080/00401706.1982.10487790.
    """
    least = settings.min_subjects
    changed = np.array([e.change.size >= least for e in family], dtype=bool)
    has_paraphrases = np.array([e.excess.size >= least for e in family], dtype=bool)
    following = np.array([e.selectivity is not None and e.selectivity.s_a.size >= least for e in family], dtype=bool)
    m = max(1, int(changed.sum()))
    columns = [
        (e.subjects, e.excess) if ok else (e.subjects[:0], e.excess[:0])
        for e, ok in zip(family, has_paraphrases, strict=True)
    ]
    critical = step_down(
        subject_matrix(columns),
        settings.margin_change,
        alpha=settings.alpha,
        resamples=settings.resamples,
        seed=settings.seed,
    ).critical
    alphas = _holm_levels(family, following, settings)
    certificates = [
        _certificates(family, following, lambda e: _follows(e, settings.margin_dice)),
        _certificates(family, has_paraphrases, lambda e: log_evalue_above(e.excess, settings.margin_change)),
        _certificates(family, has_paraphrases, lambda e: log_unstable(e.paraphrase, e.noise, settings)),
        _certificates(family, changed, lambda e: log_ignoring(e.change, settings)),
    ]
    return [
        Tests(m, settings.alpha / m, int(following.sum()), alphas[i], critical[i], *(c[i] for c in certificates))
        for i in range(len(family))
    ]


def log_ignoring(change: Values, settings: Settings) -> float:
    """Return the log e-value against a mean mask change of at least the margin."""
    return log_evalue_below(change, settings.margin_change, alpha=settings.alpha)


def log_unstable(paraphrase: Values, noise: float, settings: Settings) -> float:
    """Return the log e-value against a mean change by paraphrases of at most the margin and the model's own noise."""
    limit = settings.margin_change + noise
    return log_evalue_above(paraphrase, limit, low=0.0) if limit < 1 else NOTHING


def log_following(s_a: Values, s_b: Values, margin: float) -> float:
    """Return the log e-value against "S_A or S_B is at most the margin": the smaller of the two."""
    return min(log_evalue_above(s_a, margin), log_evalue_above(s_b, margin))


def _follows(evidence: Evidence, margin: float) -> float:
    selective = evidence.selectivity
    return NOTHING if selective is None else log_following(selective.s_a, selective.s_b, margin)


def _certificates(
    family: Sequence[Evidence], judged: Flags, log_evalue: Callable[[Evidence], float]
) -> list[Certificate]:
    alone = np.array([log_evalue(e) if ok else NOTHING for e, ok in zip(family, judged, strict=True)], dtype=float)
    adjusted = np.full(alone.size, NOTHING)
    adjusted[judged] = closed_means(alone[judged])
    return [Certificate(float(a), float(b)) for a, b in zip(alone, adjusted, strict=True)]


def _holm_levels(family: Sequence[Evidence], following: Flags, settings: Settings) -> Values:
    """Return the error rate that each claim's bounds may use in Holm's procedure."""
    p_values = np.array(
        [_p_value(e, settings.margin_dice) if ok else 2.0 for e, ok in zip(family, following, strict=True)]
    )
    levels, left = np.full(p_values.size, settings.alpha), int(following.sum())
    ended = False
    for position in np.argsort(p_values, kind="stable")[:left]:
        levels[position] = settings.alpha / left
        ended = ended or not p_values[position] < levels[position]
        # A claim that fails ends the procedure; those after it get no more than it had.
        left -= 0 if ended else 1
    return levels


def _p_value(evidence: Evidence, margin: float) -> float:
    """Return the larger one-sided t p value of S_A and S_B against the margin."""
    selective = evidence.selectivity
    if selective is None:
        return 1.0
    return max(one_sided_p(selective.s_a, margin), one_sided_p(selective.s_b, margin))


def one_sided_p(values: Values, margin: float) -> float:
    """Return the t test's p value against "the mean is at most `margin`"; 0 or 1 without any spread."""
    from scipy.special import stdtr

    sd, gap = sample_sd(values), float(values.mean()) - margin
    if not sd > 0:
        return 0.0 if gap > 0 else 1.0
    return float(stdtr(values.size - 1, -gap * math.sqrt(values.size) / sd))
