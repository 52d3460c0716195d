"""Faults: what misled, item by item, in this checkout and in an older one (`--before CHECKOUT`)."""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Probe = Callable[[], str] | Callable[[int], float]
# Rates of slow probes take this share of the runs.
_SLOW = 0.2


def probes() -> list[tuple[str, str, Probe, float]]:
    """Return (item, what is asked, probe, share of the runs; 0 for a single case)."""
    from benchmarks.calibration import _fault_cases as cases
    from benchmarks.calibration import _fault_rates as rates

    found: list[tuple[str, str, Probe, float]] = [("1", "two patients, no loss", cases.two_patients, 0)]
    designs = {
        "10% lose all": (0.1, 1.0, 0.0),
        ".05 and 5% collapse": (0.0526, 1.0, 0.05),
        "16% lose .625": (0.16, 0.625, 0.0),
    }
    for name, design in designs.items():
        found += [("1", f"ROBUST, {name}, {n} patients", rates.robust(n, *design), 1) for n in (12, 20, 30, 60)]
    found += [("1", f"noninferior passes, 2% newly fail, {n} patients", rates.gate_passes(n), 1) for n in (20, 30, 60)]
    found += [
        ("2", "clean Dice .09, nothing lost", cases.untrained, 0),
        ("2", "all references empty", cases.empty_references, 0),
        ("3", "half of the rows missing", cases.half_missing, 0),
        ("3", "HD95 infinite for 10 of 30", cases.infinite_distances, 0),
        ("3", "paraphrases of 2 of 80 patients", cases.few_paraphrases, 0),
        ("4", "any false FOLLOWS of 10 claims", rates.any_follows(10), 1),
        ("4", "any false FOLLOWS of 30 claims", rates.any_follows(30), _SLOW),
        ("5", "false REACTS, 2 patients", rates.reacts(2, False), 1),
        ("5", "three patients", cases.three_patients, 0),
        ("6", "mean on the margin up to rounding", cases.on_the_margin, 0),
        ("6", "random tables that end in an exception", rates.crashes, 1),
        ("7", "mean .0005 below the margin", cases.margin_within_noise, 0),
        ("7", "rerun noise above the margin", cases.rerun_noise, 0),
    ]
    for n in (12, 20, 30, 60):
        for star in ("", "*"):
            found += [
                ("8", f"false REACTS{star}, rewording moves 10%, {n} patients", rates.reacts(n, True, star), 1),
                ("8", f"false FOLLOWS{star}, 5% go the other way, {n} patients", rates.follows_tail(n, star), 1),
                ("8", f"false FRAGILE{star}, 9% cured, {n} patients", rates.fragile(n, star), 1),
            ]
    for tail in ("9% cured", "squared exponential"):
        found += [
            ("8", f"no_proven_drop fails, {tail}, {n} patients", rates.merge_gate_fails(n, tail), 1)
            for n in (20, 30, 60)
        ]
    found += [
        ("8", f"coverage, {kind}, {n} patients", rates.coverage(n, kind), 1)
        for kind in rates.ZERO_INFLATED
        for n in (5, 20, 60)
    ]
    found += [
        ("8", "any max-T p < .05 of 16, lognormal, 30 patients", rates.family_error(30), _SLOW),
        ("9", "coverage, one patient of 400 images", rates.coverage(20, "image, one of 400"), _SLOW),
        ("9", "coverage, two patients of 100", rates.coverage(30, "image, two of 100"), _SLOW),
        ("10", "IGNORES of 200 patients", cases.who_moved, 0),
        ("10", "a sentence's level", cases.level_of_sentence, 0),
        ("10", "an excess's unit", cases.swapped, 0),
        ("11", "any proven loss of 30 equal conditions", rates.proven_losses, _SLOW),
        ("12", "354 of 372 paint under another class", cases.painted, 0),
        ("13", "two clean rows of a case", cases.two_clean_rows, 0),
        ("13", "spellings of a subject", cases.spellings, 0),
        ("14", "minimum, at_least = 5, HD95 26.8", cases.minimum_of_a_distance, 0),
    ]  # fmt: skip
    return found


def answers(runs: int, items: list[str]) -> dict[str, str]:
    """Return what the imported checkout answers to every probe, rates with their 95% Monte Carlo error."""
    found = {}
    for item, what, probe, share in probes():
        if items and item not in items:
            continue
        if not share:
            found[f"{item}|{what}"] = probe()  # type: ignore[call-arg]
            continue
        n = max(25, round(runs * share))
        rate = probe(n)  # type: ignore[call-arg]
        found[f"{item}|{what}"] = f"{rate:.3f} ± {1.96 * math.sqrt(rate * (1 - rate) / n):.3f}"
    return found


def asked_of(checkout: Path, runs: int, items: list[str]) -> dict[str, str]:
    """Run the probes in a process that imports the package from `checkout`."""
    command = [sys.executable, __file__, "--answers", "--runs", str(runs), "--only", *items]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr.strip().splitlines()[-1]}")
    answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _import_from_here_but_the_package() -> None:
    """Bind the package and its tests where PYTHONPATH says, then find the benchmarks beside this file."""
    import robustness  # noqa: F401
    import tests.gate_runs  # noqa: F401

    sys.path.insert(0, str(ROOT))


def main() -> int:
    """Print the table: item, what is asked, before, now."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, help="folder of an older checkout")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[], help="items, such as 1 8")
    parser.add_argument("--answers", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.answers:
        _import_from_here_but_the_package()
        print(json.dumps(answers(chosen.runs, chosen.only)))
        return 0
    now = asked_of(ROOT, chosen.runs, chosen.only)
    before = asked_of(chosen.before.resolve(), chosen.runs, chosen.only) if chosen.before else {}
    print("| item | what | before | now |\n|---|---|---|---|")
    for key, answer in now.items():
        item, what = key.split("|", 1)
        print(f"| {item} | {what} | {before.get(key, '')} | {answer} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
