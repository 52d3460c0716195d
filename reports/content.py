"""The content of a report, before any layout: what is said, with the numbers it is said with.

Everything here is data-only and can be written as JSON; the page and the summary are two renderings of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from robustness.reports import captions, findings, headline, methods, provenance
from robustness.reports.captions import FigureText
from robustness.reports.claims import AttributeBlock, KindRow, attribute_blocks, kind_rows
from robustness.reports.datatable import Column, DataTable, table_of
from robustness.reports.findings import Finding
from robustness.reports.gallery import Album, make_album
from robustness.reports.headline import Headline
from robustness.reports.methods import Paragraph
from robustness.reports.provenance import RunFacts, Section
from robustness.reports.tables import Frames, RunTables, merge
from robustness.reports.words import listing


@dataclass(frozen=True)
class Report:
    """One page. Tuples keep page order; `series` names the models."""

    title: str
    series: tuple[str, ...]
    runs: tuple[RunFacts, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    headlines: tuple[Headline, ...]
    uncertified: bool
    findings: tuple[Finding, ...]
    findings_rule: str
    attributes: tuple[AttributeBlock, ...]
    robustness: tuple[KindRow, ...]
    figures: tuple[FigureText, ...]
    tables: tuple[DataTable, ...]
    methods: tuple[Paragraph, ...]
    limitations: tuple[str, ...]
    provenance: tuple[Section, ...]
    pictures_left_out: int
    pictures_unreadable: int

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dictionaries and lists."""
        return asdict(self)


def build(runs: Sequence[RunTables], *, title: str | None = None, album: Album | None = None) -> Report:
    """Build the content of the page for `runs` (see `tables.read_runs`).

    Args:
        runs: one run, or several to be shown side by side.
        title: the page's heading; made from models and datasets where it is None.
        album: the pictures, where the caller holds them already.
    """
    frames = merge(runs)
    album = album if album is not None else make_album(frames.gallery)
    facts = tuple(provenance.run_facts(run) for run in runs)
    return Report(
        title=title or _title(runs, frames),
        series=frames.series,
        runs=provenance.merge_facts(facts),
        warnings=provenance.warnings(runs, facts),
        notes=provenance.notes(runs),
        headlines=headline.headlines(frames),
        uncertified=bool((frames.verdicts["verdict"] == "IGNORES*").any()),
        findings=findings.worst_findings(frames, album),
        findings_rule=findings.RULE,
        attributes=attribute_blocks(frames),
        robustness=kind_rows(frames),
        figures=captions.captions(frames, unit=facts[0].unit),
        tables=_tables(frames, runs),
        methods=methods.paragraphs(runs, frames, facts),
        limitations=methods.limitations(runs, frames, facts),
        provenance=provenance.sections(runs),
        pictures_left_out=album.left_out,
        pictures_unreadable=album.unreadable,
    )


def _title(runs: Sequence[RunTables], frames: Frames) -> str:
    if len(runs) == 1 and runs[0].manifest.get("title"):
        return str(runs[0].manifest["title"])
    datasets = list(dict.fromkeys(str(d) for d in frames.results["dataset"]))
    return f"{listing(list(dict.fromkeys(str(m) for m in frames.results['model'])))} on {listing(datasets)}"


def _tables(frames: Frames, runs: Sequence[RunTables]) -> tuple[DataTable, ...]:
    return (
        table_of(frames.verdicts, "verdicts", "Verdicts", _VERDICTS),
        table_of(frames.effects[frames.effects["condition"] != "clean"], "effects", "Effects", _EFFECTS),
        methods.not_applicable(frames),
        methods.errors(frames),
    )


_VERDICTS = (
    Column("series", "model"), Column("dataset", "dataset", hidden=True), Column("claim", "claim"),
    Column("attribute", "attribute", hidden=True), Column("condition", "condition", "condition"),
    Column("metric", "metric"), Column("verdict", "verdict", "verdict"), Column("estimate", "estimate", "number"),
    Column("ci_low", "low", "number"), Column("ci_high", "high", "number"), Column("margin", "margin", "number"),
    Column("n_images", "images", "count"), Column("n_subjects", "units", "count"),
    Column("n_needed", "units needed", "count"), Column("detectable", "detectable"),
    Column("rule", "rule that decided"), Column("sentence", "sentence", hidden=True),
)  # fmt: skip
_EFFECTS = (
    Column("series", "model"), Column("dataset", "dataset", hidden=True), Column("condition", "condition", "condition"),
    Column("metric", "metric"), Column("n_images", "images", "count"), Column("n_subjects", "units", "count"),
    Column("clean_mean", "clean", "number"), Column("perturbed_mean", "changed", "number"),
    Column("effect", "effect", "number"), Column("ci_low", "low", "number"), Column("ci_high", "high", "number"),
    Column("ci_method", "interval", hidden=True), Column("p_value", "p", "p"), Column("p_adjusted", "p adj.", "p"),
    Column("family_size", "family", "count", hidden=True), Column("dz", "dz", "number"),
    Column("rank_biserial", "rank biserial", "number", hidden=True), Column("icc", "ICC", "number"),
    Column("design_effect", "design effect", "number"), Column("mde", "MDE", "number"),
    Column("n_flagged", "flagged", "count"),
)  # fmt: skip
