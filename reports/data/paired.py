"""Two versions on the same cases: paired differences with intervals, and which verdicts changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from robustness.metrics.analyses.effects import effects
from robustness.reports.data.datatable import plain
from robustness.reports.data.expected import claim_expectation, condition_expectations, met
from robustness.reports.data.frames import ALPHA, Frames, conditions_text
from robustness.reports.words import condition_words, listing, metric_words, text
from robustness.results import CLEAN, RERUN

KEYS = ("dataset", "split", "case_id", "prompt_index")
_NEW = "newer"
# With fewer subjects a sample of a long tail may show nothing of it: benchmarks/calibration/family.py.
_SEES_TAILS = 20
_IDENTICAL = (
    "The scores are identical in every case compared: each difference is exactly 0. The two may be a run and its copy,"
    " or one audit made twice."
)
# What is not shown either way stands between what is shown to be right and what is shown to be wrong.
_STANDING = {"yes": 0, "yes*": 1, "undecided": 2, "not testable": 2, "no*": 3, "no": 4}


@dataclass(frozen=True)
class Difference:
    """One condition of `series` against `baseline`: `effect` > 0 means that `series` scores worse.

    `outcome` is "worse" or "better" where the interval excludes 0 on that side and the max-T adjusted p value is below
    alpha, else "no difference shown". The interval is simultaneous over the conditions compared (`level` 1 - alpha /
    conditions), so that no loss is called proven for being the largest of many. With fewer than `min_subjects` subjects
    nothing is shown, nor is a side ahead that lacks more than `missing_share` of the other's values.
    """

    condition: str
    words: str
    baseline_mean: float | None
    mean: float | None
    effect: float | None
    ci_low: float | None
    ci_high: float | None
    p_adjusted: float | None
    n_images: int
    n_subjects: int
    outcome: str
    open_because: str = ""
    level: float | None = None


@dataclass(frozen=True)
class VerdictChange:
    """A verdict that is not what it was.

    `worse` where it is further from what the change should do (FOLLOWS to IGNORES, ROBUST to UNTESTABLE, INCONCLUSIVE
    to FRAGILE); never where no behaviour is required. `metrics` are the metrics in words by which it turned this way;
    empty for words, which have one verdict whatever the metric that decided it.
    """

    claim: str
    condition: str
    words: str
    before: str
    after: str
    worse: bool
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """`series` compared with `baseline` on the cases both have; `unmatched` rows were measured on one side only.

    `unjudged` claims of the baseline have no verdict in `series`.
    """

    baseline: str
    series: str
    metric: str
    unmatched: int
    differences: tuple[Difference, ...]
    changes: tuple[VerdictChange, ...]
    note: str = ""
    unjudged: int = 0


def comparisons(
    frames: Frames,
    *,
    metric: str = "dice",
    alpha: float = ALPHA,
    resamples: int = 9999,
    seed: int = 0,
    min_subjects: int = 10,
    missing_share: float = 0.05,
) -> tuple[Comparison, ...]:
    """Compare every series with the first of its data set; what got worse comes first, largest proven loss first.

    Compared are the clean score and the conditions under which the answer should stay (image perturbations,
    paraphrases).
    """
    results = []
    for baseline, series in pairs(frames):
        before = frames.results[frames.results["series"] == baseline]
        after = frames.results[frames.results["series"] == series]
        table, unmatched, identical = _differences(
            before, after, metric=metric, alpha=alpha, resamples=resamples, seed=seed
        )
        differences = _ordered(table, alpha, min_subjects, missing_share)
        note = _note(differences) if len(table) else "The two share no case under any condition: nothing can be paired."
        if identical:
            note = f"{_IDENTICAL} {note}".rstrip()
        changes, unjudged = _verdict_changes(frames, baseline, series)
        results.append(Comparison(baseline, series, metric, unmatched, differences, changes, note, unjudged))
    return tuple(results)


def _note(differences: Sequence[Difference]) -> str:
    """Say which conditions name no side whatever their interval, and why, and which name one with few subjects."""
    reasons: dict[str, list[str]] = {}
    for difference in differences:
        if difference.open_because:
            reasons.setdefault(difference.open_because, []).append(difference.condition)
    sentences = [f"Described, not judged ({reason}): {conditions_text(open_)}." for reason, open_ in reasons.items()]
    named = [d.condition for d in differences if d.outcome != "no difference shown" and d.n_subjects < _SEES_TAILS]
    if named:
        sentences.append(
            f"A side is named with fewer than {_SEES_TAILS} subjects: {conditions_text(named)}. So few can show"
            " nothing of a long tail: of 16 equal conditions that differ by a few subjects who gain much, some one is"
            " named in up to 45% of comparisons of 12 subjects."
        )
    return " ".join(sentences)


def not_compared(frames: Frames) -> str:
    """Say which series are compared with nothing: no other run has their data set, or none of their cases; else ""."""
    matched = pairs(frames)
    alone = [s for s in frames.series if not any(s in pair for pair in matched)]
    results = frames.results
    cases = {s: set(map(tuple, results[results["series"] == s][list(KEYS)].to_numpy().tolist())) for s in frames.series}
    apart = [f"{new} and {old}" for old, new in matched if not cases[old] & cases[new]]
    if len(alone) == len(frames.series) or (matched and len(apart) == len(matched)):
        sentence = "Nothing was compared."
    elif alone or apart:
        sentence = "Not everything was compared."
    else:
        return ""
    if alone:
        sets = results.drop_duplicates(["series", "dataset"]).set_index("series")["dataset"]
        sentence += f" No other run has the data set of {listing([f'{s} ({sets.loc[[s]].iloc[0]})' for s in alone])}."
    return f"{sentence} {listing(apart)} share no case." if apart else sentence


def pairs(frames: Frames) -> list[tuple[str, str]]:
    """Return (baseline, series): of each data set the first series is the baseline of the others."""
    facts = frames.results[["series", "model", "dataset"]].drop_duplicates().to_dict("records")
    series_pairs = []
    for i, fact in enumerate(facts):
        earlier = [f for f in facts[:i] if f["dataset"] == fact["dataset"]]
        # A model that comes twice is a new version of itself; otherwise the first one named is the standard.
        same = [f for f in earlier if f["model"] == fact["model"]]
        if earlier:
            series_pairs.append((str((same or earlier)[0]["series"]), str(fact["series"])))
    return series_pairs


def _differences(
    before: pd.DataFrame, after: pd.DataFrame, *, metric: str, alpha: float, resamples: int, seed: int
) -> tuple[pd.DataFrame, int, bool]:
    """Return effects of `after` against `before` by condition, how many rows have no partner, and if all are equal.

    Equal is every pair of values, which intervals of width 0 do not tell from a small difference.
    """
    old, new = (_usable(t, metric) for t in (before, after))
    keys = ["condition", *KEYS]
    values = old[[*keys, metric]].merge(new[[*keys, metric]], on=keys, suffixes=("", "_after"))
    shared, identical = values[keys], bool(values[metric].eq(values[f"{metric}_after"]).all())
    lost_before, lost_after = _lost_shares(new, shared, before), _lost_shares(old, shared, after)
    unmatched = len(old) + len(new) - 2 * len(shared)
    if shared.empty:
        return pd.DataFrame(), unmatched, False
    old, new = (t.merge(shared, on=keys) for t in (old, new))
    # Each condition is its own split, so that it pairs with its own baseline only and all share one family of tests.
    split = "split"
    old = old.assign(**{split: old["condition"] + "\n" + old[split], "condition": CLEAN, "family": "clean"})
    new = new.assign(**{split: new["condition"] + "\n" + new[split], "family": "prompt"})
    new["condition"] = _NEW + "\n" + new["condition"]
    both = pd.concat([old, new], ignore_index=True).assign(model="compared")
    own = alpha / new["condition"].nunique()
    table = effects(both, metric=metric, alpha=own, resamples=resamples, seed=seed).assign(level=1 - own)
    names = [c.partition("\n")[2] for c in table["condition"]]
    lost = {"lost_before": lost_before, "lost_after": lost_after}
    shares = {name: [float(s.get(c, 0.0)) for c in names] for name, s in lost.items()}
    return table.assign(condition=names, **shares), unmatched, identical


def _lost_shares(usable: pd.DataFrame, shared: pd.DataFrame, other: pd.DataFrame) -> pd.Series:
    """Return, by condition, the share of one side's values that the other side lacks of cases that it was asked for."""
    keys = ["condition", *KEYS]
    case = ["dataset", "split", "case_id"]
    alone = ~pd.MultiIndex.from_frame(usable[keys]).isin(pd.MultiIndex.from_frame(shared[keys]))
    tried = pd.MultiIndex.from_frame(usable[case]).isin(pd.MultiIndex.from_frame(other[case].drop_duplicates()))
    lost: pd.Series = pd.Series(alone & tried, index=usable["condition"]).groupby(level=0).mean()
    return lost


