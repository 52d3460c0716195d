"""The verdict rules for prompt reliance, in order; the first that holds decides."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from robustness.metrics.inference.evalues import log_evalue_above
from robustness.metrics.inference.intervals import Interval, beneath, beyond, level_of, t_interval
from robustness.metrics.inference.mean_interval import claim_interval
from robustness.metrics.inference.shares import clopper_pearson
from robustness.metrics.inference.upper_bound import share_bound
from robustness.metrics.pairing.coverage import lost_certificate
from robustness.metrics.verdicts.decisions import STAR, Decision, starred
from robustness.metrics.verdicts.evidence import Evidence
from robustness.metrics.verdicts.families import Certificate, Tests, log_following, log_ignoring, log_unstable
from robustness.metrics.verdicts.needed import Needed, needed_to_decide, needed_to_follow, needed_to_ignore
from robustness.metrics.verdicts.selectivity import Selectivity
from robustness.metrics.verdicts.settings import Settings


def decide(evidence: Evidence, settings: Settings, tests: Tests) -> Decision:
    """Apply the rules FOLLOWS, REACTS, UNSTABLE, IGNORES, INCONCLUSIVE; UNTESTABLE where none can be asked.

    A verdict that the intervals give carries a star where its certificate, a distribution-free test over subjects, does
    not hold too; FOLLOWS, and IGNORES under `settings.star_alpha`, are INCONCLUSIVE where no star is proven either.
    With more missing cases than `settings.missing_share` a verdict must also hold with all of them counted against it.
    """
    decision = _first_rule(evidence, settings, tests)
    decision = decision._replace(
        n_total=max(evidence.n_total, decision.n_subjects),
        n_missing=0 if evidence.missing is None else evidence.missing.n_images,
    )
    return _with_overlap(_with_missing(decision, evidence, settings, tests), evidence.selectivity, settings.alpha)


def _with_overlap(decision: Decision, selectivity: Selectivity | None, alpha: float) -> Decision:
    """Return the decision with the pairs of targets that are left out of what decides following, and their shifts."""
    left_out = None if selectivity is None else selectivity.left_out
    if selectivity is None or left_out is None:
        return decision
    n = len(np.union1d(selectivity.cases, np.flatnonzero(left_out.n_texts)))
    overlap = (
        f"{left_out.n_cases} of {n} cases are left out of what decides following: more than {100 * left_out.limit:g}%"
        " of the smaller of their two targets lies in the other"
    )
    level = 1 - 2 * alpha
    each = [_dice(t_interval(values, level=level)) for values in (left_out.s_a, left_out.s_b)]
    intervals = f"; {level_of(level)} intervals" if left_out.s_a.size > 1 else ""
    shifts = f" (S_A {each[0]} and S_B {each[1]} there{intervals})" if left_out.s_a.size else ""
    return decision._replace(rule=f"{decision.rule}; {overlap}{shifts}", overlap=overlap)


def _first_rule(evidence: Evidence, settings: Settings, tests: Tests) -> Decision:
    followed = _follows(evidence, settings, tests)
    if followed is not None and followed.plain == "FOLLOWS":
        return followed
    if settings.too_few(evidence.change.size):
        return followed or _untestable(evidence, settings)
    few = settings.too_few(evidence.excess.size)
    moved = (_without_paraphrases if few else _by_change)(evidence, settings, tests)
    # What the targets all but show says more than that the change is open.
    return followed if moved.plain == "INCONCLUSIVE" and followed is not None and followed.held_back else moved


def _follows(evidence: Evidence, settings: Settings, tests: Tests) -> Decision | None:
    """Return FOLLOWS, or what the two targets say where that is all there is; None with too few subjects."""
    selectivity = evidence.selectivity
    if selectivity is None or settings.too_few(selectivity.s_a.size):
        return None
    level, margin = 1 - 2 * tests.following_alpha, settings.margin_dice
    certified = tests.follows.holds(settings.alpha)
    leaves, reaches = (
        claim_interval(values, level=level, certified=certified) for values in (selectivity.s_a, selectivity.s_b)
    )
    weaker = min(leaves, reaches, key=lambda interval: interval.low)
    holds = beneath(margin, weaker.low)
    rule = f"1 FOLLOWS: S_A {_dice(leaves)} and S_B {_dice(reaches)} {'both' if holds else 'not both'} above {margin:g}"
    count = int((beyond(selectivity.s_a, margin) & beyond(selectivity.s_b, margin)).sum())
    decision = Decision(
        "INCONCLUSIVE",
        rule,
        "dice",
        weaker,
        margin,
        selectivity.n_images,
        selectivity.s_a.size,
        None,
        level=level,
        m=max(1, tests.n_following),
        n_showing=count,
        share=clopper_pearson(count, selectivity.s_a.size, level=1 - settings.alpha),
        both=(leaves, reaches),
    )
    if holds:
        decision = _starred(decision, "FOLLOWS", tests.follows, settings)
        if not decision.held_back:
            return decision
    needed = needed_to_follow(selectivity.s_a if weaker is leaves else selectivity.s_b, settings, tests)
    if not holds:
        decision = decision._replace(rule=f"{rule}; the table has no mask change for this condition")
    return decision._replace(n_needed=needed.n, towards=needed.towards, unknown=needed.unknown)


def _starred(decision: Decision, verdict: str, certificate: Certificate, settings: Settings) -> Decision:
    star = starred(verdict, certificate, settings, n=decision.n_subjects)
    return decision._replace(
        verdict=star.verdict,
        rule=f"{decision.rule}; {star.says}",
        certified=star.certified,
        held_back=star.held_back,
    )


def _untestable(evidence: Evidence, settings: Settings) -> Decision:
    """Describe what was measured, without a verdict."""
    n = evidence.change.size
    described = evidence.excess if evidence.excess.size else evidence.change
    level = 1 - 2 * settings.alpha
    return Decision(
        "UNTESTABLE",
        evidence.reason if n == 0 else settings.too_few(n),
        "mask_change",
        t_interval(described, level=level),
        settings.margin_change,
        evidence.n_images,
        n,
        None,
        level=level if described.size > 1 else math.nan,
    )


def _without_paraphrases(evidence: Evidence, settings: Settings, tests: Tests) -> Decision:
    interval = t_interval(evidence.change, level=1 - 2 * tests.alpha)
    n, n_paired = evidence.change.size, evidence.excess.size
    rule = (
        f"5 no paraphrase baseline: paraphrases of {n_paired} of {n} {settings.unit}s, fewer than"
        f" {settings.min_subjects}; a change of {_percent(interval)} cannot be distinguished from the effect of any"
        " paraphrase"
    )
    return Decision(
        "INCONCLUSIVE",
        rule,
        "mask_change",
        interval,
        settings.margin_change,
        evidence.n_images,
        n,
        None,
        unknown="paraphrases are missing, not patients" if settings.unit == "patient" else "paraphrases are missing",
        level=1 - 2 * tests.alpha,
        m=tests.m,
    )


def _by_change(evidence: Evidence, settings: Settings, tests: Tests) -> Decision:
    margin, n, level = settings.margin_change, evidence.excess.size, 1 - 2 * tests.alpha
    limit = f"{100 * margin:g}%"
    own = _step_level(tests, n)
    alpha, ignores = settings.alpha, tests.ignores.holds(settings.alpha)
    stepped = claim_interval(evidence.excess, level=own, certified=tests.reacts.holds(alpha), warns=(-1.0, 1.0))
    paraphrase = claim_interval(
        evidence.paraphrase, level=level, certified=tests.unstable.holds(alpha), warns=(0.0, 1.0)
    )
    change = claim_interval(evidence.change, level=level, certified=ignores)
    warns = (-1.0, 1.0) if evidence.excess.mean() > margin else None
    excess = claim_interval(evidence.excess, level=level, certified=ignores, warns=warns)
    decision = Decision(
        "INCONCLUSIVE", "", "mask_change", excess, margin, evidence.n_paired, n, None, level=level, m=tests.m
    )
    if beneath(margin, stepped.low):
        rule = f"2 REACTS: excess over paraphrase {_percent(stepped)} above {limit}"
        reacting = decision._replace(rule=rule, interval=stepped, level=own)
        return _starred(_counted(reacting, beyond(evidence.excess, margin), settings), "REACTS", tests.reacts, settings)
    # What the model does to itself on a second run is no effect of words.
    if beneath(margin + evidence.noise, paraphrase.low):
        rule = f"3 UNSTABLE: paraphrases alone {_percent(paraphrase)} above {limit}, excess {_percent(excess)} not"
        unstable = decision._replace(rule=rule, interval=paraphrase, excess=excess)
        return _starred(
            _counted(unstable, beyond(evidence.paraphrase, margin), settings), "UNSTABLE", tests.unstable, settings
        )
    if beneath(-margin, excess.low) and beneath(excess.high, margin) and beneath(change.high, margin):
        decision = _ignored(decision, evidence, settings, tests, change)
        if not decision.held_back:
            return decision
    needed = needed_to_decide(evidence, settings, tests)
    rule = f"5 INCONCLUSIVE: excess {_percent(excess)}, change {_percent(change)}, margin {limit}"
    if decision.held_back:
        rule += f"; {decision.held_back}; {decision.rule}"
    undecided = decision._replace(rule=rule, n_needed=needed.n, towards=needed.towards, unknown=needed.unknown)
    return _counted(undecided, beyond(evidence.excess, margin), settings)


def _step_level(tests: Tests, n_subjects: int) -> float:
    """Return the level of the interval that REACTS is read off."""
    from scipy.special import stdtr

    if math.isnan(tests.critical):
        return 1 - 2 * tests.alpha
    return 1 - 2 * float(stdtr(n_subjects - 1, -tests.critical))


def _counted(decision: Decision, shows: npt.NDArray[np.bool_], settings: Settings) -> Decision:
    count = int(shows.sum())
    return decision._replace(n_showing=count, share=clopper_pearson(count, shows.size, level=1 - settings.alpha))


def _ignored(decision: Decision, evidence: Evidence, settings: Settings, tests: Tests, change: Interval) -> Decision:
    margin, k = settings.margin_change, evidence.change.size
    reacting = int((beyond(evidence.change, margin)).sum())
    rule = (
        f"excess {_percent(decision.interval)} within {100 * margin:g}%, change below it (up to"
        f" {100 * change.high:.1f}%); {reacting} of {k} {settings.unit}s moved by more than the margin"
    )
    needed = Needed(None, "", "")
    if not tests.ignores.holds(settings.alpha):
        needed = needed_to_ignore(evidence, settings, tests)
    ignoring = decision._replace(
        n_needed=needed.n,
        towards=needed.towards,
        unknown=needed.unknown,
        could_react=share_bound(reacting, k, alpha=settings.alpha),
        observed=k,
    )
    ignoring = _counted(ignoring, ~beyond(evidence.change, margin), settings)
    ignoring = _starred(ignoring._replace(rule=rule), "IGNORES", tests.ignores, settings)
    return ignoring if ignoring.held_back else ignoring._replace(rule=f"4 {ignoring.verdict}: {ignoring.rule}")


def _with_missing(decision: Decision, evidence: Evidence, settings: Settings, tests: Tests) -> Decision:
    """Return the decision, or what is left of it with everything that is missing counted against it.

    A certificate must survive whatever is missing, the interval only more than `settings.missing_share`.
    """
    worst = evidence.worst
    if worst is None or decision.plain in ("INCONCLUSIVE", "UNTESTABLE"):
        return decision
    verdict, level, margin = decision.plain, decision.level, settings.margin_change
    above: tuple[npt.NDArray[np.float64], ...]
    if verdict == "FOLLOWS":
        log_e, certificate = log_following(worst.s_a, worst.s_b, settings.margin_dice), tests.follows
        above, limit = (worst.s_a, worst.s_b), settings.margin_dice
    elif verdict == "REACTS":
        log_e, certificate = log_evalue_above(worst.excess_low, margin), tests.reacts
        above, limit = (worst.excess_low,), margin
    elif verdict == "UNSTABLE":
        log_e, certificate = log_unstable(worst.paraphrase_low, evidence.noise, settings), tests.unstable
        above, limit = (worst.paraphrase_low,), margin + evidence.noise
    else:
        log_e, certificate = log_ignoring(worst.change_high, settings), tests.ignores
        above, limit = (worst.excess_low,), -margin
    certified = decision.certified and certificate.holds(settings.alpha, log_e)
    if worst.share <= settings.missing_share:
        return decision if certified or not decision.certified else _uncertified(decision, evidence)
    holds = all(beneath(limit, claim_interval(v, level=level, certified=certified).low) for v in above)
    if verdict == "IGNORES":
        below = (worst.excess_high, worst.change_high)
        holds &= all(beneath(claim_interval(v, level=level, certified=certified).high, margin) for v in below)
    share = f"{100 * worst.share:.0f}% of the cases are missing"
    if not holds:
        if verdict == "IGNORES":
            # It counted who stays; the sentence of an open claim says who reacts.
            decision = _counted(decision, beyond(evidence.excess, margin), settings)
        return decision._replace(
            verdict="INCONCLUSIVE",
            rule=f"5 INCONCLUSIVE: {share}; counted as the worst value they overturn {verdict} ({decision.rule})",
            certified=False,
            n_needed=None,
            towards="",
            unknown=f"{share}, and {verdict} does not hold with them counted as the worst value",
        )
    rule = f"{decision.rule}; {share}: it holds with them counted as the worst value"
    return decision._replace(verdict=verdict if certified else verdict + STAR, rule=rule, certified=certified)


def _uncertified(decision: Decision, evidence: Evidence) -> Decision:
    """Return the decision with a star: a few cases are missing, and the certificate does not survive the worst."""
    why = lost_certificate(evidence.missing)
    return decision._replace(
        verdict=decision.plain + STAR, rule=f"{decision.rule}; {why}", certified=False, n_needed=None, unknown=why
    )


def _percent(interval: Interval) -> str:
    return f"{100 * interval.estimate:.1f}% [{100 * interval.low:.1f}%, {100 * interval.high:.1f}%]"


def _dice(interval: Interval) -> str:
    return f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
