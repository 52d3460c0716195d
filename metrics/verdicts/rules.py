"""The verdict rules for prompt reliance, in order; the first that holds decides."""

from __future__ import annotations

import math
from typing import NamedTuple

from robustness.metrics.inference.intervals import Interval, t_interval
from robustness.metrics.inference.planning import subjects_to_certify, subjects_to_decide
from robustness.metrics.inference.upper_bound import gaffke_bound, share_bound, subjects_for_zero_reactions
from robustness.metrics.verdicts.evidence import Evidence


class Settings(NamedTuple):
    """Error rate, margins on Dice and on the mask change, and how the distribution-free bound is drawn."""

    alpha: float
    margin_dice: float
    margin_change: float
    resamples: int
    seed: int
    unit: str


class Decision(NamedTuple):
    """A verdict with the quantity that its rule used; `share` of the `observed` subjects' population may react."""

    verdict: str
    rule: str
    metric: str
    interval: Interval
    margin: float
    n_images: int
    n_subjects: int
    n_needed: int | None
    share: float = math.nan
    observed: int = 0


_NONE = Interval(math.nan, math.nan, math.nan)


def decide(evidence: Evidence, settings: Settings, family: int) -> Decision:
    """Apply the rules FOLLOWS, REACTS, UNSTABLE, IGNORES, IGNORES*, INCONCLUSIVE; UNTESTABLE where none can be asked.

    Intervals have level 1 - 2 alpha / family (each side alpha / family), but FOLLOWS, an intersection of two claims,
    pays no price: 1 - 2 alpha.
    """
    followed = _follows(evidence, settings)
    if followed is not None and followed.verdict == "FOLLOWS":
        return followed
    if evidence.change.size < 2:
        return followed or _untestable(evidence, settings)
    if evidence.excess.size < 2:
        return _without_floor(evidence, settings, family)
    return _by_change(evidence, settings, settings.alpha / family)


def _follows(evidence: Evidence, settings: Settings) -> Decision | None:
    """Return FOLLOWS, or what the two referents say where that is all there is; None without two subjects."""
    found = evidence.selectivity
    if found is None or found.s_a.size < 2:
        return None
    level, margin = 1 - 2 * settings.alpha, settings.margin_dice
    leaves, reaches = t_interval(found.s_a, level=level), t_interval(found.s_b, level=level)
    weaker = min(leaves, reaches, key=lambda interval: interval.low)
    holds = weaker.low > margin
    rule = f"1 FOLLOWS: S_A {_dice(leaves)} and S_B {_dice(reaches)} {'both' if holds else 'not both'} above {margin:g}"
    verdict = "FOLLOWS" if holds else "INCONCLUSIVE"
    needed = None
    if not holds:
        rule += "; the table has no mask change for this condition"
        values = found.s_a if weaker is leaves else found.s_b
        needed = subjects_to_decide(values, margin, alpha=settings.alpha) if values.mean() > margin else None
    return Decision(verdict, rule, "dice", weaker, margin, found.n_images, found.s_a.size, needed)


def _untestable(evidence: Evidence, settings: Settings) -> Decision:
    n = evidence.change.size
    reason = evidence.reason if n == 0 else f"fewer than 2 {settings.unit}s"
    interval = Interval(float(evidence.change.mean()), math.nan, math.nan) if n else _NONE
    return Decision("UNTESTABLE", reason, "mask_change", interval, settings.margin_change, evidence.n_images, n, None)


def _without_floor(evidence: Evidence, settings: Settings, family: int) -> Decision:
    interval = t_interval(evidence.change, level=1 - 2 * settings.alpha / family)
    rule = (
        f"5 no wording floor: with paraphrases of fewer than 2 {settings.unit}s a change of"
        f" {_percent(interval)} cannot be told from the effect of any rewording"
    )
    return Decision(
        "INCONCLUSIVE",
        rule,
        "mask_change",
        interval,
        settings.margin_change,
        evidence.n_images,
        evidence.change.size,
        None,
    )


def _by_change(evidence: Evidence, settings: Settings, alpha: float) -> Decision:
    margin, level, n = settings.margin_change, 1 - 2 * alpha, evidence.excess.size
    excess = t_interval(evidence.excess, level=level)
    change = t_interval(evidence.change, level=level)
    wording = t_interval(evidence.wording, level=level)
    size = (margin, evidence.n_paired, n)
    limit = f"{100 * margin:g}%"
    if excess.low > margin:
        rule = f"2 REACTS: excess over rewording {_percent(excess)} above {limit}"
        return Decision("REACTS", rule, "mask_change", excess, *size, None)
    if wording.low > margin:
        rule = f"3 UNSTABLE: rewording alone {_percent(wording)} above {limit}, excess {_percent(excess)} not"
        return Decision("UNSTABLE", rule, "mask_change", wording, *size, None)
    inside = -margin < excess.low and excess.high < margin and change.high < margin
    if not inside:
        rule = f"5 INCONCLUSIVE: excess {_percent(excess)}, change {_percent(change)}, margin {limit}"
        return Decision("INCONCLUSIVE", rule, "mask_change", excess, *size, _open(evidence, margin, alpha))
    return _ignored(evidence, settings, alpha, excess, change, size)


def _ignored(
    evidence: Evidence,
    settings: Settings,
    alpha: float,
    excess: Interval,
    change: Interval,
    size: tuple[float, int, int],
) -> Decision:
    margin = settings.margin_change
    bound = gaffke_bound(evidence.change, alpha=alpha, resamples=settings.resamples, seed=settings.seed)
    reacting, k = int((evidence.change > margin).sum()), evidence.change.size
    share = share_bound(reacting, k, alpha=alpha)
    said = (
        f"excess {_percent(excess)} within {100 * margin:g}%, change below it (up to {100 * change.high:.1f}%),"
        f" distribution-free bound {100 * bound:.2f}%"
    )
    if bound < margin:
        return Decision("IGNORES", f"4 IGNORES: {said} below it", "mask_change", excess, *size, None, share, k)
    rule = f"4 IGNORES*: {said} not below it; {reacting} of {k} {settings.unit}s moved by more than the margin"
    needed = subjects_to_certify(evidence.change, margin, alpha=alpha)
    return Decision("IGNORES*", rule, "mask_change", excess, *size, needed, share, k)


def _open(evidence: Evidence, margin: float, alpha: float) -> int | None:
    """Return the subjects that would decide: towards REACTS, or towards a certified IGNORES."""
    if evidence.excess.mean() > margin:
        return subjects_to_decide(evidence.excess, margin, alpha=alpha)
    if evidence.change.mean() >= margin:
        return subjects_to_decide(evidence.wording, margin, alpha=alpha) if evidence.wording.mean() > margin else None
    lower = -evidence.excess if evidence.excess.mean() < 0 else evidence.excess
    needed = [subjects_to_decide(values, margin, alpha=alpha) for values in (lower, evidence.change)]
    return max(subjects_for_zero_reactions(margin, alpha=alpha), *(n for n in needed if n is not None), 0)


def _percent(interval: Interval) -> str:
    return f"{100 * interval.estimate:.1f}% [{100 * interval.low:.1f}%, {100 * interval.high:.1f}%]"


def _dice(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
