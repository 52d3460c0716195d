"""Every kind of number on the page, recomputed here from the stored rows by other means than the report's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustness.reports.data.datatable import DataTable, frame_of
from robustness.reports.data.frames import merge
from robustness.reports.data.run_tables import RunTables, name_series, read_runs
from robustness.reports.figures.catalogue import draw
from robustness.reports.sections import report as content
from robustness.reports.sections.report import Report
from robustness.reports.words import metric_words

LEVEL = " (95% interval)"
NUMBER = re.compile(r"[-−]?\d[\d,]*(?:\.\d+)?")


def numbers(text: str) -> list[float]:
    return [float(found.replace("−", "-").replace(",", "")) for found in NUMBER.findall(text.replace(LEVEL, ""))]


@pytest.fixture(scope="module")
def report(runs: tuple[RunTables, ...]) -> Report:
    return content.build(runs)


@pytest.fixture(scope="module")
def stored(run_folders: list[Path]) -> dict[str, dict[str, pd.DataFrame]]:
    """Per series the stored tables, read without the report's reader."""
    found = {}
    for folder in run_folders:
        rows = pd.concat([pd.read_parquet(p) for p in sorted((folder / "results").glob("*.parquet"))])
        tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in ("effects", "verdicts", "gallery")}
        found[str(rows["model"].iloc[0])] = {"rows": rows, **tables}
    return found


def statements(report: Report, title: str) -> str:
    return " ".join(next(s for s in report.regulatory if s.title.startswith(title)).statements)


def of_series(text: str, series: str) -> str:
    """Return the sentence that starts with a series' name."""
    return re.search(rf"(?:^|[ ;(]){re.escape(series)}[:,] (.*?)(?=;|\)|\. |\.$)", text).group(1)


def unit_interval(rows: pd.DataFrame, column: str) -> list[float]:
    units = rows.groupby("subject_id")[column].mean()
    return [units.mean(), *stats.t.interval(0.95, len(units) - 1, units.mean(), stats.sem(units))]


@pytest.mark.slow
def test_the_header_counts_what_the_rows_hold(report: Report, stored: dict[str, Any]) -> None:
    rows = next(iter(stored.values()))["rows"]
    fact = report.runs[0]
    assert (fact.n_cases, fact.n_subjects) == (rows["case_id"].nunique(), rows["subject_id"].nunique())
    assert numbers(statements(report, "Test data"))[:3] == [fact.n_cases, fact.n_images, fact.n_subjects]


def test_clean_performance_is_that_of_unit_means(report: Report, stored: dict[str, Any]) -> None:
    text = statements(report, "Performance on unchanged input")
    for series, tables in stored.items():
        clean = tables["rows"][tables["rows"]["condition"] == "clean"]
        said = re.search(rf"{re.escape(series)}: (Dice [^;]*; .*?) \(mean over (\d+) units", text)
        expected = [*unit_interval(clean, "dice"), *unit_interval(clean, "iou")]
        assert numbers(said.group(1)) == pytest.approx(expected, abs=5.1e-4)
        assert int(said.group(2)) == clean["subject_id"].nunique()


@pytest.mark.parametrize(
    ("title", "claim"), [("Prompt reliance", "prompt"), ("Robustness to image changes", "robustness")]
)
def test_claims_are_counted_by_verdict(report: Report, stored: dict[str, Any], title: str, claim: str) -> None:
    text = statements(report, title)
    for series, tables in stored.items():
        claims = tables["verdicts"][tables["verdicts"]["claim"] == claim]
        for metric, rows in claims.groupby("metric"):
            name = metric_words(str(metric))
            sentence = re.search(rf"{re.escape(series)}, by {name}: (\d+) claims?, of which (.*?)\.", text)
            assert int(sentence.group(1)) == len(rows)
            counts = {verdict: int(n) for n, verdict in re.findall(r"(\d+) ([A-Z]+\*?)", sentence.group(2))}
            assert counts == rows["verdict"].value_counts().to_dict()


