"""Error rates of the merge gate: 2,000 comparisons of tables, and 200 of audits from images to assertion.

    python how_often.py [--tables 2000] [--audits 200] [--keep FILE]

The gate is the one of `test_model.py`. An unchanged model must pass but for 5%; a model that relies on size words by
0.02 less must be caught. Both ways must agree: the audits within the 99% binomial band around the tables.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import pandas as pd
import robustness as rb
from robustness.gates.assertions import GateError
from robustness.plans.audit import parse_plan

import metrics
import pictures
import segmenter

IMAGES = 6
DROP = 0.02
# True drop, and what share of failures is promised for it.
PROMISED = ((0.0, 0.04, 0.06), (DROP, 0.90, 1.0))
# Changes of the audits have numbers of their own: they are new models, not the tables' ones again.
START = {"tables": 1, "audits": 1_000_001}
PIECE = {"tables": 100, "audits": 20}
SEED = 10_000_000
GATE = {"condition": "antonym:size", "metric": "mask_change"}
PLAN = parse_plan(
    {
        "model": {"name": "predictions"},
        "data": {"path": "data", "prompt": "p2"},
        "perturbations": {"prompt": ["antonym:size"], "image": []},
        "metrics": {"names": ["dice"]},
        "statistics": {"resamples": 99},
    }
)


class Table(rb.Run):
    """A run whose rows are given instead of read."""

    def __init__(self, changes: np.ndarray) -> None:
        super().__init__("table")
        self.__dict__["plan"] = PLAN
        self._rows = _rows(changes)

    @property
    def manifest(self) -> dict:
        return {}

    def results(self) -> pd.DataFrame:
        return self._rows


def _rows(changes: np.ndarray) -> pd.DataFrame:
    number = np.arange(changes.size)
    base = pd.DataFrame(
        {
            "model": "m",
            "dataset": "d",
            "split": "test",
            "case_id": [f"p{n:04d}" for n in number],
            "subject_id": [f"patient{n // IMAGES:02d}" for n in number],
            "target": "polyp",
            "severity": 0,
            "expectation": "change",
            "prompt": "",
            "prompt_index": 0,
            "applicable": True,
            "note": "",
            "error": "",
        }
    )
    clean = base.assign(condition="clean", family="clean", attribute="", dice=0.9, mask_change=0.0)
    swap = base.assign(condition="antonym:size", family="prompt", attribute="size", dice=0.3, mask_change=changes)
    return pd.concat([clean, swap], ignore_index=True)


def caught(run: rb.Run, baseline: rb.Run) -> bool:
    """Return whether the gate fails."""
    try:
        run.assert_no_proven_drop(baseline, **GATE)
    except GateError as error:
        return error.judged.outcome == "fail"
    return False


def by_tables(drop: float, first: int, count: int) -> int:
    """Return how often the gate fails among `count` changed models, from tables of their scores."""
    size = segmenter.SUBJECTS * IMAGES
    old = Table(np.full(size, 1 - segmenter.LEAK))
    return sum(
        caught(Table(1 - segmenter.LEAK - drop - segmenter.differences(change, IMAGES)), old)
        for change in range(first, first + count)
    )


def by_audits(drop: float, first: int, count: int, folder: Path) -> int:
    """Return the same from audits: images and prompts in, masks out, scored, judged."""
    data = pictures.write(folder / "data", images=IMAGES)
    dataset = rb.load_dataset(data, prompt="p2")
    old = _audit(dataset, segmenter.make(), folder / "old")
    found = 0
    for change in range(first, first + count):
        with tempfile.TemporaryDirectory(dir=folder) as run:
            found += caught(_audit(dataset, segmenter.make(forgets=drop, change=change), Path(run) / "new"), old)
    return found


def _audit(dataset: object, predict: segmenter.Predict, out: Path) -> rb.Run:
    return rb.audit(
        rb.segmenter(predict, name="model"),
        dataset,
        perturbations=["antonym:size"],
        metrics={"names": ["dice"]},
        statistics={"resamples": 99},
        engine={"images_per_part": 180},
        out=out,
        report=False,
    )


def failures(kind: str, drop: float, first: int, count: int) -> int:
    """Return how often the gate fails among `count` changes; the same numbers give the same count."""
    logging.disable(logging.WARNING)
    if kind == "tables":
        return by_tables(drop, first, count)
    with tempfile.TemporaryDirectory() as folder:
        return by_audits(drop, first, count, Path(folder))


def all_failures(wanted: dict[str, int], *, keep: Path | None, processes: int, seed: int = 0) -> dict[str, int]:
    """Return the failures by "kind drop", counted in pieces by several processes; finished pieces lie in `keep`."""
    kept = json.loads(keep.read_text()) if keep and keep.is_file() else {}
    pieces = [
        (kind, drop, first, min(PIECE[kind], count - first))
        for kind, count in wanted.items()
        for drop in (0.0, DROP)
        for first in range(0, count, PIECE[kind])
    ]
    with ProcessPoolExecutor(processes) as pool:
        running = {
            pool.submit(failures, kind, drop, START[kind] + first + seed * SEED, count): (kind, drop, first, count)
            for kind, drop, first, count in pieces
            if str((kind, drop, first, count)) not in kept
        }
        for done in as_completed(running):
            kept[str(running[done])] = done.result()
            if keep:
                keep.write_text(json.dumps(kept, indent=1))
    found: dict[str, int] = {}
    for piece in pieces:
        name = f"{piece[0]} {piece[1]:g}"
        found[name] = found.get(name, 0) + kept[str(piece)]
    return found


def band(share: float, runs: int) -> tuple[float, float]:
    """Return the 99% binomial band of a share around `share`."""
    from scipy.stats import binom

    return tuple(float(bound) / runs for bound in binom.interval(0.99, runs, share))


def main() -> int:
    """Print the shares; return 1 where one is not what is promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=2000)
    parser.add_argument("--audits", type=int, default=200)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="finished pieces are kept here, so that the same command goes on")
    chosen = parser.parse_args()
    wanted = {"tables": chosen.tables, "audits": chosen.audits}
    found = all_failures(wanted, keep=chosen.keep, processes=chosen.processes)
    held, detail = True, {}
    for drop, low, high in PROMISED:
        tables, audits = (metrics.rate(found[f"{kind} {drop:g}"], runs) for kind, runs in wanted.items())
        from_, to = band(tables, chosen.audits)
        right = low <= tables <= high and from_ <= audits <= to
        held &= right
        detail[f"drop {drop:g}"] = {"tables": tables, "audits": audits, "band": [from_, to]}
        print(
            f"{'held' if right else 'NOT HELD'}: a change of {drop:g} fails in {tables:.4f} of {chosen.tables} tables "
            f"(promised {low:g} to {high:g}) and in {audits:.3f} of {chosen.audits} audits "
            f"(99% band {from_:.3f} to {to:.3f})"
        )
    print(json.dumps({"name": "gate", "ratio": float(held), "limit": 1.0, "target": 1.0, "detail": detail}))
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
