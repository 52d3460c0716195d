"""From a run's rows to its conclusions: effects, verdicts, manifest."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import robustness
from robustness.errors import InputError, counted
from robustness.files import sha256_file
from robustness.plans.audit import Plan, parse_plan
from robustness.plans.toml import read_toml
from robustness.registry import installed_plugins
from robustness.results import CLEAN, FLAGS, RERUN, look_alikes
from robustness.run_folder import CERTIFICATE, EFFECTS, GALLERY, MANIFEST, PLAN, VERDICTS, RunFolder

if TYPE_CHECKING:
    import pandas as pd

UNIT_WARNING = (
    "No patient is known for {name}: each image counts as its own unit, so intervals speak about images, not about "
    "patients, and are too narrow where images of one patient resemble each other. Name the patients (`subject` in "
    '[data]); where no two images show one patient, state subject = "image".'
)
STATED_UNIT_WARNING = (
    'Each image of {name} counts as its own unit, as subject = "image" states{though}: intervals speak about images, '
    "not about patients, and are too narrow where images of one patient resemble each other."
)
ONE_SUBJECT_WARNING = (
    "{images} of {name} {come} from one subject ({subject}): intervals speak about images of this subject, "
    "not about patients."
)


def stored_plan(run: RunFolder) -> Plan:
    """Return the plan that lies in the run."""
    return parse_plan(read_toml(run.path / PLAN), source=PLAN)


def derive(results: pd.DataFrame, plan: Plan, *, unit: str | Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return (effects, verdicts) of a table under the plan's statistics; same rows, same tables.

    `unit`: what a subject is called in sentences, by dataset where they differ.
    """
    from robustness.metrics.analyses.effects import effects
    from robustness.metrics.verdicts.verdicts import verdicts

    stats = plan.statistics
    names = [*dict.fromkeys(("dice", *plan.metrics.names, "mask_change"))]
    effect_table = effects(
        results,
        metric=[n for n in names if n in results],
        alpha=stats.alpha,
        correction=stats.correction,
        resamples=stats.resamples,
        seed=plan.seed,
    )
    verdict_table = verdicts(
        results,
        **stats.verdict_options(),
        seed=plan.seed,
        unit=unit,
    )
    return effect_table, verdict_table


def unit_of(dataset_facts: list[dict[str, Any]]) -> str:
    """Return what one unit of inference is called in sentences; "subject" where datasets differ."""
    kinds = {"image" if facts.get("subject_is_image") else "patient" for facts in dataset_facts}
    return kinds.pop() if len(kinds) == 1 else "subject"


def units_of(dataset_facts: list[dict[str, Any]]) -> dict[str, str]:
    """Return what one unit of inference is called, by dataset: of one patients may be known, of another none."""
    names = dict.fromkeys(str(facts.get("name")) for facts in dataset_facts)
    return {name: unit_of([facts for facts in dataset_facts if str(facts.get("name")) == name]) for name in names}


def conclude(
    run: RunFolder,
    *,
    results: pd.DataFrame,
    dataset_facts: list[dict[str, Any]],
    model_facts: list[dict[str, Any]],
    environment: dict[str, Any],
    timing: dict[str, float],
) -> dict[str, Any]:
    """Write effects, verdicts and the manifest of a finished run, whose rows are `results`; return the manifest."""
    from robustness.metrics.analyses.attacks import attack_warnings

    plan = stored_plan(run)
    certificate = run.read_json(CERTIFICATE)
    effect_table, verdict_table = derive(results, plan, unit=units_of(dataset_facts))
    run.write_table(run.path / EFFECTS, effect_table)
    run.write_table(run.path / VERDICTS, verdict_table)
    manifest = {
        "suite_version": robustness.__version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "title": plan.title,
        "model": model_facts[0],
        "models": model_facts,
        "dataset": dataset_facts[0],
        "datasets": dataset_facts,
        "plan_sha256": plan.sha256(),
        "seed": plan.seed,
        "device": model_facts[0].get("device"),
        "precision": model_facts[0].get("precision"),
        **environment,
        "counts": counts(results),
        "warnings": [
            *(one["warning"] for facts in model_facts for one in facts.get("training_overlap", ()) if one["warning"]),
            *untested_warnings(model_facts, verdict_table),
            *_turned_maps(model_facts),
            *warnings_of(results, dataset_facts),
            *_cut_texts(timing),
            *attack_warnings(results),
            *noise_warnings(certificate, plan),
        ],
        "statistics": plan.statistics.model_dump(),
        "metrics": plan.metrics.model_dump(),
        "timing": timing,
        **({"certificate": certificate} if certificate else {}),
        **({"plugins": plugins} if (plugins := installed_plugins()) else {}),
        "tables": table_hashes(run),
    }
    run.write_json(MANIFEST, manifest)
    return manifest


