"""Loggers of a training besides ``metrics.csv``: TensorBoard, Weights & Biases, MLflow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from robustness.errors import InputError, one_line
from robustness.plans.finetune import TrainPlan
from robustness.runners.training.module import TrainingHooks

_PROJECT = "vlsm-robustness"
_PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow"}


class LoggingObserver:
    """Sends each row of ``metrics.csv`` to one of Lightning's loggers; an `Observer` of the training."""

    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def batch_end(self, module: TrainingHooks) -> None:
        """Do nothing: rows are sent after validations."""

    def epoch_end(self, module: TrainingHooks) -> None:
        """Send the row of the last validation."""
        if not module.validated:
            return
        row = module.training_log.rows[-1]
        self.logger.log_metrics({k: float(v) for k, v in row.items() if k != "step"}, step=int(row["step"]))
        self.logger.save()


@contextlib.contextmanager
def training_loggers(plan: TrainPlan, folder: Path, *, rank: int = 0) -> Iterator[list[LoggingObserver]]:
    """Open the loggers of a plan, tell them the plan, and close them; of several processes only the first one logs.

    TensorBoard writes to ``tensorboard/`` in `folder`, MLflow to ``mlruns/`` there unless MLFLOW_TRACKING_URI says
    otherwise, Weights & Biases as WANDB_MODE and its login say, with its files in `folder`.

    Raises:
        InputError: a logger's package is not installed, or it cannot be opened.
    """
    loggers = [_opened(name, plan, folder) for name in plan.train.loggers] if rank == 0 else []
    state = "failed"
    try:
        for logger in loggers:
            logger.log_hyperparams(_flat(plan.model_dump(exclude_none=True)))
        yield [LoggingObserver(logger) for logger in loggers]
        state = "success"
    finally:
        for logger in loggers:
            logger.finalize(state)


def _opened(name: str, plan: TrainPlan, folder: Path) -> Any:
    _require(name)
    title = plan.title or f"{plan.model.name} on {Path(plan.data.path).name}"
    try:
        return _OPEN[name](folder, title)
    except Exception as error:  # each service has errors of its own, such as a login that is missing
        reason = one_line(error, most=200)
        raise InputError(f"train.loggers: {name} could not be opened ({reason}); see its own settings") from error


def _tensorboard(folder: Path, title: str) -> Any:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(save_dir=folder, name="tensorboard", version="")


def _wandb(folder: Path, title: str) -> Any:
    from lightning.pytorch.loggers import WandbLogger

    return WandbLogger(project=_PROJECT, name=title, save_dir=folder)


def _mlflow(folder: Path, title: str) -> Any:
    from lightning.pytorch.loggers import MLFlowLogger

    if "MLFLOW_TRACKING_URI" in os.environ:
        return MLFlowLogger(_PROJECT, run_name=title, tracking_uri=os.environ["MLFLOW_TRACKING_URI"])
    # Without a database MLflow 3 must be configured for files; they need no server and no further package.
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    return MLFlowLogger(_PROJECT, run_name=title, tracking_uri=(folder / "mlruns").resolve().as_uri())


_OPEN: dict[str, Callable[[Path, str], Any]] = {"tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow}


def _require(name: str) -> None:
    import importlib.util

    if importlib.util.find_spec(_PACKAGES[name]) is None:
        extra = "" if name == "tensorboard" else f"[{name}]"
        raise InputError(
            f"train.loggers: {name} is not installed; pip install 'vlsm-robustness{extra}', or leave {name!r} out"
        )


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        inside = _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
        flat |= inside
    return {key: value if isinstance(value, int | float | str | bool) else str(value) for key, value in flat.items()}
