"""Gates end to end: how often the example's merge gate is right, asked of tables and of whole audits.

The gate, the model and its changes are those of `examples/gate/how_often.py`, which also runs alone, with nothing but
the installed package. `--study criteria` asks `robustness gate` itself: each row is one run of as many data sets as
there are draws, their truth on the margin, and one gate over all of them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

# The example comes before the checkout's root: its own module `metrics` is meant there.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "gate"))

import how_often
import numpy as np
import pandas as pd
from typer.testing import CliRunner

from benchmarks.calibration._study import Check, Study, in_parallel, rate_limit, run_script
from benchmarks.calibration.misleading import OTHER, Rng, _abstention, _mostly_follows, condition, prompt_rows
from robustness.cli.main import app
from robustness.seeds import generator
from tests.gate_runs import rows, seal, write_run

Draw = Callable[[Rng, int], np.ndarray]
SUBJECTS = (12, 20, 30, 60)
# Data sets in one run: a gate looks at all of them.
_TOGETHER = 100


def _lost(share: float, size: float, body: float = 0.0) -> Draw:
    return lambda rng, n: np.where(rng.random(n) < share, size, body)


def _unequal(rng: Rng, n: int) -> np.ndarray:
    """Draw the mean of 1 to 20 images of each patient, of whom 10% lose .20 on all images, with noise."""
    images = rng.integers(1, 21, n)
    return np.where(rng.random(n) < 0.1, 0.2, 0.0) + rng.normal(0, 0.05, n) / np.sqrt(images)


def _images_as_patients(rng: Rng, n: int) -> np.ndarray:
    """Draw the losses of n images of n / 5 patients, of whom 10% lose .20."""
    return np.repeat(np.where(rng.random(-(-n // 5)) < 0.1, 0.2, 0.0), 5)[:n] + rng.normal(0, 0.005, n)


# Losses since the baseline with a mean of .02, the margin.
LOSSES: dict[str, Draw] = {
    "2% newly lose all": _lost(0.02, 1.0),
    "5% lose .40": _lost(0.05, 0.4),
    "10% lose .20": _lost(0.1, 0.2),
    "all lose .0101, 1% all": _lost(0.01, 1.0, 0.0101),
    "all lose .02": _lost(0.0, 1.0, 0.02),
    "lognormal": lambda rng, n: 0.02 * rng.lognormal(-0.5, 1.0, n),
    "normal, sd .05": lambda rng, n: rng.normal(0.02, 0.05, n),
    "1 to 20 images a patient, 10% lose .20": _unequal,
    "images of n / 5 patients as patients": _images_as_patients,
}


def _compared(draw: Draw, rng: Rng, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clean rows of a baseline and of a run that has lost what is drawn."""
    loss = draw(rng, n)
    before = np.where(loss > 0, 1.0, 0.8)
    return rows("clean", np.clip(before - loss, 0, 1), 0.0), rows("clean", before, 0.0)


def _alone(table: Callable[[Rng, int], pd.DataFrame], rng: Rng, n: int) -> tuple[pd.DataFrame, None]:
    found = table(rng, n)
    family = np.where(found["condition"] == "clean", "clean", "prompt")
    defaults = {"model": "m", "split": "test", "prompt_index": 0, "applicable": True, "error": "", "severity": 0}
    stated = found["expectation"].fillna("invariant") if "expectation" in found else "invariant"
    return found.assign(**defaults, family=family, expectation=stated), None


def _reactors(rng: Rng, n: int) -> pd.DataFrame:
    """Return a model of which 5% of the patients react, the margin."""
    reacts = (rng.random(n) < 0.05).astype(float)
    return prompt_rows(reacts, np.zeros(n))