def test_repeatability_failures_and_missing_rows_are_counted(report: Report, stored: dict[str, Any]) -> None:
    everything = pd.concat([t["rows"] for t in stored.values()])
    rerun = everything[everything["condition"] == "rerun"]
    assert rerun["mask_change"].max() == 0
    assert numbers(statements(report, "Repeatability"))[:2] == [len(rerun), rerun["subject_id"].nunique()]
    assert "every mask was the same" in statements(report, "Repeatability")
    off = int((~everything["applicable"]).sum())
    assert numbers(statements(report, "Rejected"))[:3] == [len(everything), off, 0]
    failures = statements(report, "Failure analysis")
    for series, tables in stored.items():
        clean = tables["rows"][tables["rows"]["condition"] == "clean"]
        said = re.search(
            rf"{re.escape(series)}, unchanged input: (\d+) missed, (\d+) hallu.*?Dice: (.*?)\.(?: |$)", failures
        )
        assert [int(said.group(1)), int(said.group(2))] == [clean["missed"].sum(), clean["hallucinated"].sum()]
        listed = [float(v) for v in re.findall(r"\(([\d.]+)\)", said.group(3))]
        assert listed == pytest.approx(sorted(clean["dice"])[:3], abs=5.1e-4)
        lowest = next(table for table in report.tables if table.id == "lowest")
        at = {column.name: n for n, column in enumerate(lowest.columns)}
        rows = [row for row in lowest.rows if row[at["series"]] == series]
        expected = clean.sort_values("dice", kind="stable").head(20)
        assert [row[at["dice"]] for row in rows] == pytest.approx(list(expected["dice"]))
        assert [row[at["case_id"]] for row in rows] == list(expected["case_id"])
        assert f"the {len(rows)} lowest stand in the table below" in said.group(3)


def test_a_case_with_two_second_targets_fails_once(runs: tuple[RunTables, ...]) -> None:
    """It has one clean row for each word that tells it from another target."""
    clean = runs[0].results[runs[0].results["condition"] == "clean"].assign(missed=True)
    twice = pd.concat([runs[0].results.assign(missed=True), clean.assign(attribute="side")], ignore_index=True)
    text = statements(content.build([replace(runs[0], results=twice)]), "Failure analysis")
    assert f"{clean['case_id'].nunique()} missed" in text


def test_limits_count_what_is_undecided(report: Report, stored: dict[str, Any]) -> None:
    verdicts = pd.concat([t["verdicts"] for t in stored.values()])
    # One of every starred kind is counted, also those that hold something against the model.
    open_ones = verdicts[verdicts["verdict"].str.contains(r"INCONCLUSIVE|\*")]
    said = next(s for s in statements(report, "Verdicts, limits").split(". ") if "undecided" in s)
    needed = open_ones["n_needed"].dropna()
    wanted = [len(open_ones), *([] if len(needed) == len(open_ones) else [len(needed)])]
    assert numbers(said) == [*wanted, *sorted({needed.min(), needed.max()})]


def test_the_plan_is_quoted_from_the_manifest_and_the_effects(report: Report, runs: tuple[RunTables, ...]) -> None:
    settings = runs[0].manifest["statistics"]
    mde = max(run.effects[run.effects["metric"] == "dice"]["mde"].max() for run in runs)
    found = numbers(statements(report, "Prespecified").partition(" The plan of run")[0])
    keys = ("margin_dice", "margin_change", "alpha", "resamples")
    assert found[:4] == [settings[key] for key in keys]
    assert found[-1] == pytest.approx(mde, abs=5.1e-4)


