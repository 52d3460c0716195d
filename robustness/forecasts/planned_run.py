"""Dry run: the rows of a planned run with scores of an invariant model, to see which claims can be made."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from robustness.plans.audit import Plan
from robustness.results import CLEAN, RERUN, parse_condition

if TYPE_CHECKING:
    import pandas as pd

    from robustness.runners.dry_run.workload import Workload

_SCORE = 0.8


class PlannedRun:
    """Answers like a `Run` what depends on no score: conditions, applicability, subjects, families of claims."""

    def __init__(self, plan: Plan, works: list[Workload], models: list[str], facts: list[dict[str, Any]]) -> None:
        self.plan, self._works, self._models = plan, works, models
        self.manifest: dict[str, Any] = {"datasets": facts}
        self.measured = None

    def results(self) -> pd.DataFrame:
        """Return the rows, one table for all models and datasets."""
        return self._rows

    def verdicts(self) -> pd.DataFrame:
        """Return the claims; only what they rest on is meant, not what they say."""
        return self._verdicts

    @cached_property
    def unit(self) -> str:
        """What one unit of inference is called."""
        from robustness.runs.conclude import unit_of

        return unit_of(self.manifest["datasets"])

    @cached_property
    def _rows(self) -> pd.DataFrame:
        import pandas as pd

        from robustness.metrics.verdicts.floors import OWN_FLOORS

        whole = pd.concat([whole_table(work) for work in self._works], ignore_index=True)
        scored = whole["applicable"] & (whole["error"] == "")
        for metric in {"dice", *self.plan.metrics.names, *self.plan.statistics.margins}:
            whole[metric] = scored.map({True: _SCORE, False: float("nan")})
        # A model whose score does not come from its prompt could show no robustness: the plan assumes better.
        asked_elsewhere = whole["condition"].str.partition(":")[0].str.partition("@")[0].isin(OWN_FLOORS)
        whole.loc[scored & asked_elsewhere, "dice"] = 0.0
        whole["mask_change"] = scored.map({True: 0.0, False: float("nan")})
        named = scored & (whole["other_case_id"].fillna("") != "")
        whole["dice_other"] = named.map({True: 0.0, False: float("nan")})
        return pd.concat([whole.assign(model=name) for name in self._models], ignore_index=True)

    @cached_property
    def _verdicts(self) -> pd.DataFrame:
        from robustness.metrics.verdicts.verdicts import verdicts
        from robustness.runs.conclude import units_of

        stats = self.plan.statistics
        return verdicts(
            self._rows,
            **stats.verdict_options() | {"resamples": 99},
            unit=units_of(self.manifest["datasets"]),
        )


def whole_table(work: Workload) -> pd.DataFrame:
    """Return the rows of all cases: image conditions, seen on some images only, stand for every case.

    What looks for its inputs with the model counts as applicable.
    """
    import pandas as pd

    rows = work.rows.copy()
    by_model = rows["condition"].isin(work.by_model)
    rows.loc[by_model, "applicable"] = True
    prompt = rows[rows["family"].isin(["clean", "prompt"])]
    seen = rows[~rows.index.isin(prompt.index)]
    clean = prompt[(prompt["condition"] == CLEAN)].drop_duplicates(["case_id", "prompt_index"])
    tables = [prompt]
    for condition, group in seen.groupby("condition", sort=False):
        parsed = parse_condition(str(condition))
        usable = group[group["applicable"]]
        first = (usable if len(usable) else group).iloc[0]
        tables.append(
            clean.assign(
                condition=condition,
                family=parsed.family,
                attribute=parsed.attribute,
                severity=parsed.severity,
                applicable=bool(len(usable)),
                note=first["note"],
                expectation=first["expectation"],
                other_case_id="",
            )
        )
    return pd.concat(tables, ignore_index=True)


def changed_conditions(rows: pd.DataFrame) -> list[str]:
    """Return the conditions of a table but the two clean ones, in its order."""
    return [c for c in rows["condition"].unique() if c not in (CLEAN, RERUN)]
