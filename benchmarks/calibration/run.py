"""Run every calibration study and write one page of all: `python benchmarks/calibration/run.py [--out FILE]`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.calibration import battery, family, gate_end_to_end, margin, misleading, null, plasmode, power, stars
from benchmarks.calibration._study import show, summary, timed, write_page

ROOT = Path(__file__).resolve().parents[2]
STUDIES = {
    "null": null.simulate,
    "margin": margin.simulate,
    "misleading": misleading.simulate,
    "stars": stars.simulate,
    "family": family.simulate,
    "cells": family.simulate_cells,
    "battery": battery.simulate,
    "power": power.simulate,
    "plasmode": plasmode.simulate,
    "gates": gate_end_to_end.simulate,
}


def main() -> int:
    """Run the studies, print their tables, write the page; return 1 if a check does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "calibration.html")
    parser.add_argument("--only", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    parser.add_argument("--share", type=float, default=1.0, help="share of the runs of the full studies")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    found = []
    for name in chosen.only:
        simulate = STUDIES[name]
        runs = max(1, round(simulate.__kwdefaults__["runs"] * chosen.share))
        study = timed(simulate, runs=runs, seed=chosen.seed, processes=chosen.processes)
        show(study)
        found.append(study)
    print(f"\npage: {write_page(found, chosen.out)}")
    print(json.dumps(summary("calibration", found)))
    return 0 if all(study.held for study in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
