"""Gates: does a run keep what was promised? Pass, fail, or inconclusive, decided by intervals and never by luck."""

from __future__ import annotations

import fnmatch
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from robustness.errors import InputError
from robustness.plan import StrictModel, read_toml
from robustness.plan_errors import validated
from robustness.results import CLEAN, RERUN

if TYPE_CHECKING:
    import pandas as pd

    from robustness.run import Run

COLUMNS = (
    "name", "test", "condition", "estimate", "ci_low", "ci_high", "margin", "outcome", "severity", "message",
)  # fmt: skip
Outcome = Literal["pass", "fail", "inconclusive"]
NAN = float("nan")


class GateSpec(StrictModel):
    """One ``[[gate]]``."""

    name: str = ""
    test: Literal["drop_below", "noninferior", "no_proven_drop", "invariant", "follows", "ignores", "retention"]
    condition: str | None = None
    attribute: str | None = None
    metric: str = "dice"
    margin: float = Field(default=0.0, ge=0)
    at_least: float | None = Field(default=None, gt=0)
    model: str = "*"
    dataset: str = "*"
    severity: Literal["error", "warn"] = "error"


class Gates(StrictModel):
    """A gates file."""

    inconclusive: Literal["fail", "warn", "skip"] = "fail"
    gate: list[GateSpec] = Field(min_length=1)


class Finding(NamedTuple):
    """What one test says of one condition."""

    condition: str
    estimate: float
    ci_low: float
    ci_high: float
    outcome: Outcome
    message: str


def load_gates(path: str | Path) -> Gates:
    """Read a gates file.

    Raises:
        InputError: no such file, not TOML, an unknown key or a bad value.
    """
    return validated(Gates, read_toml_gates(path), source=str(path))


def read_toml_gates(path: str | Path) -> dict[str, object]:
    """Read the TOML of a gates file, with an error that speaks of gates."""
    if not Path(path).is_file():
        raise InputError(
            f"gates: expected a TOML file with [[gate]] tables, found none at {str(path)!r}; use --gates FILE"
        )
    return read_toml(path)


def judge(run: Run, gates: Gates, *, baseline: Run | None = None) -> pd.DataFrame:
    """Return one row per gate: `name test condition estimate ci_low ci_high margin outcome severity message`.

    A gate over several conditions (a glob) takes the worst of them, each judged at level alpha / (number of
    conditions). `outcome` is "pass", "fail", "inconclusive", or "skip" where the file says so for inconclusive.
    Intervals are 1 - 2 alpha, so that each side errs with probability alpha.

    Raises:
        InputError: a gate that needs a baseline and has none, or a glob that matches nothing.
    """
    import pandas as pd

    rows = [_row(run, gate, gates, baseline) for gate in gates.gate]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def failed(judged: pd.DataFrame, gates: Gates) -> bool:
    """Return whether the gates hold back: a failure of severity error, or an inconclusive one where that fails."""
    hard = judged[judged["severity"] == "error"]
    bad = {"fail", "inconclusive"} if gates.inconclusive == "fail" else {"fail"}
    return bool(hard["outcome"].isin(bad).any())


def _row(run: Run, gate: GateSpec, gates: Gates, baseline: Run | None) -> tuple[object, ...]:
    if gate.test in ("follows", "ignores"):
        findings = _by_verdict(run, gate)
    elif gate.test in ("noninferior", "no_proven_drop"):
        findings = _against_baseline(run, gate, baseline)
    elif gate.test == "retention":
        findings = _retention(run, gate)
    else:
        findings = _by_effect(run, gate)
    worst = min(findings, key=lambda f: (_RANK[f.outcome], -_badness(gate, f.estimate)))
    outcome = "skip" if worst.outcome == "inconclusive" and gates.inconclusive == "skip" else worst.outcome
    margin = gate.at_least if gate.test == "retention" and gate.at_least is not None else gate.margin
    name = gate.name or f"{gate.test} {gate.condition or gate.attribute or ''}".strip()
    return (
        name, gate.test, worst.condition, worst.estimate, worst.ci_low, worst.ci_high, margin, outcome, gate.severity,
        worst.message,
    )  # fmt: skip


_RANK: dict[str, int] = {"fail": 0, "inconclusive": 1, "pass": 2}


def _badness(gate: GateSpec, estimate: float) -> float:
    if estimate != estimate:
        return 0.0
    return -estimate if gate.test == "retention" else abs(estimate) if gate.test == "invariant" else estimate