def test_the_methods_state_counts_ranges_and_settings(report: Report, stored: dict[str, Any]) -> None:
    text = {p.title: p.text for p in report.methods}
    effects = pd.concat([t["effects"] for t in stored.values()])
    dice = effects[effects["metric"] == "dice"]
    power = numbers(text["What this sample can show"])[1:]
    spans = [dice[c] for c in ("mde", "icc", "design_effect")]
    assert power == pytest.approx(
        [v for s in spans for v in dict.fromkeys((round(s.min(), 3), round(s.max(), 3)))], abs=6e-4
    )
    assert str(int(effects["family_size"].iloc[0])) in text["Effects"]
    for claim, title in (("prompt", "Verdicts on the prompt"), ("robustness", "Verdicts on robustness")):
        n = sum((t["verdicts"]["claim"] == claim).sum() for t in stored.values())
        assert numbers(text[title])[0] == n
    for series, tables in stored.items():
        rows = tables["rows"]
        counted = [rows[c].sum() for c in ("both_empty", "missed", "hallucinated")]
        due = (rows["both_empty"] | rows["hallucinated"]).sum()
        assert numbers(of_series(text["Empty masks"], series)) == [*counted, due]
        used = [len(rows), (~rows["applicable"]).sum(), 0]
        assert numbers(of_series(text["Rows used and not used"], series)) == used
        units = [rows["case_id"].nunique(), rows["subject_id"].nunique()]
        assert units == numbers(text["Units and averaging"])[:2]


def test_prompts_that_their_mask_disproves_are_counted_once_for_all_models(
    report: Report, stored: dict[str, Any]
) -> None:
    rows = next(iter(stored.values()))["rows"].query("condition == 'clean'").drop_duplicates("case_id")
    answers = pd.DataFrame([json.loads(t) for t in rows["truth"]])
    table = next(t for t in report.tables if t.id == "truth")
    for _, attribute, *counts in table.rows:
        assert counts == [(answers[attribute] == answer).sum() for answer in ("true", "false", "unknown")]
    false = (answers["location"] == "false").sum()
    assert f"(location {false} of {len(rows)})" in statements(report, "Test data")


@pytest.mark.slow
def test_texts_that_were_cut_are_counted(runs: tuple[RunTables, ...]) -> None:
    def said(n: int | None) -> str:
        manifest = {**runs[0].manifest, "timing": {} if n is None else {"n_texts_cut": n}}
        made = content.build([replace(runs[0], manifest=manifest)])
        return next(p.text for p in made.methods if p.title == "The clean prompts")

    assert "3 texts in run text-conditioned" in said(3)
    assert "No text was longer" in said(0)
    assert "Texts longer than a model reads: not recorded" in said(None)


def test_headlines_name_each_word_once_with_a_verdict_that_a_claim_holds(
    report: Report, stored: dict[str, Any]
) -> None:
    for line in report.headlines:
        verdicts = stored[line.series]["verdicts"]
        prompt = verdicts[verdicts["claim"] == "prompt"]
        named = [item for group in line.prompt for item in group.items]
        assert sorted(named) == sorted(set(prompt["attribute"]) - {""})
        for group in line.prompt:
            for item in group.items:
                assert group.verdict in set(prompt[prompt["attribute"] == item]["verdict"])


def test_claims_repeat_their_verdict_rows(report: Report, stored: dict[str, Any]) -> None:
    seen = 0
    lines = [line for block in report.attributes for line in block.lines]
    claims = [c for line in lines for c in line.claims] + [
        c for row in report.robustness for series in row.claims for c in series
    ]
    for claim in (c for c in claims if c is not None):
        table = stored[claim.series]["verdicts"]
        row = table[(table["condition"] == claim.condition) & (table["metric"] == claim.metric)].iloc[0]
        assert (claim.verdict, claim.sentence) == (row["verdict"], row["sentence"])
        for field in ("estimate", "ci_low", "ci_high", "margin"):
            expected = row[field]
            assert getattr(claim, field) == pytest.approx(None if pd.isna(expected) else float(expected), nan_ok=True)
        seen += 1
    assert seen > 20


