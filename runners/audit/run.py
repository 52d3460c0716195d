"""The audit: plan in, a run's folder out; killed at any moment, it resumes with the same table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from robustness.plans.audit import Plan
from robustness.run_folder import GALLERY, MANIFEST, RunFolder
from robustness.run_integrity import check_resumable
from robustness.run_log import RunLog
from robustness.runners.audit.answer_guard import answers_of, check_answers
from robustness.runners.audit.executors import run_local, run_on_ray
from robustness.runners.audit.feeders import run_with_feeders
from robustness.runners.audit.gallery import assemble
from robustness.runners.audit.parts import taking_order
from robustness.runners.audit.row_progress import RowProgress, planned_rows
from robustness.runners.audit.session import AuditSession
from robustness.runners.audit.worker_count import refuse_unfed
from robustness.runners.audit.workers import WorkerPool, run_in_workers
from robustness.runners.data.load import Dataset
from robustness.runners.environment import environment
from robustness.types import Progress, Segmenter

Loaded = tuple[Sequence[Segmenter], Sequence[Dataset]]
Reload = Callable[[], Loaded]


def run_audit(
    plan: Plan,
    *,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    out: Path,
    strict: bool = False,
    allow_drift: bool = False,
    progress: Progress | None = None,
    reload: Reload | None = None,
) -> RunFolder:
    """Predict and score every part that the folder does not hold yet.

    Args:
        plan: the resolved plan; `models` and `datasets` are its `model` and `data`, loaded.
        out: the run's folder, new or to be resumed.
        strict: stop at the first case that fails.
        allow_drift: resume although versions, device or threads changed.
        progress: called with (rows done, rows in all); the latter may be somewhat too many until every part was begun.
        reload: loads models and datasets again in a worker of a Ray cluster; None: everything runs in this process.

    Raises:
        InputError: the folder holds another run, or everything failed.
        AuditStoppedError: `strict`, and a case failed.
    """
    run = RunFolder.create(out)
    with run.lock():
        run_parts(
            run,
            plan,
            models=models,
            datasets=datasets,
            strict=strict,
            allow_drift=allow_drift,
            progress=progress,
            reload=reload,
        )
    return run


def run_parts(
    run: RunFolder,
    plan: Plan,
    *,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    strict: bool = False,
    allow_drift: bool = False,
    progress: Progress | None = None,
    reload: Reload | None = None,
    pool: WorkerPool[Loaded] | None = None,
    threads: int | None = None,
    feeders: int = 0,
    plan_folder: Path | None = None,
) -> None:
    """Do what `run_audit` does in a folder that this process holds.

    Args:
        reload: as in `run_audit`.
        pool: other processes of this machine, which have loaded models and datasets themselves.
        threads: of every process; None: the plan's.
        feeders: processes that prepare and score for the models of this one, which must be networks.
        plan_folder: where relative paths of the plan lie, noted for a replay.
    """
    run.remove_leftovers()
    if threads is not None:
        environment(threads)
    if feeders:
        refuse_unfed(models)
    prefetch = 0 if feeders else plan.engine.prefetch
    audit = AuditSession(plan, models, datasets, run, strict=strict, prefetch=prefetch, changes_on_device=not feeders)
    audit.open_state(allow_drift=allow_drift, plan_folder=plan_folder)
    check_resumable(run)
    total = len(audit.parts)
    pending = [part.index for part in audit.parts if not run.part(part.index).is_file()]
    if pending:
        # Conclusions about fewer rows must not outlive the rows that are about to come.
        (run.path / MANIFEST).unlink(missing_ok=True)
    rows = _row_progress(audit, progress)
    try:
        reported = rows.parts_done if rows else None
        if feeders and pending:
            first = _first(audit, pending)
            run_with_feeders(audit, pending, first=first, feeders=feeders, total=total, progress=reported)
        else:
            _run_pending(audit, pending, progress=reported, reload=reload, pool=pool)
    finally:
        audit.reader.close()
    if rows:
        rows.parts_done(total, total)
    names = [dataset.name for dataset in datasets]
    check_answers(answers_of(run, range(total)), models, names, thresholds=plan.metrics.thresholds)
    if pending or not (run.path / GALLERY).is_file():
        assemble(run, parts=total)


def _row_progress(audit: AuditSession, progress: Progress | None) -> RowProgress | None:
    if progress is None:
        return None
    rows = RowProgress(audit.run, audit.parts, _planned_rows(audit), progress)
    audit.on_rows = rows.rows_of_part
    return rows


def _planned_rows(audit: AuditSession) -> list[int]:
    """Return, for every part, how many rows it is planned to hold."""
    rows = []
    for part in audit.parts:
        infos, places = audit.datasets[part.dataset].infos, audit.places[part.dataset]
        texts = [len(infos[place].prompts) for image in part.images for place in places[image]]
        rows.append(planned_rows(texts, audit.chosen[part.dataset].conditions))
    return rows


def _first(audit: AuditSession, pending: Sequence[int]) -> list[int]:
    return [index for index in pending if index in audit.first_of_sampled()]


@dataclass(frozen=True)
class _SessionMaker:
    """Makes the session of a worker from the models and data that it loaded; can be sent to another process."""

    plan: Plan
    out: Path
    strict: bool
    threads: int

    def __call__(self, loaded: Loaded) -> AuditSession:
        # Ray gives its workers thread counts of its own; the run's state says how many compute.
        environment(self.threads)
        RunLog(self.out).attach()
        return AuditSession(self.plan, *loaded, RunFolder(self.out), strict=self.strict)

    def loading(self, reload: Reload) -> AuditSession:
        """Return the session of a worker that has yet to load."""
        return self(reload())


def _run_pending(
    audit: AuditSession,
    pending: Sequence[int],
    *,
    progress: Progress | None,
    reload: Reload | None,
    pool: WorkerPool[Loaded] | None,
) -> None:
    """Run parts here, in processes of this machine or on a cluster; see `run_parts`."""
    threads, total, first = audit.environment["threads"], len(audit.parts), _first(audit, pending)
    make = _SessionMaker(audit.plan, audit.run.path, audit.strict, threads)
    if pool is not None:
        taken = taking_order(pending, _planned_rows(audit), pool.workers)
        run_in_workers(audit, make, taken, pool=pool, first=first, total=total, progress=progress)
    elif reload is not None:
        loading = partial(make.loading, reload)
        run_on_ray(loading, pending, first=first, total=total, progress=progress, threads=threads)
    else:
        run_local(audit, pending, total=total, progress=progress)
