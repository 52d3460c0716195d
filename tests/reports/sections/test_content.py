"""What the page says, apart from how it looks; counts in it, each recomputed from the rows or the verdicts."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.data.frames import severities_text
from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.reports.figures.registry import figure_entries
from robustness.reports.sections import provenance
from robustness.reports.sections import report as content

GOLDEN = Path(__file__).with_name("content.json")
# Every field of schema 2 with its types, as the last version that wrote it did.
SCHEMA_2 = """
.: schema=str edition=str title=str series[]=str warnings[]=str notes[]=str uncertified=bool findings_rule=str
  sources=str limitations[]=str verify[]=str pictures=str pictures_left_out=int pictures_unreadable=int
runs[]: name=str series[]=str dataset=str split=str n_cases=int n_images=int n_subjects=int unit=str
  subject_is_image=bool created=str suite_version=str
headlines[]: series=str
headlines[].prompt[]: verdict=str verb=str items[]=str
headlines[].image[]: verdict=str verb=str items[]=str
findings[]: series=str condition=str words=str verdict=str sentence=str says=str row=int picture=str
attributes[]: attribute=str title=str
attributes[].lines[]: condition=str words=str
attributes[].lines[].claims[]: row=int series=str condition=str metric=str verdict=str sentence=str
  estimate=NoneType/float ci_low=NoneType/float ci_high=NoneType/float margin=float n_subjects=int severity=int
  says=str
robustness[]: kind=str words=str
robustness[].claims[][]: row=int series=str condition=str metric=str verdict=str sentence=str estimate=float
  ci_low=float ci_high=float margin=float n_subjects=int severity=int says=str
