"""The findings that a reader must not miss, the most harmful first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from robustness.reports.data.claims import Claim, claims_of
from robustness.reports.data.empty_masks import MOSTLY_EMPTY, silent_share
from robustness.reports.data.expected import condition_expectations
from robustness.reports.data.floors import Unheeded
from robustness.reports.data.frames import Frames
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.harm import Harm, HarmTable
from robustness.reports.words import condition_words, image_kind, number
from robustness.results import parse_condition

RULE = (
    "Ordered by what is at stake in units of Dice, not by certainty; a class that is not heeded, by Dice, comes first."
    " What breaks: the Dice lost, or the Dice distance between changed and clean mask where that is judged. What"
    " hallucinates: the share of units that paint something. A word with a second target: 1 − Dice to the target that"
    " was asked for; any other ignored word, and the class: half the clean Dice, since what it would have asked for is"
    " not known. Paraphrases that move the mask: the Dice distance they make. Of each model the worst comes first; of"
    " one kind of change only the worst."
)


WRONG_CLASS = "wrong_class"


@dataclass(frozen=True)
class Finding:
    """One shortcoming with the thumbnail that shows it (`picture` is an id of the gallery, or empty).

    `harm` lies in [0, 1]; see `robustness.reports.data.harm`. `measure` says what it is, with its value. `verdict` is
    empty where the finding is none of the verdicts: a class that is not heeded, by Dice. `row` is -1 where no verdict
    speaks of its condition.
    """

    series: str
    condition: str
    words: str
    verdict: str
    sentence: str
    says: str
    harm: float
    row: int
    picture: str
    measure: str = ""


@dataclass(frozen=True)
class _Scored:
    harm: Harm
    sort: str
    claim: Claim


def worst_findings(
    frames: Frames, gallery: Gallery, *, most: int = 3, unheeded: Mapping[str, Unheeded] | None = None
) -> tuple[Finding, ...]:
    """Pick at most `most` shortcomings by `RULE`; `unheeded` as `provenance.unheeded` gives it, by series."""
    silent = {s for s in frames.series if silent_share(frames.results, s).share >= MOSTLY_EMPTY}
    expected = condition_expectations(frames.results)
    table = HarmTable(frames)
    scored: list[_Scored] = []
    for sort in ("prompt", "abstention", "robustness"):
        for claim in claims_of(frames.verdicts, sort):
            harm = table.named(claim, sort, expected.get(claim.condition, ""))
            # Of a model that paints nothing no claim is a finding: the page's warning says what is.
            if harm is not None and claim.series not in silent:
                scored.append(_Scored(harm, sort, claim))
    # A certified verdict goes before an equal one with a star.
    scored.sort(key=lambda one: (-one.harm.value, one.claim.verdict.endswith("*"), one.claim.row))
    classes = [
        _Scored(table.unknown(series), "class", _class_claim(frames, series, one.fact))
        for series, one in (unheeded or {}).items()
        if series not in silent
    ]
    return tuple(_finding(one, gallery) for one in _chosen([*classes, *scored], most))


def _class_claim(frames: Frames, series: str, fact: str) -> Claim:
    """Return a class that is not heeded as a claim without verdict, at the row of a verdict on its condition."""
    same = frames.verdicts[(frames.verdicts["series"] == series) & (frames.verdicts["condition"] == WRONG_CLASS)]
    row = int(frames.verdicts.index.get_loc(same.index[0])) if len(same) else -1
    return Claim(row, series, WRONG_CLASS, "dice", "", fact, None, None, None, None, None, says=f"By Dice: {fact}")


def _chosen(scored: Sequence[_Scored], most: int) -> list[_Scored]:
    """Return the worst of each model, then the worst of all, one for each kind of change; the most harmful first."""
    first: dict[tuple[str, str], _Scored] = {}
    for one in scored:
        first.setdefault((one.claim.series, _kind(one)), one)
    rest = list(first.values())
    worst = list({one.claim.series: one for one in reversed(rest)}.values())
    worst = sorted(worst, key=rest.index)[:most]
    chosen = worst + [one for one in rest if one not in worst][: most - len(worst)]
    return sorted(chosen, key=rest.index)


def _kind(one: _Scored) -> str:
    parsed = parse_condition(one.claim.condition)
    if one.claim.condition == WRONG_CLASS:
        return WRONG_CLASS
    return f"image:{image_kind(one.claim.condition)}" if parsed.family == "image" else parsed.attribute or parsed.family


def _finding(one: _Scored, gallery: Gallery) -> Finding:
    claim = one.claim
    same = [p for p in gallery.pictures if p.series == claim.series and p.condition == claim.condition]
    # The worst case of an ignored word is the one whose mask moved most; the telling one is a mask that stayed.
    if claim.verdict.startswith("IGNORES") or not claim.verdict:
        same.sort(key=lambda p: (p.mask_change or 0.0, -(p.dice_clean or 0.0)))
    else:
        same.sort(key=lambda p: p.rank != "worst")
    return Finding(
        claim.series,
        claim.condition,
        condition_words(claim.condition),
        claim.verdict,
        claim.sentence,
        claim.says,
        one.harm.value,
        claim.row,
        same[0].id if same else "",
        f"{one.harm.name} {number(one.harm.value, 2)}",
    )
