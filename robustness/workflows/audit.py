"""Audits and finetuning, from a plan or from objects."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast

import robustness
from robustness.errors import InputError
from robustness.files import make_folder
from robustness.limits import set_limits
from robustness.plans.audit import EngineSpec, ModelSpec, Plan, parse_plan
from robustness.progress import shown
from robustness.remote import writes_run
from robustness.run_folder import MANIFEST, RunFolder
from robustness.run_log import RunLog
from robustness.types import Progress
from robustness.workflows.check import check_before_audit, overlaps_with_training
from robustness.workflows.finish import Session, finish, is_done_and_read_only
from robustness.workflows.loading import _check_metrics, conditions, load_all, load_in_worker, refuse_equal_names
from robustness.workflows.run import Run, import_page, page_parts, write_page

if TYPE_CHECKING:
    from robustness.plans.finetune_options import FinetuneOptions
    from robustness.runners.audit.run import Loaded
    from robustness.runners.audit.worker_count import WorkerCount
    from robustness.runners.audit.workers import WorkerPool
    from robustness.runners.data.load import Dataset
    from robustness.types import Segmenter


def audit(
    model: Segmenter | Sequence[Segmenter],
    data: Dataset | Sequence[Dataset],
    *,
    perturbations: Sequence[str] | None = None,
    out: str | Path,
    seed: int = 0,
    severities: Sequence[int] | None = None,
    metrics: Mapping[str, Any] | Sequence[str] | None = None,
    statistics: Mapping[str, Any] | None = None,
    engine: Mapping[str, Any] | None = None,
    attack: Mapping[str, Any] | None = None,
    check: Literal["stop", "warn", "off"] = "stop",
    strict: bool = False,
    allow_drift: bool = False,
    certify: bool = False,
    report: bool = True,
    progress: Progress | bool | None = None,
) -> Run:
    """Audit a model on a dataset and return the finished run.

    Args:
        model: a segmenter (`load_model`, `segmenter`, `load_predictions`), or several.
        data: a dataset (`load_dataset`), or several.
        perturbations: names such as "antonym", "antonym:size", "image" (the list of the data's modality),
            "gaussian_noise", "image:gaussian_noise@3", or joint ("image:gaussian_blur@3+antonym:size"); None: the
            plan's default.
        out: the run's folder or its URL; a half-finished run in it is resumed.
        seed: every random draw comes from (seed, case, perturbation, severity).
        severities: of image perturbations, 1 to 5; default 1, 3, 5.
        metrics: names of metrics, or the plan's table of that name, as are `statistics` and `engine`.
        attack: the plan's ``[perturbations.attack]``: how hard attacks and searches try.
        check: what an error that cheap rules find in the data does: stop the audit, or "warn"; "off": no check.
        strict: stop at the first case that fails instead of recording it.
        allow_drift: resume a run although machine, device, threads or versions changed since it began.
        certify: measure as well how far predictions move with batch sizes, threads, precisions and devices alone.
        report: write the run's `report.html`.
        progress: True shows rows, rate and time left on stderr; a function is called with (rows done, rows in all).

    Raises:
        InputError: an argument that cannot be used, or a run in `out` that is another plan's.
        CaseError: `strict`, and a case cannot be read or predicted; else its rows have an `error` and no scores.
    """
    from robustness.runners.data.load import Dataset

    models = [cast("Segmenter", model)] if hasattr(model, "probabilities") else list(model)
    datasets = [data] if isinstance(data, Dataset) else list(data)
    changes = {} if perturbations is None else _split_names(perturbations, severities)
    changes |= {} if attack is None else {"attack": dict(attack)}
    measured = metrics if isinstance(metrics, Mapping) else {} if metrics is None else {"names": list(metrics)}
    tables = {"metrics": dict(measured), "statistics": dict(statistics or {}), "engine": dict(engine or {})}
    tables |= {"perturbations": changes} if changes else {}
    plan = _plan_of(models, datasets, seed=seed, check=check, tables=tables)
    return run_plan(
        plan,
        models=models,
        datasets=datasets,
        out=out,
        strict=strict,
        allow_drift=allow_drift,
        certify=certify,
        report=report,
        progress=progress,
    )


def _plan_of(
    models: Sequence[Segmenter], datasets: Sequence[Dataset], *, seed: int, check: str, tables: dict[str, Any]
) -> Plan:
    """Return the plan that audits loaded models on opened datasets."""
    tree = {
        "seed": seed,
        "model": [model_spec(model).model_dump() for model in models],
        "data": [{**data.spec(), **({} if check == "stop" else {"check": check})} for data in datasets],
        **tables,
    }
    plan = parse_plan(tree, source="audit")
    _refuse_arithmetic(plan.engine)
    return plan


@writes_run
def audit_plan(
    plan: Plan,
    *,
    out: str | Path,
    folder: Path | None = None,
    strict: bool = False,
    allow_drift: bool = False,
    certify: bool = False,
    report: bool = True,
    executor: str = "local",
    workers: int | Literal["auto"] | None = None,
    feeders: int | None = None,
    progress: Progress | bool | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Load what a plan names and audit it; relative paths are looked up beside the plan (`folder`) first.

    Args:
        out: the run's folder or its URL.
        executor: "local", or "ray" for the workers of a cluster, which open data and models themselves.
        workers: processes on this machine, which do so too; None: the plan's, else one; "auto": the plan's, else as
            many as cores, memory and the amount of work suggest. A script that asks for more than one needs the usual
            ``if __name__ == "__main__":``. The rows are those of one process with as many threads.
        feeders: processes that read, change and score while this one predicts with the plan's networks; None: the
            plan's, else none, or with workers "auto" as many as feed an accelerator. Needs the same guard.
        say: called with the choice of workers and with each finding of the check, in one line.
    """
    from robustness.runners.audit.processes import without_threads
    from robustness.runners.audit.workers import WorkerPool

    if not (Path(out) / MANIFEST).is_file():
        # A finished audit opens from where nothing can be written.
        make_folder(Path(out), "out")
    set_limits(plan.limits)
    local, load = executor == "local", partial(load_in_worker, plan, folder)
    # One of the workers makes parts of the page.
    afterwards = import_page if report else None
    stated = plan.engine.workers if workers in (None, "auto") else workers
    with contextlib.ExitStack() as processes:
        pool = None
        if local and isinstance(stated, int) and stated > 1:
            # They load while this process does.
            pool = processes.enter_context(WorkerPool(load, stated - 1, afterwards=afterwards))
        with without_threads():
            models, datasets = load_all(plan, folder)
        from robustness.runners.audit.worker_count import processes_of

        counts = [len(conditions(plan, dataset)) for dataset in datasets]
        count = processes_of(plan, models, datasets, counts, workers=workers, feeders=feeders, executor=executor)
        if say and local:
            say(str(count))
        if pool is None and local and count.workers > 1:
            pool = processes.enter_context(WorkerPool(load, count.workers - 1, afterwards=afterwards))
        return run_plan(
            plan,
            models=models,
            datasets=datasets,
            out=out,
            strict=strict,
            allow_drift=allow_drift,
            certify=certify,
            plan_folder=folder,
            report=report,
            progress=progress,
            reload=None if local else load,
            pool=pool,
            processes=count if local else None,
            say=say,
        )


@writes_run
def run_plan(
    plan: Plan,
    *,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    out: str | Path,
    strict: bool,
    allow_drift: bool,
    report: bool,
    progress: Progress | bool | None,
    certify: bool = False,
    plan_folder: Path | None = None,
    reload: Callable[[], Loaded] | None = None,
    pool: WorkerPool[Loaded] | None = None,
    processes: WorkerCount | None = None,
    say: Callable[[str], None] | None = None,
) -> Run:
    """Check the data, run the audit, draw its conclusions and write its report."""
    from robustness.runners.audit.run import run_parts
    from robustness.runners.audit.worker_count import stated_feeders

    if processes is None and plan.engine.feeders and reload is None:
        processes = stated_feeders(plan, models, plan.engine.feeders)
    workers, threads = (processes.workers, processes.threads) if processes else (None, None)
    feeders = processes.feeders if processes else 0
    _check_metrics(plan)
    refuse_equal_names(plan, datasets)
    checked = check_before_audit(plan, datasets, say)
    overlaps = overlaps_with_training(plan, models, datasets, say)
    there = RunFolder(Path(out))
    if not certify and is_done_and_read_only(there, plan, models, datasets, allow_drift=allow_drift, threads=threads):
        return Run(there.path)
    started = time.perf_counter()
    folder = RunFolder.create(Path(out))
    log = RunLog(folder.path)
    # Held until the page is written: a second audit that comes in between would take the tables for leftovers.
    with folder.lock(), log.session(command="audit", version=robustness.__version__, plan_sha256=plan.sha256()):
        with shown(progress) as show, log.stage("predict", workers=workers, feeders=feeders):
            run_parts(
                folder,
                plan,
                models=models,
                datasets=datasets,
                strict=strict,
                allow_drift=allow_drift,
                progress=show,
                reload=reload,
                pool=pool,
                threads=threads,
                feeders=feeders,
                plan_folder=plan_folder,
            )
        session = Session(models, datasets, checked, overlaps, time.perf_counter() - started, processes)
        parts = page_parts(folder.path, pool.aside()) if report and pool else None
        finish(folder, log, plan, session, certify=certify)
        run = Run(folder.path)
        if report:
            with log.stage("report"):
                write_page(run, parts)
    return run


def _refuse_arithmetic(engine: EngineSpec) -> None:
    if engine.workers not in (None, 1):
        raise InputError(
            f"engine: expected no 'workers' for a loaded model, got {engine.workers}; other processes must load it "
            "themselves: write a plan and use audit_plan or 'robustness audit'"
        )
    for setting in ("precision", "channels_last", "compile"):
        if getattr(engine, setting) is not None:
            raise InputError(f"engine: expected no {setting!r} for a loaded model; give it to load_model")


def finetune(name: str, *, data: str | Path, out: str | Path, **options: Unpack[FinetuneOptions]) -> Path:
    """Finetune a registered model and return its folder, which `load_model` opens.

    Args:
        name: a registered model with a network (``robustness list models``).
        data: a dataset folder or manifest with training and validation cases.
        out: the folder of weights, log and curves; the same call again goes on where it was cut off.
        options: `epochs`, `batch_size`, `lr` and the other keys of a finetune plan, see
            `robustness.plans.finetune_options.FinetuneOptions`.

    Raises:
        InputError: an argument that cannot be used.
        CaseError: a training or validation case cannot be read.
    """
    from robustness.workflows.finetune import finetune as run

    return Path(run(name, data=data, out=out, **options))


def model_spec(model: Segmenter) -> ModelSpec:
    """Return what a plan can say of a model object."""
    return ModelSpec(name=model.name, checkpoint=getattr(model, "checkpoint", None))


def _split_names(names: Sequence[str], severities: Sequence[int] | None) -> dict[str, Any]:
    from robustness.perturb.select import split_names

    if isinstance(names, str):
        raise InputError(f"perturbations: expected a list of names, got the text {names!r}; write [{names!r}]")
    joint = [name for name in names if "+" in name]
    prompt, image = split_names([name for name in names if "+" not in name])
    image_spec: dict[str, Any] = {"kinds": image}
    if severities is not None:
        image_spec["severities"] = list(severities)
    return {"prompt": prompt, "image": image_spec, **({"joint": joint} if joint else {})}
