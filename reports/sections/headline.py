"""One sentence per model, put together from its verdicts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

from robustness.reports.data.claims import (
    ORDER,
    ROBUST_ORDER,
    AttributeBlock,
    Claim,
    KindRow,
    attribute_blocks,
    kind_rows,
)
from robustness.reports.data.empty_masks import MOSTLY_EMPTY, silent_share
from robustness.reports.data.frames import Frames
from robustness.reports.words import listing, metric_words, verdict_style

BY_DICE = "does not heed the class that is asked for, by Dice (see “Read this first”)"


@dataclass(frozen=True)
class Phrase:
    """A verdict and what it is said of."""

    verdict: str
    verb: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Headline:
    """What the page says first about one series: `prompt` and `image` phrases.

    `nothing` says why nothing can be concluded (the masks are empty); the phrases are empty then. `by_dice` says what
    the page warns of beside all verdicts, empty for nothing.
    """

    series: str
    prompt: tuple[Phrase, ...]
    image: tuple[Phrase, ...]
    nothing: str = ""
    by_dice: str = ""


def headlines(frames: Frames, *, unheeded: Container[str] = ()) -> tuple[Headline, ...]:
    """Return one headline per series; `unheeded` are the series that do not heed the class that is asked for."""
    blocks = attribute_blocks(frames)
    kinds: dict[str, list[KindRow]] = {}
    for row in kind_rows(frames):
        kinds.setdefault(row.kind, []).append(row)
    lines = []
    for index, series in enumerate(frames.series):
        silence = silent_share(frames.results, series)
        if silence.share >= MOSTLY_EMPTY:
            lines.append(Headline(series, (), (), silence.sentence))
            continue
        leading = [(leading_verdict(b, index), b.attribute or "the whole prompt") for b in blocks]
        if series in unheeded:
            # What Dice shows of the class stands above; by mask change it is open, which is no second finding.
            leading = [pair for pair in leading if pair != ("INCONCLUSIVE", "target")]
        prompt = _phrases(leading, ORDER)
        image = _phrases([_change_item(rows, index) for rows in kinds.values()], ROBUST_ORDER)
        by_dice = BY_DICE if series in unheeded else ""
        lines.append(Headline(series, prompt, image, by_dice=by_dice))
    return tuple(lines)


def leading_verdict(block: AttributeBlock, index: int) -> str:
    """Return the verdict that stands for an attribute: that of its first line (second target, else opposite) with one.

    A rare word or a removal is diagnostic and speaks only where the meaning-changing swaps could not be tested.
    """
    claims = [line.claims[index] for line in block.lines]
    decided = [c.verdict for c in claims if c is not None and c.verdict not in ("UNTESTABLE", "")]
    return decided[0] if decided else next((c.verdict for c in claims if c is not None), "")


def _change_item(rows: Sequence[KindRow], index: int) -> tuple[str, str]:
    """Return the verdict on one kind of change over all its metrics and severities, the worst of them.

    A change holds up only where every metric says so; where one breaks, the words name it and its first severity.
    """
    claims = [c for row in rows for c in row.claims[index]]
    broken = [(row.metric, [c for c in row.claims[index] if c.verdict.startswith("FRAGILE")]) for row in rows]
    broken = [(metric, fragile) for metric, fragile in broken if fragile]
    words = rows[0].words
    if broken:
        certified = any(c.verdict == "FRAGILE" for _, fragile in broken for c in fragile)
        severities = any(len(row.claims[index]) > 1 for row in rows)
        parts = [_breaking(metric, fragile, severities=severities, named=len(rows) > 1) for metric, fragile in broken]
        return "FRAGILE" if certified else "FRAGILE*", f"{words}{listing(parts) and f' ({listing(parts)})'}"
    if not claims:
        return "", words
    verdicts = {c.verdict for c in claims}
    if verdicts == {"UNTESTABLE"}:
        return "UNTESTABLE", words
    if verdicts <= {"ROBUST", "ROBUST*"}:
        return "ROBUST" if verdicts == {"ROBUST"} else "ROBUST*", words
    return "INCONCLUSIVE", words


def _breaking(metric: str, fragile: Sequence[Claim], *, severities: bool, named: bool) -> str:
    start = f"from severity {fragile[0].severity}" if severities and fragile[0].severity else ""
    return " ".join(filter(None, (metric_words(metric) if named else "", start)))


def _phrases(pairs: list[tuple[str, str]], order: tuple[str, ...]) -> tuple[Phrase, ...]:
    verdicts = [v for v in order if any(v == verdict for verdict, _ in pairs)]
    return tuple(Phrase(v, verdict_style(v).verb, tuple(item for w, item in pairs if w == v)) for v in verdicts)
