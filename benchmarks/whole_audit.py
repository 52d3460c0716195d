"""Whole audits of this checkout and of another one, turn by turn in one run: time, memory and the same rows.

    python benchmarks/whole_audit.py --against CHECKOUT [--python INTERPRETER] [--data DIR] [--limit N] [--turns N]

The command that a user gives, `robustness audit examples/audit_brain.toml`, in a process of its own: imports, tables,
verdicts and page are on the clock; memory is looked at in runs of its own. By default the other checkout's demo data
and network. Wall clocks mean something on an idle machine only; processor time does on any. Rows of one and of several
processes must be equal; those of the two checkouts are compared by case, condition and prompt, and values that differ
are counted.
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
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

HERE = Path(__file__).resolve().parents[1]
DEMO = Path("robustness") / "demo_data"
KEYS = ["case_id", "condition", "prompt_index", "attribute", "prompt"]
MEASURED = ["dice", "iou", "hd95", "nsd", "mask_change", "area_fraction"]
_INTERVAL_S = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """One command with all its processes: seconds by the clock and of the processors, largest memory at once in MiB.

    Pages that several processes share count once. Memory is read off Linux's /proc; elsewhere it is 0.
    """

    wall: float
    cpu: float
    peak_mib: float


@dataclass(frozen=True)
class Checkout:
    """A folder that holds this repository at some commit, and the interpreter that runs it.

    An interpreter that has another checkout installed still imports from `root`: it comes first on the path. What an
    installation states, such as the registered plugins, is the interpreter's own.
    """

    root: Path
    python: str = sys.executable

    def check(self) -> None:
        """Make sure that every room is imported from `root`.

        Raises:
            RuntimeError: it is not, so that this checkout's cost would be another one's.
        """
        rooms = ("robustness", *(f"robustness.{room}" for room in ("perturb", "metrics", "runners", "reports")))
        code = f"import importlib; print(*(importlib.import_module(n).__file__ for n in {rooms!r}), sep='\\n')"
        done = subprocess.run(
            [self.python, "-c", code],
            cwd=self.root,
            env=self._environment(),
            check=True,
            capture_output=True,
            text=True,
        )
        foreign = [name for name in done.stdout.splitlines() if not Path(name).is_relative_to(self.root.resolve())]
        if foreign:
            raise RuntimeError(f"expected code of {self.root}, {self.python} imports {foreign[0]}")

    def run(self, arguments: Sequence[str], *, memory: bool = False) -> Cost:
        """Run `python ARGUMENTS` with this checkout's code.

        Args:
            arguments: of the interpreter.
            memory: look at its memory too, else 0 is returned. That takes a tenth of a core from what is measured.

        Raises:
            RuntimeError: it failed; the end of what it said.
        """
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        with subprocess.Popen(
            [self.python, *arguments],
            cwd=self.root,
            env=self._environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            watch = _Watch(process.pid, memory=memory)
            said = process.communicate()[1]
            wall = time.perf_counter() - started
            seen, peak = watch.stop()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Exact, but without processes that nobody waited for, such as those of a fork server.
        waited = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if process.returncode:
            raise RuntimeError(f"{self.root}: {' '.join(arguments)} ended with {process.returncode}: {said[-600:]}")
        return Cost(wall, max(seen, waited), peak)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root)}


class _Watch(threading.Thread):
    """Looks at a process and all that it started, four times a second, until it is stopped."""

    def __init__(self, pid: int, *, memory: bool) -> None:
        super().__init__(daemon=True)
        self._root, self._memory, self._end = pid, memory, threading.Event()
        self._cpu: dict[int, float] = {}
        self._peak_kib = 0
        self.start()

    def run(self) -> None:
        """Look until the end."""
        while not self._end.wait(_INTERVAL_S):
            tree = _tree(self._root)
            self._cpu |= tree
            if self._memory:
                self._peak_kib = max(self._peak_kib, sum(map(_memory_kib, tree)))

    def stop(self) -> tuple[float, float]:
        """Return processor seconds and the peak in MiB."""
        self._end.set()
        self.join()
        return sum(self._cpu.values()), self._peak_kib / 1024


def _tree(root: int) -> dict[int, float]:
    """Return the own processor seconds of a process and of all below it."""
    parents: dict[int, int] = {}
    seconds: dict[int, float] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            # It ended in between.
            continue
        parents[int(entry.parent.name)] = int(fields[1])
        seconds[int(entry.parent.name)] = (int(fields[11]) + int(fields[12])) / _TICKS
    below = {root} & parents.keys()
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return {pid: seconds[pid] for pid in below}


def _memory_kib(pid: int) -> int:
    """Return a process's memory, its share of what it shares with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def rows(run: Path) -> pd.DataFrame:
    """Return a run's rows that were predicted, but the second clean run, in a fixed order."""
    table = pd.concat([pd.read_parquet(part) for part in sorted((run / "results").glob("part-*.parquet"))])
    table = table[table["applicable"] & (table["condition"] != "rerun")]
    return table.sort_values(KEYS, ignore_index=True)


