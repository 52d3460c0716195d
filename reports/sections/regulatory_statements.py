"""Statements of the regulatory edition: one writer per section, in the order of the sections."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from robustness.reports.data.claims import ORDER, ROBUST_ORDER
from robustness.reports.data.empty_masks import empty_by_condition, known_empty, predictions
from robustness.reports.data.floors import lowest
from robustness.reports.data.frames import conditions_text
from robustness.reports.data.model_facts import model_facts
from robustness.reports.data.prompt_truth import truth_text
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.unit_means import unit_interval
from robustness.reports.figures.attacks import attack_says, attack_table, attack_title
from robustness.reports.sections.methods import reasons_text, setting
from robustness.reports.sections.regulatory_context import RegulatoryContext, clean_by_series
from robustness.reports.words import (
    MISSING,
    count,
    interval,
    listing,
    metric_words,
    number,
    text,
)
from robustness.results import is_attack

POISONING = (
    "Poisoning of training data or weights was not tested: an audit sees one set of weights, known by its hash (model"
    " card, section 1), and cannot tell a clean one from one with a hidden trigger. Prompt injection beyond the prompt"
    " changes of section 2, model extraction and membership inference were not tested either."
)
_EXPECTED = {
    "invariant": "must not change the mask",
    "change": "must change the mask",
    "follow": "must move the mask to the other target",
    "abstain": "must leave the mask empty",
    "control": "control: shows what the prompt contributes",
    "none": "diagnostic: no behaviour is required",
}


def _identity(d: RegulatoryContext) -> list[str]:
    statements = []
    for run in d.runs:
        for model in run.manifest.get("models") or [run.manifest.get("model") or {}]:
            # Records inside the record (data, whom it was trained on) are told in words by the model card.
            nested = (Mapping, list, tuple)
            fields = {str(k): v for k, v in _mapping(model).items() if not isinstance(v, nested) and v is not None}
            description = "; ".join(f"{k} {v}" for k, v in fields.items()) or MISSING
            statements.append(
                f"Model of run “{run.name}”: {description}. Input: one 2D image and one text prompt. Output: one mask."
            )
    prompts = d.frames.results.loc[d.frames.results["condition"] == "clean", "prompt"].dropna()
    if len(prompts):
        statements.append(f"Prompts: {count(prompts.nunique(), 'distinct text')}, for example “{prompts.iloc[0]}”.")
    return statements


def _variations(d: RegulatoryContext) -> list[str]:
    changed = ~d.frames.results["condition"].isin(["clean", "rerun"])
    rows = d.frames.results.loc[changed, ["condition", "expectation"]]
    conditions = rows.fillna("").astype(str).drop_duplicates()
    statements = []
    for expectation, words in _EXPECTED.items():
        expected = conditions[conditions["expectation"] == expectation]["condition"]
        if len(expected):
            named = conditions_text(_without_severity(c) for c in expected)
            statements.append(f"{words[0].upper()}{words[1:]}: {named}.")
    return statements or ["The run holds no changed input."]


def _plan(d: RegulatoryContext) -> list[str]:
    table = d.frames.effects[d.frames.effects["metric"] == "dice"]
    mde = pd.to_numeric(table["mde"], errors="coerce").dropna()
    largest = f" The largest minimal detectable effect in Dice is {number(float(mde.max()))}." if len(mde) else ""
    return [
        f"Margins: {setting(d.runs, 'margin_dice')} in Dice, {setting(d.runs, 'margin_change')} in mask change; alpha"
        f" {setting(d.runs, 'alpha')}; correction {setting(d.runs, 'correction')};"
        f" {setting(d.runs, 'resamples')} resamples. They stand in the plan, whose hash is in section 15.{largest}",
        *[_recorded(run) for run in d.runs],
        "Estimand: mean paired difference, each unit of inference with equal weight. Verdicts follow fixed rules on"
        " intervals; absence of significance is never read as equivalence.",
    ]


def _recorded(run: RunTables) -> str:
    """Say what the run can show about when its plan was fixed, and what it cannot."""
    created = text(run.manifest.get("created"))
    dated = f" (manifest dated {created})" if created else ""
    return (
        f"The plan of run “{run.name}” was stored with the run{dated}, and a changed plan is refused on resuming. When"
        " the margins were chosen, and whether anyone had seen results before, no run can show: registration with a"
        " date is the submitter's."
    )


def _data(d: RegulatoryContext) -> list[str]:
    statements = []
    for fact in d.facts:
        images = "" if fact.n_images is None else f" on {count(fact.n_images, 'image')}"
        statements.append(
            f"{fact.dataset}, split {fact.split}: {count(fact.n_cases, 'case')}{images}, unit of inference"
            f" {count(fact.n_subjects, fact.unit)}."
        )
        if fact.subject_is_image:
            statements.append("Each image counts as its own unit: intervals speak about images, not about patients.")
    clean = d.frames.results[d.frames.results["condition"] == "clean"].drop_duplicates(["dataset", "case_id"])
    empty = clean["both_empty"].eq(True).fillna(False) | clean["hallucinated"].eq(True).fillna(False)
    statements.append(f"Empty reference masks: {int(empty.sum())} of {count(len(clean), 'case')}.")
    return [*statements, *_independence(d), truth_text(d.frames, d.runs)]


def _independence(d: RegulatoryContext) -> list[str]:
    """Say what the run records of the training data, and whether test patients were among them."""
    models = model_facts(d.runs)
    trained = [f"{model.series} on {model.training}" for model in models if model.training != MISSING]
    known = f"Recorded training data: {'; '.join(trained)}. " if trained else ""
    seen = "; ".join(f"{model.series}: {model.independence}" for model in models)
    return [
        f"{known}Seen in training: {seen}. What a record cannot hold, such as one patient under two names or an earlier"
        " training of the same weights elsewhere, is the submitter's."
    ]


def _performance(d: RegulatoryContext) -> list[str]:
    statements = []
    for who, rows in clean_by_series(d):
        scores, level = [], 1 - d.frames.alpha_of(who)
        for metric in ("dice", "iou", "nsd", "hd95"):
            if metric in rows and pd.to_numeric(rows[metric], errors="coerce").notna().any():
                summary = unit_interval(rows, metric, level=level)
                bounds = interval(summary["ci_low"], summary["ci_high"], level=level)
                scores.append(f"{metric_words(metric)} {number(summary['mean'])} {bounds}")
        n = int(rows[pd.to_numeric(rows["dice"], errors="coerce").notna()]["subject_id"].nunique())
        statements.append(f"{who}: {'; '.join(scores)} (mean over {count(n, 'unit')}).")
    return statements


def _prompt(d: RegulatoryContext) -> list[str]:
    return _tally(d, "prompt", ORDER)


def _image(d: RegulatoryContext) -> list[str]:
    return _tally(d, "robustness", ROBUST_ORDER)


def _tally(d: RegulatoryContext, claim: str, order: Sequence[str]) -> list[str]:
    statements = []
    rows = d.frames.verdicts[d.frames.verdicts["claim"] == claim]
    for (series, metric), claims in rows.groupby(["series", "metric"], sort=False):
        n = claims["verdict"].value_counts()
        tally = listing([f"{n[v]} {v}" for v in order if v in n])
        statements.append(f"{series}, by {metric_words(str(metric))}: {count(len(claims), 'claim')}, of which {tally}.")
    return statements or ["The run holds no claim of this kind."]


def _repeat(d: RegulatoryContext) -> list[str]:
    rerun = d.frames.results[d.frames.results["condition"] == "rerun"]
    moved = pd.to_numeric(rerun["mask_change"], errors="coerce").dropna()
    statements = ["No second run of the same input was made."]
    if len(moved):
        units = count(int(rerun.loc[moved.index, "subject_id"].nunique()), "unit")
        same = (
            "every mask was the same. The interval that the table of effects gives for it is no scatter: it says what"
            " so few units cannot exclude."
        )
        found = same if moved.max() == 0 else f"largest mask change {number(float(moved.max()), 4)}."
        statements = [f"The same input was predicted twice in {count(len(moved), 'row')} of {units}: {found}"]
    return statements + [
        f"Device {run.manifest.get('device') or MISSING}, precision"
        f" {run.manifest.get('precision') or MISSING}, seed {run.manifest.get('seed', MISSING)}"
        f" (run “{run.name}”)."
        for run in d.runs
    ]


def _groups(d: RegulatoryContext) -> list[str]:
    from robustness.reports.data.subgroups import FEW, grouping_columns

    names = grouping_columns(d.frames.results)
    if not names:
        return ["The rows carry no subgroup beyond the data set."]
    return [f"Groupings in the rows: {listing(names)}. Groups with fewer than {FEW} units are named without a number."]


def _failures(d: RegulatoryContext) -> list[str]:
    statements = []
    for who, rows in clean_by_series(d):
        missed, made_up = (int(rows[f].eq(True).fillna(False).sum()) for f in ("missed", "hallucinated"))
        worst = lowest(rows)
        few = worst.head(3)
        cases = [f"{c} ({number(v)})" for c, v in zip(few["case_id"], few["dice"], strict=True)]
        more = f"; the {len(worst)} lowest stand in the table below" if len(worst) > len(few) else ""
        statements.append(
            f"{who}, unchanged input: {missed} missed, {made_up} hallucinated among"
            f" {count(known_empty(rows), 'case')} known to need an empty mask. Lowest Dice: {listing(cases)}{more}."
        )
        everything = predictions(d.frames.results[d.frames.results["series"] == who])
        statements += [f"{who}, {words}" for words in empty_by_condition(everything)]
    return statements


def _missing(d: RegulatoryContext) -> list[str]:
    rows = d.frames.results
    off = int((~rows["applicable"].fillna(True).astype(bool)).sum())
    failed = int(rows["error"].fillna("").astype(str).ne("").sum())
    return [
        f"{count(len(rows), 'row')}: {off:,} not applicable, {failed:,} with errors. {reasons_text(d.frames)}".rstrip(),
        "Both masks empty counts as agreement (Dice 1), exactly one empty as complete failure (Dice 0, HD95 the image"
        " diagonal). No row leaves the pairing unseen.",
        *([f"{count(d.unusable, 'image')} could not be decoded."] if d.unusable else []),
    ]


def _security(d: RegulatoryContext) -> list[str]:
    attacks = sorted({str(c) for c in d.frames.results["condition"].unique() if is_attack(str(c))})
    if attacks:
        table = attack_table(d.frames.results, margin=d.frames.margin_dice, alphas=d.frames.alphas)
        outcomes = [
            f"{attack_title(str(name))}. {attack_says(rows)}" for name, rows in table.groupby("attack", sort=True)
        ]
        return [
            f"Attacks in this run: {conditions_text(attacks)}. Other attacks were not tested.",
            "An attack bounds robustness from one side: what it breaks is shown to break, what it leaves intact is not"
            " shown to hold.",
            *outcomes,
            POISONING,
        ]
    return ["No adversarial attack was run. Nothing here supports a statement on deliberate manipulation.", POISONING]


def _limits(d: RegulatoryContext) -> list[str]:
    names = d.frames.verdicts["verdict"].astype(str)
    undecided = d.frames.verdicts[names.eq("INCONCLUSIVE") | names.str.endswith("*")]
    needed = pd.to_numeric(undecided["n_needed"], errors="coerce").dropna()
    statements = list(d.limitations)
    if len(needed):
        low, high = number(float(needed.min()), 0), number(float(needed.max()), 0)
        statements.append(
            f"{count(len(undecided), 'claim')} undecided or not certified; to decide"
            f" {'them' if len(needed) == len(undecided) else f'{len(needed):,} of them'},"
            f" {low if low == high else f'{low} to {high}'} units would be needed (table of verdicts, “units needed”)."
        )
    return statements


def _monitoring(d: RegulatoryContext) -> list[str]:
    return [
        "The same plan can be run again on a new version and judged with `robustness gate NEW --baseline THIS`. Gates"
        " decide by intervals: each fails a model that meets its limit exactly with probability at most alpha"
        f" ({setting(d.runs, 'alpha')}), and several gates together more often than one. `robustness compare` shows"
        " what got worse."
    ]


def _evidence(d: RegulatoryContext) -> list[str]:
    statements = []
    for run in d.runs:
        statements.append(
            f"Run “{run.name}”: made {run.manifest.get('created') or MISSING} with version"
            f" {run.manifest.get('suite_version') or MISSING}; plan sha256"
            f" {run.manifest.get('plan_sha256') or MISSING}. `robustness verify` on its folder recomputes the hashes"
            " and derives effects and verdicts again from the rows."
        )
    return statements


def _without_severity(condition: str) -> str:
    return condition if "+" in condition else condition.partition("@")[0]


def _mapping(value: Any) -> Mapping[Any, Any]:
    return value if isinstance(value, Mapping) else {}


WRITERS: tuple[tuple[Callable[[RegulatoryContext], list[str]], tuple[str, ...]], ...] = (
    (_identity, ()),
    (_variations, ("expected",)),
    (_plan, ()),
    (_data, ("truth",)),
    (_performance, ()),
    (_prompt, ()),
    (_image, ()),
    (_repeat, ()),
    (_groups, ("subgroups",)),
    (_failures, ("lowest", "gallery")),
    (_missing, ("not-applicable", "errors")),
    (_security, ()),
    (_limits, ("verdicts",)),
    (_monitoring, ()),
    (_evidence, ("validation", "effects", "provenance")),
)
