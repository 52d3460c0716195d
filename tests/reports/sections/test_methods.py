"""Counts in the methods, the limits and the failures: each recomputed from the rows or the verdicts."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from robustness.reports.data.frames import severities_text
from robustness.reports.data.run_tables import RunTables
from robustness.reports.figures.registry import figure_entries
from robustness.reports.sections import report as content


def test_every_starred_verdict_counts_as_not_certified(runs: tuple[RunTables, ...]) -> None:
    kinds = ["FRAGILE*", "ROBUST*", "FOLLOWS*", "IGNORES*", "INCONCLUSIVE", "FRAGILE", "ROBUST", "REACTS"]
    verdicts = (
        runs[0].verdicts.iloc[: len(kinds)].assign(verdict=kinds, n_needed=[None, 80, None, 97, 137, *[None] * 3])
    )
    made = content.build([replace(runs[0], verdicts=verdicts)], edition="regulatory")
    assert "5 claims undecided or not certified; to decide 3 of them, 80 to 137 units" in " ".join(
        made.regulatory[12].statements
    )
    assert "verdicts" in made.regulatory[12].shows
    table = next(t for t in made.tables if t.id == "verdicts")
    shown = next(c for c in table.columns if c.label == "units needed")
    assert not shown.hidden


@pytest.mark.slow
def test_reasons_are_counted_where_the_rows_are(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results
    off = (~rows["applicable"]).sum()
    made = content.build(runs[:1])
    for text in (made.methods[-1].text, made.regulatory[10].statements[0]):
        assert f"Not applicable: the prompt states no number ({off} rows)." in text
        assert "below" not in text
    notes = [f"reason {i}" for i in (0, 0, 1, 2, 3, 4, 5, 6)]
    many = runs[0].results.assign(applicable=True, note=None)
    many.loc[many.index[: len(notes)], ["applicable", "note"]] = [[False, note] for note in notes]
    said = content.build([replace(runs[0], results=many)]).methods[-1].text
    assert "Not applicable: reason 0 (2 rows)" in said
    assert "2 further reasons (2 rows)." in said


def test_empty_masks_are_said_by_condition_the_most_first(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results.assign(missed=False, hallucinated=False, both_empty=False)
    for condition, n in (("image:gamma@1", 1), ("image:jpeg@5", 3)):
        rows.loc[rows.index[rows["condition"] == condition][:n], "missed"] = True
    rows.loc[rows.index[rows["condition"] == "wrong_class"][:2], "hallucinated"] = True
    rows.loc[rows.index[rows["condition"] == "wrong_class"][2:5], "both_empty"] = True
    made = content.build([replace(runs[0], results=rows)])
    text = next(p.text for p in made.methods if p.title == "Empty masks")
    n = (rows["condition"] == "image:jpeg@5").sum()
    assert (
        f"missed by condition: JPEG, severity 5: 3 of {n} predictions; gamma, severity 1: 1 of {n} predictions." in text
    )
    assert "4 missed, 2 hallucinated among 5 predictions known to need an empty mask" in text
    assert f"missed by condition: JPEG, severity 5: 3 of {n} predictions" in " ".join(made.regulatory[9].statements)


@pytest.mark.slow
def test_claims_are_said_with_the_families_that_share_their_error_rate(runs: tuple[RunTables, ...]) -> None:
    def said(verdicts: pd.DataFrame) -> str:
        made = content.build([replace(runs[0], verdicts=verdicts)])
        return next(p.text for p in made.methods if p.title == "Verdicts on robustness")

    dice = runs[0].verdicts[runs[0].verdicts["claim"] == "robustness"].head(4).assign(m=4)
    both = pd.concat([dice, dice.assign(metric="mask_change")], ignore_index=True)
    assert said(both).startswith("8 claims in 2 families of 4 (one family per metric).")
    assert said(dice).startswith("4 claims in 1 family of 4.")
    uneven = both.assign(m=[4] * 4 + [3] * 3 + [1])
    assert said(uneven).startswith(
        "8 claims (claims that share the error rate: 4 for 4 claims; 3 for 3 claims; 1 for 1 claim)."
    )


def test_the_collapse_figure_has_the_mask_change_of_the_effects(runs: tuple[RunTables, ...]) -> None:
    """Only one of three wordings has a text distance; the mask change is that of all three."""
    rows = runs[0].results
    reworded = rows[rows["condition"] == "paraphrase"]
    more = [reworded.assign(prompt_index=i, mask_change=reworded["mask_change"] + 0.1 * i) for i in (1, 2)]
    rows = pd.concat([rows, *more], ignore_index=True)
    rows["text_distance"] = pd.Series(0.2, rows.index).where(rows["prompt_index"] == 0)
    made = content.build([replace(runs[0], results=rows)])
    table = next(f for f in made.figures if f.family == "collapse").table
    collapse = pd.DataFrame(table.rows, columns=[c.name for c in table.columns]).query("condition == 'paraphrase'")
    shown = collapse.iloc[0]
    units = rows[rows["condition"] == "paraphrase"].groupby(["subject_id", "case_id"])["mask_change"].mean()
    assert shown["change"] == pytest.approx(units.groupby(level=0).mean().mean())
    assert shown["change"] == pytest.approx(reworded["mask_change"].mean() + 0.1)
    says, level = next(f for f in made.figures if f.family == "collapse").says
    assert level == "Level of the intervals: 95%."
    assert f"mean over {3 * len(reworded)} rows, the distance that over the {len(reworded)} for" in says


@pytest.mark.parametrize(
    ("severities", "says"),
    [
        ((3,), ("Severity 3 of 1 to 5; 1, 2, 4 and 5 were not run.",)),
        ((1, 2, 3), ("Severities 1 to 3 of 1 to 5; 4 and 5 were not run.",)),
        ((1, 2, 3, 5), ("Severities 1, 2, 3 and 5 of 1 to 5; 4 was not run.",)),
        ((1, 2, 3, 4, 5), ()),
        ((), ()),
    ],
)
def test_severities_that_were_not_run_are_named(
    runs: tuple[RunTables, ...], severities: tuple[int, ...], says: tuple[str, ...]
) -> None:
    rows = runs[0].results.query("family != 'image'")
    jpeg = runs[0].results.query("condition == 'image:jpeg@5'")
    changed = [jpeg.assign(condition=f"image:jpeg@{s}", severity=s) for s in severities]
    assert severities_text(pd.concat([rows, *changed], ignore_index=True)) == says


def test_no_figure_calls_a_severity_highest_that_was_only_the_highest_run(runs: tuple[RunTables, ...]) -> None:
    made = content.build(runs[:1])
    drop = next(f for f in made.figures if f.family == "drop")
    assert drop.says[0] == "Severities 1, 3 and 5 of 1 to 5; 2 and 4 were not run."
    assert not any("at their highest" in entry.note for entry in figure_entries())
