"""Tables of one or several runs, merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

from robustness.errors import verb
from robustness.reports.data.origins import Origin, origins
from robustness.reports.data.run_tables import RunTables
from robustness.reports.words import condition_words, kind_words, listing
from robustness.results import is_attack, parse_condition, part_name

# A plan's own, where it sets none; also for what is computed of a run that does not record its alpha.
ALPHA = 0.05
# By series, of the plans of their runs.
Alphas = Mapping[str, float]


@dataclass(frozen=True)
class Frames:
    """The tables of all runs of one page, one below the other.

    `series` lists the models in page order, `origins` what is known of each model by its name in the results.
    `margin_dice` is the plan's margin of the first run; None where it is not recorded. `alphas` are those of the plans
    by series.
    """

    results: pd.DataFrame
    effects: pd.DataFrame
    verdicts: pd.DataFrame
    gallery: pd.DataFrame
    series: tuple[str, ...]
    origins: dict[str, Origin] = field(default_factory=dict)
    margin_dice: float | None = None
    alphas: dict[str, float] = field(default_factory=dict)

    @property
    def alpha(self) -> float:
        """That of the first series, by which everything is measured that compares several."""
        return self.alpha_of(self.series[0]) if self.series else ALPHA

    def alpha_of(self, series: str) -> float:
        """Return the alpha of the plan of one series."""
        return self.alphas.get(series, ALPHA)


def merge(runs: Sequence[RunTables]) -> Frames:
    """Put the tables of `runs` one below the other."""

    def stack(tables: list[pd.DataFrame]) -> pd.DataFrame:
        filled = [t for t in tables if len(t)]
        return pd.concat(filled, ignore_index=True) if filled else tables[0].reset_index(drop=True)

    results = stack([run.results for run in runs])
    return Frames(
        results=results,
        effects=stack([run.effects for run in runs]),
        verdicts=stack([run.verdicts for run in runs]),
        gallery=_with_second_target(stack([run.gallery for run in runs]), results),
        series=tuple(results["series"].unique()),
        origins=origins(runs),
        margin_dice=(runs[0].manifest.get("statistics") or {}).get("margin_dice"),
        alphas={str(s): run.alpha for run in runs if run.alpha for s in run.results["series"].unique()},
    )


def _with_second_target(gallery: pd.DataFrame, results: pd.DataFrame) -> pd.DataFrame:
    """Return the gallery with the Dice against the second target from the rows, where the prompt asks for it.

    Clean rows have that score as well, to be compared with; beside their image it would say what nobody asked for.
    """
    if gallery.empty or "dice_other" not in results:
        return gallery
    keys = ["series", "condition", "case_id", "prompt_index"]
    asked = results["condition"].map(_asks_for_second)
    scores = results[results["dice_other"].notna() & asked].drop_duplicates(keys)[[*keys, "dice_other"]]
    filled = gallery.drop(columns="dice_other", errors="ignore").merge(scores, on=keys, how="left")
    return filled.set_index(gallery.index)


def _asks_for_second(condition: object) -> bool:
    return any(part_name(part) == "other" for part in str(condition).split("+"))


def severities_text(results: pd.DataFrame) -> tuple[str, ...]:
    """Say which severities of the image changes were run; nothing where all of 1 to 5 were, or no image change."""
    parsed = {str(c): parse_condition(str(c)) for c in results["condition"].unique() if not is_attack(str(c))}
    severities = {condition.severity for condition in parsed.values() if condition.family == "image"}
    absent = [str(severity) for severity in range(1, 6) if severity not in severities]
    if not severities or not absent:
        return ()
    present = severity_words(severities).capitalize()
    return (f"{present} of 1 to 5; {listing(absent)} {verb(len(absent), 'were')} not run.",)


def conditions_text(conditions: Iterable[str]) -> str:
    """Say conditions in words, those of one change together instead of one by one.

    Example:
        >>> conditions_text(["drop:side", "drop:size", "other:side", "other:size", "empty"])
        'side and size words removed; prompt of a second target in the same image (side or size differs); empty prompt'
        >>> conditions_text(["image:jpeg@3", "image:jpeg@1", "image:jpeg@2", "image:ghosting@1", "paraphrase"])
        'JPEG, severities 1 to 3; ghosting, severity 1; prompt paraphrased'
    """
    together: dict[str, list[str]] = {}
    for condition in dict.fromkeys(conditions):
        name, sign, rest = condition.partition("@" if condition.startswith("image:") else ":")
        joint = "+" in condition
        together.setdefault(condition if joint else name, []).extend([] if joint or not sign else [rest])
    said: dict[str, list[str]] = {}
    for name, rests in together.items():
        if rests and name.startswith("image:"):
            said.setdefault(severity_words(map(int, rests)), []).append(kind_words(name.removeprefix("image:")))
        elif rests:
            said[condition_words(f"{name}:{listing(rests, 'or' if name == 'other' else 'and')}")] = []
        else:
            said[condition_words(name)] = []
    words = [f"{listing(kinds)}, {text}" if kinds else text for text, kinds in said.items()]
    # A comma inside of one would read as the end of it.
    return listing(words) if not any("," in one or " and " in one for one in words) else "; ".join(words)


def severity_words(severities: Iterable[int]) -> str:
    """Say severities: ``severity 3``, ``severities 1, 3 and 5``, three and more in a row ``severities 1 to 3``."""
    numbers = sorted(severities)
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"severities {numbers[0]} to {numbers[-1]}"
    return f"{'severity' if len(numbers) == 1 else 'severities'} {listing([str(number) for number in numbers])}"
