"""Progress of a training on the terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from robustness.runners.training.module import TrainingHooks


class TrainingProgress:
    """A bar over all optimizer steps with losses and validation Dice; an `Observer` and a context manager.

    Args:
        total: optimizer steps of the whole run.
        quiet: show nothing.
    """

    def __init__(self, *, total: int, quiet: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[scores]}"),
            console=Console(file=sys.stderr),
            disable=quiet,
        )
        self._task: Any = self._progress.add_task("training", total=total, scores="")

    def __enter__(self) -> TrainingProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        if not self._progress.disable:
            self._progress.console.print(line, highlight=False)

    def batch_end(self, module: TrainingHooks) -> None:
        """Move the bar."""
        if not self._progress.disable:
            self._progress.update(self._task, completed=module.global_step, scores=_scores(module))

    def epoch_end(self, module: TrainingHooks) -> None:
        """Print one line for each validation."""
        if self._progress.disable or not module.validated:
            return
        row = module.training_log.rows[-1]
        mark = "  best so far" if module.improved else ""
        self._progress.console.print(
            f"epoch {row['epoch']:>4}  loss {row['loss']:.3f} (dice {row['dice_loss']:.3f}, ce {row['ce_loss']:.3f})"
            f"  validation Dice {row['val_dice']:.3f}{mark}",
            highlight=False,
        )


def _scores(module: TrainingHooks) -> str:
    best = module.training_log.best
    dice = f"  best Dice {best['val_dice']:.3f}" if best else ""
    return f"loss {module.recent_loss:.3f}{dice}"