# Losses since the baseline of scores of .50, with a mean of 0 (the margin of a merge gate, so that failures are false)
UNCHANGED: dict[str, Draw] = {
    "normal, sd .05": lambda rng, n: rng.normal(0, 0.05, n),
    "lognormal losses, others gain": lambda rng, n: 0.02 * (rng.lognormal(-0.5, 1.0, n) - 1),
    "2% lose .50, others gain": lambda rng, n: _lost(0.02, 0.5, -0.0102)(rng, n) + rng.normal(0, 0.005, n),
    "2% gain .50, others lose": lambda rng, n: _lost(0.02, -0.5, 0.0102)(rng, n) + rng.normal(0, 0.005, n),
    "2% gain .50, others lose .0102": _lost(0.02, -0.5, 0.0102),
    "10% gain .20, others lose": lambda rng, n: _lost(0.1, -0.2, 0.0222)(rng, n) + rng.normal(0, 0.005, n),
    "images of n / 5 patients as patients": lambda rng, n: _images_as_patients(rng, n) - 0.02,
}
# and with a mean above it, so that a pass is none to be wished for.
WORSE: dict[str, Draw] = {
    "normal, mean .02, sd .05": lambda rng, n: rng.normal(0.02, 0.05, n),
    "4% lose .50": lambda rng, n: _lost(0.04, 0.5)(rng, n) + rng.normal(0, 0.005, n),
    "10% lose .50": lambda rng, n: _lost(0.1, 0.5)(rng, n) + rng.normal(0, 0.005, n),
}
# How far the mask reaches the second object: by .10 on average, the margin, where every pass and failure is wrong; and
# what follows or does not.
REACHES: dict[str, Draw] = {
    "normal, sd .10": lambda rng, n: rng.normal(0.1, 0.1, n),
    "11% by .90, others not": lambda rng, n: _lost(1 / 9, 0.9)(rng, n),
    "5% by .90, others by .058": lambda rng, n: _lost(0.05, 0.9, 0.0579)(rng, n) + rng.normal(0, 0.01, n),
    "5% by .90, others by exactly .058": _lost(0.05, 0.9, 0.0579),
    "by .40, sd .20 (follows)": lambda rng, n: rng.normal(0.4, 0.2, n),
    "by 0, sd .02 (does not)": lambda rng, n: rng.normal(0, 0.02, n),
}


