"""Blinded exchange for models that cannot be shared: inputs go out under opaque ids, predictions come back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from robustness.disk_errors import disk_errors
from robustness.errors import CaseError, InputError, counted
from robustness.files import make_folder, write_text
from robustness.plans.audit import MetricSpec, ModelSpec, Plan, load_plan
from robustness.registry import METRICS
from robustness.types import Progress
from robustness.workflows.audit import run_plan
from robustness.workflows.exchange_key import KEY, PUBLIC, conditions_left_out, open_key, write_key
from robustness.workflows.loading import load_data
from robustness.workflows.run import Run

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runners.data.load import Dataset
    from robustness.runners.exchange.model import Inspected, Problem

PROBLEMS = "problems.csv"


class Exported(NamedTuple):
    """What was written.

    Attributes:
        path: holds `public/` (to hand over) and `key/` (to keep).
        left_out: conditions without any request, with the reason.
        unreadable: cases that cannot be read, with the reason.
    """

    path: Path
    n_requests: int
    n_images: int
    n_bytes: int
    left_out: dict[str, str]
    unreadable: dict[str, str]


def export(
    plan: Plan | str | Path,
    out: str | Path,
    *,
    folder: Path | None = None,
    max_requests: int | None = None,
    max_bytes: int | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Write every input that an audit by `plan` would show to a model; nothing is predicted.

    ``out/public`` is for the model's owner: images (PNG, each once), prompts and a list of requests whose ids are
    hashes of image and prompt. It names no case, no condition and no reference. ``out/key`` says which request is
    what; `score` needs it. The plan's ``[model]`` is not opened.

    Args:
        plan: a plan, or its file (paths in it are looked up beside it first).
        out: a new folder; it appears when everything is written.
        folder: where paths of a plan that is no file are looked up first.
        max_requests: default 200,000.
        max_bytes: of all images, default 8 GiB.

    Raises:
        InputError: `out` holds something, the plan scores at network resolution, or the export outgrows its bounds.
    """
    from robustness.runners.exchange import package as files

    for argument, most in (("max_requests", max_requests), ("max_bytes", max_bytes)):
        if most is not None and most < 1:
            raise InputError(f"{argument}: expected at least 1, got {most}; leave it out for the default")
    if not isinstance(plan, Plan):
        folder = Path(plan).resolve().parent
        plan = load_plan(plan)
    path = Path(out)
    _check(plan, path)
    datasets = [load_data(spec, seed=plan.seed, folder=folder) for spec in plan.data]
    partial = make_folder(path.parent, "out") / f".{path.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with disk_errors(path):
            public = files.PublicFolder(
                partial / PUBLIC,
                max_requests=max_requests or files.MAX_REQUESTS,
                max_bytes=max_bytes or files.MAX_BYTES,
            )
            rows = _record(plan, datasets, public, progress)
            if not public.asks:
                raise InputError(f"data: no request can be made; {_first_error(rows)}")
            write_key(partial / KEY, plan, folder, datasets, rows, public.asks, public.close())
            partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Exported(path, len(public.asks), public.n_images, public.bytes, conditions_left_out(rows), _unreadable(rows))


