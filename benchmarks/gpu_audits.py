"""Whole audits of one network on a device and on the CPU: rows per second, and rows, masks and verdicts that differ."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from PIL import Image as PilImage

from robustness.runners.data.load import load_dataset
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.workflows.audit import audit
from robustness.workflows.demo_files import demo_data

CHANGES = ("antonym", "drop", "paraphrase", "gaussian_noise", "gaussian_blur", "gamma_up", "rotation")
ROW = ["case_id", "condition", "attribute", "prompt_index", "prompt"]


class Audited(NamedTuple):
    """A finished audit of the demo's slices.

    Attributes:
        seconds: of reading, changing, predicting and scoring; the start of feeders is among them, conclusions are not.
        rows: of predictions, by `ROW`.
        verdicts: one record for each claim.
        masks: the folder of predicted masks.
    """

    seconds: float
    rows: pd.DataFrame
    verdicts: list[dict[str, Any]]
    masks: Path

    @property
    def rows_per_second(self) -> float:
        """Predictions per second."""
        return len(self.rows) / self.seconds


def whole_audit(model: NetworkSegmenter, *, cases: int, out: Path, feeders: int, batch: int) -> Audited:
    """Audit the first cases of the demo's slices; `feeders` = 0: in one process.

    Batches of images and pairs are `batch`; threads stay as they were.
    """
    data = load_dataset(demo_data("brain"), prompt="p5", subject="image", limit=cases)
    engine = {
        "feeders": feeders,
        "image_batch": batch,
        "batch_size": 4 * batch,
        # A part for each feeder at least.
        "images_per_part": 2,
        "save_predictions": True,
    }
    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run = audit(model, data, perturbations=CHANGES, out=out, engine=engine, report=False)
    finally:
        torch.set_num_threads(threads)
    results = run.results()
    predicted = results[results["applicable"] & (results["error"] == "")].set_index(ROW).sort_index()
    verdicts = run.verdicts()[["claim", "condition", "metric", "verdict"]].to_dict("records")
    return Audited(run.manifest["timing"]["last_session_s"], predicted, verdicts, run.path / "predictions")


def audits(
    model: NetworkSegmenter, reference: Audited, *, folder: Path, feeders: int, size: dict[str, int]
) -> dict[str, Any]:
    """Return what whole audits on the device give, in one process and fed by others, beside the CPU's."""
    alone, fed = (
        whole_audit(model, out=folder / str(number), feeders=number, **size) for number in dict.fromkeys((0, feeders))
    )
    return {
        "feeders": feeders,
        "rows_per_second": fed.rows_per_second,
        "rows_per_second_in_one_process": alone.rows_per_second,
        **agreement(fed, reference),
        "in_one_process": agreement(alone, reference),
    }


def pixels_that_differ(model: NetworkSegmenter, images: list[Any]) -> int:
    """Return how many of a network's input values are not those of the CPU, to the bit."""
    there = model.preprocess.pixel_values(images, model.device).cpu()
    return int((there != model.preprocess.pixel_values(images)).sum())


def agreement(there: Audited, here: Audited) -> dict[str, Any]:
    """Return how far an audit on a device is from the one on the CPU."""
    dice = np.abs(there.rows["dice"].to_numpy() - here.rows["dice"].to_numpy())
    shares = _shares(there.masks, here.masks)
    return {
        "rows": len(there.rows),
        "rows_that_differ": int((dice > 0).sum()),
        "largest_difference_of_dice": float(dice.max()),
        "masks": len(shares),
        "masks_that_differ": sum(share > 0 for share in shares),
        "largest_share_of_pixels": max(shares),
        "verdicts": len(there.verdicts),
        "verdicts_that_differ": sum(a != b for a, b in zip(there.verdicts, here.verdicts, strict=True)),
    }


def _shares(there: Path, here: Path) -> list[float]:
    """Return for each mask the share of its pixels that differ; both audits must have saved the same ones."""
    names = sorted(path.relative_to(here) for path in here.rglob("*.png"))
    if names != sorted(path.relative_to(there) for path in there.rglob("*.png")):
        raise RuntimeError("the two audits did not predict the same")
    return [float(np.mean(_mask(there / name) != _mask(here / name))) for name in names]


def _mask(path: Path) -> Any:
    with PilImage.open(path) as image:
        return np.asarray(image)
