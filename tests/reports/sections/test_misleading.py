"""What the page says first agrees with every claim, and nothing is concluded from masks that are empty."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.data.claims import kind_rows
from robustness.reports.data.empty_masks import silent_share
from robustness.reports.data.frames import merge
from robustness.reports.data.gallery import Gallery
from robustness.reports.data.row_data import row_data
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.unit_means import unit_interval
from robustness.reports.exports.model_index import model_index
from robustness.reports.figures.catalogue import captions, draw
from robustness.reports.html.page import render, write_report
from robustness.reports.sections import report as content
from robustness.reports.words import condition_words, metric_words


@pytest.fixture
def moved(runs: tuple[RunTables, ...]) -> RunTables:
    """A run whose Dice holds under JPEG while its mask moves: ROBUST by one metric, FRAGILE by the other."""
    run = runs[0]
    dice = run.verdicts[(run.verdicts["claim"] == "robustness") & (run.verdicts["metric"] == "dice")]
    sentences = "mask_change moves under " + dice["condition"]
    change = dice.assign(metric="mask_change", verdict="FRAGILE", estimate=0.9, margin=0.05, sentence=sentences)
    verdicts = pd.concat([run.verdicts, change], ignore_index=True)
    dice_effects = run.effects[run.effects["metric"] == "dice"]
    effects = run.effects[run.effects["metric"] != "mask_change"]
    effects = pd.concat([effects, dice_effects.assign(metric="mask_change", effect=0.246)], ignore_index=True)
    return replace(run, verdicts=verdicts, effects=effects)


def test_a_change_that_moves_the_mask_is_not_told_as_holding_up(moved: RunTables) -> None:
    (headline,) = content.build([moved]).headlines
    by_verdict = {p.verdict: p.items for p in headline.image}
    assert "ROBUST" not in by_verdict
    assert "ROBUST*" not in by_verdict
    assert any(item.startswith("JPEG (mask change") for item in by_verdict["FRAGILE"])


def test_what_breaks_stands_once_by_its_first_severity_and_each_metric_behind_it(moved: RunTables) -> None:
    (phrase,) = (p for p in content.build([moved]).headlines[0].image if p.verdict == "FRAGILE")
    broken = moved.verdicts[moved.verdicts["verdict"].eq("FRAGILE")]
    severity = pd.to_numeric(broken["condition"].str.partition("@")[2], errors="coerce").fillna(0).astype(int)
    kind = broken["condition"].str.partition("@")[0]
    severity = severity.where(kind.ne("image:horizontal_flip"), 0)  # it was run at one, so that none is its first
    first = severity.groupby([kind.map(condition_words), broken["metric"].map(metric_words)]).min()
    assert {(o.words, metric): n for o in phrase.onsets for metric, n in o.first} == first.to_dict()
    assert phrase.sentence == (
        "breaks by Dice or mask change under horizontal flip and prompt paraphrased,"
        " from severity 1 under gamma, gaussian blur, gaussian noise and JPEG"
    )
    page = render(content.build([moved]), merge([moved]), Gallery())
    table = page.partition('<table class="onsets">')[2].partition("</table>")[0]
    cells = [re.findall(r"<t[hd][^>]*>([^<]*)<", row) for row in table.split("<tr>")[1:]]
    assert cells[0] == ["Change", *phrase.metrics]
    assert len(cells) == 1 + len(phrase.onsets)
    shown = {(words, m): cell for words, *row in cells[1:] for m, cell in zip(cells[0][1:], row, strict=True)}
    assert shown == {
        (o.words, m): str(dict(o.first).get(m, "–") or "breaks") for o in phrase.onsets for m in phrase.metrics
    }


def test_every_robustness_claim_stands_in_the_matrix_whatever_its_metric(moved: RunTables) -> None:
    rows = kind_rows(merge([moved]))
    assert sum(len(c) for row in rows for c in row.claims) == (moved.verdicts["claim"] == "robustness").sum()
    assert {row.metric for row in rows} == {"dice", "mask_change"}


def test_findings_take_the_metric_that_broke(moved: RunTables) -> None:
    fragile = [f for f in content.build([moved]).findings if f.verdict == "FRAGILE"]
    assert fragile
    assert all(f.says.startswith("mask change moves") for f in fragile)


def test_the_regulatory_section_counts_and_draws_both_metrics(moved: RunTables) -> None:
    report = content.build([moved], edition="regulatory")
    section = next(s for s in report.regulatory if s.number == 7)
    text = " ".join(section.statements)
    for metric, name in (("dice", "Dice"), ("mask_change", "mask change")):
        claims = moved.verdicts[(moved.verdicts["claim"] == "robustness") & (moved.verdicts["metric"] == metric)]
        assert int(re.search(rf"by {name}: (\d+) claim", text)[1]) == len(claims)
    assert "stability" in section.shows
    frames = merge([moved])
    (figure,) = (draw(f, frames) for f in captions(frames) if f.family == "stability")
    assert {x for trace in figure.data for x in trace.x} == {0.246}


@pytest.mark.slow
def test_the_gallery_filter_knows_every_verdict_of_a_condition(run_folders: list[Path], tmp_path: Path) -> None:
    page = write_report(run_folders[0], tmp_path / "page.html").read_text("utf-8")
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    verdicts = merge([*_read(run_folders[:1])]).verdicts
    for key, found in data["verdicts"].items():
        series, condition = key.split("\n")
        rows = verdicts[(verdicts["series"] == series) & (verdicts["condition"] == condition)]
        assert set(found) == set(rows["verdict"])


def _read(folders: list[Path]) -> tuple[RunTables, ...]:
    from robustness.reports.data.run_tables import read_runs

    return read_runs(folders)


def test_a_model_that_paints_nothing_is_not_told_to_ignore_its_words(runs: tuple[RunTables, ...]) -> None:
    run = replace(runs[1], results=runs[1].results.assign(missed=True, dice=0.0, mask_change=0.0))
    report = content.build([run])
    series = run.results["series"].iloc[0]
    n = int((run.results["applicable"] & run.results["missed"]).sum())
    (headline,) = report.headlines
    assert (headline.prompt, headline.image) == ((), ())
    assert f"all {n:,} predictions" in headline.nothing
    assert headline.nothing in report.warnings
    assert report.findings == ()
    assert silent_share(run.results, series).n_empty == n


def test_a_clean_prediction_counts_once_however_many_second_targets_its_case_has(runs: tuple[RunTables, ...]) -> None:
    """The first screen and the methods said 3 of 372 and 6 of 650 of the same empty masks."""
    rows = runs[0].results
    first = rows.index[rows["condition"] == "clean"][0]
    rows = rows.assign(missed=rows.index == first)
    again = rows[rows["condition"] == "clean"].assign(other_case_id="another")
    report = content.build([replace(runs[0], results=pd.concat([rows, again], ignore_index=True))])
    n = int((rows["condition"] == "clean").sum())
    (overview,) = report.overviews
    assert f"1 of {n} clean predictions" in next(f.text for f in overview.facts if f.label == "Empty masks")
    methods = next(p.text for p in report.methods if p.title == "Empty masks")
    assert f"unchanged: 1 of {n} predictions." in methods
    assert f"unchanged: 1 of {n} predictions." in " ".join(report.regulatory[9].statements)


def test_one_empty_mask_is_no_silence(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results.copy()
    results.loc[results.index[0], "missed"] = True
    report = content.build([replace(runs[0], results=results)])
    assert not report.headlines[0].nothing
    assert report.headlines[0].prompt


def test_rows_and_pictures_of_a_second_target_carry_its_dice(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results.copy()
    second = results["condition"] == "other:side"
    results.loc[second, "dice_other"] = 0.401
    frames = merge([replace(runs[0], results=results)])
    blocks = row_data(frames)["blocks"]
    for block in blocks.values():
        assert block.get("other") == ([0.401] * block["n"] if block["condition"] == "other:side" else None)
    report_gallery = frames.gallery
    assert set(report_gallery[report_gallery["condition"] == "other:side"]["dice_other"]) == {0.401}
    assert report_gallery[report_gallery["condition"] != "other:side"]["dice_other"].isna().all()


def test_the_picture_of_a_clean_input_speaks_of_no_second_target(runs: tuple[RunTables, ...]) -> None:
    """Clean rows hold `dice_other` too: the page called it the score of a changed input."""
    clean = runs[0].gallery.assign(condition="clean")
    frames = merge([replace(runs[0], results=runs[0].results.assign(dice_other=0.055), gallery=clean)])
    assert frames.gallery["dice_other"].isna().all()


@pytest.mark.slow
def test_columns_of_cases_are_not_called_images(runs: tuple[RunTables, ...]) -> None:
    report = content.build(runs)
    for table in [*report.tables, *(f.table for f in report.figures)]:
        labels = {c.name: c.label for c in table.columns}
        assert labels.get("n_images", "cases") == "cases"
    frames = merge(runs)
    hovers = [t for f in captions(frames) if f.family in ("reliance", "drop") for t in draw(f, frames).data]
    texts = [line for trace in hovers for line in trace.text]
    assert texts
    assert all(" cases, " in line and " images" not in line for line in texts)


def test_hovers_name_the_excess_and_why_nothing_was_decided(runs: tuple[RunTables, ...]) -> None:
    verdicts = runs[0].verdicts.assign(verdict="INCONCLUSIVE", rule="the interval leaves the margin")
    frames = merge([replace(runs[0], verdicts=verdicts)])
    texts = [line for f in captions(frames) if f.family == "reliance" for t in draw(f, frames).data for line in t.text]
    assert all("why: the interval leaves the margin" in line for line in texts)
    assert any("<br>excess mask change " in line for line in texts)
    assert not any("<br>mask change " in line for line in texts)


def test_bounds_in_the_model_index_belong_to_the_value(run_folders: list[Path], runs: tuple[RunTables, ...]) -> None:
    (entry,) = model_index(run_folders[0])["model-index"]
    rows, effects = runs[0].results, runs[0].effects.set_index(["condition", "metric"])
    metrics = {m["name"]: m for result in entry["results"] for m in result["metrics"]}
    changed = metrics["Dice, gaussian noise, severity 5"]
    condition = "image:gaussian_noise@5"
    expected = unit_interval(rows[rows["condition"] == condition], "dice", level=0.95)
    assert changed["args"]["ci_low"] == pytest.approx(expected["ci_low"], abs=1e-6)
    assert changed["args"]["ci_high"] == pytest.approx(expected["ci_high"], abs=1e-6)
    assert changed["args"]["ci_low"] <= changed["value"] <= changed["args"]["ci_high"]
    effect = effects.loc[(condition, "dice")]
    assert changed["args"]["loss_ci_low"] == pytest.approx(effect["ci_low"], abs=1e-6)
    assert changed["args"]["loss_ci_high"] == pytest.approx(effect["ci_high"], abs=1e-6)


@pytest.mark.slow
def test_the_regulatory_edition_claims_only_what_a_run_can_show(runs: tuple[RunTables, ...]) -> None:
    report = content.build(runs, edition="regulatory")
    text = " ".join(s for section in report.regulatory for s in (section.asked_by, *section.statements))
    alpha = runs[0].manifest["statistics"]["alpha"]
    assert "not failed by chance" not in text
    assert f"with probability at most alpha ({alpha})" in text
    assert "before the run wrote its first row" not in text
    assert runs[0].manifest["created"] in text
    assert "No guidance names it" not in text


@pytest.mark.parametrize(("low", "high", "warned"), [(0.002, 0.006, True), (-0.01, 0.01, True), (0.09, 0.12, False)])
def test_a_class_that_changes_nothing_is_warned_of_before_any_number(
    runs: tuple[RunTables, ...], low: float, high: float, warned: bool
) -> None:
    """Real patients: Dice 0.862 of 0.866 when asked for another structure, and no line of the page said so."""
    effects = runs[0].effects.copy()
    at = (effects["condition"] == "wrong_class") & (effects["metric"] == "dice")
    effects.loc[at, ["effect", "ci_low", "ci_high"]] = (low + high) / 2, low, high
    verdicts = runs[0].verdicts.copy()
    verdicts.loc[verdicts["condition"] == "wrong_class", "verdict"] = "INCONCLUSIVE"
    report = content.build([replace(runs[0], effects=effects, verdicts=verdicts)])
    # What Dice has decided of the class is not undecided a line below.
    undecided = [item for p in report.headlines[0].prompt if p.verdict == "INCONCLUSIVE" for item in p.items]
    assert ("target" in undecided) == (not warned)
    (row,) = effects[at].to_dict("records")
    sentences = [w for w in report.warnings if "does not heed the class that is asked for" in w]
    assert bool(sentences) == warned
    if warned:
        assert (
            f"still scores {row['perturbed_mean']:.3f} against the first target, of {row['clean_mean']:.3f} when asked"
            in sentences[0]
        )
    # The warning is the first of the worst findings, without a verdict, and what is undecided refers to it.
    by_dice = [f for f in report.findings if not f.verdict]
    assert bool(by_dice) == warned
    lines = [line for block in report.attributes for line in block.lines if line.condition == "wrong_class"]
    assert all(("see “Read this first”" in c.says) == warned for line in lines for c in line.claims)
    assert bool(report.headlines[0].by_dice) == warned
    if warned:
        assert report.findings[0] == by_dice[0]
        assert sentences[0].startswith(by_dice[0].sentence)
        clean = runs[0].results.query("condition == 'clean'").groupby("subject_id")["dice"].mean().mean()
        assert by_dice[0].measure == f"half the clean Dice {clean / 2:.2f}"
        assert report.tables[1].rows[by_dice[0].row][4] == "wrong_class"
        assert sum(f.condition == "wrong_class" for f in report.findings) == 1


def test_of_a_score_that_the_prompt_does_not_make_one_warning_is_enough(runs: tuple[RunTables, ...]) -> None:
    effects = runs[0].effects.copy()
    effects.loc[effects["condition"] == "wrong_class", ["ci_low", "ci_high"]] = 0.0, 0.0
    known = f"No robustness of {effects['model'].iloc[0]} on demo_brain is claimed: not above wrong_class prompts."
    manifest = {**runs[0].manifest, "warnings": [known]}
    warnings = content.build([replace(runs[0], effects=effects, manifest=manifest)]).warnings
    assert not any("does not heed" in w for w in warnings)
    assert any(w.endswith("not above prompts for another class.") for w in warnings)


@pytest.mark.slow
def test_an_undecided_claim_says_what_would_have_decided_it(runs: tuple[RunTables, ...]) -> None:
    rule = "5 INCONCLUSIVE: excess 3.0% [2.5%, 3.7%], change 5.2% [4.7%, 6.0%], margin 5%"
    verdicts = runs[0].verdicts.assign(verdict="INCONCLUSIVE", rule=rule)
    claims = [
        c for b in content.build([replace(runs[0], verdicts=verdicts)]).attributes for x in b.lines for c in x.claims
    ]
    assert claims
    for claim in filter(None, claims):
        assert claim.why.startswith("excess 3.0% [2.5%, 3.7%], change 5.2% [4.7%, 6.0%], margin 5%. IGNORES needs both")
    decided = [c for b in content.build(runs).attributes for x in b.lines for c in x.claims if c is not None]
    assert all(c.why == "" for c in decided if c.verdict != "INCONCLUSIVE")


def test_stars_and_kinds_of_interval_are_those_that_occur(runs: tuple[RunTables, ...]) -> None:
    verdicts = runs[0].verdicts.assign(verdict="REACTS*")
    effects = runs[0].effects.assign(ci_method=["a way", *["another"] * (len(runs[0].effects) - 1)])
    report = content.build([replace(runs[0], verdicts=verdicts, effects=effects)])
    assert any("A star (here REACTS*) says that the interval alone" in line for line in report.limitations)
    changed = effects[effects["condition"] != "clean"]["ci_method"].value_counts()
    text = next(p.text for p in report.methods if p.title == "Effects")
    assert f"another ({changed['another']} effects)" in text