def test_findings_quote_their_row_of_the_table_of_verdicts(report: Report) -> None:
    table = next(t for t in report.tables if t.id == "verdicts")
    names = [c.name for c in table.columns]
    for finding in report.findings:
        row = dict(zip(names, table.rows[finding.row], strict=True))
        if not finding.verdict:
            assert (row["series"], row["condition"]) == (finding.series, "wrong_class")
            continue
        assert [row[k] for k in ("series", "condition", "verdict", "sentence")] == [
            finding.series,
            finding.condition,
            finding.verdict,
            finding.sentence,
        ]


@pytest.mark.parametrize("name", ["verdicts", "effects"])
def test_tables_hold_every_column_of_the_stored_ones(report: Report, stored: dict[str, Any], name: str) -> None:
    table = next(t for t in report.tables if t.id == name)
    truth = pd.concat([t[name] for t in stored.values()], ignore_index=True)
    shown = pd.DataFrame(table.rows, columns=[c.name for c in table.columns])
    assert len(shown) == len(truth)
    for column in table.columns:
        if column.kind in ("number", "p", "count"):
            expected = pd.to_numeric(truth[column.name], errors="coerce").to_numpy(dtype=float)
            found = pd.to_numeric(shown[column.name], errors="coerce").to_numpy(dtype=float)
            np.testing.assert_array_equal(found, expected, err_msg=column.name)


def figure(report: Report, family: str, key: str = "") -> pd.DataFrame:
    text = next(f for f in report.figures if f.family == family and (not key or f.key == key))
    return pd.DataFrame(text.table.rows, columns=[c.name for c in text.table.columns])


def test_the_score_figure_tells_quartiles_and_floors(report: Report, stored: dict[str, Any]) -> None:
    table = figure(report, "scores").set_index("series")
    for series, tables in stored.items():
        clean = tables["rows"].query("condition == 'clean'").groupby("case_id")["dice"].mean()
        row = table.loc[series]
        assert row["n"] == len(clean)
        expected = [clean.mean(), clean.median(), clean.quantile(0.25), clean.quantile(0.75)]
        assert row[["mean", "median", "low", "high"]].tolist() == pytest.approx(expected)
        floors = tables["effects"].query("metric == 'dice' and condition in ('empty', 'wrong_class')")
        for floor in floors.to_dict("records"):
            assert row[floor["condition"]] == pytest.approx(floor["perturbed_mean"])


def test_severity_shift_and_loss_figures_repeat_the_effects(report: Report, stored: dict[str, Any]) -> None:
    for series, tables in stored.items():
        dice = tables["effects"].query("metric == 'dice'").set_index("condition")
        for family in ("shift", "drop"):
            rows = figure(report, family, series)
            assert len(rows) > 5
            for row in rows.to_dict("records"):
                truth = dice.loc[row["condition"]]
                columns = ["effect", "ci_low", "ci_high", "clean_mean", "perturbed_mean"]
                assert [row[c] for c in columns] == [truth[c] for c in columns]
        curve = figure(report, "severity", "jpeg").query("series == @series")
        for row in curve.to_dict("records"):
            assert row["perturbed_mean"] == dice.loc[f"image:jpeg@{row['severity']}", "perturbed_mean"]


def test_ranks_count_bootstrap_samples_of_shared_units(report: Report, stored: dict[str, Any]) -> None:
    means = [t["rows"].query("condition == 'clean'").groupby("subject_id")["dice"].mean() for t in stored.values()]
    table = figure(report, "rank", "clean").set_index("series")
    assert table["mean"].to_dict() == pytest.approx({s: m.mean() for s, m in zip(stored, means, strict=True)})
    gap = (means[0] - means[1]).to_numpy()
    draws = np.random.default_rng(0).choice(gap, size=(4000, len(gap))).mean(axis=1)
    assert table.loc[next(iter(stored)), "first"] == pytest.approx((draws > 0).mean(), abs=0.03)


