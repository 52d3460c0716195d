"""Conclusions of an audit whose rows are all there: determinism certificate, tables of statistics, manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.files import is_writable
from robustness.plans.audit import Plan
from robustness.run_folder import CERTIFICATE, PLAN, REPORT, STATE, RunFolder
from robustness.run_integrity import is_concluded
from robustness.run_log import RunLog
from robustness.runs.conclude import conclude, refuse_empty

if TYPE_CHECKING:
    from robustness.runners.audit.worker_count import WorkerCount
    from robustness.runners.data.dataset import Dataset
    from robustness.types import Segmenter

# What a certificate is of: on another machine, or with another number of threads, the noise is another.
_MACHINE = ("platform", "threads", "accelerator", "packages")


class Session(NamedTuple):
    """One session of an audit.

    Attributes:
        models: as loaded.
        datasets: as opened.
        checked: findings of the data check, by dataset.
        overlaps: what each model's training shares with the data.
        seconds: wall clock of its predictions.
        processes: how the work was shared out; None: in this process.
    """

    models: Sequence[Segmenter]
    datasets: Sequence[Dataset]
    checked: Sequence[Any]
    overlaps: Sequence[Any]
    seconds: float
    processes: WorkerCount | None


def is_done_and_read_only(
    folder: RunFolder,
    plan: Plan,
    models: Sequence[Segmenter],
    datasets: Sequence[Dataset],
    *,
    allow_drift: bool,
    threads: int | None,
) -> bool:
    """Tell whether a folder that cannot be written to holds this very audit, finished and with its page.

    Raises:
        InputError: it holds another one, or this one as another machine made it (unless `allow_drift`).
    """
    from robustness.runners.audit.session import AuditSession
    from robustness.runners.environment import environment

    needed = (folder.path / name for name in (PLAN, STATE, REPORT))
    if is_writable(folder.path) or not all(map(os.path.lexists, needed)) or not is_concluded(folder.path):
        return False
    if threads is not None:
        environment(threads)
    audit = AuditSession(plan, models, datasets, folder, strict=False)
    try:
        audit.open_state(allow_drift=allow_drift)
    finally:
        audit.reader.close()
    return True


def finish(folder: RunFolder, log: RunLog, plan: Plan, session: Session, *, certify: bool) -> None:
    """Write statistics and manifest of a run, unless they are there and no certificate is new.

    Raises:
        InputError: no row was predicted.
    """
    from robustness.runners.audit.state import work_of
    from robustness.runners.environment import environment

    results = folder.read_results()
    refuse_empty(results)
    measured = False
    if certify:
        with log.stage("certify"):
            measured = ensure_certificate(folder, plan, session.models, session.datasets)
    if not measured and is_concluded(folder.path):
        return
    facts = [{**d.facts(), "check": rows} for d, rows in zip(session.datasets, session.checked, strict=True)]
    processes = {"processes": str(session.processes)} if session.processes else {}
    with log.stage("conclude"):
        manifest = conclude(
            folder,
            results=results,
            dataset_facts=facts,
            model_facts=_model_facts(plan, session.models, folder, session.overlaps),
            environment=environment(plan.engine.threads) | processes,
            timing={"last_session_s": round(session.seconds, 3), **work_of(folder)},
        )
    for text in manifest["warnings"]:
        log.event("warning", message=text)


def ensure_certificate(folder: RunFolder, plan: Plan, models: Sequence[Segmenter], datasets: Sequence[Dataset]) -> bool:
    """Measure the noise of the computation and write it into the run, unless this machine's is there already.

    Returns:
        Whether it was measured now, so that the run's conclusions must be drawn again.
    """
    from robustness.runners.audit.certificate import certify
    from robustness.runners.audit.parts import model_names
    from robustness.runners.environment import environment

    machine = {key: value for key, value in environment(plan.engine.threads).items() if key in _MACHINE}
    stored: Mapping[str, Any] = folder.read_json(CERTIFICATE)
    if stored.get("machine") == machine:
        return False
    measured = certify(plan, models, datasets, model_names(plan, models))
    folder.write_json(CERTIFICATE, {"machine": machine, **measured})
    return True


def _model_facts(
    plan: Plan, models: Sequence[Segmenter], run: RunFolder, overlaps: Sequence[Any]
) -> list[dict[str, Any]]:
    """Return what a manifest records of each model: name in the results, data of its training, overlap, answers."""
    from robustness.runners.audit.answer_guard import answers_of
    from robustness.runners.audit.parts import model_names
    from robustness.runners.audit.state import describe

    answers = answers_of(run, range(len(list(run.pictures.glob("answers-*.json")))))
    names = [data.name or Path(data.path).name for data in plan.data]
    facts = []
    for number, (spec, model, label) in enumerate(zip(plan.model, models, model_names(plan, models), strict=True)):
        read = {names[d]: one.facts() for (m, d), one in answers.items() if m == number and one.forms}
        stated = {
            "label": label,
            "takes_text": getattr(model, "takes_text", None),
            "finetuned_on": spec.trained_on,
            "training_overlap": overlaps[number],
            "answers": read or None,
        }
        facts.append({**describe(model), **{key: value for key, value in stated.items() if value is not None}})
    return facts