def _by_effect(run: Run, gate: GateSpec) -> list[Finding]:
    results = _scope(run.results(), gate)
    wanted = _conditions(results, gate)
    effects = _effects(results[results["condition"].isin([CLEAN, *wanted])], gate, run, len(wanted))
    effects = effects[effects["condition"].isin(wanted)]
    noise = _noise(results, gate, run)
    return [_judge_interval(gate, row, gate.margin, noise) for row in effects.to_dict("records")]


def _against_baseline(run: Run, gate: GateSpec, baseline: Run | None) -> list[Finding]:
    import pandas as pd

    if baseline is None:
        raise InputError(f"gate {gate.name or gate.test!r}: it compares with a baseline; use --baseline RUN")
    new = _scope(run.results(), gate)
    # The baseline's model may have another name; `model` chooses among the new ones.
    old = _scope(baseline.results(), gate.model_copy(update={"model": "*"}))
    wanted = _conditions(new, gate) if gate.condition or gate.attribute else [CLEAN]
    partners = _partners(gate, sorted(new["model"].unique()), sorted(old["model"].unique()))
    noise = max(_noise(new, gate, run), _noise(old, gate, run))
    findings = []
    for (model, partner), condition in itertools.product(partners.items(), wanted):
        before = old[(old["condition"] == condition) & (old["model"] == partner)]
        after = new[(new["condition"] == condition) & (new["model"] == model)]
        _same_cases(before, after, condition)
        before = before.assign(condition=CLEAN, family="clean", model=model)
        paired = pd.concat([before, after.assign(condition="new", family="prompt")], ignore_index=True)
        for row in _effects(paired, gate, run, len(wanted) * len(partners)).to_dict("records"):
            margin = gate.margin if gate.test == "noninferior" else 0.0
            findings.append(_judge_interval(gate, {**row, "condition": condition}, margin, noise))
    return findings


def _partners(gate: GateSpec, new: list[str], old: list[str]) -> dict[str, str]:
    """Return the baseline's model for each model: the one of the same name, or the only one."""
    if len(new) == len(old) == 1:
        return {new[0]: old[0]}
    missing = [name for name in new if name not in old]
    if missing or not new:
        raise InputError(
            f"gate {gate.name or gate.test!r}: the baseline has no model {missing[0] if missing else gate.model!r} "
            f"(it has {', '.join(old)}); choose one with model = ..."
        )
    return {name: name for name in new}


def _noise(results: pd.DataFrame, gate: GateSpec, run: Run) -> float:
    """Return how far two clean runs of the same model may differ on average: what no change can be blamed for."""
    from robustness.metrics.effects import effects

    twice = results[results["condition"].isin([CLEAN, RERUN])]
    if not (twice["condition"] == RERUN).any() or gate.metric not in twice:
        return 0.0
    found = effects(twice, metric=gate.metric, alpha=2 * run.plan.statistics.alpha, resamples=99, seed=run.plan.seed)
    bounds = found[["ci_low", "ci_high"]].abs().max(axis=1).fillna(0.0)
    return float(bounds.max()) if len(bounds) else 0.0


def _judge_interval(gate: GateSpec, row: dict[str, Any], margin: float, noise: float) -> Finding:
    estimate, low, high = float(row["effect"]), float(row["ci_low"]), float(row["ci_high"])
    condition, n = str(row["condition"]), int(row["n_subjects"])
    if low != low:  # no interval: fewer than two subjects
        outcome: Outcome = "inconclusive"
    elif gate.test == "no_proven_drop":
        outcome = "fail" if low > noise else "pass"
    elif gate.test == "invariant":
        inside, outside = -margin < low and high < margin, low > margin + noise or high < -margin - noise
        outcome = "pass" if inside else "fail" if outside else "inconclusive"
    else:
        outcome = "pass" if high < margin else "fail" if low > margin + noise else "inconclusive"
    message = (
        f"{condition}: {gate.metric} effect {estimate:+.4f} [{low:+.4f}, {high:+.4f}] (positive is worse), "
        f"margin {margin:g}, n = {n}{f', rerun noise {noise:.4f}' if noise else ''}"
    )
    return Finding(condition, estimate, low, high, outcome, message)


def _by_verdict(run: Run, gate: GateSpec) -> list[Finding]:
    verdicts = _scope(run.verdicts(), gate)
    rows = verdicts[verdicts["claim"] == "prompt"]
    if gate.attribute:
        rows = rows[rows["attribute"] == gate.attribute]
    if gate.condition:
        rows = rows[[fnmatch.fnmatchcase(c, gate.condition) for c in rows["condition"]]]
    if not len(rows):
        raise InputError(_nothing(gate, sorted(verdicts["condition"].unique())))
    findings = [_judge_verdict(gate, row) for row in rows.to_dict("records")]
    if gate.test == "follows":
        # Following is shown once a second referent is followed; a swap without one can only show a reaction.
        best = [f for f in findings if f.outcome == "pass"]
        return best or findings
    return findings


