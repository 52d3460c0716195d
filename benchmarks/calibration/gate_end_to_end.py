"""Gates end to end: how often the example's merge gate is right, asked of tables and of whole audits.

The gate, the model and its changes are those of `examples/gate/how_often.py`, which also runs alone, with nothing but
the installed package.
"""

from __future__ import annotations

import sys
from pathlib import Path

# The example comes before the checkout's root: its own module `metrics` is meant there.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "gate"))

import how_often

from benchmarks.calibration._study import Check, Study, rate_limit, run_script


def simulate(*, runs: int = 2000, seed: int = 0, processes: int = 2) -> Study:
    """Merge gate on 30 patients x 6 images: false alarms, a drop of 0.02 found, tables against audits (a tenth)."""
    wanted = {"tables": runs, "audits": max(2, runs // 10)}
    found = how_often.all_failures(wanted, keep=None, processes=processes, seed=seed)
    extra = 0.0 if runs >= 2000 else rate_limit(0.05, runs, 4.0) - 0.05
    rows, checks = [], []
    for drop, low, high in how_often.PROMISED:
        tables, audits = (found[f"{kind} {drop:g}"] / count for kind, count in wanted.items())
        rows.append((f"drop {drop:g}", tables, audits))
        checks.append(Check(f"gate fails at a drop of {drop:g}, tables", tables, low - extra, high + extra))
        checks.append(
            Check(f"the same from audits, 99% band of {tables:g}", audits, *how_often.band(tables, wanted["audits"]))
        )
    about = (
        "no_proven_drop of antonym:size's mask change; differences: sd 0.05, ICC 0.4; "
        f"{wanted['tables']} tables, {wanted['audits']} audits of images."
    )
    return Study("gate_end_to_end", "Gates end to end", about, ("change", "tables", "audits"), rows, checks, runs)


if __name__ == "__main__":
    run_script("calibration: gates end to end", simulate, runs=2000)
