"""Finetuning as a user meets it: the training, then the page of its curves."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from robustness.errors import CaseError, InputError, one_line
from robustness.files import is_writable
from robustness.regular_files import check_regular

if TYPE_CHECKING:
    from robustness.plans.finetune_options import FinetuneOptions
    from robustness.runners.training.finetune import Finetuned

CURVES = "curves.html"


def finetune(name: str, *, data: str | Path, out: str | Path, **options: Unpack[FinetuneOptions]) -> Finetuned:
    """Finetune a registered model and draw its curves; see `robustness.runners.training.finetune.finetune`."""
    from robustness.runners.training.finetune import finetune as run

    with _curves(Path(out)):
        return run(name, data=data, out=out, **options)


def finetune_plan(
    path: str | Path, out: str | Path | None = None, overrides: Sequence[str] = (), *, quiet: bool = False
) -> Finetuned:
    """Run a finetune plan and draw its curves; see `robustness.runners.training.finetune.finetune_plan`."""
    from robustness.plans.finetune import load_train_plan
    from robustness.runners.training.finetune import finetune_plan as run

    folder = Path(out or load_train_plan(path, overrides=overrides).train.out)
    with _curves(folder):
        return run(path, out=folder, overrides=overrides, quiet=quiet)


@contextlib.contextmanager
def _curves(folder: Path) -> Iterator[None]:
    """Draw the curves after a training, also after one that was interrupted."""
    try:
        yield
    except (InputError, CaseError):
        # A refusal: the folder may be another process's.
        raise
    except BaseException:
        # The curves must not hide what ended the training.
        with contextlib.suppress(Exception):
            write_curves(folder)
        raise
    # A finished training opens from where nothing can be written, with the curves that it has.
    if is_writable(folder):
        write_curves(folder)


def write_curves(folder: Path) -> Path | None:
    """Write ``curves.html`` into a training's folder; None where nothing was validated yet.

    Raises:
        InputError: ``metrics.csv`` is damaged.
    """
    log = folder / "metrics.csv"
    if not os.path.lexists(log):
        return None
    import pandas as pd

    from robustness.reports.figures.training_curves import write_training_page

    try:
        check_regular(log)
        rows = pd.read_csv(log)
        return write_training_page(rows, folder / CURVES, title=f"Training of {folder.resolve().name}")
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = one_line(error, most=120)
        raise InputError(
            f"out: {log.name} is damaged ({reason}), so that {CURVES} cannot be drawn; remove it: the checkpoint and "
            "the resume file do not need it"
        ) from error
