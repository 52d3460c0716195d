"""The content of a report, before any layout: what is said, with the numbers it is said with.

Everything here is data-only and can be written as JSON; the page and the summary are two renderings of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import pandas as pd

from robustness.reports.data import paired, subgroups
from robustness.reports.data.claims import AttributeBlock, KindRow, attribute_blocks, kind_rows
from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.datatable import levels as level_words
from robustness.reports.data.determinism import certificate_table
from robustness.reports.data.expected import expected_table
from robustness.reports.data.floors import lowest_table
from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.gallery import Gallery, make_gallery
from robustness.reports.data.model_facts import ModelFacts, model_facts
from robustness.reports.data.paired import Comparison
from robustness.reports.data.prompt_truth import truth_listing
from robustness.reports.data.run_tables import RunTables, plan_answers
from robustness.reports.data.second_targets import second_target_table
from robustness.reports.figures.catalogue import captions
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.sections import cards, coverage, findings, headline, methods, overview, provenance, regulatory
from robustness.reports.sections.cards import Card
from robustness.reports.sections.coverage import Coverage
from robustness.reports.sections.findings import Finding
from robustness.reports.sections.headline import Headline
from robustness.reports.sections.methods import Paragraph, validation_table
from robustness.reports.sections.overview import Overview
from robustness.reports.sections.provenance import RunFacts, Section
from robustness.reports.sections.regulatory import RegulatorySection
from robustness.reports.sections.regulatory_context import RegulatoryContext
from robustness.reports.sections.regulatory_sources import SOURCES, Source
from robustness.reports.words import listing

Edition = Literal["auditor", "regulatory"]
# The number after the point grows when fields come, the one before it when a field goes or changes its type.
SCHEMA = "robustness-report/2.3"


@dataclass(frozen=True)
class Report:
    """One page. Tuples keep page order; `series` names the models. Described field by field in docs/report.md."""

    schema: str
    edition: Edition
    title: str
    series: tuple[str, ...]
    runs: tuple[RunFacts, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    models: tuple[ModelFacts, ...]
    coverage: Coverage
    overviews: tuple[Overview, ...]
    headlines: tuple[Headline, ...]
    uncertified: bool
    findings: tuple[Finding, ...]
    findings_rule: str
    attributes: tuple[AttributeBlock, ...]
    robustness: tuple[KindRow, ...]
    figures: tuple[FigureText, ...]
    comparisons: tuple[Comparison, ...]
    tables: tuple[DataTable, ...]
    regulatory: tuple[RegulatorySection, ...]
    sources: str
    texts: tuple[Source, ...]
    cards: tuple[Card, ...]
    methods: tuple[Paragraph, ...]
    limitations: tuple[str, ...]
    provenance: tuple[Section, ...]
    verify: tuple[str, ...]
    pictures: str
    pictures_left_out: int
    pictures_unreadable: int
    prompts: str = ""
    prompts_file: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain dictionaries and lists."""
        return asdict(self)


class Figures(NamedTuple):
    """What a page draws, and the paired differences that some of it shows; neither needs a thumbnail."""

    comparisons: tuple[Comparison, ...]
    captions: tuple[FigureText, ...]


def figures_of(runs: Sequence[RunTables], frames: Frames, *, published: bool = False) -> Figures:
    """Return the figures of `runs`, whose merged tables are `frames`; `published`: see `build`."""
    comparisons = _compared(runs, frames)
    return Figures(comparisons, captions(frames, compared=comparisons, published=published))


