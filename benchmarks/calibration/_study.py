"""Shared parts of the calibration studies: null models of paired differences, two processes, tables, one JSON line."""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

# Two processes share two cores: a pool of threads in each would only get in the way.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402, the number of threads is read at import

Values = np.ndarray


@dataclass(frozen=True)
class Check:
    """One promise: `value` must lie in [low, high]."""

    what: str
    value: float
    low: float
    high: float

    @property
    def held(self) -> bool:
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True)
class Study:
    """A finished simulation: a table for people, checks for machines."""

    name: str
    title: str
    about: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    checks: list[Check]
    runs: int
    seconds: float = 0.0
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def held(self) -> bool:
        return all(check.held for check in self.checks)


def rate_limit(nominal: float, runs: int, errors: float = 2.0) -> float:
    """Return `nominal` plus so many Monte Carlo standard errors of a rate.

    Two in the full studies, whose seed is fixed; four in short ones, where the largest of many rows is looked at.
    """
    return nominal + errors * math.sqrt(nominal * (1 - nominal) / runs)


def images_of(rng: np.random.Generator, kind: str, icc: float, runs: int, subjects: int, images: int) -> Values:
    """Draw null differences (runs, subjects, images) with the latent intraclass correlation `icc`.

    gauss: normal, sd 0.1. ties: half of the pairs exactly 0, rest rounded to 0.001. ceiling: the difference of two
    logit-normal Dice values around 0.98, those above it set to 1 (two fifths of the differences are exactly 0).
    skewed: mean zero, exponential subject and image effects.
    """

    def effect(draw: Callable[..., Values]) -> Values:
        shared, own = draw(size=(runs, subjects, 1)), draw(size=(runs, subjects, images))
        return math.sqrt(icc) * shared + math.sqrt(1 - icc) * own

    if kind == "skewed":
        return 0.1 * effect(lambda size: rng.standard_exponential(size) - 1)
    if kind == "ceiling":
        clean, changed = (1 / (1 + np.exp(-(4.2 + effect(rng.standard_normal)))) for _ in range(2))
        return np.where(clean >= 0.98, 1.0, clean) - np.where(changed >= 0.98, 1.0, changed)
    found = 0.1 * effect(rng.standard_normal)
    return np.where(rng.random(found.shape) < 0.5, 0.0, np.round(found, 3)) if kind == "ties" else found


def in_parallel(work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], processes: int) -> list[Any]:
    """Return ``work(*task)`` for every task, in order; each task seeds itself, so processes change nothing."""
    if processes <= 1:
        return [work(*task) for task in tasks]
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(work, *zip(*tasks, strict=True)))


def show(study: Study) -> None:
    """Print a study's table and what it shows."""
    cells = [study.columns, *([_text(value) for value in row] for row in study.rows)]
    widths = [max(len(str(row[i])) for row in cells) for i in range(len(study.columns))]
    print(f"\n{study.title}\n{study.about}\n")
    for row in cells:
        print("  ".join(str(value).ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())
    print()
    for check in study.checks:
        said = "held" if check.held else "NOT HELD"
        print(f"{said}: {check.what}: {check.value:.4f} in [{check.low:.4f}, {check.high:.4f}]")
    print(f"{study.runs} runs per row, {study.seconds:.0f} s")


def _text(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def summary(name: str, studies: Sequence[Study]) -> dict[str, Any]:
    """Return the JSON object of a script: `ratio` is the share of checks that held."""
    checks = [check for study in studies for check in study.checks]
    return {
        "name": name,
        "ratio": sum(check.held for check in checks) / len(checks),
        "limit": 1.0,
        "target": 1.0,
        "detail": {
            "checks": [{**asdict(check), "held": check.held} for check in checks],
            "seconds": round(sum(study.seconds for study in studies), 1),
            **{key: value for study in studies for key, value in study.detail.items()},
        },
    }


def run_script(
    name: str, simulate: Callable[..., Study], *, runs: int, more: Mapping[str, Callable[..., Study]] | None = None
) -> None:
    """Run one study from the command line, or one of `more` by its name; exits with 1 if a check does not hold."""
    parser = argparse.ArgumentParser(description=simulate.__doc__)
    parser.add_argument("--runs", type=int, default=runs, help="runs per row (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    if more:
        parser.add_argument("--study", choices=list(more), help="another study of this script")
    chosen = parser.parse_args()
    chosen_study = (more or {}).get(getattr(chosen, "study", None) or "", simulate)
    study = timed(chosen_study, runs=chosen.runs, seed=chosen.seed, processes=chosen.processes)
    show(study)
    print(json.dumps(summary(name, [study])))
    raise SystemExit(0 if study.held else 1)


def timed(simulate: Callable[..., Study], **options: Any) -> Study:
    """Run a study and note how long it took."""
    started = time.perf_counter()
    found = simulate(**options)
    return Study(**{**found.__dict__, "seconds": time.perf_counter() - started})


def write_page(studies: Sequence[Study], path: Path) -> Path:
    """Write a self-contained HTML page with every table and check."""
    import html

    def cell(value: Any, tag: str = "td") -> str:
        return f"<{tag}>{html.escape(_text(value))}</{tag}>"

    parts = []
    for study in studies:
        head = "".join(cell(name, "th") for name in study.columns)
        body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in study.rows)
        checks = "".join(
            f'<li class="{"held" if c.held else "failed"}">{"held" if c.held else "NOT HELD"}: {html.escape(c.what)}:'
            f" {c.value:.4f} in [{c.low:.4f}, {c.high:.4f}]</li>"
            for c in study.checks
        )
        parts.append(
            f"<h2>{html.escape(study.title)}</h2><p>{html.escape(study.about)}</p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table><ul>{checks}</ul><p>{study.runs} runs per row, {study.seconds:.0f} s.</p>"
        )
    style = (
        "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1b1b1b}"
        "table{border-collapse:collapse}th,td{border-bottom:1px solid #ccc;padding:.2rem .7rem;text-align:left}"
        ".failed{color:#a00000;font-weight:bold}.held{color:#00572d}"
    )
    title = "Calibration of the statistics"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f"<h1>{title}</h1>{''.join(parts)}</html>\n",
        encoding="utf-8",
    )
    return path


if __name__ == "__main__":
    print(json.dumps({"name": "calibration helpers", "ratio": 1.0, "limit": 1.0, "target": 1.0, "detail": {}}))
