"""The check of a dataset or of the data that a plan names, and the check before every audit."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError, suggest
from robustness.plans.audit import DataSpec, Plan, StatisticsSpec, parse_plan
from robustness.plans.paths import resolve
from robustness.plans.toml import apply_override, as_list, read_toml
from robustness.plans.validation import validated

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runners.data.load import Dataset
    from robustness.types import Segmenter


def check_path(
    path: str | Path, *, split: str | None = None, prompt: str | None = None, overrides: Sequence[str] = ()
) -> dict[str, pd.DataFrame]:
    """Check a dataset, or every dataset of a plan; return name -> findings as `check_dataset` gives them.

    Args:
        path: a dataset folder, a manifest, or an audit or finetune plan (TOML).
        split: one split; None: all of them.
        prompt: the prompt key; None: the plan's, else p6.
        overrides: ``key=value`` strings for ``[data]``, values in TOML.

    Raises:
        InputError: no dataset, or a key that cannot be used.
    """
    from robustness.runners.data.check.attributes import required_subjects
    from robustness.runners.data.check.dataset import check_dataset

    specs, statistics, base_dir = _specs(Path(path), overrides)
    needed = required_subjects(statistics.min_subjects, statistics.margin_dice, statistics.margin_change)
    tables: dict[str, pd.DataFrame] = {}
    for spec in specs:
        reading = {key: value for key, value in spec.reading().items() if key != "groups"}
        name = spec.name or Path(spec.path).name
        tables[name if name not in tables else f"{name} ({len(tables) + 1})"] = check_dataset(
            resolve(spec.path, base_dir),
            split,
            prompt=prompt or spec.prompt,
            subject=spec.subject,
            groups=spec.groups,
            required=needed,
            convention=spec.convention,
            **reading,
        )
    return tables


def check_before_audit(plan: Plan, datasets: Sequence[Dataset], say: Callable[[str], None] | None) -> list[list[Any]]:
    """Check the datasets of an audit by cheap rules; return the findings of each as rows of a manifest.

    Args:
        plan: says what an error does (``[data] check``), the groups, and how many subjects the verdicts need.
        datasets: those of the plan, opened.
        say: called with each finding in one line.

    Raises:
        InputError: a dataset has an error and the plan does not say to go on.
    """
    from robustness.runners.data.check.attributes import required_subjects
    from robustness.runners.data.check.opened import check_opened, refuse_errors, sibling_splits

    statistics = plan.statistics
    needed = required_subjects(statistics.min_subjects, statistics.margin_dice, statistics.margin_change)
    rows: list[list[Any]] = []
    for spec, dataset in zip(plan.data, datasets, strict=True):
        if spec.check == "off":
            rows.append([])
            continue
        findings = check_opened(dataset, sibling_splits(dataset), groups=spec.groups or (), required=needed)
        for finding in findings:
            if say is not None:
                say(f"check: {dataset.name}: {finding.level}: {finding.message} ({finding.code})")
        if spec.check != "warn":
            refuse_errors(findings, dataset.name)
        rows.append([{"level": f.level, "code": f.code, "message": f.message} for f in findings])
    return rows


def _specs(path: Path, overrides: Sequence[str]) -> tuple[list[DataSpec], StatisticsSpec, Path | None]:
    """Return the data that a path stands for, the statistics of its plan, and the folder that its paths start from."""
    if path.suffix.lower() != ".toml":
        tree: dict[str, Any] = {"path": str(path)}
        for override in overrides:
            apply_override(tree, override.removeprefix("data."))
        return [validated(DataSpec, tree, source="check")], StatisticsSpec(), None
    plan = read_toml(path)
    if "data" not in plan:
        raise InputError(f"data: expected a plan with [data] in {path}, found {', '.join(plan) or 'nothing'}")
    plan = {key: value for key, value in plan.items() if key in ("data", "pool", "statistics")}
    for override in overrides:
        # As without a plan, a bare key is one of [data].
        apply_override(plan, override if re.match(r"\s*(data|pool|statistics)\s*\.", override) else f"data.{override}")
    known = set(DataSpec.model_fields)
    _refuse_unknown(path, [*as_list(plan["data"]), *plan.get("pool", [])])
    tables = [
        {
            key: value
            for key, value in table.items()
            if key in known and not (key == "prompt" and isinstance(value, list))
        }
        for table in [*as_list(plan["data"]), *plan.get("pool", [])]
    ]
    whole = parse_plan(
        {"model": {"name": "none"}, "data": tables, "statistics": plan.get("statistics", {})}, source=str(path)
    )
    return whole.data, whole.statistics, path.resolve().parent


def _refuse_unknown(path: Path, tables: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a key of [data] that neither an audit nor a finetuning nor a study knows: it would say nothing."""
    from robustness.plans.study import StudyDataSpec

    known = sorted({*DataSpec.model_fields, *StudyDataSpec.model_fields})
    unknown = next((key for table in tables for key in table if key not in known), None)
    if unknown is not None:
        raise InputError(
            f"{path.name}: unknown key 'data.{unknown}'{suggest(unknown, known)} (known: {', '.join(known)})"
        )


def overlaps_with_training(
    plan: Plan, models: Sequence[Segmenter], datasets: Sequence[Dataset], say: Callable[[str], None] | None
) -> list[list[dict[str, Any]]]:
    """Return, per model and dataset, what of the audited data the model's record of its training holds.

    Args:
        plan: names the models.
        models, datasets: of the audit.
        say: called with one line for each model that has seen some of it.
    """
    from robustness.runners.audit.parts import model_names
    from robustness.runners.data.membership import overlap_of, pixel_digests

    # Each image is read once for all models, and for none where no model records pixels.
    pixels = [cache(partial(pixel_digests, dataset)) for dataset in datasets]
    rows: list[list[dict[str, Any]]] = []
    for label, model in zip(model_names(plan, models), models, strict=True):
        overlaps = [overlap_of(model, data, pixels=read) for data, read in zip(datasets, pixels, strict=True)]
        for warning in filter(None, (overlap.warning(label) for overlap in overlaps)):
            if say is not None:
                say(f"warning: {warning}")
        rows.append([{**one.facts(), "warning": one.warning(label)} for one in overlaps])
    return rows
