"""The regulatory edition: blanks and their answers, cards, sources, the suite's validation, the annex."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.files import sha256_file
from robustness.plans.audit import parse_plan
from robustness.plans.report_answers import ReportSpec, report_answers
from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.reports.exports.annex import write_annex
from robustness.reports.exports.summary import markdown
from robustness.reports.html.page import write_report
from robustness.reports.sections import report as content
from robustness.reports.sections.provenance import flatten
from robustness.reports.sections.regulatory_sources import SOURCES
from robustness.reports.sections.regulatory_table import ENTRIES
from robustness.reports.sections.report import Report
from tests.gate_runs import seal
from tests.reports.make_run import make_run

ROOT = Path(__file__).resolve().parents[3]
PLAN = '[report]\nintended_use = "Segments hearts"\nsites = "Oslo"\nsigned_off = 2026-11-28\n'


@pytest.fixture(scope="module")
def answered(runs: tuple[RunTables, ...]) -> Report:
    return content.build([replace(runs[0], plan=PLAN)], edition="regulatory")


@pytest.fixture(scope="module")
def run_with_plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose plan names its data, as the command line reads it."""
    folder = make_run(tmp_path_factory.mktemp("whole") / "run", n_images=4, severities=(1,), pictures=0)
    (folder / "plan.toml").write_text('[model]\nname = "film-unet"\n[data]\npath = "d"\n', encoding="utf-8")
    return seal(folder)


def answers(report: Report) -> dict[str, str]:
    return {b.key: b.answer for s in report.regulatory for b in s.questions}


def test_every_blank_has_a_key_of_its_own_and_every_key_a_blank() -> None:
    keys = [key for entry in ENTRIES for key, _ in entry.blanks]
    assert len(keys) == len(set(keys))
    assert set(keys) == set(ReportSpec.model_fields)


def test_the_plans_table_fills_blanks(answered: Report) -> None:
    filled = {key: text for key, text in answers(answered).items() if text}
    assert filled == {"intended_use": "Segments hearts", "sites": "Oslo", "signed_off": "2026-11-28"}


def test_stated_answers_go_before_the_plans(runs: tuple[RunTables, ...]) -> None:
    report = content.build([replace(runs[0], plan=PLAN)], edition="regulatory", answers={"sites": "Bergen"})
    assert answers(report)["sites"] == "Bergen"
    assert answers(report)["intended_use"] == "Segments hearts"


def test_answers_do_not_change_the_plans_hash() -> None:
    tree = {"model": {"name": "m"}, "data": {"path": "d"}}
    with_report = parse_plan({**tree, "report": {"sites": "Oslo"}})
    assert with_report.sha256() == parse_plan(tree).sha256()
    assert parse_plan({**tree, "report": {"sites": "Oslo"}}).to_toml().count("[report]") == 1
    assert "[report]" not in parse_plan(tree).to_toml()


def test_a_misspelt_key_is_refused_with_its_neighbour() -> None:
    with pytest.raises(InputError, match=r"unknown key 'site'; did you mean 'sites'"):
        report_answers({"site": "Oslo"}, source="answers.toml")


def test_the_model_is_named_in_words_and_numbers_without_records_of_python(runs: tuple[RunTables, ...]) -> None:
    run = runs[0]
    model = {"name": "net", "sha256": "ab", "training_overlap": [{"dataset": "d"}], "preparation": {"size": 2}}
    report = content.build([replace(run, manifest={**run.manifest, "models": [model]})], edition="regulatory")
    named = next(s for s in report.regulatory[0].statements if s.startswith("Model of run"))
    assert "name net; sha256 ab. Input" in named
    assert not {"{", "["} & set(named)


