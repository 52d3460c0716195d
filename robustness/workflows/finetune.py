"""Finetuning as a user meets it: the training, then the page of its curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from robustness.runners.training.finetune import Finetuned

CURVES = "curves.html"


def finetune(name: str, *, data: str | Path, out: str | Path, **options: Any) -> Finetuned:
    """Finetune a registered model and draw its curves; see `robustness.runners.training.finetune.finetune`."""
    from robustness.runners.training.finetune import finetune as run

    try:
        return run(name, data=data, out=out, **options)
    finally:
        write_curves(Path(out))


def finetune_plan(
    path: str | Path, out: str | Path | None = None, overrides: Sequence[str] = (), *, quiet: bool = False
) -> Finetuned:
    """Run a finetune plan and draw its curves; see `robustness.runners.training.finetune.finetune_plan`."""
    from robustness.plans.finetune import load_train_plan
    from robustness.runners.training.finetune import finetune_plan as run

    folder = Path(out or load_train_plan(path, overrides=overrides).train.out)
    try:
        return run(path, out=folder, overrides=overrides, quiet=quiet)
    finally:
        write_curves(folder)


def write_curves(folder: Path) -> Path | None:
    """Write ``curves.html`` into a training's folder; None where nothing was validated yet."""
    log = folder / "metrics.csv"
    if not log.is_file():
        return None
    import pandas as pd

    from robustness.reports.figures.training_curves import write_training_page

    return write_training_page(pd.read_csv(log), folder / CURVES, title=f"Training of {folder.resolve().name}")