def _usable(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    rows = table[
        table["applicable"].fillna(True).astype(bool) & table["error"].fillna("").eq("") & table[metric].notna()
    ]
    # A higher score under words that should move the mask is no gain: those conditions are judged by their verdicts.
    invariant = rows["condition"].eq(CLEAN) | rows["family"].eq("image") | rows["expectation"].eq("invariant")
    rows = rows[invariant & rows["condition"].ne(RERUN)]
    columns = ["condition", *KEYS, "subject_id", metric]
    return rows[columns].drop_duplicates(["condition", *KEYS]).assign(applicable=True, split=rows["split"].fillna(""))


def _ordered(table: pd.DataFrame, alpha: float, min_subjects: int, missing_share: float) -> tuple[Difference, ...]:
    differences = [
        _difference({k: plain(v) for k, v in row.items()}, alpha, min_subjects, missing_share)
        for row in table.to_dict("records")
    ]
    rank = {"worse": 0, "no difference shown": 1, "better": 2}
    return tuple(sorted(differences, key=lambda d: (rank[d.outcome], -(d.effect or 0.0))))


def _difference(row: dict[Any, Any], alpha: float, min_subjects: int, missing_share: float) -> Difference:
    low, high = row["ci_low"], row["ci_high"]
    outcome, why = "no difference shown", ""
    significant = row["p_adjusted"] is not None and row["p_adjusted"] < alpha
    if significant and low is not None and low > 0:
        outcome = "worse"
    elif significant and high is not None and high < 0:
        outcome = "better"
    lost = row["lost_after"] if outcome == "better" else row["lost_before"]
    if row["n_subjects"] < min_subjects:
        why = f"fewer than {min_subjects} subjects"
    elif outcome != "no difference shown" and lost > missing_share:
        # What has no value may be what would have scored worst.
        why = f"the side that is ahead lacks more than {100 * missing_share:g}% of the values"
    outcome = "no difference shown" if why else outcome
    return Difference(
        condition=text(row["condition"]),
        words=condition_words(text(row["condition"])),
        baseline_mean=row["clean_mean"],
        mean=row["perturbed_mean"],
        effect=row["effect"],
        ci_low=low,
        ci_high=high,
        p_adjusted=row["p_adjusted"],
        n_images=int(row["n_images"]),
        n_subjects=int(row["n_subjects"]),
        outcome=outcome,
        open_because=why,
        level=row["level"],
    )


def _verdict_changes(frames: Frames, baseline: str, series: str) -> tuple[tuple[VerdictChange, ...], int]:
    """Return the changed verdicts, the largest step for the worse first, and how many claims have none any more."""
    before, after = (_verdicts_of(frames.verdicts, name) for name in (baseline, series))
    expectations = condition_expectations(frames.results)
    turns: dict[tuple[str, str, str, str], list[str]] = {}
    for key, verdict in after.items():
        if before.get(key, verdict) != verdict:
            claim, condition, metric = key
            turns.setdefault((claim, condition, before[key], verdict), []).append(metric)
    steps = []
    for (claim, condition, old, new), metrics in turns.items():
        expectation = claim_expectation(claim, condition, expectations)
        step = _standing(new, expectation) - _standing(old, expectation)
        named = tuple(metric_words(m) for m in metrics if m)
        words = condition_words(condition)
        steps.append((step, VerdictChange(claim, condition, words, old, new, step > 0, named)))
    steps.sort(key=lambda pair: -pair[0])
    return tuple(change for _, change in steps), len(before.keys() - after.keys())


def _verdicts_of(verdicts: pd.DataFrame, series: str) -> dict[tuple[str, str, str], str]:
    """Return the verdict of every claim, condition and metric of `series`; words have one verdict, metric ""."""
    rows = verdicts[verdicts["series"] == series].sort_values("metric", key=lambda m: m != "dice", kind="stable")
    verdict_of: dict[tuple[str, str, str], str] = {}
    for row in rows.to_dict("records"):
        # FOLLOWS is decided by Dice and IGNORES by the mask change: one claim, whichever decided.
        metric = "" if text(row["claim"]) == "prompt" else text(row["metric"])
        verdict_of.setdefault((text(row["claim"]), text(row["condition"]), metric), text(row["verdict"]))
    return verdict_of


def _standing(verdict: str, expectation: str) -> int:
    return _STANDING.get(met(verdict, expectation), 0)