def build(
    runs: Sequence[RunTables],
    *,
    title: str | None = None,
    gallery: Callable[[], Gallery] | None = None,
    edition: Edition = "auditor",
    images: bool = True,
    published: bool = False,
    compared: bool = False,
    answers: Mapping[str, str] | None = None,
    frames: Frames | None = None,
    figures: Figures | None = None,
) -> Report:
    """Build the content of the page for `runs` (see `tables.read_runs`).

    Args:
        runs: one run, or several to be shown side by side.
        title: the page's heading; made from models and datasets where it is None.
        gallery: returns the thumbnails, asked after all that needs none; None: they are made here.
        edition: what the page leads with; the content is the same.
        images: False leaves every image out.
        published: add the benchmark's published figures, labelled as such.
        answers: what the submitter states, by the keys of ``[report]``; they go before those of the runs' plans.
        compared: the page is there to compare: what was compared with nothing is said before all else.
        frames, figures: the runs' tables, merged, and the figures, where the caller has them already.
    """
    frames = merge(runs) if frames is None else frames
    facts_of_runs = [provenance.run_facts(run) for run in runs]
    facts = tuple(fact for group in facts_of_runs for fact in group)
    limits = methods.limitations(runs, frames, facts)
    shown = figures_of(runs, frames, published=published) if figures is None else figures
    given = {**plan_answers(runs), **(answers or {})}
    unheeded = {series: one for run in runs for series, one in provenance.unheeded(run).items()}
    models, tables = model_facts(runs), _tables(frames, runs)
    alone = paired.not_compared(frames) if compared else ""
    page = partial(
        Report,
        schema=SCHEMA,
        edition=edition,
        title=title or _title(runs, frames),
        series=frames.series,
        runs=provenance.merge_facts(facts),
        warnings=tuple(filter(None, (alone, *provenance.warnings(runs, facts_of_runs)))),
        notes=provenance.notes(runs),
        models=models,
        coverage=coverage.coverage(runs, frames, facts),
        overviews=overview.overviews(frames, models, tables[0], units={s: f.unit for f in facts for s in f.series}),
        headlines=headline.headlines(frames, unheeded=unheeded),
        uncertified=bool(frames.verdicts["verdict"].astype(str).str.endswith("*").any()),
        findings_rule=findings.RULE,
        attributes=attribute_blocks(frames, unheeded=unheeded),
        robustness=kind_rows(frames),
        figures=shown.captions,
        comparisons=shown.comparisons,
        tables=tables,
        sources="; ".join(f"{text.name} ({text.edition})" for text in SOURCES),
        texts=SOURCES,
        cards=cards.cards(runs, models, facts, given),
        methods=methods.paragraphs(runs, frames, facts),
        limitations=limits,
        provenance=provenance.sections(runs),
        verify=provenance.verify_lines(runs),
        pictures="shown" if images else "left out by request",
        prompts=methods.prompt_counts(frames),
    )
    if gallery is None:
        gallery = partial(make_gallery, frames.gallery) if images else Gallery
    thumbnails = gallery()
    context = RegulatoryContext(runs, frames, facts, limits, thumbnails.unreadable, given)
    return page(
        findings=findings.worst_findings(frames, thumbnails, unheeded=unheeded),
        regulatory=regulatory.sections(context),
        pictures_left_out=thumbnails.left_out,
        pictures_unreadable=thumbnails.unreadable,
    )


def _compared(runs: Sequence[RunTables], frames: Frames) -> tuple[Comparison, ...]:
    stats = runs[0].manifest.get("statistics") or {}
    return paired.comparisons(
        frames,
        alpha=frames.alpha,
        resamples=int(stats.get("resamples") or 9999),
        seed=int(runs[0].manifest.get("seed") or 0),
        min_subjects=int(stats.get("min_subjects") or 10),
        missing_share=float(stats.get("missing_share") or 0.05),
    )


def _title(runs: Sequence[RunTables], frames: Frames) -> str:
    if len(runs) == 1 and runs[0].manifest.get("title"):
        return str(runs[0].manifest["title"])
    models, datasets = ([str(name) for name in frames.results[key].unique()] for key in ("model", "dataset"))
    return f"{listing(models)} on {listing(datasets)}"