figures[]: id=str family=str key=str title=str alt=str
figures[].table: id=str title=str rows[][]=float/int/str
figures[].table.columns[]: name=str label=str kind=str hidden=bool link=str
tables[]: id=str title=str rows[][]=NoneType/bool/float/int/str
tables[].columns[]: name=str label=str kind=str hidden=bool link=str
regulatory[]: number=int title=str asked_by=str statements[]=str blanks[]=str shows[]=str
methods[]: title=str text=str
provenance[]: run=str title=str pairs[][]=str text=str
"""


def test_content_of_a_small_run_is_as_frozen(runs: tuple[RunTables, ...]) -> None:
    """To renew after a wanted change: write `frozen(...)` of this run over content.json and read the difference."""
    expected = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert_close(frozen(content.build(runs[:1]).to_json()), expected, "report")


def frozen(report: dict) -> dict:
    """Keep the words whole; of tables the shape and the first rows."""
    kept = json.loads(json.dumps(report))
    # The hashes of tables depend on the library that writes them.
    kept["provenance"] = [block for block in kept["provenance"] if block["title"] != "Tables"]
    for table in [*kept["tables"], *(figure["table"] for figure in kept["figures"])]:
        table["n_rows"] = len(table["rows"])
        table["rows"] = table["rows"][:2]
    return kept


def assert_close(found: object, expected: object, where: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected), where
        for key in expected:
            assert_close(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list)
        assert len(found) == len(expected), where
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            assert_close(a, b, f"{where}[{i}]")
    elif isinstance(expected, float):
        assert isinstance(found, float)
        assert math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12), where
    else:
        assert found == expected, where


def test_a_reader_of_schema_2_finds_every_field_with_its_type() -> None:
    """What came since has names of its own; the content frozen above is what is read here."""
    written = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert written["schema"].split(".")[0] == "robustness-report/2"
    described = (Path(__file__).parents[3] / "docs" / "report.md").read_text(encoding="utf-8")
    assert set(re.findall(r"robustness-report/2\.\d+", described)) == {written["schema"]}
    types = types_of(written)
    parent = ""
    for word in SCHEMA_2.split():
        if word.endswith(":"):
            parent = word.rstrip(":").rstrip(".")
            continue
        name, _, kinds = word.partition("=")
        path = f"{parent}.{name}".lstrip(".")
        assert types.get(path), f"{path} is gone"
        assert types[path] <= {*kinds.split("/"), "NoneType"}, f"{path} changed its type"


def types_of(value: object, path: str = "") -> dict[str, set[str]]:
    """Return the types of every leaf by its path, lists as ``[]``."""
    if isinstance(value, dict):
        inner = [types_of(v, f"{path}.{k}".lstrip(".")) for k, v in value.items()]
    elif isinstance(value, list):
        inner = [types_of(v, f"{path}[]") for v in value]
    else:
        return {path: {type(value).__name__}}
    merged: dict[str, set[str]] = {}
    for one in inner:
        for key, types in one.items():
            merged.setdefault(key, set()).update(types)
    return merged


@pytest.mark.slow
def test_the_report_is_plain_json(runs: tuple[RunTables, ...]) -> None:
    report = content.build(runs).to_json()
    assert json.loads(json.dumps(report, allow_nan=False))["series"] == ["film-unet", "film-unet-image-only"]


@pytest.mark.slow
def test_headlines_tell_the_reader_from_the_blind_model(runs: tuple[RunTables, ...]) -> None:
    reader, blind = content.build(runs).headlines
    assert {p.verdict: p.items for p in reader.prompt}["FOLLOWS"] == ("side",)
    assert {p.verdict for p in blind.prompt} == {"IGNORES*", "UNTESTABLE"}
    assert "side" in {p.verdict: p.items for p in blind.prompt}["IGNORES*"]


@pytest.mark.slow
def test_findings_are_ordered_by_harm_and_of_each_model_the_worst_is_there(runs: tuple[RunTables, ...]) -> None:
    findings = content.build(runs).findings
    assert len(findings) == 3
    # A class that is not heeded by Dice, as the page warns, goes before all verdicts.
    first, *judged = findings
    assert (first.series, first.condition, first.verdict) == ("film-unet-image-only", "wrong_class", "")
    assert [f.harm for f in judged] == sorted((f.harm for f in judged), reverse=True)
    assert {f.series for f in findings} == {"film-unet", "film-unet-image-only"}
    assert len({(f.series, f.condition.partition("@")[0]) for f in findings}) == 3
    assert findings[0].picture
    assert judged[0].verdict == "FRAGILE"


@pytest.mark.slow
def test_a_word_whose_second_target_is_missed_is_the_worst_finding(runs: tuple[RunTables, ...]) -> None:
    blind = runs[1].results.copy()
    blind.loc[blind["condition"] == "other:side", "dice_other"] = 0.05
    findings = content.build([runs[0], replace(runs[1], results=blind)]).findings
    worst = next(f for f in findings if f.verdict)
    assert (worst.series, worst.condition) == ("film-unet-image-only", "other:side")
    assert math.isclose(worst.harm, 0.95)
    assert worst.measure == "1 − Dice to the target that was asked for 0.95"


def test_a_wanted_reaction_is_no_finding(runs: tuple[RunTables, ...]) -> None:
    report = content.build(runs[:1])
    assert all(f.condition not in ("antonym:side", "other:side", "empty", "wrong_class") for f in report.findings)


@pytest.mark.slow
def test_runs_with_equal_facts_are_told_once(runs: tuple[RunTables, ...]) -> None:
    facts = content.build(runs).runs
    assert len(facts) == 1
    assert facts[0].series == ("film-unet", "film-unet-image-only")


def test_a_bare_run_without_manifest_or_gallery_still_makes_a_report(runs: tuple[RunTables, ...]) -> None:
    bare = replace(runs[0], manifest={}, plan="", gallery=runs[0].gallery.iloc[:0], verdicts=runs[0].verdicts.iloc[:0])
    report = content.build([bare])
    assert report.runs[0].n_cases == 12
    assert report.runs[0].created == "not recorded"
    assert "does not record what its unit of inference is" in report.warnings[0]
    assert report.findings == ()


def test_the_header_tells_every_data_set_of_a_run(runs: tuple[RunTables, ...]) -> None:
    first = runs[0].manifest["dataset"]
    second = {**first, "name": "elsewhere", "n_cases": 4, "n_images": 2, "n_subjects": 2, "notes": ["a second note"]}
    results = runs[0].results
    few = results[results["case_id"] < "axi_002"].assign(dataset="elsewhere", series="film-unet · elsewhere")
    both = pd.concat([results.assign(series="film-unet · demo_brain"), few], ignore_index=True)
    manifest = {**runs[0].manifest, "datasets": [first, second]}
    run = replace(runs[0], manifest=manifest, results=both)
    assert [(f.dataset, f.n_cases, f.series) for f in provenance.run_facts(run)] == [
        ("demo_brain", 12, ("film-unet · demo_brain",)),
        ("elsewhere", 4, ("film-unet · elsewhere",)),
    ]
    assert "images like these 6 and 2," in provenance.warnings([run], [provenance.run_facts(run)])[0]
    assert "a second note" in provenance.notes([run])


def test_patients_are_called_patients(runs: tuple[RunTables, ...]) -> None:
    manifest = json.loads(json.dumps(runs[0].manifest))
    manifest["dataset"] |= {"subject_is_image": False}
    report = content.build([replace(runs[0], manifest=manifest)])
    assert report.runs[0].unit == "patient"
    assert not any("unit of inference" in w for w in report.warnings)


@pytest.mark.slow
def test_rows_with_errors_are_counted_and_listed(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results.copy()
    results.loc[results.index[:3], "error"] = "cannot decode"
    report = content.build([replace(runs[0], results=results)])
    assert any("3 rows could not be evaluated" in w for w in report.warnings)
    assert len(next(t for t in report.tables if t.id == "errors").rows) == 3


def test_not_applicable_rows_are_counted_with_their_reason(runs: tuple[RunTables, ...]) -> None:
    table = next(t for t in content.build(runs[:1]).tables if t.id == "not-applicable")
    off = runs[0].results[~runs[0].results["applicable"]]
    assert table.rows == (("film-unet", "antonym:number", "the prompt states no number", len(off)),)


def test_two_runs_of_one_model_are_told_apart_by_their_folders(run_folders: list[Path], tmp_path: Path) -> None:
    copied = shutil.copytree(run_folders[0], tmp_path / "again")
    first, second = read_runs([run_folders[0], copied])
    assert set(first.results["series"]) == {"film-unet (text-conditioned)"}
    assert set(second.verdicts["series"]) == {"film-unet (again)"}


def test_clean_scores_average_the_texts_of_a_prompt(runs: tuple[RunTables, ...]) -> None:
    from robustness.reports.figures.scores import clean_scores

    clean = runs[0].results[runs[0].results["condition"] == "clean"]
    twice = pd.concat([clean, clean.assign(prompt_index=1, dice=clean["dice"] + 0.02)])
    scores = clean_scores(twice)
    assert len(scores) == len(clean)
    assert math.isclose(scores["dice"].mean(), clean["dice"].mean() + 0.01)


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