def test_comparisons_pair_the_same_cases(report: Report, stored: dict[str, Any]) -> None:
    first, second = stored.values()
    compared = report.comparisons[0]
    for one in compared.differences:
        held = [t["rows"][(t["rows"]["condition"] == one.condition) & t["rows"]["applicable"]] for t in (first, second)]
        pair = [rows.groupby(["subject_id", "case_id"])["dice"].mean() for rows in held]
        units = (pair[0] - pair[1]).dropna().groupby(level=0).mean()
        assert one.effect == pytest.approx(units.mean())
        assert one.n_subjects == len(units)
        assert one.mean == pytest.approx(pair[1].groupby(level=0).mean().mean())
    assert len(compared.differences) > 5


@pytest.mark.slow
def test_gallery_scores_are_those_of_the_rows(runs: tuple[RunTables, ...], stored: dict[str, Any]) -> None:
    from robustness.reports.data.frames import merge
    from robustness.reports.data.gallery import make_gallery

    gallery = make_gallery(merge(runs).gallery)
    assert len(gallery.pictures) > 20
    for picture in gallery.pictures:
        rows = stored[picture.series]["rows"].query("case_id == @picture.case_id")
        assert picture.dice == pytest.approx(rows.query("condition == @picture.condition")["dice"].iloc[0])
        assert picture.dice_clean == pytest.approx(rows.query("condition == 'clean'")["dice"].iloc[0])


def test_text_distance_and_threshold_figures_hold_unit_means(run_folders: list[Path]) -> None:
    (run,) = read_runs(run_folders[0])
    rng = np.random.default_rng(5)
    distance = pd.Series(rng.uniform(0, 0.5, len(run.results))).where(run.results["applicable"])
    rows = run.results.assign(text_distance=distance)
    rows["dice_at_0.30"], rows["dice_at_0.50"] = rows["dice"] * 0.9, rows["dice"]
    made = content.build([replace(run, results=rows)])
    for row in figure(made, "collapse").to_dict("records"):
        mine = rows[(rows["condition"] == row["condition"]) & rows["applicable"]]
        assert [row["distance"], row["distance_low"], row["distance_high"]] == pytest.approx(
            unit_interval(mine, "text_distance")
        )
        assert row["change"] == pytest.approx(unit_interval(mine, "mask_change")[0])
    clean = rows[rows["condition"] == "clean"]
    cuts = figure(made, "thresholds").set_index("threshold")["mean"].to_dict()
    assert cuts == pytest.approx({c: unit_interval(clean, f"dice_at_{c:.2f}")[0] for c in (0.3, 0.5)})


def test_the_first_screen_states_the_clean_score_and_its_floors(report: Report, stored: dict[str, Any]) -> None:
    for overview in report.overviews:
        rows, effects = stored[overview.series]["rows"], stored[overview.series]["effects"]
        clean = rows[rows["condition"] == "clean"]
        score = [*unit_interval(clean, "dice"), clean["subject_id"].nunique()]
        assert numbers(overview.score) == pytest.approx(score, abs=5.1e-4)
        dice = effects[effects["metric"] == "dice"].set_index("condition")["perturbed_mean"]
        floors = next(f.text for f in overview.facts if f.label.startswith("Its floors"))
        expected = {"empty prompt": dice["empty"], "prompt for another class": dice["wrong_class"]}
        for words, value in expected.items():
            assert float(re.search(rf"{words} ([\d.]+)", floors).group(1)) == pytest.approx(value, abs=5.1e-4)


def test_the_first_screen_counts_empty_masks_and_rows_that_did_not_apply(
    report: Report, stored: dict[str, Any]
) -> None:
    for overview in report.overviews:
        rows = stored[overview.series]["rows"]
        texts = {f.label: f.text for f in overview.facts}
        clean = rows[rows["condition"] == "clean"].drop_duplicates("case_id")
        assert numbers(texts["Empty masks"]) == [int(clean["missed"].sum()), len(clean), 0, len(clean)]
        assert numbers(texts["Did not apply"])[0] == (~rows["applicable"]).sum()


