"""The first screen: what it says of every model is what manifests and rows hold."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.data.datatable import frame_of
from robustness.reports.data.model_facts import model_facts
from robustness.reports.data.run_tables import RunTables
from robustness.reports.sections import report as content
from robustness.reports.sections.overview import Overview, abstention

WORDS = re.compile(r"<[^>]+>")


def first(runs: tuple[RunTables, ...] | list[RunTables]) -> Overview:
    return content.build(runs).overviews[0]


def fact(overview: Overview, label: str) -> str:
    return next(f.text for f in overview.facts if f.label == label)


@pytest.mark.slow
def test_outcomes_count_the_rows_of_expected_against_observed(runs: tuple[RunTables, ...]) -> None:
    report = content.build(runs)
    table = frame_of(next(t for t in report.tables if t.id == "expected"))
    for overview in report.overviews:
        met = table[table["series"] == overview.series]["met"]
        assert sum(o.n for o in overview.outcomes) == len(met)
        for outcome in overview.outcomes:
            assert outcome.n == met.isin([outcome.name, f"{outcome.name}*"]).sum() - (met == "*").sum()
            assert outcome.uncertified == (met == f"{outcome.name}*").sum()


@pytest.mark.slow
def test_tallies_hold_every_verdict_once(runs: tuple[RunTables, ...], run_folders: list[Path]) -> None:
    for overview, folder in zip(content.build(runs).overviews, run_folders, strict=True):
        stored = pd.read_parquet(folder / "verdicts.parquet")
        assert Counter(dict_of(overview)) == Counter(stored["verdict"].value_counts().to_dict())


def dict_of(overview: Overview) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for tally in overview.tallies:
        counts.update(dict(tally.verdicts))
    return dict(counts)


def test_weights_and_training_data_are_those_of_the_manifest(runs: tuple[RunTables, ...]) -> None:
    trained = {"data": "brain", "cases": {"train": 720, "val": 48}}
    model = {"name": "net", "weights": {"sha256": {"model.safetensors": "12" * 32}, "trained_on": trained}}
    model |= {"parameters": 5000, "takes_text": False, "model": "film-unet"}
    overview = first([replace(runs[0], manifest={**runs[0].manifest, "model": model})])
    assert fact(overview, "Model") == "film-unet, 5,000 parameters, cannot read its prompt"
    assert fact(overview, "Weights") == f"sha256 {'12' * 8}…"
    assert fact(overview, "Training data") == "brain (train 720 cases and val 48 cases)"


def test_random_weights_are_said_where_the_hash_would_stand(runs: tuple[RunTables, ...]) -> None:
    model = {"name": "net", "weights": {"random": True, "seed": 0}}
    facts = model_facts([replace(runs[0], manifest={"model": model})])
    assert facts[0].weights.startswith("random weights")
    assert facts[0].training == "not recorded"


def test_each_of_several_models_has_its_own_facts(runs: tuple[RunTables, ...]) -> None:
    rows = pd.concat([runs[0].results, runs[1].results], ignore_index=True)
    models = [{"label": "film-unet-image-only", "name": "b", "sha256": "b" * 64}, {"label": "film-unet", "sha256": "a"}]
    facts = model_facts([replace(runs[0], results=rows, manifest={"models": models})])
    assert [(f.series, f.weights[0]) for f in facts] == [("film-unet", "a"), ("film-unet-image-only", "b")]


def painted(runs: tuple[RunTables, ...], areas: dict[str, float]) -> pd.DataFrame:
    rows = runs[0].results.copy()
    asked = rows["condition"] == "wrong_class"
    rows["area_fraction"] = rows["subject_id"].map(areas).where(asked)
    return rows


def test_a_unit_abstains_where_all_its_masks_stay_empty(runs: tuple[RunTables, ...]) -> None:
    areas = {f"axi_{i:03d}": 0.0 if i < 2 else 0.1 for i in range(6)}
    rows = painted(runs, areas)
    one = rows.index[(rows["condition"] == "wrong_class") & (rows["subject_id"] == "axi_000")][0]
    rows.loc[one, "area_fraction"] = 0.02
    assert abstention(rows) == (1, 6)
    overview = first([replace(runs[0], results=rows)])
    assert fact(overview, "Abstention").startswith("masks stay empty for 1 of 6 images (17%, 95% interval 0% to 64%)")


def test_rows_without_an_area_are_read_by_their_flags(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results.copy()
    asked = rows["condition"] == "wrong_class"
    rows.loc[asked, "both_empty"] = rows.loc[asked, "subject_id"] == "axi_000"
    rows.loc[asked, "hallucinated"] = rows.loc[asked, "subject_id"] == "axi_001"
    assert abstention(rows) == (1, 2)


@pytest.mark.slow
def test_abstention_that_no_prompt_asks_for_is_said_to_be_unmeasured(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results[runs[0].results["expectation"] != "abstain"]
    assert fact(first([replace(runs[0], results=rows)]), "Abstention").startswith("not measured: no prompt")
    assert fact(first(runs), "Abstention").startswith("not known: no row")


@pytest.mark.slow
def test_what_was_not_testable_is_counted_with_its_reason(runs: tuple[RunTables, ...]) -> None:
    overview = first(runs)
    assert fact(overview, "Not testable") == "made by the test: UNTESTABLE (1 claim)"
    n = (~runs[0].results["applicable"]).sum()
    assert fact(overview, "Did not apply") == f"{n} rows: the prompt states no number ({n} rows)"


def test_every_line_of_the_first_screen_leads_to_its_place(page: Path, runs: tuple[RunTables, ...]) -> None:
    html = page.read_text(encoding="utf-8")
    ids = set(re.findall(r'id="([^"]+)"', html))
    anchors = set(re.findall(r'"(rows-\d+-\d+)":', html))
    lists = re.findall(r'<dl class="overview">(.*?)</dl>', html, re.DOTALL)
    links = [link for part in lists for link in re.findall(r'href="#([^"]+)"', part)]
    assert len(links) >= 2 * 10
    assert set(links) <= ids | anchors
    assert "rows-" in " ".join(links)


@pytest.mark.slow
def test_empty_predictions_are_warned_of_before_anything_else(runs: tuple[RunTables, ...]) -> None:
    clean = runs[0].results["condition"] == "clean"
    rows = runs[0].results.copy()
    rows.loc[rows.index[clean][:2], "missed"] = True
    report = content.build([replace(runs[0], results=rows)])
    assert report.warnings[0].startswith("film-unet: 2 of 12 clean predictions on inputs that show the structure")
    assert fact(report.overviews[0], "Empty masks").startswith("2 of 12 clean predictions")
    assert not any("clean predictions" in w for w in content.build(runs).warnings)


def test_references_are_counted_where_a_prediction_was_scored(runs: tuple[RunTables, ...]) -> None:
    """Of a case whose clean prediction failed nothing is recorded: its reference may be empty or not."""
    rows = runs[0].results.copy()
    failed = rows["case_id"] == rows["case_id"].iloc[0]
    rows["error"] = rows["error"].astype(object).mask(failed, "no map")
    for flag in ("missed", "both_empty", "hallucinated"):
        rows[flag] = rows[flag].astype(object).mask(failed, None)
    before, after = (fact(first([replace(runs[0], results=r)]), "Empty masks") for r in (runs[0].results, rows))
    n = runs[0].results["case_id"].nunique()
    assert before.endswith(f"of {n}")
    assert after.endswith(f"of {n - 1}")


@pytest.mark.slow
@pytest.mark.parametrize("stated", [None, {"side": "patient"}])
def test_an_unstated_side_convention_is_warned_of(runs: tuple[RunTables, ...], stated: dict | None) -> None:
    dataset = {**runs[0].manifest["dataset"], **({"convention": stated} if stated else {})}
    report = content.build([replace(runs[0], manifest={**runs[0].manifest, "dataset": dataset})])
    assert any("Whose left and right" in w for w in report.warnings) == (stated is None)


def test_prompts_without_a_side_need_no_convention(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results.assign(prompt="one large polyp")
    assert not any("Whose left" in w for w in content.build([replace(runs[0], results=rows)]).warnings)


@pytest.mark.slow
@pytest.mark.parametrize(("returns", "warned"), [("auto", True), ("mask", False)])
def test_answers_whose_meaning_was_guessed_are_warned_of(
    runs: tuple[RunTables, ...], returns: str, warned: bool
) -> None:
    model = {"name": "box", "returns": returns, "answers": {"demo_brain": {"read_as": {"mask (PNG)": 72}}}}
    report = content.build([replace(runs[0], manifest={**runs[0].manifest, "model": model})])
    assert any("were read as mask (PNG) (72)" in w for w in report.warnings) == warned


@pytest.mark.slow
def test_a_declared_convention_is_no_warning(runs: tuple[RunTables, ...]) -> None:
    note = "masks are declared: label maps (left = 1)"
    manifest = {**runs[0].manifest, "warnings": [note, "something else"]}
    manifest["dataset"] = {**manifest["dataset"], "notes": [note]}
    report = content.build([replace(runs[0], manifest=manifest)])
    assert note not in report.warnings
    assert "something else" in report.warnings
    assert note in report.notes


def test_the_page_leads_with_the_counts(page: Path) -> None:
    html = page.read_text(encoding="utf-8")
    strip = html.index('<div class="strip">')
    assert strip < html.index('<aside class="warning"') < html.index('id="verdicts"')
    counted = WORDS.sub("", re.search(r'<div class="strip">.*?</div>\n</div>', html, re.DOTALL).group(0))
    assert "as expected" in counted
    assert "clean Dice" in counted


def test_a_run_without_a_score_says_so(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results.assign(dice=None)
    assert first([replace(runs[0], results=rows)]).score == "no clean prediction could be scored"


@pytest.mark.slow
def test_the_prompts_are_counted_and_one_is_quoted(runs: tuple[RunTables, ...]) -> None:
    prompts = runs[0].results[runs[0].results["condition"] == "clean"]["prompt"]
    text = f"{prompts.nunique()} distinct texts, for example “{prompts.iloc[0]}”"
    assert fact(first(runs), "Prompts") == text


def test_what_was_tested_and_what_not_follows_from_the_rows(runs: tuple[RunTables, ...]) -> None:
    found = content.build(runs[:1]).coverage
    rows = runs[0].results
    cases, subjects = rows["case_id"].nunique(), rows["subject_id"].nunique()
    assert found.tested[0] == f"demo_brain, test: {cases} cases, {subjects} images"
    kinds = next(line for line in found.tested if line.startswith("synthetic image changes: "))
    assert (
        len(re.split(", | and ", kinds)) == rows[rows["family"] == "image"]["condition"].str.split("@").str[0].nunique()
    )
    assert "image changes: severities 1, 3 and 5 of 1 to 5" in found.tested
    assert f"the same input again: {(rows['condition'] == 'rerun').sum()} rows" in found.tested
    untested = " | ".join(found.untested)
    for words in ("2 and 4 were not run", "absent structures", "deliberate attacks", "noise of the computation"):
        assert words in untested
    assert "an empty prompt" not in untested
    assert "data other than demo_brain" in untested


def test_what_is_run_leaves_the_list_of_what_is_not(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].results
    attacked = rows[rows["condition"] == "image:jpeg@5"].assign(condition="image:pgd@5")
    asked = rows["condition"] == "wrong_class"
    stays = rows.assign(both_empty=rows["both_empty"].mask(asked, True))
    certificate = {"rows": [{"knob": "threads", "setting": "1", "n": 4, "identical": True}]}
    more = replace(
        runs[0],
        results=pd.concat([stays[stays["condition"] != "empty"], attacked], ignore_index=True),
        manifest={**runs[0].manifest, "certificate": certificate},
    )
    found = content.build([more]).coverage
    untested = " | ".join(found.untested)
    assert "an empty prompt" in untested
    for words in ("absent structures", "attacks", "noise of the computation"):
        assert words not in untested
    assert f"prompts for absent structures: {rows['subject_id'].nunique()} units" in found.tested
    assert any(line.startswith("attacks: ") for line in found.tested)


@pytest.mark.slow
def test_what_only_one_model_was_asked_is_not_said_to_be_tested(runs: tuple[RunTables, ...]) -> None:
    fewer = runs[1].results
    without = replace(runs[1], results=fewer[fewer["condition"] != "image:gamma@3"])
    found = content.build([runs[0], without]).coverage
    assert "of every model: gamma, severity 3" in found.untested