def untested_warnings(model_facts: list[dict[str, Any]], verdict_table: pd.DataFrame) -> list[str]:
    """Return what makes every claim of a model void: random weights, a clean score that no trivial answer is below."""
    from robustness.metrics.verdicts.floors import FLOOR_SAYS

    warnings = [
        f"{facts['name']} has random weights (no checkpoint was given): nothing here speaks of a trained model."
        for facts in model_facts
        if (facts.get("weights") or {}).get("random")
    ]
    rules = verdict_table[verdict_table["rule"].str.startswith(FLOOR_SAYS)]
    for row in rules.drop_duplicates(["model", "dataset", "rule"]).to_dict("records"):
        warnings.append(f"No robustness of {row['model']} on {row['dataset']} is claimed: {row['rule']}.")
    return warnings


def _turned_maps(model_facts: list[dict[str, Any]]) -> list[str]:
    """Return what to say of models whose maps lie on the references much better in another way."""
    return [
        f"The maps of {facts['name']} on {dataset} fit the references much better {answers['fits_better']}: are they "
        "sent so, or does the model exchange the sides? Until that is known no verdict about it means anything."
        for facts in model_facts
        for dataset, answers in (facts.get("answers") or {}).items()
        if answers.get("fits_better")
    ]


def _cut_texts(timing: dict[str, float]) -> list[str]:
    cut = int(timing.get("n_texts_cut", 0))
    if not cut:
        return []
    were, whose = ("was", "its") if cut == 1 else ("were", "their")
    what = f"{counted(cut, 'text')} {were} longer than the model reads and {were} cut"
    return [f"{what}; {whose} last words had no effect."]


def noise_warnings(certificate: dict[str, Any], plan: Plan) -> list[str]:
    """Return which ways of computing the same move Dice by as much as the plan's margin.

    A change of precision or device is no noise of this run, which has one of each; the certificate's table has it.
    """
    margin = plan.statistics.margin_dice
    return [
        f"Computing the same with another {row['knob']} ({row['setting']}) moves Dice of {row['model']} on "
        f"{row['dataset']} by up to {row['dice']:.3g}, not less than the margin of {margin:g}."
        for row in certificate.get("rows", ())
        if row["knob"] not in ("precision", "device") and (row["dice"] or 0) >= margin
    ]


def counts(results: pd.DataFrame) -> dict[str, Any]:
    """Count rows: ``rows = used + not_applicable + errors``; flags are counted among the used."""
    failed = results["error"].fillna("") != ""
    skipped = ~results["applicable"] & ~failed
    used = results[~failed & ~skipped]
    reasons = results.loc[skipped].groupby("note").size().sort_values(ascending=False)
    return {
        "rows": len(results),
        "used": len(used),
        "not_applicable": int(skipped.sum()),
        "errors": int(failed.sum()),
        **{flag: int(used[flag].fillna(False).sum()) for flag in FLAGS},
        "not_applicable_reasons": {str(reason): int(n) for reason, n in reasons.items()},
        "failed_cases": sorted(results.loc[failed, "case_id"].unique().tolist()),
    }


