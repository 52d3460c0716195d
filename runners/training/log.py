"""Log of a training run: one row for each validation, kept in the resume file and in metrics.csv."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from robustness.files import write_text

LOSSES = ("loss", "dice_loss", "ce_loss", "consistency_loss")
COLUMNS = ("epoch", "step", "loss", "dice_loss", "ce_loss", "val_loss", "val_dice", "lr", "seconds")


@dataclass
class TrainingLog:
    """Rows with `COLUMNS`, and `consistency_loss` where a training has that term.

    Losses are means over the training steps since the row before.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def history(self) -> list[float]:
        """The validation Dice of each row."""
        return [row["val_dice"] for row in self.rows]

    def column(self, name: str) -> list[float]:
        """Return one of `COLUMNS`, row by row."""
        return [row[name] for row in self.rows]

    @property
    def best(self) -> dict[str, Any]:
        """The first row with the highest validation Dice; {} before any."""
        return max(self.rows, key=lambda row: row["val_dice"], default={})

    @property
    def seconds(self) -> float:
        """Time spent up to the last row, over all sessions, in seconds."""
        return float(self.rows[-1]["seconds"]) if self.rows else 0.0

    def write(self, path: Path) -> None:
        """Write all rows as CSV, atomically."""
        text = io.StringIO(newline="")
        columns = [*COLUMNS, *(name for name in LOSSES if name not in COLUMNS and self.rows and name in self.rows[0])]
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: _shown(row[key]) for key in columns} for row in self.rows)
        write_text(path, text.getvalue())


def _shown(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value