@pytest.mark.slow
def test_the_page_shows_answers_and_keeps_the_other_blanks(run_with_plan: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text('[report]\ndevice = "<b>box</b> 2"\nsigned_off = 2026-11-28\n', encoding="utf-8")
    page = tmp_path / "reg.html"
    command = ["report", str(run_with_plan), "--out", str(page), "--edition", "regulatory", "--answers", str(file)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    html = page.read_text(encoding="utf-8")
    assert "<dd>&lt;b&gt;box&lt;/b&gt; 2</dd>" in html
    assert "<dd>2026-11-28</dd>" in html
    assert (tmp_path / "reg-annex.json").is_file()
    assert html.count('aria-label="blank"') == len(ReportSpec.model_fields) - 2
    assert f"2 of {len(ReportSpec.model_fields)} questions to the submitter are answered" in html


@pytest.mark.parametrize("text", ["sites = 'Oslo'\n", "[report]\nsites='a'\n[model]\nname='m'\n"])
def test_a_file_of_answers_holds_one_table(run_with_plan: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(text, encoding="utf-8")
    command = ["report", str(run_with_plan), "--out", str(tmp_path / "r.html"), "--answers", str(file)]
    assert "--answers: expected one table [report]" in str(CliRunner().invoke(app, command).exception)


@pytest.mark.slow
def test_the_summary_stands_before_the_first_section(run_folders: list[Path], tmp_path: Path) -> None:
    html = write_report(run_folders[0], tmp_path / "reg.html", edition="regulatory").read_text(encoding="utf-8")
    order = ["<h2>Summary</h2>", "Worst findings", "What this run answers", '<h3 class="sub">Texts</h3>']
    places = [html.index(text) for text in [*order, 'id="section-1"']]
    assert places == sorted(places)
    assert (
        re.findall(r'(?:src|href)="(?!#|data:)[^"]*"', re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)) == []
    )


def test_cards_repeat_the_manifest(answered: Report) -> None:
    model, data = (dict(card.pairs) for card in answered.cards)
    assert [card.section for card in answered.cards] == [1, 4]
    assert model["Weights"] == "ab" * 32
    assert model["Intended use"] == "Segments hearts"
    assert (data["Cases"], data["Images"], data["Patients"]) == ("12 cases", "6 images", "no patient is known")
    assert data["Sites"] == "Oslo"
    assert data["Demographics"] == "not recorded"


def test_poisoning_is_said_not_to_be_tested(answered: Report) -> None:
    text = " ".join(next(s for s in answered.regulatory if s.number == 12).statements)
    assert "Poisoning of training data or weights was not tested" in text
    assert "No adversarial attack was run" in text


def test_every_text_that_a_section_names_is_among_the_sources() -> None:
    named = " ".join(source.name + source.items for source in SOURCES)
    for word in (
        "FDA",
        "PCCP",
        "GMLP",
        "AI Act",
        "MDR",
        "MDCG",
        "62304",
        "24029-1",
        "24029-2",
        "4213",
        "CLAIM",
        "TRIPOD",
    ):
        assert word in named
        if word not in ("4213",):
            assert any(word in entry.asked_by for entry in ENTRIES), word
    assert {n for source in SOURCES for n in source.sections} == set(range(1, 16))
    assert all(source.checked for source in SOURCES)


@pytest.mark.slow
def test_a_section_without_evidence_says_so(runs: tuple[RunTables, ...]) -> None:
    def bare(results: pd.DataFrame) -> set[int]:
        made = content.build([replace(runs[0], results=results)], edition="regulatory")
        return {s.number for s in made.regulatory if s.support.startswith("No evidence in this run")}

    rows = runs[0].results
    assert bare(rows) == {12, 14}
    attacked = rows[rows["condition"] == "image:jpeg@5"].assign(condition="image:pgd@5")
    assert bare(pd.concat([rows, attacked], ignore_index=True)) == {14}
    assert bare(rows[rows["condition"] != "rerun"]) == {8, 12, 14}
    text = markdown(content.build(runs[:1], edition="regulatory"))
    assert text.count("No evidence in this run; asked for by") == 2
    assert text.count("Supports evidence for") == len(ENTRIES) - 2


def test_tools_are_validated_by_the_standard_that_asks_for_it() -> None:
    last = ENTRIES[14].asked_by
    assert "ISO 13485 4.1.6 and ISO/TR 80002-2 (validation" in last
    assert "context, no evidence" in last
    # Article 12 is about logs of the system in use.
    assert not re.search(r"AI Act[^;]*\b12\b", " ".join(entry.asked_by for entry in ENTRIES))


def test_no_section_claims_conformity(answered: Report) -> None:
    text = json.dumps(answered.to_json()["regulatory"])
    assert "compliant" not in text
    assert "complies" not in text


def test_the_validation_table_is_what_the_documentation_commits() -> None:
    spec = importlib.util.spec_from_file_location("validation_table", ROOT / ".ci" / "validation_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (ROOT / "reports" / "sections" / "validation.csv").read_text(encoding="utf-8")
    assert committed == module.table_text(), "python .ci/validation_table.py reports/sections/validation.csv"


def test_the_suites_validation_stands_in_section_15(answered: Report) -> None:
    table = next(t for t in answered.tables if t.id == "validation")
    assert "validation" in next(s for s in answered.regulatory if s.number == 15).shows
    with (ROOT / "reports" / "sections" / "validation.csv").open(encoding="utf-8") as stream:
        assert [list(row) for row in table.rows] == list(csv.reader(stream))[1:]
    studies = {row[0] for row in table.rows}
    assert studies == {
        "parity with the authors' code",
        "models of known behaviour",
        "calibration, truth on the margin",
    }


@pytest.mark.slow
def test_the_annex_identifies_plan_data_weights_and_page(run_folders: list[Path], tmp_path: Path) -> None:
    page = write_report(run_folders[0], tmp_path / "reg.html", edition="regulatory")
    found = json.loads(write_annex(run_folders[0], page).read_text(encoding="utf-8"))
    assert found["page_sha256"] == sha256_file(page)
    run = found["runs"]["text-conditioned"]
    stored = read_runs(run_folders[0])[0]
    assert run["tables"] == stored.manifest["tables"]
    assert run["models"][0]["sha256"] == "ab" * 32
    assert run["datasets"][0]["files"] == {"anns/test.json": "cd" * 32}
    assert run["plan"] == stored.plan


def test_the_page_of_items_is_what_the_tables_say() -> None:
    spec = importlib.util.spec_from_file_location("regulatory_docs", ROOT / ".ci" / "regulatory_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    written = (ROOT / "docs" / "regulatory.md").read_text(encoding="utf-8")
    assert written == module.page(), "python .ci/regulatory_docs.py docs/regulatory.md"


def test_independence_from_the_training_data_is_not_claimed(answered: Report) -> None:
    text = " ".join(next(s for s in answered.regulatory if s.number == 4).statements)
    assert "so that no test patient was among them is not shown" in text


def test_long_vocabularies_and_file_hashes_are_counted_not_listed() -> None:
    pairs = dict(flatten({"words": list(map(str, range(500))), "files": {f"a{i}": f"{i:064x}" for i in range(332)}}))
    assert pairs["words"] == "500 entries (0, 1, 2, ...); all of them stand in the run's manifest.json"
    assert pairs["files"] == "332 files; the sha256 of each stands in the run's manifest.json"
    assert dict(flatten({"files": {"a": "0" * 64}})) == {"files.a": "0" * 64}
