"""One sentence per model, put together from its verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from robustness.reports.data.claims import ORDER, ROBUST_ORDER, AttributeBlock, Claim, attribute_blocks, kind_rows
from robustness.reports.data.frames import Frames
from robustness.reports.words import verdict_style


@dataclass(frozen=True)
class Phrase:
    """A verdict and what it is said of."""

    verdict: str
    verb: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class Headline:
    """What the page says first about one series: `prompt` and `image` phrases."""

    series: str
    prompt: tuple[Phrase, ...]
    image: tuple[Phrase, ...]


def headlines(frames: Frames) -> tuple[Headline, ...]:
    """Return one headline per series."""
    blocks, kinds = attribute_blocks(frames), kind_rows(frames)
    made = []
    for index, series in enumerate(frames.series):
        prompt = _phrases([(leading_verdict(b, index), b.attribute or "the whole prompt") for b in blocks], ORDER)
        image = _phrases([_kind_item(row.claims[index], row.words) for row in kinds], ROBUST_ORDER)
        made.append(Headline(series, prompt, image))
    return tuple(made)


def leading_verdict(block: AttributeBlock, index: int) -> str:
    """Return the verdict that stands for an attribute: that of its first line (second target, else opposite) with one.

    A rare word or a removal is diagnostic and speaks only where the meaning-changing swaps could not be tested.
    """
    held = [line.claims[index] for line in block.lines]
    decided = [c.verdict for c in held if c is not None and c.verdict not in ("UNTESTABLE", "")]
    return decided[0] if decided else next((c.verdict for c in held if c is not None), "")


def _kind_item(claims: tuple[Claim, ...], words: str) -> tuple[str, str]:
    broken = [c for c in claims if c.verdict.startswith("FRAGILE")]
    if broken:
        first, certified = broken[0].severity, any(c.verdict == "FRAGILE" for c in broken)
        return "FRAGILE" if certified else "FRAGILE*", words + (
            f" from severity {first}" if first and len(claims) > 1 else ""
        )
    if not claims:
        return "", words
    verdicts = {c.verdict for c in claims}
    if verdicts == {"UNTESTABLE"}:
        return "UNTESTABLE", words
    if verdicts <= {"ROBUST", "ROBUST*"}:
        return "ROBUST" if verdicts == {"ROBUST"} else "ROBUST*", words
    return "INCONCLUSIVE", words


def _phrases(pairs: list[tuple[str, str]], order: tuple[str, ...]) -> tuple[Phrase, ...]:
    found = [v for v in order if any(v == verdict for verdict, _ in pairs)]
    return tuple(Phrase(v, verdict_style(v).verb, tuple(item for w, item in pairs if w == v)) for v in found)
