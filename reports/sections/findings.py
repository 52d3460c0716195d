"""The three findings that a reader must not miss."""

from __future__ import annotations

from dataclasses import dataclass

from robustness.reports.data.claims import Claim, claims_of
from robustness.reports.data.empty_masks import MOSTLY_EMPTY, silent_share
from robustness.reports.data.expected import condition_expectations
from robustness.reports.data.frames import Frames
from robustness.reports.data.gallery import Gallery
from robustness.reports.words import condition_words

RULE = (
    "Order: words that should move the mask and are ignored (first where a second target exists); then masks where the"
    " prompt asks for what is not there; then words that"
    " move it without showing that it goes to the right place; then proven losses by size; then instability under"
    " paraphrase. A model and a sort of claim come twice only when nothing else is left."
)
# What each verdict says against a model, provided that the change was expected to matter (or not to matter).
_SHOULD_MOVE = ("follow", "abstain", "change")
_SHOULD_HOLD = ("invariant", "none", "")
Scored = tuple[tuple[float, float], str, Claim]


@dataclass(frozen=True)
class Finding:
    """One shortcoming with the thumbnail that shows it (`picture` is an id of the gallery, or empty)."""

    series: str
    condition: str
    words: str
    verdict: str
    sentence: str
    says: str
    row: int
    picture: str


def worst_findings(frames: Frames, gallery: Gallery, *, most: int = 3) -> tuple[Finding, ...]:
    """Pick at most `most` shortcomings by `RULE`."""
    silent = {s for s in frames.series if silent_share(frames.results, s).share >= MOSTLY_EMPTY}
    expected = condition_expectations(frames.results)
    scored: list[Scored] = []
    for sort in ("prompt", "abstention", "robustness"):
        for claim in claims_of(frames.verdicts, sort):
            score = _score(claim, sort, expected.get(claim.condition, ""))
            # Of a model that paints nothing no claim is a finding: the page's warning says what is.
            if score is not None and claim.series not in silent:
                scored.append((score, sort, claim))
    scored.sort(key=lambda item: (item[0], item[2].row))
    return tuple(_finding(claim, gallery) for claim in _varied(_one_per_condition(scored), most))


def _score(claim: Claim, sort: str, expectation: str) -> tuple[float, float] | None:
    size, verdict = claim.estimate or 0.0, claim.verdict.rstrip("*")
    if sort == "abstention":
        return (0.5, -size) if verdict == "HALLUCINATES" else None
    if sort == "prompt" and expectation in _SHOULD_MOVE and verdict == "IGNORES":
        return 0.1 * _SHOULD_MOVE.index(expectation), size
    if sort == "prompt" and verdict == "UNSTABLE":
        return 3.0, -size
    if sort == "robustness" and verdict == "FRAGILE" and expectation in _SHOULD_HOLD:
        return 2.0, -size
    if sort == "prompt" and expectation == "follow" and verdict == "REACTS":
        return 1.0, -size
    return None


def _one_per_condition(scored: list[Scored]) -> list[Scored]:
    """Keep the most harmful claim of each series and condition, by whatever metric it was made."""
    first: dict[tuple[str, str], Scored] = {}
    for item in scored:
        first.setdefault((item[2].series, item[2].condition), item)
    return list(first.values())


def _varied(scored: list[Scored], most: int) -> list[Claim]:
    chosen: list[Claim] = []
    seen: set[tuple[str, str]] = set()
    for _, sort, claim in scored:
        if (claim.series, sort) not in seen:
            seen.add((claim.series, sort))
            chosen.append(claim)
    chosen += [claim for *_, claim in scored if claim not in chosen]
    return chosen[:most]


def _finding(claim: Claim, gallery: Gallery) -> Finding:
    same = [p for p in gallery.pictures if p.series == claim.series and p.condition == claim.condition]
    # The worst case of an ignored word is the one whose mask moved most; the telling one is a mask that stayed.
    if claim.verdict.startswith("IGNORES"):
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
        claim.row,
        same[0].id if same else "",
    )