def test_harm_of_findings_follows_from_rows_and_effects(report: Report, stored: dict[str, Any]) -> None:
    for finding in report.findings:
        effects = stored[finding.series]["effects"]
        rows = stored[finding.series]["rows"]
        loss = effects[(effects["metric"] == "dice") & (effects["condition"] == finding.condition)]["effect"].iloc[0]
        clean = rows[rows["condition"] == "clean"].groupby("subject_id")["dice"].mean().mean()
        expected = loss if finding.verdict.startswith("FRAGILE") else clean / 2
        assert finding.harm == pytest.approx(expected)


def test_shares_beyond_the_margin_are_counted_from_the_recorded_ones(
    runs: tuple[RunTables, ...],
) -> None:
    verdicts = runs[0].verdicts.assign(share=0.25)
    table = next(t for t in content.build([replace(runs[0], verdicts=verdicts)]).tables if t.id == "expected")
    shown = pd.DataFrame(table.rows, columns=[c.name for c in table.columns])
    stays = shown["verdict"].str.rstrip("*").isin(["ROBUST", "IGNORES", "ABSTAINS"])
    assert set(shown[stays]["share_beyond"]) == {0.75}
    assert set(shown[~stays]["share_beyond"]) == {0.25}


@pytest.fixture(scope="module")
def loose(runs: tuple[RunTables, ...]) -> tuple[RunTables, ...]:
    """Two runs of plans with alpha .1, whose rows hold what fills the figures that not every run has."""
    changed = []
    for run in runs:
        rows = run.results.copy()
        rows["text_distance"] = np.where(rows["family"] == "prompt", rows["mask_change"], np.nan)
        rows["dice_at_0.30"] = pd.to_numeric(rows["dice"]) - 0.1
        rows["area_fraction"] = np.where(rows["case_id"] < "axi_003", 0.0, 0.1)
        follow = rows["condition"].isin(["clean", "other:side"])
        rows["other_case_id"] = np.where(follow, "axi_mirrored", None)
        rows["dice_other"] = np.where(follow, rows["dice"] / 2, np.nan)
        statistics = run.manifest["statistics"] | {"alpha": 0.1}
        judged = run.verdicts.assign(share=0.5, share_low=0.2, share_high=0.8)
        changed.append(replace(run, results=rows, verdicts=judged, manifest=run.manifest | {"statistics": statistics}))
    return name_series(tuple(changed))


def unstated(table: DataTable) -> list[tuple[str, Any]]:
    """Return the ends of intervals (column and row) whose level cannot be seen in the table as it is shown."""
    shown = [(i, c) for i, c in enumerate(table.columns) if not c.hidden]
    levels = [i for i, c in shown if c.kind == "level"]
    ends = [(i, c) for i, c in shown if c.name.endswith(("_low", "_high", "_interval")) and "%)" not in c.label]
    return [
        (c.name, row)
        for i, c in ends
        for row in table.rows
        if row[i] not in (None, "") and not any(row[level] is not None for level in levels) and "%)" not in str(row[i])
    ]


def test_every_interval_of_a_page_states_its_level(loose: tuple[RunTables, ...]) -> None:
    made, frames = content.build(loose), merge(loose)
    tables = {t.id: t for t in (*made.tables, *(f.table for f in made.figures))}
    assert {"targets", "t-collapse", "t-thresholds", "t-paired-0", "t-rank-clean", "t-heatmap"} <= set(tables)
    assert {name: unstated(table) for name, table in tables.items() if unstated(table)} == {}
    bare = re.compile(r"\[[-−]?\d[^\[\]]*, [^\[\]]*\d\](?! \([\d.]+% interval\))")
    for figure in made.figures:
        if any(c.kind == "level" for c in figure.table.columns):
            assert "Level of the intervals: " in figure.says[-1], figure.id
        hovers = [t for trace in draw(figure, frames).to_dict()["data"] for t in texts_of(trace)]
        assert [t for t in (figure.alt, *hovers) if bare.search(t)] == [], figure.id
    first = [o.score for o in made.overviews] + [f.text for o in made.overviews for f in o.facts]
    assert [t for t in first if bare.search(t)] == []
    assert not bare.search(statements(made, "Performance on unchanged input"))