def demo_of(checkout: Path) -> Path:
    """Return the demo data of a checkout, this one's where the other one's are still packed."""
    # Last: what another checkout runs must find that one's code.
    sys.path.append(str(HERE))
    from robustness.workflows.demo_files import demo_data

    folder = checkout / DEMO / "brain"
    return folder if (folder / "images").is_dir() else demo_data("brain")


def values_that_differ(one: pd.DataFrame, other: pd.DataFrame) -> tuple[int, dict[str, int]]:
    """Return how many rows both tables hold, and in how many of them any measured value differs, by change."""
    joined = one[[*KEYS, *MEASURED]].merge(other[[*KEYS, *MEASURED]], on=KEYS, suffixes=("", "_other"))
    theirs = joined[[f"{name}_other" for name in MEASURED]].set_axis(MEASURED, axis=1)
    differ = ~(joined[MEASURED].eq(theirs) | (joined[MEASURED].isna() & theirs.isna())).all(axis=1)
    changes = joined.loc[differ, "condition"].str.partition("@")[0]
    return len(joined), {str(name): int(count) for name, count in changes.value_counts().items()}


def arguments_of(options: argparse.Namespace) -> list[str]:
    """Return the command that both checkouts are given, but for the folder it writes."""
    plan = {
        # The older of the two checkouts reads its own files; this one reads both.
        "data.path": (options.data or demo_of(options.against)).resolve(),
        "model.checkpoint": (
            options.checkpoint or options.against / DEMO / "checkpoints" / "text-conditioned"
        ).resolve(),
        "data.limit": options.limit,
        "engine.threads": 1,
    }
    same = [part for key, value in plan.items() for part in ("--set", f"{key}={value}")]
    return ["-m", "robustness", "audit", str(HERE / "examples" / "audit_brain.toml"), *same]


def figures(costs: dict[str, list[Cost]], peaks: dict[str, float], workers: int) -> list[dict[str, Any]]:
    """Return the ratios of the mean costs and of the largest memories, each with its target."""
    mean = {name: Cost(*map(statistics.mean, zip(*each, strict=True))) for name, each in costs.items()}
    other, one, many = mean["other"], mean["one"], mean["many"]
    pairs = [
        ("one process, wall clock", other.wall / one.wall, 1.5, False),
        ("one process, processor time", other.cpu / one.cpu, 1.5, False),
        (f"{workers} workers, wall clock", other.wall / many.wall, 2.6, False),
        (f"{workers} workers over one of this checkout, wall clock", one.wall / many.wall, 1.8, False),
        (f"memory of {workers} workers over one", peaks["many"] / max(peaks["one"], 1), 1.7, True),
    ]
    return [{"what": what, "ratio": ratio, "target": target, "at_most": top} for what, ratio, target, top in pairs]


def met(one: dict[str, Any]) -> bool:
    """Tell whether a ratio meets its target."""
    return bool(one["ratio"] <= one["target"] if one["at_most"] else one["ratio"] >= one["target"])


def main() -> int:
    """Compare; exit code 1 where a ratio misses its target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", type=Path, required=True, help="another checkout of this repository")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other checkout")
    parser.add_argument("--data", type=Path, help="default: the other checkout's demo data")
    parser.add_argument("--checkpoint", type=Path, help="default: the other checkout's demo network")
    parser.add_argument("--limit", type=int, default=40, help="cases")
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="of the run with several processes")
    options = parser.parse_args()
    here, there = Checkout(HERE), Checkout(options.against.resolve(), options.python)
    for checkout in (here, there):
        checkout.check()
    command = arguments_of(options)
    cases = {"other": (there, []), "one": (here, ["1"]), "many": (here, [str(options.workers)])}
    costs: dict[str, list[Cost]] = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.turns):
            for name, (checkout, workers) in cases.items():
                out = ["--out", str(Path(folder) / f"{name}-{turn}")]
                costs[name].append(checkout.run([*command, *out, *(f"--workers={count}" for count in workers)]))
                print(name, costs[name][-1], file=sys.stderr, flush=True)
        peaks = {}
        for name in ("one", "many"):
            out = ["--out", str(Path(folder) / f"{name}-memory"), f"--workers={cases[name][1][0]}"]
            peaks[name] = here.run([*command, *out], memory=True).peak_mib
        tables = {name: rows(Path(folder) / f"{name}-0") for name in cases}
    pd.testing.assert_frame_equal(tables["one"], tables["many"], check_exact=True)
    shared, differ = values_that_differ(tables["one"], tables["other"])
    ratios = figures(costs, peaks, options.workers)
    detail = {
        "rows": len(tables["one"]),
        "rows_of_the_other": len(tables["other"]),
        "rows_in_both": shared,
        "values_that_differ": differ,
        "costs": {name: [cost._asdict() for cost in each] for name, each in costs.items()},
        "peak_mib": peaks,
    }
    print(json.dumps({"name": "whole_audit", "ratios": ratios, "detail": detail}))
    return int(not all(map(met, ratios)))


if __name__ == "__main__":
    raise SystemExit(main())
