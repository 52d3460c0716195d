"""Every benchmark with one command: run, keep the figures as JSON, write the table of docs/performance.md from them.

    python benchmarks/run.py [NAME ...] [--against CHECKOUT [--python INTERPRETER] [--data DIR]] [--table-only]

Each benchmark is a script beside this one whose last line is JSON with `name` and `ratios`, each with `what`, `ratio`,
`target`, `at_most` (the target is the largest value) and perhaps `limit`; or with one `ratio`, `limit` and `target`.
Figures of benchmarks that were not run stay as they are in the file, with their own date. `against` names those that
compare with another checkout.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from whole_audit import met

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


class Benchmark(NamedTuple):
    """What a benchmark compares, and its command: the script without suffix, then arguments."""

    what: str
    command: tuple[str, ...]
    against: bool = False


BENCHMARKS = {
    "whole_audit": Benchmark(
        "a whole audit against another checkout", ("whole_audit", "--limit", "110", "--turns", "2"), against=True
    ),
    "demo": Benchmark("`robustness demo` against another checkout", ("commands", "demo"), against=True),
    "prompts": Benchmark("a prompt-only audit of full-size CLIPSeg", ("commands", "prompts"), against=True),
    "conclusions": Benchmark("20,000 cases under 40 conditions", ("commands", "conclusions"), against=True),
    "prompt_audit": Benchmark("40 prompts per image, full-size CLIPSeg against whole forwards", ("prompt_audit",)),
    "finetune_cached": Benchmark("a decoder epoch with cached features against whole forwards", ("finetune_cached",)),
    "metrics_speed": Benchmark("mask metrics against MONAI", ("metrics_speed",)),
    "statistics_speed": Benchmark("the statistics engine against one test at a time", ("statistics_speed",)),
    "page": Benchmark("one page for 500 cases x 130 conditions: share of what is allowed", ("commands", "page")),
    "image_shifts": Benchmark("image changes: share of the encoding's time", ("image_shifts",)),
    "reading": Benchmark("clinical prompts that are read", ("prompts",)),
}


def run(name: str, command: list[str]) -> dict[str, Any]:
    """Run one benchmark; return its figures with date, machine and exit code.

    Raises:
        RuntimeError: its last line is no JSON.
    """
    load = os.getloadavg()[0]
    script, *arguments = command
    done = subprocess.run(
        [sys.executable, str(HERE / f"{script}.py"), *arguments], capture_output=True, text=True, check=False
    )
    try:
        figures = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError) as error:
        raise RuntimeError(f"{name}: no figures; {done.stderr.strip()[-400:]}") from error
    return {
        **figures,
        "exit_code": done.returncode,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "load_before": round(load, 1),
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the figures as a Markdown table, one row for each ratio."""
    lines = ["| benchmark | ratio | target | limit | met | date | load before |", "| --- " * 7 + "|"]
    for name, figures in results.items():
        what = BENCHMARKS[name].what if name in BENCHMARKS else name
        for one in figures.get("ratios") or [figures]:
            part = f"{what}: {one['what']}" if "what" in one else what
            bound = "at most " if one.get("at_most") else ""
            cells = [_number(one["ratio"]), bound + _number(one.get("target")), _number(one.get("limit")), _met(one)]
            lines.append(f"| {part} | {' | '.join(cells)} | {figures['date']} | {figures['load_before']} |")
    return "\n".join(lines)


def _met(one: dict[str, Any]) -> str:
    """Return whether a ratio meets its target; a script with one ratio says so by its exit code."""
    if "exit_code" in one:
        return "yes" if one["exit_code"] == 0 else "no"
    return "yes" if met(one) else "**no**"


def _number(value: Any) -> str:
    return "-" if not value else f"{value:.4g}"


def write_table(results: dict[str, dict[str, Any]]) -> None:
    """Put the table between the two marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Run what was named; exit code 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHMARKS)}, against; default: all")
    parser.add_argument("--against", type=Path, help="another checkout of this repository")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the other checkout")
    parser.add_argument("--data", type=Path, help="data of whole_audit; default: the other checkout's demo data")
    parser.add_argument("--table-only", action="store_true", help="write the table from the figures that are there")
    options = parser.parse_args()
    compared = [name for name, each in BENCHMARKS.items() if each.against]
    names = [name for given in options.names for name in (compared if given == "against" else [given])]
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        parser.error(f"expected names of {', '.join(BENCHMARKS)}, against; got {', '.join(unknown)}")
    names = names or [name for name in BENCHMARKS if name not in compared or options.against]
    if options.against is None and set(names) & set(compared):
        parser.error(f"--against: expected another checkout for {', '.join(sorted(set(names) & set(compared)))}")
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in [] if options.table_only else names:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        other = ["--against", str(options.against), "--python", options.python] if BENCHMARKS[name].against else []
        other += ["--data", str(options.data)] if options.data and name == "whole_audit" else []
        results[name] = run(name, [*BENCHMARKS[name].command, *other])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(table({name: results[name]}), flush=True)
    write_table(results)
    return max((figures["exit_code"] for name, figures in results.items() if name in names), default=0)


if __name__ == "__main__":
    raise SystemExit(main())