def _moved(draw: Draw, rng: Rng, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the clean rows of a baseline at .50 and of a run that has lost what is drawn."""
    loss = draw(rng, n)
    return rows("clean", np.clip(0.5 - loss, 0, 1), 0.0), rows("clean", np.full(n, 0.5), 0.0)


def _reaching(draw: Draw, rng: Rng, n: int) -> tuple[pd.DataFrame, None]:
    """Return a model that leaves the first object and reaches the second by what is drawn, on top of .10."""
    base = {"other_case_id": "o", "attribute": "size"}
    parts = [
        condition("clean", n, mask_change=0.0, dice=0.9, dice_other=0.1, **base),
        condition("paraphrase", n, mask_change=0.0, dice=0.9),
        condition(OTHER, n, mask_change=0.8, dice=0.0, dice_other=np.clip(0.1 + draw(rng, n), 0, 1), **base),
    ]
    return _alone(lambda *_: pd.concat(parts), rng, n)


# Test, what else the gate states, truth, tables of one draw.
Criterion = tuple[str, str, str, Callable[[Rng, int], tuple[pd.DataFrame, pd.DataFrame | None]]]
CRITERIA: list[Criterion] = [
    *(("noninferior", "margin = 0.02", name, partial(_compared, draw)) for name, draw in LOSSES.items()),
    *(
        ("no_proven_drop", "margin = 0.02", name, partial(_compared, LOSSES[name]))
        for name in ("2% newly lose all", "lognormal", "normal, sd .05")
    ),
    ("follows", "", "95% follow, 5% go the other way", partial(_alone, _mostly_follows)),
    ("ignores", "", "5% react", partial(_alone, _reactors)),
    ("abstains", "", "10% paint", partial(_alone, _abstention(0.1))),
]
OUTCOMES: list[Criterion] = [
    *(("no_proven_drop", "", name, partial(_moved, draw)) for name, draw in {**UNCHANGED, **WORSE}.items()),
    *(("follows", "", name, partial(_reaching, draw)) for name, draw in REACHES.items()),
]


def passes(place: int, subjects: int, runs: int, seed: int) -> tuple[float, float]:
    """Return how often `robustness gate` passes a truth on the margin, and passes it certified."""
    (found,) = _asked(CRITERIA[place], "criteria", range(runs), subjects, seed, apart=False)
    passing = [one for one in found if one["outcome"] == "pass"]
    return len(passing) / runs, sum(one["certified"] for one in passing) / runs


def outcomes(place: int, subjects: int, runs: int, seed: int) -> tuple[float, ...]:
    """Return how often a gate of one cell passes, passes certified, fails and fails certified."""
    found = [
        gate[0]
        for first in range(0, runs, _TOGETHER)
        for gate in _asked(
            OUTCOMES[place], "outcomes", range(first, min(first + _TOGETHER, runs)), subjects, seed, apart=True
        )
    ]
    counts = [[one["certified"] for one in found if one["outcome"] == outcome] for outcome in ("pass", "fail")]
    return tuple(count / runs for each in counts for count in (len(each), sum(each)))


def _asked(
    criterion: Criterion, study: str, draws: range, subjects: int, seed: int, *, apart: bool
) -> list[list[dict[str, Any]]]:
    """Return what `robustness gate` finds in a run with a data set for each draw; `apart`: by a gate for each."""
    test, limit, name, draw = criterion
    now, then, names = [], [], [f"d{number:05d}" for number in draws]
    for number, dataset in zip(draws, names, strict=True):
        table, before = draw(generator(seed, study, test, name, subjects, number), subjects)
        now.append(table.assign(dataset=dataset))
        then += [] if before is None else [before.assign(dataset=dataset)]
    with tempfile.TemporaryDirectory() as temporary:
        folder, plan = Path(temporary), {"statistics": {"resamples": 99}}
        arguments = ["gate", str(_written(folder / "now", now, names, plan))]
        if then:
            arguments += ["--baseline", str(_written(folder / "then", then, names, plan))]
        gates = [f'[[gate]]\ntest = "{test}"\n{limit}\ndataset = "{one}"\n' for one in (names if apart else ["*"])]
        (folder / "gates.toml").write_text("".join(gates))
        CliRunner().invoke(app, [*arguments, "--gates", str(folder / "gates.toml"), "--json", str(folder / "found")])
        return [gate["found"] for gate in json.loads((folder / "found").read_text())["gates"]]


def _written(path: Path, tables: list[pd.DataFrame], names: list[str], plan: dict[str, Any]) -> Path:
    """Write a run whose manifest knows the patients of every data set."""
    run = write_run(path, pd.concat(tables, ignore_index=True), plan=plan)
    (facts,) = run.manifest["datasets"]
    seal(path, {**run.manifest, "datasets": [{**facts, "name": name} for name in names]})
    return path


def simulate_criteria(*, runs: int = 2000, seed: int = 0, processes: int = 2) -> Study:
    """Truths on the margin through `robustness gate`: passes, and those that are certified."""
    tasks = [(place, k, runs, seed) for place in range(len(CRITERIA)) for k in SUBJECTS]
    shares = in_parallel(passes, tasks, processes)
    table = [
        (CRITERIA[task[0]][0], CRITERIA[task[0]][2], task[1], *found) for task, found in zip(tasks, shares, strict=True)
    ]
    proven = [row for row in table if "images of" not in row[1]]
    limit = rate_limit(0.05, runs, 2.0 if runs >= 2000 else 4.0)
    checks = [
        Check("certified passes of a truth on the margin", max(row[4] for row in proven), 0.0, limit),
        Check("ignores, abstains: passes", max(r[3] for r in table if r[0] in ("ignores", "abstains")), 0.0, limit),
        Check(
            "follows: passes, star or not", max(r[3] for r in table if r[0] == "follows"), 0.0, rate_limit(0.2, runs, 4)
        ),
    ]
    columns = ("test", "truth", "patients", "pass", "certified")
    about = "Shares of data sets; the truth lies on the margin, so a pass is false."
    return Study("gate_criteria", "Gates: criteria", about, columns, table, checks, runs)


def simulate_outcomes(*, runs: int = 1000, seed: int = 0, processes: int = 2) -> Study:
    """Gates of one cell through `robustness gate`: how often `no_proven_drop` and `follows` pass and fail."""
    tasks = [(place, k, runs, seed) for place in range(len(OUTCOMES)) for k in SUBJECTS]
    shares = in_parallel(outcomes, tasks, processes)
    table = [
        (OUTCOMES[task[0]][0], OUTCOMES[task[0]][2], task[1], *found) for task, found in zip(tasks, shares, strict=True)
    ]
    on_the_margin = [row for row in table if row[1] not in WORSE and "images of" not in row[1] and "(" not in row[1]]
    limit = rate_limit(0.05, runs, 4.0)
    normal = [row for row in on_the_margin if row[1].startswith("normal")]
    checks = [
        Check("certified failures of a truth on the margin", max(row[6] for row in on_the_margin), 0.0, limit),
        Check("failures of normal values on the margin", max(row[5] for row in normal), 0.0, limit),
        Check("follows: certified passes", max(row[4] for row in on_the_margin if row[0] == "follows"), 0.0, limit),
    ]
    columns = ("test", "truth", "patients", "pass", "certified pass", "fail", "certified failure")
    about = "Shares of data sets; margin 0 since the baseline, .10 for what reaches the second object."
    return Study("gate_outcomes", "Gates: passes and failures", about, columns, table, checks, runs)


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
    run_script(
        "calibration: gates end to end",
        simulate,
        runs=2000,
        more={"criteria": simulate_criteria, "outcomes": simulate_outcomes},
    )
