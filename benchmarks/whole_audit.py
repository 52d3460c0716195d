"""Whole audits of this checkout and of another one, turn by turn in one run: time, memory and the same rows.

    python benchmarks/whole_audit.py --against CHECKOUT [--data DIR] [--checkpoint DIR] [--limit N] [--turns N]

The command that a user gives, `robustness audit examples/audit_brain.toml`, in a process of its own: imports, tables,
verdicts and page are on the clock. By default the other
checkout's demo data and network. Wall clocks mean something on an idle
machine only; processor time does on any. Rows of one and of several processes must be equal; those of the two checkouts
are compared by case, condition and prompt, and values that differ are counted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from robustness.workflows.demo_files import demo_data  # noqa: E402

DEMO = Path("robustness") / "demo_data"
TARGET, LIMIT = 1.5, 0.0
KEYS = ["case_id", "condition", "prompt_index", "attribute", "prompt"]


class Cost(NamedTuple):
    """Seconds of one command, and the largest resident memory of one of its processes in MiB."""

    wall: float
    cpu: float
    peak_mib: float


def audit(checkout: Path, out: Path, arguments: list[str]) -> Cost:
    """Run one audit with a checkout's code; raise CalledProcessError where it fails."""
    command = [sys.executable, "-m", "robustness", "audit", str(HERE / "examples" / "audit_brain.toml")]
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [*command, "--out", str(out), *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - started, cpu, after.ru_maxrss / 1024)


def rows(run: Path) -> pd.DataFrame:
    """Return a run's rows that were predicted, but the second clean run, in a fixed order."""
    table = pd.concat([pd.read_parquet(part) for part in sorted((run / "results").glob("part-*.parquet"))])
    table = table[table["applicable"] & (table["condition"] != "rerun")]
    return table.sort_values(KEYS, ignore_index=True)


def demo_of(checkout: Path) -> Path:
    """Return the demo data of a checkout, this one's where the other one's are still packed."""
    folder = checkout / DEMO / "brain"
    return folder if (folder / "images").is_dir() else demo_data("brain")


def main() -> int:
    """Compare; exit code 1 where one process does not take TARGET times less processor time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="another checkout of this repository")
    parser.add_argument("--data", type=Path, help="default: the other checkout's demo data")
    parser.add_argument("--checkpoint", type=Path, help="default: the other checkout's demo network")
    parser.add_argument("--limit", type=int, default=40, help="cases")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="of the run with several processes")
    options = parser.parse_args()
    plan = {
        # The older of the two checkouts reads its own files; this one reads both.
        "data.path": (options.data or demo_of(options.against)).resolve(),
        "model.checkpoint": (
            options.checkpoint or options.against / DEMO / "checkpoints" / "text-conditioned"
        ).resolve(),
        "data.limit": options.limit,
        "data.prompt": "p5",
        "engine.threads": 1,
    }
    same = [part for key, value in plan.items() for part in ("--set", f"{key}={value}")]
    cases = {
        "other": (options.against.resolve(), []),
        "one": (HERE, ["--workers", "1"]),
        "many": (HERE, ["--workers", str(options.workers)]),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.turns):
            for name, (checkout, more) in cases.items():
                costs[name].append(audit(checkout, Path(folder) / f"{name}-{turn}", [*same, *more]))
                print(name, costs[name][-1], file=sys.stderr, flush=True)
        tables = {name: rows(Path(folder) / f"{name}-0") for name in cases}
    pd.testing.assert_frame_equal(tables["one"], tables["many"], check_exact=True)
    shared = [*KEYS, "dice", "iou", "hd95", "nsd", "mask_change"]
    joined = tables["one"][shared].merge(tables["other"][shared], on=KEYS, suffixes=("", "_other"))
    differ = sum(int((joined[m] != joined[f"{m}_other"]).sum()) for m in ("dice", "iou"))
    cpu = {name: statistics.mean(cost.cpu for cost in each) for name, each in costs.items()}
    wall = {name: statistics.mean(cost.wall for cost in each) for name, each in costs.items()}
    detail = {
        "rows": len(tables["one"]),
        "rows_in_both": len(joined),
        "values_that_differ": differ,
        "cpu_s": cpu,
        "wall_s": wall,
        "wall_ratio_one": wall["other"] / wall["one"],
        "wall_ratio_many": wall["other"] / wall["many"],
        "peak_mib_of_largest_process": {name: max(cost.peak_mib for cost in each) for name, each in costs.items()},
    }
    ratio = cpu["other"] / cpu["one"]
    print(json.dumps({"name": "whole_audit", "ratio": ratio, "limit": LIMIT, "target": TARGET, "detail": detail}))
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    raise SystemExit(main())
