"""Time of an audit: the audit itself, on a few batches of its images, in a folder that is thrown away."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import NamedTuple

from robustness.plans.audit import Plan
from robustness.run_folder import read_table, work_file
from robustness.runners.audit.run import run_audit
from robustness.runners.data.load import Dataset
from robustness.runners.dry_run.workload import seconds_per_row, spread_images
from robustness.types import Segmenter


class Pilot(NamedTuple):
    """Seconds a row of one (model, dataset), and what they rest on.

    Attributes:
        mean, low, high: seconds a row: over all measured batches, of the fastest one, of the slowest one.
        batches: how many batches were measured, after one to warm up.
        images, rows: in the measured batches.
        start: seconds that the batch to warm up took longer than its rows explain: what is loaded or compiled once.
    """

    model: str
    dataset: str
    mean: float
    low: float
    high: float
    batches: int
    images: int
    rows: int
    start: float


def measure(
    plan: Plan, model: Segmenter, dataset: Dataset, *, model_place: int, data_place: int, batches: int
) -> Pilot:
    """Audit a few batches of images, spread over the data, and time them.

    A batch is the `[engine] image_batch` of the plan; one more comes first and is not counted, as long as there are
    images for it.
    """
    size = plan.engine.image_batch
    sample = dataset.subset(spread_images(dataset, size * (batches + 1)))
    one = plan.model_copy(
        update={
            "model": [plan.model[model_place]],
            "data": [plan.data[data_place]],
            "engine": plan.engine.model_copy(update={"images_per_part": size, "save_predictions": False}),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        run = run_audit(one, models=[model], datasets=[sample], out=Path(folder) / "pilot")
        parts = sorted(run.results.glob("part-*.parquet"))
        measured = [
            {"seconds": float(run.read_json(work_file(n))["seconds"]), "rows": float(len(read_table(part)))}
            for n, part in enumerate(parts)
        ]
    warm = measured[1:] or measured
    mean, low, high = seconds_per_row(warm)
    images = len({info.image_id for info in sample.infos})
    return Pilot(
        model.name,
        dataset.name,
        mean,
        low,
        high,
        len(warm),
        images - (size if len(measured) > 1 else 0),
        round(sum(batch["rows"] for batch in warm)),
        max(0.0, measured[0]["seconds"] - mean * measured[0]["rows"]),
    )
