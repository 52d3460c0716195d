"""One sentence per model, put together from its verdicts."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace

from robustness.reports.data.claims import (
    ORDER,
    ROBUST_ORDER,
    AttributeBlock,
    KindRow,
    attribute_blocks,
    kind_rows,
)
from robustness.reports.data.empty_masks import MOSTLY_EMPTY, silent_share
from robustness.reports.data.frames import Frames
from robustness.reports.words import listing, metric_words, verdict_style

BY_DICE = "does not heed the class that is asked for, by Dice (see “Read this first”)"


@dataclass(frozen=True)
class Onset:
    """One kind of change that breaks: each metric by which it does, with the first severity that does.

    The severity is 0 where the change has no degrees, or was run at one.
    """

    words: str
    first: tuple[tuple[str, int], ...]

    @property
    def earliest(self) -> int:
        """The first severity at which any metric breaks."""
        return min(severity for _, severity in self.first)


@dataclass(frozen=True)
class Phrase:
    """A verdict and what it is said of; `onsets` has for each item that breaks where that begins."""

    verdict: str
    verb: str
    items: tuple[str, ...]
    onsets: tuple[Onset, ...] = ()

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics by which anything breaks, Dice first."""
        return tuple(
            sorted({metric for onset in self.onsets for metric, _ in onset.first}, key=lambda m: (m != "Dice", m))
        )

    @property
    def starts(self) -> tuple[str, ...]:
        """What breaks, by where that begins: ``under flip``, ``from severity 1 under blur and noise``."""
        begun: dict[int, list[str]] = {}
        for onset in sorted(self.onsets, key=lambda one: one.earliest):
            begun.setdefault(onset.earliest, []).append(onset.words)
        return tuple(f"{f'from severity {n} ' if n else ''}under {listing(words)}" for n, words in begun.items())

    @property
    def by(self) -> str:
        """How the metrics of `starts` are named before them: ``by Dice or mask change``."""
        return f"by {listing(self.metrics, 'or')}"

    @property
    def sentence(self) -> str:
        """The whole phrase in words."""
        if not self.onsets:
            return f"{self.verb} {listing(self.items)}"
        return f"{self.verb.removesuffix(' under')} {self.by} {', '.join(self.starts)}"


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
        image = _change_phrases(kinds.values(), index)
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


def _change_phrases(kinds: Iterable[Sequence[KindRow]], index: int) -> tuple[Phrase, ...]:
    """Return what is said of every kind of change, those that break with their onsets."""
    judged = [(_change_verdict(rows, index), rows) for rows in kinds]
    several = len({row.metric for _, rows in judged for row in rows}) > 1
    onsets = {rows[0].words: _onset(rows, index) for verdict, rows in judged if verdict.startswith("FRAGILE")}
    pairs = [(verdict, rows[0].words) for verdict, rows in judged]
    return tuple(
        replace(
            phrase,
            items=tuple(_item(onsets[words], several) if words in onsets else words for words in phrase.items),
            onsets=tuple(onsets[words] for words in phrase.items if words in onsets),
        )
        for phrase in _phrases(pairs, ROBUST_ORDER)
    )


def _change_verdict(rows: Sequence[KindRow], index: int) -> str:
    """Return the verdict on one kind of change over all its metrics and severities, the worst of them.

    A change holds up only where every metric says so; where one breaks, it breaks.
    """
    verdicts = {c.verdict for row in rows for c in row.claims[index]}
    for worst in ("FRAGILE", "FRAGILE*"):
        if worst in verdicts:
            return worst
    if not verdicts or verdicts == {"UNTESTABLE"}:
        return "".join(verdicts)
    if verdicts <= {"ROBUST", "ROBUST*"}:
        return "ROBUST" if verdicts == {"ROBUST"} else "ROBUST*"
    return "INCONCLUSIVE"


def _onset(rows: Sequence[KindRow], index: int) -> Onset:
    """Return where a kind of change begins to break, by each metric that shows it."""
    degrees = any(len(row.claims[index]) > 1 for row in rows)
    first = []
    for row in rows:
        broken = [c.severity for c in row.claims[index] if c.verdict.startswith("FRAGILE")]
        if broken:
            first.append((metric_words(row.metric), broken[0] if degrees else 0))
    return Onset(rows[0].words, tuple(first))


def _item(onset: Onset, several: bool) -> str:
    """Return an onset on its own in words; the one metric of a page goes without its name."""
    parts = [(metric if several else "", f"from severity {n}" if n else "") for metric, n in onset.first]
    named = listing([" ".join(filter(None, part)) for part in parts if any(part)])
    return f"{onset.words} ({named})" if named else onset.words


def _phrases(pairs: list[tuple[str, str]], order: tuple[str, ...]) -> tuple[Phrase, ...]:
    verdicts = [v for v in order if any(v == verdict for verdict, _ in pairs)]
    return tuple(Phrase(v, verdict_style(v).verb, tuple(item for w, item in pairs if w == v)) for v in verdicts)
