"""What the verdict rules decide: a verdict with the numbers behind it."""

from __future__ import annotations

import math
from typing import NamedTuple

from robustness.metrics.inference.intervals import Interval
from robustness.metrics.inference.shares import Share
from robustness.metrics.verdicts.families import Certificate
from robustness.metrics.verdicts.needed import Needed
from robustness.metrics.verdicts.settings import REASSURING, Settings

STAR = "*"
NO_SHARE = Share(math.nan, math.nan, math.nan)
_NONE = Interval(math.nan, math.nan, math.nan)


class Decision(NamedTuple):
    """A verdict with the quantity that its rule used.

    Attributes:
        verdict: with a star where the interval alone decided and the certificate does not hold.
        n_needed: subjects that would decide or certify; `towards`: the verdict that they would show; `unknown`: why no
            number is given.
        level: of the interval; m: claims that share the error rate.
        certified: a distribution-free test decided as well.
        n_showing, share: subjects that show the verdict's behaviour, with an exact interval.
        n_total: subjects that the condition applies to; n_missing: images without a value.
        could_react: upper bound of the share of subjects that react; `observed`: subjects behind it.
        excess: the excess over paraphrase, where the interval is another; both: the intervals of S_A and S_B.
        held_back: why the verdict that the interval gives is not given.
        overlap: which pairs of targets are left out of what decides following; "" where none is.
    """

    verdict: str
    rule: str
    metric: str
    interval: Interval
    margin: float
    n_images: int
    n_subjects: int
    n_needed: int | None
    towards: str = ""
    unknown: str = ""
    level: float = math.nan
    m: int = 1
    certified: bool = False
    n_showing: int = 0
    share: Share = NO_SHARE
    n_total: int = 0
    n_missing: int = 0
    could_react: float = math.nan
    observed: int = 0
    excess: Interval = _NONE
    both: tuple[Interval, Interval] = (_NONE, _NONE)
    held_back: str = ""
    overlap: str = ""

    @property
    def plain(self) -> str:
        """The verdict without its star."""
        return self.verdict.rstrip(STAR)


class RobustnessDecision(NamedTuple):
    """What the rule says of one condition; see `Decision` for the shared fields."""

    verdict: str
    rule: str
    interval: Interval
    n_subjects: int
    level: float
    m: int
    certified: bool
    share: Share
    needed: Needed
    n_showing: int
    n_total: int
    n_missing: int
    could_collapse: float
    held_back: str = ""


class Starred(NamedTuple):
    """A verdict with its star or held back; `says`: what its e-value is worth, `held_back`: why it is not given."""

    verdict: str
    certified: bool
    says: str
    held_back: str = ""


def starred(verdict: str, certificate: Certificate, settings: Settings, *, n: int, bounded: bool = True) -> Starred:
    """Return a verdict that its interval gives, starred or held back where its certificate does not hold too.

    Certified: the e-value reaches 1 / alpha. Where a star must be proven too (`Settings.star_rate` below 1), a verdict
    that reassures (ROBUST, IGNORES, FOLLOWS) takes an e-value of 1 / that rate for it; else it is INCONCLUSIVE, for a
    sample so small shows nothing of patients who are rare. A verdict that warns (FRAGILE, UNSTABLE, REACTS) keeps its
    star whatever the e-value: to withhold a warning would do more harm. So does one on values without ends, which have
    no e-value.

    Args:
        n: subjects.
        bounded: the values have the ends that a certificate needs.
    """
    certified = certificate.holds(settings.alpha)
    value, rate = math.exp(min(50.0, max(-50.0, certificate.adjusted))), settings.star_rate(verdict)
    if certified:
        return Starred(verdict, True, f"certified: e-value {value:.3g}, {1 / settings.alpha:g} certifies")
    if not bounded:
        return Starred(verdict + STAR, False, "not certified: the metric has no largest value")
    star = f"{1 / rate:g} gives a star, " if rate < 1 else ""
    says = f"not certified: e-value {value:.3g}, {star}{1 / settings.alpha:g} certifies"
    if rate >= 1 or certificate.holds(rate):
        return Starred(verdict + STAR, False, says)
    why = f"the interval alone would say {verdict}, and {n} {settings.unit}s can miss the few {REASSURING[verdict]}"
    return Starred("INCONCLUSIVE", False, says, why)
