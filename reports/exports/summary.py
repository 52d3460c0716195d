"""The content of a report as Markdown and as JSON, for readers without a browser and for other programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from robustness.files import write_text
from robustness.reports.data.claims import AttributeBlock, KindRow
from robustness.reports.data.datatable import frame_of, inert, shown
from robustness.reports.data.paired import Comparison
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections import report as content
from robustness.reports.sections.report import Edition, Report
from robustness.reports.words import count, interval, listing, metric_words


def write_summary(
    run_dirs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    title: str | None = None,
    edition: Edition = "auditor",
) -> tuple[Path, ...]:
    """Write the summary as ``OUT.md``, the whole content as ``OUT.json``, and each table as ``OUT-TABLE.csv``.

    Args:
        run_dirs: run folder(s), as for `page.write_report`.
        out: the path without suffix (a suffix is replaced); its folder is made.
        title: the heading; made from models and data sets where it is None.
        edition: "regulatory" writes the fifteen sections into the Markdown as well.

    Returns:
        The paths of the Markdown, of the JSON and of the CSV files.

    Raises:
        InputError: a run cannot be read, or `out` cannot be written.
    """
    report = content.build(read_runs(run_dirs), title=title, edition=edition)
    base = Path(out).with_suffix("")
    texts = {
        base.with_suffix(".md"): markdown(report),
        base.with_suffix(".json"): json.dumps(report.to_json(), indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    for table in report.tables:
        if table.rows:
            # Windows line ends and full precision, as the page's own export writes them.
            rows = inert(frame_of(table)).to_csv(index=False, lineterminator="\r\n")
            texts[base.with_name(f"{base.name}-{table.id}.csv")] = rows
    for path, text in texts.items():
        write_text(path, text)
    return tuple(texts)


def markdown(report: Report) -> str:
    """Return the report as Markdown: facts, warnings, verdicts, methods, limitations.

    The regulatory edition adds its fifteen sections.
    """
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield f"# {_plain(report.title)}\n"
    for run in report.runs:
        images = "" if run.n_images is None else f" on {count(run.n_images, 'image')}"
        yield (
            f"- {_plain(listing(run.series))}: {_plain(run.dataset)} {_plain(run.split)},"
            f" {count(run.n_cases, 'case')}{images};"
            f" unit of inference {count(run.n_subjects, _plain(run.unit))}; {_plain(run.created)}, version"
            f" {_plain(run.suite_version)}"
        )
    if report.warnings:
        yield "\n## Read this first\n"
        yield from (f"- **{_plain(w)}**" for w in report.warnings)
    if report.findings:
        yield "\n## Worst findings\n"
        yield from (
            f"- **{_plain(f.verdict or 'by Dice')}** {_plain(f.says)} ({_plain(f.measure)})" for f in report.findings
        )
    yield from _comparisons(report.comparisons)
    if report.edition == "regulatory":
        yield from _regulatory(report)
    yield from _attributes(report.attributes)
    yield from _robustness(report.robustness, report.series)
    yield "\n## How it was measured\n"
    yield from (f"- {p.title}: {_plain(p.text)}" for p in report.methods)
    yield "\n## What it does not show\n"
    yield from (f"- {_plain(limit)}" for limit in report.limitations)


def _comparisons(compared: Sequence[Comparison]) -> Iterator[str]:
    for one in compared:
        yield f"\n## {_plain(one.series)} against {_plain(one.baseline)}\n"
        worse = [d for d in one.differences if d.outcome == "worse"]
        yield f"{len(worse)} of {count(len(one.differences), 'condition')} worse (Dice, paired)."
        for d in worse:
            ends = interval(d.ci_low, d.ci_high, level=d.level)
            yield f"- {_plain(d.words)}: loss {shown(d.effect, 'number')} {_plain(ends)}, n = {d.n_subjects}"
        if one.unjudged:
            yield f"{count(one.unjudged, 'claim')} of the baseline without a verdict here."
        for change in one.changes:
            if change.worse:
                metrics = f" ({listing(change.metrics)})" if change.metrics else ""
                yield f"- {_plain(change.words)}{metrics}: {_plain(change.before)} to {_plain(change.after)}"


def _regulatory(report: Report) -> Iterator[str]:
    for section in report.regulatory:
        yield f"\n## {section.number} {section.title}\n"
        yield f"{section.support} {_plain(section.asked_by)}.\n"
        yield from (f"{_plain(statement)}\n" for statement in section.statements)
        for asked in section.questions:
            who = "Stated" if asked.answer else "To be filled in"
            yield f"- {who} by the submitter: {_plain(asked.question)} {_plain(asked.answer) or '______'}"


def _attributes(blocks: Sequence[AttributeBlock]) -> Iterator[str]:
    yield "\n## Does it use the words?\n"
    yield "| words | change | model | verdict | estimate | low | high | level | units |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for block in blocks:
        for line in block.lines:
            for claim in filter(None, line.claims):
                numbers = [shown(v, "number") for v in (claim.estimate, claim.ci_low, claim.ci_high)]
                cells = [
                    block.attribute,
                    line.words,
                    claim.series,
                    claim.verdict,
                    *numbers,
                    shown(claim.level, "level"),
                    shown(claim.n_subjects, "count"),
                ]
                yield "| " + " | ".join(map(_plain, cells)) + " |"


def _robustness(rows: Sequence[KindRow], series: Sequence[str]) -> Iterator[str]:
    yield "\n## Does it hold up?\n"
    yield "| change | metric | severity | " + " | ".join(map(_plain, series)) + " |"
    yield "|---|---|---|" + "---|" * len(series)
    for row in rows:
        for severity in sorted({c.severity for claims in row.claims for c in claims}):
            claims_at = [next((c for c in claims if c.severity == severity), None) for claims in row.claims]
            cells = ["–" if c is None else f"{c.verdict} {shown(c.estimate, 'number')}" for c in claims_at]
            head = (row.words, metric_words(row.metric), str(severity or "–"))
            yield "| " + " | ".join(map(_plain, (*head, *cells))) + " |"


def _plain(text: str) -> str:
    """Keep data-born text from being read as markup: no line breaks, tags, links or table borders."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for sign in ("\\", "|", "`", "[", "]", "*", "_"):
        text = text.replace(sign, "\\" + sign)
    return text
