"""Methods, written out with this run's own numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import pandas as pd

from robustness.reports.data.datatable import Column, DataTable, table_of
from robustness.reports.data.determinism import certificate_text
from robustness.reports.data.empty_masks import empty_by_condition, known_empty, predictions
from robustness.reports.data.frames import Frames
from robustness.reports.data.prompt_truth import truth_text
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.second_targets import second_target_text
from robustness.reports.sections.provenance import RunFacts
from robustness.reports.words import MISSING, count, listing, number
from robustness.results import CLEAN, is_attack


@dataclass(frozen=True)
class Paragraph:
    """A titled paragraph."""

    title: str
    text: str


def paragraphs(runs: Sequence[RunTables], frames: Frames, facts: Sequence[RunFacts]) -> tuple[Paragraph, ...]:
    """Return the methods section."""
    return (
        Paragraph("Units and averaging", _units(facts)),
        Paragraph("Effects", _effects(runs, frames)),
        Paragraph("Verdicts on the prompt", _verdicts(runs, frames)),
        Paragraph("Verdicts on robustness", _robustness(runs, frames)),
        Paragraph("What this sample can show", _power(frames)),
        Paragraph("The clean prompts", truth_text(frames, runs)),
        Paragraph("Noise of the computation", certificate_text(runs)),
        Paragraph("Empty masks", _empty(frames)),
        Paragraph("Rows used and not used", _rows(frames)),
    )


def limitations(runs: Sequence[RunTables], frames: Frames, facts: Sequence[RunFacts]) -> tuple[str, ...]:
    """Return what this report does not show."""
    datasets = listing(sorted({f.dataset for f in facts}))
    sentences = [
        f"Every verdict is about these models on {datasets} with these prompts; other hospitals, scanners and"
        " phrasings may differ.",
        "Margins are choices made in the plan. A change inside a margin can still matter for one patient.",
        "A verdict without a star is certified: a distribution-free test over independent units agrees. A star"
        f" ({_starred(frames)}) says that the interval alone decided: rare reactions or collapses stay open.",
        "A missing reaction says that the words were not used here, not that the model cannot use them.",
    ]
    if blind := sorted({f.dataset for f in facts if f.subject_is_image}):
        where = f" on {listing(blind)}" if any(not f.subject_is_image for f in facts) else ""
        sentences.insert(
            0,
            f"Images of one patient resemble each other. With the image as unit{where}, intervals are optimistic, and"
            " verdicts without a star are certified only if these images are independent.",
        )
    if any(is_attack(c) for c in frames.results["condition"].astype(str).unique()):
        sentences.append(
            "Attacks give an upper bound on robustness: under the worst change of their size a model scores at most"
            " what is shown. A case that an attack with this budget did not break may break under another."
        )
    else:
        sentences.append("No adversarial attack was run; nothing here speaks about deliberate manipulation.")
    sentences.append(
        "The report supports evidence for robustness and prompt reliance; it certifies no conformity with any rule."
    )
    return tuple(sentences)


def _starred(frames: Frames) -> str:
    """Name the verdicts that carry a star here."""
    starred = sorted(v for v in frames.verdicts["verdict"].astype(str).unique() if v.endswith("*"))
    return f"here {listing(starred)}" if starred else "no verdict here has one"


def prompt_counts(frames: Frames) -> str:
    """Say how many texts were asked, clean and changed."""
    rows = frames.results[frames.results["applicable"].fillna(True).astype(bool)]
    texts = rows["prompt"].fillna("").astype(str)
    clean = set(texts[rows["condition"] == CLEAN])
    changed = set(texts[rows["family"].isin(["prompt", "joint"])])
    return f"{count(len(clean), 'clean text')} and {count(len(changed), 'text')} of changed prompts were asked"


def not_applicable(frames: Frames) -> DataTable:
    """Count the rows where a change did not apply, by condition and reason."""
    rows = frames.results[~frames.results["applicable"].fillna(True).astype(bool)]
    rows = rows.assign(reason=rows["note"].fillna("no reason recorded"))
    counted = rows.groupby(["series", "condition", "reason"], sort=True).size().reset_index(name="n")
    columns = (
        Column("series", "model"),
        Column("condition", "condition", "condition"),
        Column("reason", "reason"),
        Column("n", "rows", "count"),
    )
    return table_of(counted, "not-applicable", "Not applicable", columns)


def errors(frames: Frames) -> DataTable:
    """List the rows that could not be evaluated."""
    rows = frames.results[frames.results["error"].fillna("").astype(str).ne("")]
    columns = (
        Column("series", "model"),
        Column("case_id", "case"),
        Column("condition", "condition", "condition"),
        Column("error", "error"),
    )
    return table_of(rows, "errors", "Rows with errors", columns)


def setting(runs: Sequence[RunTables], key: str) -> str:
    """Return a statistics setting of the manifest; several values where runs differ; "not recorded" where none does."""
    settings = [(run.manifest.get("statistics") or {}).get(key) for run in runs]
    values = list(dict.fromkeys(str(v) for v in settings if v is not None))
    return " / ".join(values) or MISSING


def _units(facts: Sequence[RunFacts]) -> str:
    sizes = [f"{listing(f.series)}: {count(f.n_cases, 'case')}, {count(f.n_subjects, f.unit)}" for f in facts]
    return (
        "Scores are averaged over the listed texts of a prompt within a case, over cases within the unit of"
        f" inference, and only then compared, each unit with equal weight ({'; '.join(sizes)})."
    )


def _effects(runs: Sequence[RunTables], frames: Frames) -> str:
    table = frames.effects[frames.effects["condition"] != "clean"]
    family = _range(table["family_size"], 0)
    counted = table["ci_method"].dropna().astype(str).value_counts().sort_index()
    used = "; ".join(f"{method} ({count(int(n), 'effect')})" for method, n in counted.items()) or MISSING
    return (
        "Every change is compared with the clean prediction of the same case. An effect is the mean paired"
        " difference, signed so that positive is worse; mask_change is the mean of 1 − IoU with the clean mask."
        f" Kinds of interval: {used}; level 1 − alpha with alpha = {setting(runs, 'alpha')}. p-values: sign flips of"
        f" whole units with {setting(runs, 'resamples')} resamples, corrected over a family of {family} conditions by"
        f" {setting(runs, 'correction')}; where an interval is widened for skewness, or rests on no spread, p is no"
        " smaller than what that interval says."
    )


def _verdicts(runs: Sequence[RunTables], frames: Frames) -> str:
    rows = frames.verdicts[frames.verdicts["claim"] == "prompt"]
    return (
        f"{count(len(rows), 'claim')}{_families(rows)} by fixed rules, first that holds: FOLLOWS (where a second target"
        " exists, the mask goes to both), REACTS, UNSTABLE, IGNORES, else INCONCLUSIVE. The quantity is the mask change"
        " of the swap minus the mask change of mere paraphrases; margin for mask change"
        f" {setting(runs, 'margin_change')},"
        f" for Dice {setting(runs, 'margin_dice')}. The intervals shown are those that the rules used, each with"
        " its level; the number of claims that share the error rate stands in the table of verdicts under “all columns”"
        " (FOLLOWS: Holm over the claims with a second target; REACTS: step-down max-T; else level 1 − 2·alpha/m)."
        " “Detectable” means that the corrected p-value is below alpha, whatever the margin."
    ) + second_target_text(frames, runs)


def _robustness(runs: Sequence[RunTables], frames: Frames) -> str:
    rows = frames.verdicts[frames.verdicts["claim"] == "robustness"]
    return (
        f"{count(len(rows), 'claim')}{_families(rows)}. ROBUST: the upper end of the interval of the loss is"
        " below the margin; FRAGILE: its lower end is above; without a star where a distribution-free test agrees."
        f" Margin {setting(runs, 'margin_dice')} for Dice and IoU. An improvement is not fragile."
    )


def _families(rows: pd.DataFrame) -> str:
    """Say how many claims share an error rate, by model, data set and metric; "" where that is not recorded."""
    recorded = rows[pd.to_numeric(rows["m"], errors="coerce").notna()]
    if recorded.empty:
        return ""
    sizes = [int(size) for size in recorded.groupby(["series", "dataset", "metric"], sort=False)["m"].max()]
    if len(set(sizes)) > 1:
        by_size = recorded["m"].astype(int).value_counts().sort_index(ascending=False)
        shares = "; ".join(f"{size} for {count(int(n), 'claim')}" for size, n in by_size.items())
        return f" (claims that share the error rate: {shares})"
    several = [n for n in ("series", "dataset", "metric") if recorded[n].nunique() > 1]
    basis = listing([{"series": "model", "dataset": "data set"}.get(name, name) for name in several])
    each = f" (one family per {basis})" if basis else ""
    return f" in {'1 family' if len(sizes) == 1 else f'{len(sizes)} families'} of {sizes[0]}{each}"


def _power(frames: Frames) -> str:
    table = frames.effects[frames.effects["metric"] == "dice"]
    return (
        "Over the Dice effects, the smallest true loss that would be found with 80% probability (MDE) is"
        f" {_range(table['mde'])}; the intraclass correlation is {_range(table['icc'])} and the design effect"
        f" {_range(table['design_effect'], 2)}."
    )


def _empty(frames: Frames) -> str:
    parts, where = [], []
    for series, rows in predictions(frames.results).groupby("series", sort=False):
        parts.append(
            f"{series}: {_true(rows['both_empty'])} both empty, {_true(rows['missed'])} missed,"
            f" {_true(rows['hallucinated'])} hallucinated among {count(known_empty(rows), 'prediction')} known to need"
            " an empty mask"
        )
        where += [f" {series}, {words}" for words in empty_by_condition(rows, most=_MOST)]
    return (
        "Both masks empty counts as agreement (Dice 1), exactly one empty as complete failure (Dice 0); no case"
        f" leaves the pairing. Predictions concerned, over all conditions: {'; '.join(parts)}.{''.join(where)} Those"
        " whose prompt asks for what is not there are flagged against the empty mask that it asks for."
    )


def _rows(frames: Frames) -> str:
    parts = []
    for series, rows in frames.results.groupby("series", sort=False):
        off = int((~rows["applicable"].fillna(True).astype(bool)).sum())
        failed = int(rows["error"].fillna("").astype(str).ne("").sum())
        parts.append(f"{series}: {count(len(rows), 'row')}, {off:,} not applicable, {failed:,} with errors")
    return f"{'; '.join(parts)}. {reasons_text(frames)}".rstrip()


def reasons_text(frames: Frames) -> str:
    """Count the reasons for which rows were not applicable or failed, the most frequent first; "" where none was."""
    rows = frames.results
    off = rows.loc[~rows["applicable"].fillna(True).astype(bool), "note"].fillna("no reason recorded").astype(str)
    failed = rows["error"].fillna("").astype(str)
    sentences = []
    for title, reasons in (("Not applicable", off), ("Errors", failed[failed.ne("")])):
        counted = Counter(reasons).most_common()
        named = [f"{reason} ({count(n, 'row')})" for reason, n in counted[:_MOST]]
        rest = sum(n for _, n in counted[_MOST:])
        named += [f"{count(len(counted) - _MOST, 'further reason')} ({count(rest, 'row')})"] if rest else []
        sentences += [f"{title}: {'; '.join(named)}."] if named else []
    return " ".join(sentences)


# Reasons and conditions beyond so many are summed up.
_MOST = 5


def _true(column: pd.Series) -> int:
    return int(column.eq(True).fillna(False).sum())


def _range(column: Any, digits: int = 3) -> str:
    values = pd.to_numeric(column, errors="coerce").dropna()
    if values.empty:
        return MISSING
    low, high = number(float(values.min()), digits), number(float(values.max()), digits)
    return low if low == high else f"{low} to {high}"


_VALIDATION = (
    Column("study", "study"),
    Column("subject", "model"),
    Column("found", "found"),
    Column("limit", "limit"),
    Column("source", "written out in"),
)


def validation_table() -> DataTable:
    """Return the figures of the suite's own validation, one row per model.

    ``.ci/validation_table.py`` writes them from the tables of docs/.
    """
    path = resources.files("robustness.reports.sections").joinpath("validation.csv")
    with path.open(encoding="utf-8") as stream:
        table = pd.read_csv(stream, dtype=str, keep_default_na=False)
    return table_of(table, "validation", "Validation of this suite", _VALIDATION)