def _tables(frames: Frames, runs: Sequence[RunTables]) -> tuple[DataTable, ...]:
    return (
        expected_table(frames),
        table_of(_with_shares(frames), "verdicts", "Verdicts", _VERDICTS),
        table_of(frames.effects[frames.effects["condition"] != "clean"], "effects", "Effects", _EFFECTS),
        second_target_table(frames, runs),
        table_of(subgroups.subgroup_table(frames.results, alphas=frames.alphas), "subgroups", "Subgroups", _SUBGROUPS),
        truth_listing(frames),
        lowest_table(frames.results),
        certificate_table(runs),
        methods.not_applicable(frames),
        methods.errors(frames),
        validation_table(),
    )


def _with_shares(frames: Frames) -> pd.DataFrame:
    """Return verdicts with the share of units that show their behaviour, and its interval, as one short text.

    The interval has the level 1 - alpha of the run's plan, whatever that of the estimate.
    """
    names, verdicts = ("share", "share_low", "share_high"), frames.verdicts
    if not set(names) <= set(verdicts.columns):
        return verdicts
    levels = [1 - frames.alphas[s] if s in frames.alphas else None for s in verdicts["series"]]
    # One that all share stands in the column's label.
    apart = len(set(levels)) > 1 or None in levels
    behind = [f" ({'level ' if level is None else ''}{level_words([level])})" if apart else "" for level in levels]
    shares = [
        "" if pd.isna(value) else f"{100 * value:.0f}% [{100 * low:.0f},\xa0{100 * high:.0f}]{level}"
        for (value, low, high), level in zip(verdicts[list(names)].to_numpy(dtype=float), behind, strict=True)
    ]
    return verdicts.assign(share_interval=shares, share_level=levels)


_VERDICTS = (
    Column("series", "model"),
    Column("dataset", "dataset", hidden=True),
    Column("claim", "claim", hidden=True),
    Column("attribute", "attribute", hidden=True),
    Column("condition", "condition", "condition"),
    Column("metric", "metric", "metric"),
    Column("verdict", "verdict", "verdict"),
    Column("estimate", "estimate", "number", link="rows"),
    Column("ci_low", "low", "number"),
    Column("ci_high", "high", "number"),
    Column("margin", "margin", "number"),
    Column("n_subjects", "units", "count"),
    Column("share_interval", "share"),
    Column("rule", "rule that decided"),
    Column("share", "share of units", "number", hidden=True),
    Column("share_low", "share low", "number", hidden=True),
    Column("share_high", "share high", "number", hidden=True),
    Column("n_images", "cases", "count", hidden=True, link="rows"),
    Column("n_missing", "cases missing", "count", hidden=True),
    Column("n_needed", "units needed", "count"),
    Column("m", "claims", "count", hidden=True),
    Column("certified", "certified", hidden=True),
    Column("detectable", "detectable", hidden=True),
    Column("sentence", "sentence", hidden=True),
)
_EFFECTS = (
    Column("series", "model"),
    Column("dataset", "dataset", hidden=True),
    Column("condition", "condition", "condition"),
    Column("metric", "metric", "metric"),
    Column("n_images", "cases", "count", link="rows"),
    Column("n_subjects", "units", "count"),
    Column("clean_mean", "clean", "number", link="clean"),
    Column("perturbed_mean", "changed", "number", link="rows"),
    Column("effect", "effect", "number", link="rows"),
    Column("ci_low", "low", "number"),
    Column("ci_high", "high", "number"),
    Column("ci_method", "interval", hidden=True),
    Column("p_value", "p", "p"),
    Column("p_adjusted", "p adj.", "p"),
    Column("family_size", "family", "count", hidden=True),
    Column("dz", "dz", "number"),
    Column("rank_biserial", "rank biserial", "number", hidden=True),
    Column("icc", "ICC", "number"),
    Column("design_effect", "design effect", "number"),
    Column("mde", "MDE", "number"),
    Column("n_flagged", "flagged", "count"),
)
_SUBGROUPS = columns(
    ("series", "model"),
    ("dataset", "tested on"),
    ("grouping", "by"),
    ("group", "group"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
    ("mean", "clean Dice"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("loss", "loss, image changes"),
    ("loss_low", "low"),
    ("loss_high", "high"),
    ("note", "note"),
)