def score(
    exported: str | Path,
    predictions: str | Path,
    *,
    out: str | Path,
    label: str | None = None,
    threshold: float | None = None,
    strict: bool = False,
    report: bool = True,
    progress: Progress | None = None,
    said: Callable[[Inspected], None] | None = None,
) -> Run:
    """Score what came back for an export: an ordinary run, as if the model had been audited here.

    A prediction that is missing or cannot be used becomes a row with an error, counted in the manifest and listed in
    ``problems.csv`` of the run. Metrics of probabilities are left out where masks came back.

    Args:
        exported: the folder that `export` wrote; its `key` is needed, its `public` is checked where it is still there.
        predictions: a folder or zip archive of ``ID.png`` or ``ID.npy`` files.
        out: the run's folder.
        label: what results call the model; default: the plan's label, else the name of `predictions`.
        threshold: the probability above which a pixel belongs to the mask; default: the plan's, else 0.5.
        strict: stop before anything is scored where a prediction is missing, unknown or unusable.
        report: write the run's `report.html`.
        progress: called with (rows done, rows in all).
        said: called with what was found before anything is scored.

    Raises:
        InputError: a file of the export changed since, the data changed, or no prediction can be used.
        CaseError: `strict`, and something is wrong with a prediction.
    """
    from robustness.runners.exchange.model import ReturnedModel, inspect

    if threshold is not None and not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    key, path = open_key(Path(exported)), Path(predictions)
    sizes = key.sizes()
    inspected = inspect(path, sizes)
    if said is not None:
        said(inspected)
    _refuse_unusable(inspected, len(sizes), strict=strict)
    name = label or key.plan.model[0].label or path.resolve().stem
    plan = _plan_of_run(key.plan, name, path, threshold, probabilities=inspected.all_probabilities)
    datasets = key.datasets()
    model = ReturnedModel(name=name, inspected=inspected, sizes=sizes, threshold=plan.model[0].threshold or 0.5)
    run = run_plan(
        plan,
        models=[model],
        datasets=datasets,
        out=out,
        strict=False,
        allow_drift=True,
        report=report,
        progress=progress,
    )
    _write_problems(run.path / PROBLEMS, inspected.problems)
    return run


def _refuse_unusable(inspected: Inspected, n_requests: int, *, strict: bool) -> None:
    if not inspected.n_usable:
        raise InputError(
            f"predictions: none of {counted(n_requests, 'request')} has a prediction that can be used; "
            f"{_example(inspected)}"
        )
    if strict and inspected.problems:
        raise CaseError(
            f"{counted(len(inspected.problems), 'problem')} with the predictions; "
            f"{_example(inspected)} (stopped: strict)"
        )


def _check(plan: Plan, path: Path) -> None:
    if plan.metrics.resolution != "original":
        raise InputError(
            'metrics.resolution: expected "original", got "network"; predictions come back at the images\' own size'
        )
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"out: expected a new folder, but {str(path)!r} holds something; choose another")
    if path.is_dir():
        path.rmdir()


def _record(plan: Plan, datasets: list[Dataset], public: Any, progress: Progress | None) -> pd.DataFrame:
    import pandas as pd

    from robustness.runners.dry_run.recorder import record

    tables = [
        record(plan, dataset, index, lambda request: public.add(request.image, request.text), progress=progress)
        for index, dataset in enumerate(datasets)
    ]
    return pd.concat(tables, ignore_index=True)


def _plan_of_run(plan: Plan, name: str, path: Path, threshold: float | None, *, probabilities: bool) -> Plan:
    model = ModelSpec(
        name="predictions", label=name, checkpoint=str(path), threshold=threshold or plan.model[0].threshold
    )
    return plan.model_copy(update={"model": [model], "metrics": plan.metrics if probabilities else for_masks(plan)})


def for_masks(plan: Plan) -> MetricSpec:
    """Return the metrics of a plan that a mask alone allows."""
    names = [name for name in plan.metrics.names if METRICS.get(name).needs == "masks"]
    return plan.metrics.model_copy(update={"names": names or ["dice"], "thresholds": []})


def _write_problems(path: Path, problems: tuple[Problem, ...]) -> None:
    import pandas as pd

    write_text(path, pd.DataFrame(problems, columns=["problem", "file_or_id", "detail"]).to_csv(index=False))


def _unreadable(rows: pd.DataFrame) -> dict[str, str]:
    bad = rows[rows["error"] != ""].drop_duplicates("case_id")
    return dict(zip(bad["case_id"], bad["error"], strict=True))


def _first_error(rows: pd.DataFrame) -> str:
    errors = [e for e in rows["error"] if e]
    return f"the first error: {errors[0]}" if errors else "the data holds no case"


def _example(inspected: Inspected) -> str:
    if not inspected.problems:
        return "there are no files"
    first = inspected.problems[0]
    return f"the first: {first.kind}: {first.name} ({first.detail})"
