"""Load the models, data sets and metrics that a plan names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from robustness.errors import InputError
from robustness.limits import set_limits
from robustness.plans.audit import DataSpec, EngineSpec, ModelSpec, Plan
from robustness.plans.paths import resolve, resolved_options
from robustness.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from robustness.runners.data.load import Dataset
    from robustness.types import Segmenter


def load_all(plan: Plan, folder: Path | None = None) -> tuple[list[Segmenter], list[Dataset]]:
    """Load every dataset and model that a plan names; quick checks come before any weights."""
    _check_metrics(plan)
    datasets = [load_data(spec, seed=plan.seed, folder=folder) for spec in plan.data]
    for dataset in datasets:
        conditions(plan, dataset)
    return [load_spec(spec, folder=folder, engine=plan.engine) for spec in plan.model], datasets


def load_in_worker(plan: Plan, folder: Path | None = None) -> tuple[Sequence[Segmenter], Sequence[Dataset]]:
    """Return what `load_all` does, in a process that knows nothing of the plan yet."""
    set_limits(plan.limits)
    return load_all(plan, folder)


def refuse_equal_names(plan: Plan, datasets: Sequence[Dataset]) -> None:
    """Refuse data sets or models that results could not tell apart: their rows would be pooled.

    Raises:
        InputError: two data sets of one name and split, or two models of one label.
    """
    names = [(dataset.name, dataset.split) for dataset in datasets]
    same = next((name for name in names if names.count(name) > 1), None)
    if same is not None:
        raise InputError(
            f"data: expected a name for each data set, got {same[0]!r} ({same[1]}) twice; set name in each [[data]]"
        )
    labels = [spec.label for spec in plan.model if spec.label]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(f"model: expected a label for each model, got {twice!r} twice; give each its own")


def _check_metrics(plan: Plan) -> None:
    for metric in (*plan.metrics.names, *plan.statistics.margins):
        METRICS.get(metric)


def conditions(plan: Plan, dataset: Dataset) -> list[str]:
    """Return the conditions that a plan's perturbations stand for on a dataset."""
    from robustness.perturb.joint import chosen_of

    return chosen_of(plan.perturbations, dataset.context(plan.seed)).conditions


def load_spec(spec: ModelSpec, *, folder: Path | None = None, engine: EngineSpec | None = None) -> Segmenter:
    """Load the model that a plan's ``[model]`` names; what it leaves open is as `engine` says."""
    from robustness.runners.models.load import arithmetic_of, load_model

    checkpoint = spec.checkpoint
    if checkpoint is not None:
        checkpoint = str(resolve(checkpoint, folder))
    options = {"precision": spec.precision, **resolved_options(spec.options, folder)}
    if engine is not None:
        options |= arithmetic_of(spec.name, spec.precision, spec.options, engine)
    return load_model(
        spec.name, checkpoint=checkpoint, device=spec.device, threshold=spec.threshold, config=spec.config, **options
    )


def load_data(spec: DataSpec, *, seed: int, folder: Path | None = None) -> Dataset:
    """Load the dataset that a plan's ``[data]`` names."""
    from robustness.runners.data.annotate import with_template
    from robustness.runners.data.load import load_dataset

    dataset = load_dataset(
        resolve(spec.path, folder),
        split=spec.split,
        prompt=spec.prompt,
        subject=spec.subject,
        choose=spec.choose,
        seed=seed,
        limit=spec.limit,
        modality=spec.modality,
        name=spec.name,
        splits=None if spec.splits is None else resolve(spec.splits, folder),
        target=spec.target,
        convention=spec.convention,
        lexicon=None if spec.lexicon is None else resolve(spec.lexicon, folder),
        **spec.reading(),
    )
    return with_template(dataset, spec.template) if spec.template else dataset
