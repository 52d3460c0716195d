"""What a run hands on: row data for the page, RO-Crate, model-index, the regulatory sections, the PDF."""

from __future__ import annotations

import hashlib
import json
import shutil
from itertools import accumulate
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from robustness.errors import InputError
from robustness.reports.data.frames import merge
from robustness.reports.data.row_data import packed_records, packed_rows, row_data, row_keys
from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.reports.exports.annex import write_prompts
from robustness.reports.exports.model_index import model_index, to_yaml, write_model_index
from robustness.reports.exports.ro_crate import ro_crate, write_ro_crate
from robustness.reports.html.page import write_report
from robustness.reports.html.pdf import find_browser, write_pdf
from robustness.reports.sections import report as content
from tests.gate_runs import seal


@pytest.fixture
def folder(run_folders: list[Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(run_folders[0], tmp_path / "run"))


def test_every_condition_leads_to_all_its_rows(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    data, keys = row_data(frames), row_keys(frames)
    assert set(data["blocks"]) == set(keys.values())
    for (series, condition), anchor in keys.items():
        rows = frames.results[(frames.results["series"] == series) & (frames.results["condition"] == condition)]
        block = data["blocks"][anchor]
        assert block["n"] == len(block["case"]) == len(rows)
        assert [data["cases"][c][0] for c in block["case"]] == rows["case_id"].tolist()
        assert [data["prompts"][p] for p in block["prompt"]] == rows["prompt"].tolist()
        stored = [None if pd.isna(v) else round(v, 5) for v in rows["dice"]]
        assert block["dice"] == stored
    json.dumps(data, allow_nan=False)


def test_the_clean_score_beside_a_row_is_that_of_its_own_case_and_text(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results
    second = results[results["condition"].isin(["clean", "antonym:size"])].assign(prompt_index=1)
    second = second.assign(dice=second["dice"] / 2)
    run = RunTables(**{**vars(runs[0]), "results": pd.concat([results, second], ignore_index=True)})
    frames = merge([run])
    data = row_data(frames)
    block = data["blocks"][row_keys(frames)["film-unet", "antonym:size"]]
    half = len(block["clean"]) // 2
    assert block["clean"][half:] == pytest.approx([v / 2 for v in block["clean"][:half]], abs=1e-5)


def test_a_large_run_keeps_the_rows_with_the_largest_loss(
    runs: tuple[RunTables, ...],
) -> None:
    frames = merge(runs)
    many = pd.concat([frames.results.assign(case_id=frames.results["case_id"] + str(i)) for i in range(6)])
    large = type(frames)(many, frames.effects, frames.verdicts, frames.gallery, frames.series)
    data = row_data(large, limit=100)
    anchor = row_keys(large)["film-unet", "image:gaussian_noise@5"]
    block = data["blocks"][anchor]
    assert (block["n"], len(block["case"])) == (72, 25)
    rows = many[(many["series"] == "film-unet") & (many["condition"] == "image:gaussian_noise@5")]
    clean = many[(many["series"] == "film-unet") & (many["condition"] == "clean")].set_index("case_id")["dice"]
    loss = (rows["case_id"].map(clean) - rows["dice"]).nlargest(25)
    assert block["clean"][0] - block["dice"][0] == pytest.approx(loss.iloc[0], abs=2e-5)


def test_the_crate_lists_every_file_with_its_hash(folder: Path) -> None:
    crate = json.loads(write_ro_crate(folder).read_text(encoding="utf-8"))
    entities = {e["@id"]: e for e in crate["@graph"]}
    assert crate["@context"] == "https://w3id.org/ro/crate/1.1/context"
    assert entities["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    parts = {p["@id"] for p in entities["./"]["hasPart"]}
    assert {"plan.toml", "effects.parquet", "verdicts.parquet", "results/part-0000.parquet"} <= parts
    for name in parts:
        assert entities[name]["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
        assert int(entities[name]["contentSize"]) == (folder / name).stat().st_size
    referred = [v for e in crate["@graph"] for v in e.values() if isinstance(v, dict) and set(v) == {"@id"}]
    assert all(r["@id"] in entities or r["@id"].startswith("https://") for r in referred)


def test_an_unfinished_run_is_no_crate(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match="expected a finished run"):
        ro_crate(folder)


def test_the_model_index_holds_clean_scores_and_image_changes(folder: Path, runs: tuple[RunTables, ...]) -> None:
    yaml = pytest.importorskip("yaml")
    block = yaml.safe_load(write_model_index(folder).read_text(encoding="utf-8"))
    assert block == json.loads(json.dumps(model_index(folder)))
    (entry,) = block["model-index"]
    (result,) = entry["results"]
    assert (entry["name"], result["dataset"]["name"]) == ("film-unet", "demo_brain")
    clean = runs[0].results[runs[0].results["condition"] == "clean"]
    metrics = {m["name"]: m for m in result["metrics"]}
    assert metrics["Dice, unchanged input"]["value"] == round(clean.groupby("subject_id")["dice"].mean().mean(), 6)
    noise = runs[0].effects.query("metric == 'dice' and condition == 'image:gaussian_noise@5'").iloc[0]
    changed = metrics["Dice, gaussian noise, severity 5"]["args"]
    assert changed["loss"] == round(noise["effect"], 6)
    assert changed["ci_level"] == changed["loss_ci_level"] == 0.95


def test_intervals_of_the_model_index_have_the_level_of_the_plan(folder: Path, runs: tuple[RunTables, ...]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    seal(folder, manifest | {"statistics": manifest["statistics"] | {"alpha": 0.1}})
    clean = runs[0].results[runs[0].results["condition"] == "clean"].groupby("subject_id")["dice"].mean()
    args = model_index(folder)["model-index"][0]["results"][0]["metrics"][0]["args"]
    expected = stats.t.interval(0.9, len(clean) - 1, clean.mean(), stats.sem(clean))
    assert (args["ci_low"], args["ci_high"]) == pytest.approx(expected, abs=1e-6)
    assert args["ci_level"] == 0.9


def test_hostile_names_stay_text_in_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    hostile = {"name": 'x: "!!python/object"\n- &a *a', "list": [{"a": 1, "b": [True, None, "yes"]}], "none": []}
    assert yaml.safe_load(to_yaml(hostile)) == hostile


@pytest.mark.slow
def test_the_regulatory_edition_has_fifteen_sections_in_order_and_claims_no_compliance(
    runs: tuple[RunTables, ...], run_folders: list[Path], tmp_path: Path
) -> None:
    report = content.build(runs, edition="regulatory")
    assert [s.number for s in report.regulatory] == list(range(1, 16))
    assert [s.title for s in report.regulatory][:3] == [
        "Identity",
        "Foreseeable variations and expected behaviour",
        "Prespecified analysis plan",
    ]
    assert all(s.asked_by and s.statements and s.blanks for s in report.regulatory)
    page = write_report(run_folders, tmp_path / "r.html", edition="regulatory").read_text(encoding="utf-8")
    text = page.partition("<script")[0]
    assert "compliant with" not in text.lower()
    # No attack was run, and no run monitors anything.
    assert text.count("Supports evidence for") == 13
    assert text.count("No evidence in this run; asked for by") == 2
    assert text.count("To be filled in by the submitter") == 15
    places = [text.index(f'id="section-{n}"') for n in range(1, 16)]
    assert places == sorted(places)


def test_an_unknown_edition_is_one_clear_error(run_folders: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'regulatory'"):
        write_report(run_folders[0], tmp_path / "r.html", edition="regulatry")  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_images_no_picture_is_in_the_page(run_folders: list[Path], tmp_path: Path) -> None:
    for edition in ("auditor", "regulatory"):
        page = write_report(run_folders, tmp_path / "r.html", images=False, edition=edition).read_text(encoding="utf-8")
        assert "data:image" not in page.replace("plotly", "").partition('id="data"')[2].partition("</script>")[0]
        assert "left out of this page by request" in page


@pytest.mark.slow
def test_the_page_prints_to_pdf(page: Path, tmp_path: Path) -> None:
    if find_browser() is None:
        pytest.skip("no Chromium is installed")
    assert write_pdf(page, tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.slow
def test_pdf_without_a_browser_or_a_page_is_one_clear_error(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="write the report first"):
        write_pdf(tmp_path / "none.html")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match="install Chromium"):
        write_pdf(page, tmp_path / "x.pdf")


def test_packed_rows_and_records_hold_the_same_values(runs: tuple[RunTables, ...]) -> None:
    data = row_data(merge(runs))
    packed = packed_rows(data)
    for anchor, block in data["blocks"].items():
        stored = packed["blocks"][anchor]
        lists = {n: v for n, v in block.items() if isinstance(v, list) and n != "row"}
        assert {n: packed["lists"][stored[n]] for n in lists} == lists
        assert list(accumulate([stored["first"], *packed["lists"][stored["steps"]]])) == block["row"]
    assert len(json.dumps(packed)) < 0.7 * len(json.dumps(data))
    records = [{"a": 1, "b": [True, "x"]}, {"a": 2, "b": [True, "x"]}, {"a": 1, "b": []}]
    columns = packed_records(records)
    again = [{n: c["values"][c["index"][i]] for n, c in columns.items()} for i in range(len(records))]
    assert again == records
    assert packed_records([]) == {}


def test_a_row_has_the_number_that_replay_asks_for(runs: tuple[RunTables, ...]) -> None:
    data = row_data(merge(runs))
    for run in runs:
        for block in (b for b in data["blocks"].values() if b["series"] == run.results["series"].iloc[0]):
            rows = run.results.iloc[block["row"]]
            assert set(rows["condition"]) == {block["condition"]}
            assert rows["case_id"].tolist() == [data["cases"][c][0] for c in block["case"]]


@pytest.mark.slow
def test_every_prompt_stands_in_a_file_beside_the_page(run_folders: list[Path], tmp_path: Path) -> None:
    page = write_report(run_folders, tmp_path / "a page.html").read_text(encoding="utf-8")
    table = pd.read_csv(tmp_path / "a page-prompts.csv", keep_default_na=False)
    assert '<a data-beside="a%20page-prompts.csv">a page-prompts.csv</a>' in page
    results = merge(read_runs(run_folders)).results
    asked = results[results["applicable"].astype(bool)]
    assert table["n_rows"].sum() == len(asked)
    assert set(table["prompt"]) == set(asked["prompt"])
    swaps = asked[asked["condition"] == "antonym:side"]
    own = table[table["condition"] == "antonym:side"].set_index("prompt")
    for text, rows in swaps.groupby("prompt"):
        counts = own.loc[text, ["n_models", "n_cases", "n_subjects", "n_rows"]].tolist()
        assert counts == [rows["series"].nunique(), rows["case_id"].nunique(), rows["subject_id"].nunique(), len(rows)]
    assert table["condition"].iloc[0] == "clean"


def test_a_prompt_that_is_a_formula_or_markup_is_inert(runs: tuple[RunTables, ...], tmp_path: Path) -> None:
    texts = ["=1+1", '<b>"x"</b>, y\nz', "-2"]
    rows = merge(runs[:1]).results.head(3).assign(prompt=texts, applicable=True)
    path = write_prompts(rows, tmp_path / "p.html")
    read = pd.read_csv(path, keep_default_na=False)
    assert sorted(read["prompt"]) == sorted(["'=1+1", texts[1], "'-2"])
    assert "\n=1" not in path.read_text(encoding="utf-8")