def warnings_of(results: pd.DataFrame, dataset_facts: list[dict[str, Any]]) -> list[str]:
    """Return what a reader must know before any number."""
    warnings = []
    for facts in dataset_facts:
        origin = facts.get("origin_subjects") or []
        if facts["subject_is_image"] and len(origin) == 1:
            images, come = (
                ("The one image", "comes") if facts["n_images"] == 1 else (f"All {facts['n_images']} images", "come")
            )
            warnings.append(ONE_SUBJECT_WARNING.format(images=images, come=come, name=facts["name"], subject=origin[0]))
        elif facts["subject_is_image"] and facts.get("subject") == "image":
            though = f", though the data name {counted(len(origin), 'patient')}" if origin else ""
            warnings.append(STATED_UNIT_WARNING.format(name=facts["name"], though=though))
        elif facts["subject_is_image"]:
            warnings.append(UNIT_WARNING.format(name=facts["name"]))
        elif alike := look_alikes(_subjects_of(results, facts["name"])):
            warnings.append(f"Subjects of {facts['name']}: {alike}.")
        warnings.extend(facts.get("notes", []))
    warnings += _of_failures(results)
    rerun = results[results["condition"] == RERUN]
    moved = float(rerun["mask_change"].max()) if len(rerun) else 0.0
    if moved > 0:
        warnings.append(
            f"The same input predicted twice gave other masks (largest change {moved:.4f}): this is the noise floor."
        )
    if "reference_fraction" in results:
        clean = results[(results["condition"] == CLEAN) & results["reference_fraction"].notna()]
        empty = int((clean["reference_fraction"] == 0).sum())
        if empty and 2 * empty >= len(clean):
            warnings.append(f"{empty} of {len(clean)} reference masks are empty: Dice is then 1 for painting nothing.")
    if not len(results[(results["condition"] == CLEAN) & (results["error"].fillna("") == "")]):
        warnings.append("No clean prediction could be made.")
    return warnings


def _subjects_of(results: pd.DataFrame, dataset: str) -> list[str]:
    own = results if "dataset" not in results else results[results["dataset"] == dataset]
    return [str(name) for name in own["subject_id"].dropna().unique()]


def _of_failures(results: pd.DataFrame) -> list[str]:
    """Return what failed: whole cases, and single predictions of cases whose others were made."""
    failed = results["error"].fillna("") != ""
    cases = failed.groupby([results["dataset"], results["case_id"]])
    whole = cases.transform("all")
    lost = results.loc[whole, ["dataset", "case_id"]].drop_duplicates()["case_id"].sort_values()
    some = results.loc[failed & ~whole, ["dataset", "case_id"]]
    warnings = []
    if len(lost):
        are = "is" if len(lost) == 1 else "are"
        what = f"{len(lost)} of {counted(len(cases), 'case')} could not be read and {are} left out"
        warnings.append(f"{what}: {', '.join(lost[:5])}")
    if len(some):
        named = some.drop_duplicates()["case_id"].sort_values()
        are, whose = ("is", "its case") if len(some) == 1 else ("are", f"their {counted(len(named), 'case')}")
        what = f"{len(some)} of {counted(len(results), 'prediction')} failed and {are} left out"
        warnings.append(f"{what}; other predictions of {whose} count: {', '.join(named[:5])}")
    return warnings


def refuse_empty(results: pd.DataFrame) -> None:
    """Raise InputError where no clean prediction could be made: nothing could be concluded."""
    clean = results[results["condition"] == CLEAN]
    if (clean["error"] != "").all():
        first = clean["error"].iloc[0]
        raise InputError(f"data: no case could be predicted ({len(clean)} failed); the first: {first}")


def table_hashes(run: RunFolder) -> dict[str, str]:
    """Return the hash of every table and of the plan, by name inside the run."""
    names = [
        PLAN,
        EFFECTS,
        VERDICTS,
        GALLERY,
        CERTIFICATE,
        *sorted(f"results/{p.name}" for p in run.results.glob("part-*.parquet")),
    ]
    return {name: sha256_file(run.path / name) for name in names if (run.path / name).is_file()}
