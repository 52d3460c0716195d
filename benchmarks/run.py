"""Every benchmark with one command: run, keep the figures as JSON, write the table of docs/performance.md from them.

    python benchmarks/run.py [NAME ...] [--against CHECKOUT] [--table-only]

Each benchmark is a script beside this one whose last line is JSON with `name`, `ratio`, `limit` and `target`. Figures
of benchmarks that were not run stay as they are in the file, with their own date.
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
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent / "docs" / "performance.md"
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
SCRIPTS = {
    "whole_audit": "a whole audit against another checkout, processor time",
    "prompt_audit": "40 prompts per image, full-size CLIPSeg against whole forwards",
    "finetune_cached": "a decoder epoch with cached features against whole forwards",
    "metrics_speed": "mask metrics against MONAI",
    "statistics_speed": "the statistics engine against one test at a time",
    "report_page": "one page for 20,000 cases: share of the allowed time",
    "image_shifts": "image changes: share of the encoding's time",
    "prompts": "clinical prompts that are read",
}


def run(name: str, arguments: list[str]) -> dict[str, Any]:
    """Run one benchmark; return its figures with date, machine and exit code.

    Raises:
        RuntimeError: its last line is no JSON.
    """
    load = os.getloadavg()[0]
    done = subprocess.run(
        [sys.executable, str(HERE / f"{name}.py"), *arguments], capture_output=True, text=True, check=False
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
    """Return the figures as a Markdown table."""
    lines = ["| benchmark | ratio | target | limit | held | date | load before |", "| --- " * 7 + "|"]
    for name, figures in results.items():
        what = SCRIPTS.get(name, name)
        ratio, target, limit = (_number(figures.get(key)) for key in ("ratio", "target", "limit"))
        held = "yes" if figures["exit_code"] == 0 else "no"
        when = f"{figures['date']} | {figures['load_before']}"
        lines.append(f"| `{name}`: {what} | {ratio} | {target} | {limit} | {held} | {when} |")
    return "\n".join(lines)


def _number(value: Any) -> str:
    return "-" if not value else f"{value:.3g}"


def write_table(results: dict[str, dict[str, Any]]) -> None:
    """Put the table between the two marks of the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}", encoding="utf-8")


def main() -> int:
    """Run what was named; exit code 1 where a target was missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SCRIPTS)}; default: all")
    parser.add_argument("--against", type=Path, help="checkout that whole_audit compares with")
    parser.add_argument("--table-only", action="store_true", help="write the table from the figures that are there")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(SCRIPTS))
    if unknown:
        parser.error(f"expected names of {', '.join(SCRIPTS)}, got {', '.join(unknown)}")
    names = options.names or [name for name in SCRIPTS if name != "whole_audit" or options.against]
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    for name in [] if options.table_only else names:
        print(f"bench: {name}", file=sys.stderr, flush=True)
        results[name] = run(name, ["--against", str(options.against)] if name == "whole_audit" else [])
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_table(results)
    print(table(results))
    return max((figures["exit_code"] for name, figures in results.items() if name in names), default=0)


if __name__ == "__main__":
    raise SystemExit(main())
