"""Predicted masks as PNG files in the run's folder: predictions/MODEL/DATASET/CONDITION/CASE.png."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.results import prediction_stem
from robustness.runners.audit.scoring import Scored
from robustness.runners.data.load import Dataset


class SavedPredictions:
    """The folder of a run's predicted masks.

    Args:
        folder: where it lies.
        datasets: what the run predicts; no file's name may be that of another case.
    """

    def __init__(self, folder: Path, datasets: Sequence[Dataset]) -> None:
        self.folder = folder
        self._case_ids: dict[str, set[str]] = {}
        for dataset in datasets:
            self._case_ids.setdefault(dataset.name, set()).update(info.case_id for info in dataset.infos)

    def save(self, scored: Scored) -> None:
        """Write one prediction at the size that it was scored at."""
        from PIL import Image as PilImage

        path = self.path_of(scored.rows[0].cells())
        path.parent.mkdir(parents=True, exist_ok=True)
        PilImage.fromarray(scored.predicted).save(path)

    def path_of(self, row: Mapping[str, Any]) -> Path:
        """Return where the mask of a row lies."""
        condition = row["condition"].replace(":", "_").replace("@", "_").replace("+", "_")
        model, dataset = (_folder_name(row[key]) for key in ("model", "dataset"))
        folder = self.folder / model / dataset / condition
        taken = self._case_ids[row["dataset"]] if row["prompt_index"] else ()
        stem = prediction_stem(row["case_id"], row["prompt_index"], taken)
        return folder / f"{stem}.png"


def _folder_name(name: str) -> str:
    """Return a name as one folder inside another; "." and ".." would lead out of it."""
    plain = re.sub(r"[^\w.-]", "_", name)
    return plain if plain.strip(".") else plain.replace(".", "_")