def texts_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [t for inner in value.values() for t in texts_of(inner)]
    if isinstance(value, list | tuple | np.ndarray):
        return [t for inner in value for t in texts_of(inner)]
    return [value] if isinstance(value, str) else []


def test_every_interval_has_the_level_of_the_plan(loose: tuple[RunTables, ...]) -> None:
    made, rows = content.build(loose), loose[0].results
    clean = rows[rows["condition"] == "clean"]
    units = clean.groupby("subject_id")["dice"].mean()
    low, high = stats.t.interval(0.9, len(units) - 1, units.mean(), stats.sem(units))
    assert made.overviews[0].score == f"{units.mean():.3f} [{low:.3f}, {high:.3f}] (90% interval), 6 images"
    abstains = next(f.text for f in made.overviews[0].facts if f.label == "Abstention")
    limits = stats.binomtest(3, 6).proportion_ci(0.9, method="exact")
    assert f"(50%, 90% interval {100 * limits.low:.0f}% to {100 * limits.high:.0f}%)" in abstains
    level = {t.id: set(frame_levels(t)) for t in (*made.tables, *(f.table for f in made.figures))}
    for name in ("effects", "t-collapse", "t-thresholds", "t-rank-clean", "t-drop-0", "t-shift-0"):
        assert level[name] == {0.9}, name
    # Shifts are described by the level of claims, 1 - 2 alpha; differences of models by 1 - alpha / conditions.
    assert level["targets"] == {0.8}
    (compared,) = made.comparisons
    assert level["t-paired-0"] == {round(1 - 0.1 / len(compared.differences), 12)}
    shares = next(c.label for t in made.tables if t.id == "verdicts" for c in t.columns if c.name == "share_interval")
    assert shares == "share (90%)"


def test_runs_of_different_alpha_state_each_its_own_level(
    runs: tuple[RunTables, ...], loose: tuple[RunTables, ...]
) -> None:
    judged = runs[1].verdicts.assign(share=0.5, share_low=0.2, share_high=0.8)
    made = content.build(name_series((loose[0], replace(runs[1], verdicts=judged))))
    tables = {t.id: t for t in (*made.tables, *(f.table for f in made.figures))}
    assert {name: unstated(table) for name, table in tables.items() if unstated(table)} == {}
    effects = frame_of(tables["effects"]).groupby("series")["level"].first()
    assert effects.to_dict() == pytest.approx({"film-unet": 0.9, "film-unet-image-only": 0.95})
    shares = frame_of(tables["verdicts"]).groupby("series")["share_interval"].first()
    assert shares.to_dict() == {
        "film-unet": "50% [20,\xa080] (90%)",
        "film-unet-image-only": "50% [20,\xa080] (95%)",
    }
    # What compares both goes by the first.
    assert set(frame_levels(tables["t-rank-clean"])) == {0.9}


def test_a_run_that_records_no_alpha_says_so(runs: tuple[RunTables, ...]) -> None:
    known = {k: v for k, v in runs[0].manifest["statistics"].items() if k != "alpha"}
    made = content.build(name_series((replace(runs[0], manifest=runs[0].manifest | {"statistics": known}),)))
    drop = next(f for f in made.figures if f.family == "drop")
    assert "(interval, level not recorded)" in drop.alt
    assert drop.says[-1] == "Level of the intervals: not recorded."
    # What the page computes itself is known.
    assert "(95% interval)" in made.overviews[0].score


def frame_levels(table: DataTable) -> list[float]:
    at = [i for i, c in enumerate(table.columns) if c.kind == "level" and c.name != "share_level"]
    return [round(row[i], 12) for row in table.rows for i in at if row[i] is not None]
