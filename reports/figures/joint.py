"""Joint grid: an image change and a prompt change at once, and whether they do more together than apart."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from robustness.reports.data.datatable import table_of
from robustness.reports.data.frames import ALPHA, Frames
from robustness.reports.figures import theme
from robustness.reports.figures.figure import FigureText, columns
from robustness.reports.figures.grid import Cell, grid, reach_of
from robustness.reports.figures.registry import FIGURES, FigureEntry, FigureInput
from robustness.reports.words import interval, metric_words, number, short_words, text
from robustness.results import is_searched, parse_condition

_COLUMNS = columns(
    ("series", "model"),
    ("condition", "condition"),
    ("effect", "loss together"),
    ("ci_low", "low"),
    ("ci_high", "high"),
    ("image_effect", "image alone"),
    ("prompt_effect", "prompt effect, clean image"),
    ("prompt_effect_changed", "prompt effect, perturbed image"),
    ("interaction", "interaction"),
    ("interaction_low", "low"),
    ("interaction_high", "high"),
    ("interaction_p", "p adj."),
    ("reading", "reading"),
    ("n_images", "cases"),
    ("n_subjects", "units"),
)


@FIGURES.add("joint")
class Joint(FigureEntry):
    """One grid per series."""

    name = "joint"
    position = 60
    section = "robustness"
    regulatory = 7
    heading = "Image and prompt together"
    note = (
        "Loss of Dice when both change. Edges: each change alone. A cell above the sum of its edges says that the two"
        " hurt more together: the prompt matters more on that image. Cells may rest on different cases, where a change"
        " did not apply to some; interactions use the cases that have all four cells, are paired within case and"
        " inferred over units; their p values are adjusted over the joint conditions of the model (max-T)."
    )

    def captions(self, source: FigureInput) -> list[FigureText]:
        """Return one caption per series with joint conditions, with what its grid answers."""
        effects, results = source.frames.effects, source.frames.results
        tables = []
        for i, s in enumerate(source.frames.series):
            own, rows, alpha = effects["series"] == s, results["series"] == s, source.frames.alpha_of(s)
            tables.append((i, s, joint_table(effects[own], results[rows], alpha=alpha)))
        return [_caption(index, series, rows) for index, series, rows in tables if len(rows)]

    def draw(self, caption: FigureText, frames: Frames) -> go.Figure:
        """Return the grid of one series."""
        return joint_grid(frames.effects[frames.effects["series"] == caption.key])


def _caption(index: int, series: str, rows: pd.DataFrame) -> FigureText:
    worst = rows.sort_values("effect", ascending=False, kind="stable").iloc[0]
    alt = (
        f"Joint grid for {series}: loss of Dice when image and prompt change together. Largest:"
        f" {short_words(text(worst['condition']))}, {number(worst['effect'])}, of which"
        f" {number(worst['interaction'])} beyond the sum of each alone."
    )
    table = table_of(rows, f"t-joint-{index}", series, _COLUMNS)
    return FigureText(f"joint-{index}", "joint", series, series, alt, table, joint_answers(rows))


def joint_table(
    effects: pd.DataFrame, results: pd.DataFrame | None = None, *, metric: str = "dice", alpha: float = ALPHA
) -> pd.DataFrame:
    """Return every joint condition of one series with its two parts and their own losses.

    Columns: those of `effects`, plus `image` and `prompt` (the two parts), `image_effect`, `prompt_effect` (their
    losses alone) and `interaction` = effect - image_effect - prompt_effect: above 0, the two hurt more together than
    the sum of each; NaN where a part was not run alone. With `results` it comes with its paired interval,
    `interaction_low` and `interaction_high`, its p value adjusted over the grid, the prompt effect on the clean
    and on the perturbed image (`prompt_effect`, `prompt_effect_changed`), and what that answers (`reading`), all by
    `alpha`: the plan's, by which the effects were computed too.
    """
    rows = effects[effects["metric"] == metric]
    alone = {str(c): float(e) for c, e in zip(rows["condition"], rows["effect"], strict=True) if pd.notna(e)}
    parts = [_two_parts(str(c)) for c in rows["condition"]]
    rows = rows.assign(image=[p[0] if p else None for p in parts], prompt=[p[1] if p else None for p in parts])
    rows = rows[pd.Series([p is not None for p in parts], rows.index, dtype=bool)]
    image = [alone.get(c, float("nan")) for c in rows["image"]]
    prompt = [alone.get(c, float("nan")) for c in rows["prompt"]]
    effect = pd.to_numeric(rows["effect"])
    together = effect - pd.Series(image, rows.index) - pd.Series(prompt, rows.index)
    rows = rows.assign(image_effect=image, prompt_effect=prompt, interaction=together)
    return rows if results is None or rows.empty else _with_intervals(rows, results, metric, alpha)


def _with_intervals(rows: pd.DataFrame, results: pd.DataFrame, metric: str, alpha: float) -> pd.DataFrame:
    from robustness.metrics.analyses.interaction import interactions, reading

    tested = interactions(results, metric=metric, alpha=alpha)
    tested["reading"] = [reading(row, alpha=alpha) for row in tested.to_dict("records")]
    tested = tested[["condition", "interaction", "prompt_effect", "prompt_effect_changed", "reading"]].assign(
        interaction_low=tested["ci_low"],
        interaction_high=tested["ci_high"],
        interaction_level=1 - alpha,
        interaction_p=tested["p_adjusted"],
    )
    return rows.drop(columns=["interaction", "prompt_effect"]).merge(tested, on="condition", how="left")


def joint_answers(rows: pd.DataFrame) -> tuple[str, ...]:
    """Return the two questions of a grid with what the rows of `joint_table` answer."""
    if "reading" not in rows or rows.empty:
        return ()
    rises, rescues = (
        "Does reliance on text rise when the image degrades?",
        "Does a good prompt rescue a bad image?",
    )
    if not rows["interaction_p"].notna().any():
        return tuple(f"{question} Not estimable: there are fewer than two units." for question in (rises, rescues))
    more = rows[rows["reading"].str.startswith("the words matter more")]
    less = rows[rows["reading"].str.startswith("the words matter less")]
    total = f"any of {len(rows)} joint conditions" if len(rows) > 1 else "the one joint condition"
    shown = f"Shown for {_named(more)}" if len(more) else f"Not shown for {total}"
    falls = f"; it falls for {_named(less)}" if len(less) else ""
    saved = "Shown for the same" if len(more) else "Not shown"
    return (
        f"{rises} {shown}{falls}.",
        f"{rescues} {saved}: the interaction is the effect of the right prompt on the perturbed image, less its"
        " effect on the clean one.",
    )


def _named(rows: pd.DataFrame) -> str:
    names = [f"{short_words(r['condition'])} ({number(r['interaction'])})" for r in rows.head(3).to_dict("records")]
    more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
    return ", ".join(names) + more


def joint_grid(effects: pd.DataFrame, *, metric: str = "dice") -> go.Figure:
    """Draw image change x prompt change of one series: the loss in each cell, the single changes on the edges."""
    rows = joint_table(effects, metric=metric)
    single = effects[effects["metric"] == metric].set_index("condition")
    images, prompts = list(dict.fromkeys(rows["image"])), list(dict.fromkeys(rows["prompt"]))
    row_of = {(r["image"], r["prompt"]): r for r in rows.to_dict("records")}
    cells: list[list[Cell | None]] = [[Cell(0.0, "0", "nothing changed"), *(_alone(single, p) for p in prompts)]]
    cells += [[_alone(single, i), *(_cell(row_of.get((i, p)), metric) for p in prompts)] for i in images]
    values = [c.value for row in cells for c in row if c is not None]
    return grid(
        cells,
        columns=["prompt as it is", *(theme.label(short_words(p)) for p in prompts)],
        rows=["image as it is", *(theme.label(short_words(i)) for i in images)],
        reach=reach_of(values),
        bad_is_high=True,
    )


def _two_parts(condition: str) -> tuple[str, str] | None:
    parsed = parse_condition(condition)
    # A search for the worst of both aims one part at the other: no grid of two changes.
    if parsed.family != "joint" or is_searched(condition):
        return None
    image = "+".join(p for p in parsed.parts if p.startswith("image:"))
    prompt = "+".join(p for p in parsed.parts if not p.startswith("image:"))
    return (image, prompt) if image and prompt else None


def _alone(single: pd.DataFrame, condition: str) -> Cell | None:
    if condition not in single.index:
        return None
    row = single.loc[condition]
    hover = f"{theme.label(short_words(condition))} alone: loss {number(row['effect'])}"
    return Cell(float(row["effect"]), number(row["effect"], 2), hover)


def _cell(row: dict[Any, Any] | None, metric: str) -> Cell | None:
    if row is None or pd.isna(row["effect"]):
        return None
    hover = (
        f"<b>{theme.label(short_words(row['image']))} + {theme.label(short_words(row['prompt']))}</b><br>"
        f"loss of {metric_words(metric)} {number(row['effect'])}"
        f" {interval(row['ci_low'], row['ci_high'], level=row.get('level'))}<br>"
        f"interaction {number(row['interaction'])} (together minus the sum of each)"
    )
    return Cell(float(row["effect"]), number(row["effect"], 2), hover)