def _judge_verdict(gate: GateSpec, row: dict[str, Any]) -> Finding:
    verdict = str(row["verdict"])
    open_verdicts = {"INCONCLUSIVE", "UNTESTABLE"} | ({"IGNORES*"} if gate.test == "ignores" else {"REACTS"})
    wanted = "FOLLOWS" if gate.test == "follows" else "IGNORES"
    reacts_only = verdict == "REACTS" and gate.test == "follows" and not str(row["condition"]).startswith("other:")
    outcome: Outcome = "pass" if verdict == wanted else "fail"
    if verdict in open_verdicts and (verdict != "REACTS" or reacts_only):
        outcome = "inconclusive"
    numbers = [float(row[k]) if row[k] is not None else NAN for k in ("estimate", "ci_low", "ci_high")]
    return Finding(str(row["condition"]), numbers[0], numbers[1], numbers[2], outcome, f"{verdict}: {row['sentence']}")


def _retention(run: Run, gate: GateSpec) -> list[Finding]:
    from robustness.metrics.retention import retention

    if gate.at_least is None:
        raise InputError(f"gate {gate.name or gate.test!r}: retention needs at_least, for example at_least = 0.9")
    results = _scope(run.results(), gate)
    wanted = _conditions(results, gate)
    alpha = 2 * run.plan.statistics.alpha / len(wanted)
    table = retention(
        results[results["condition"].isin([CLEAN, *wanted])], metric=gate.metric, alpha=alpha, seed=run.plan.seed
    )
    findings = []
    for row in table.to_dict("records"):
        low, high, value = float(row["ci_low"]), float(row["ci_high"]), float(row["retention"])
        outcome: Outcome = "pass" if low >= gate.at_least else "fail" if high < gate.at_least else "inconclusive"
        message = f"{row['condition']}: keeps {value:.3f} [{low:.3f}, {high:.3f}] of the clean {gate.metric}"
        findings.append(Finding(str(row["condition"]), value, low, high, outcome, message))
    return findings


def _effects(table: pd.DataFrame, gate: GateSpec, run: Run, family: int) -> pd.DataFrame:
    from robustness.metrics.effects import effects

    if gate.metric not in table:
        raise InputError(f"gate {gate.name or gate.test!r}: the run has no metric {gate.metric!r}")
    stats = run.plan.statistics
    found = effects(
        table, metric=gate.metric, alpha=2 * stats.alpha / family, resamples=stats.resamples, seed=run.plan.seed
    )
    return found[found["condition"] != RERUN]


def _scope(table: pd.DataFrame, gate: GateSpec) -> pd.DataFrame:
    keep = [
        fnmatch.fnmatchcase(m, gate.model) and fnmatch.fnmatchcase(d, gate.dataset)
        for m, d in zip(table["model"], table["dataset"], strict=True)
    ]
    return table[keep]


def _conditions(results: pd.DataFrame, gate: GateSpec) -> list[str]:
    known = [c for c in results["condition"].unique() if c not in (CLEAN, RERUN)]
    if gate.attribute:
        with_attribute = set(results.loc[results["attribute"] == gate.attribute, "condition"])
        known = [c for c in known if c in with_attribute]
    wanted = [c for c in known if fnmatch.fnmatchcase(c, gate.condition or "*")]
    if gate.condition == CLEAN:
        if gate.test not in ("noninferior", "no_proven_drop"):
            raise InputError(
                f"gate {gate.name or gate.test!r}: {gate.test} compares a condition with clean; name another condition"
            )
        wanted = [CLEAN]
    if not wanted:
        raise InputError(_nothing(gate, sorted(results["condition"].unique())))
    return wanted


def _nothing(gate: GateSpec, known: list[str]) -> str:
    asked = gate.condition or gate.attribute
    return f"gate {gate.name or gate.test!r}: {asked!r} matches no condition of the run; it has {', '.join(known)}"


def _same_cases(before: pd.DataFrame, after: pd.DataFrame, condition: str) -> None:
    keys = ["dataset", "split", "case_id", "prompt_index"]
    left, right = (set(map(tuple, t[keys].to_numpy().tolist())) for t in (before, after))
    if left != right:
        example = sorted(left ^ right)[0]
        raise InputError(
            f"baseline: {condition!r} was measured on other cases ({len(left - right)} only there, {len(right - left)} "
            f"only here, for example {example[2]!r}); compare runs of the same data and prompts"
        )
