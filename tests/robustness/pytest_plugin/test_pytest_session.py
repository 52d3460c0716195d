"""What the plugin saves, compares and reports at a session's end."""

from __future__ import annotations

import json
import os
import re

import pytest

from tests.gate_runs import GOOD, text, write_run

pytest_plugins = ["pytester"]


class TestBaselines:
    CODE = "def test_it(robustness_run):\n    robustness_run.assert_no_proven_drop()\n"

    def test_save_then_compare(self, suite, pytester, runs):
        saved = suite(
            GOOD.format(assertion="assert_minimum(0.5)"), f"--robustness-run={runs}/good", "--robustness-save=v1"
        )
        saved.assert_outcomes(passed=1)
        assert sorted(p.name for p in (pytester.path / "baselines").iterdir()) == ["v1.parquet", "v1.toml"]
        suite(self.CODE, f"--robustness-run={runs}/good", "--robustness-compare=v1").assert_outcomes(passed=1)
        worse = suite(None, f"--robustness-run={runs}/worse", "--robustness-compare=v1")
        worse.assert_outcomes(failed=1)
        assert re.search(r"FAIL \(warning\) +clean +clean +\+0\.05", text(worse))

    @pytest.mark.slow
    def test_an_expression_fails_the_session_without_any_assertion(self, suite, runs):
        code = GOOD.format(assertion="assert_minimum(0.5)")
        suite(code, f"--robustness-run={runs}/good", "--robustness-save=v1")
        for expression, code_ in (
            ("dice:drop>0.02", 1),
            ("dice:drop>0.08", 0),
            ("dice[antonym:*]:possible-drop>0.2", 0),
        ):
            result = suite(
                None,
                f"--robustness-run={runs}/worse",
                "--robustness-compare=v1",
                f"--robustness-compare-fail={expression}",
            )
            result.assert_outcomes(passed=1)
            assert result.ret == code_, expression

    @pytest.mark.parametrize("expression", ["dice>0.02", "dice:drop>5%", "dice:drop<0.02", ":drop>1"])
    def test_an_expression_of_another_form_is_a_usage_error(self, suite, runs, expression):
        result = suite(
            self.CODE,
            f"--robustness-run={runs}/good",
            "--robustness-compare=v1",
            f"--robustness-compare-fail={expression}",
        )
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "for example dice:drop>0.02" in "\n".join(result.errlines)

    def test_an_expression_without_a_baseline_is_a_usage_error(self, suite, runs):
        result = suite(self.CODE, f"--robustness-run={runs}/good", "--robustness-compare-fail=dice:drop>0.02")
        assert result.ret == pytest.ExitCode.USAGE_ERROR

    def test_a_baseline_that_is_not_there_fails_and_says_how_to_save_it(self, suite, runs):
        result = suite(
            GOOD.format(assertion="assert_minimum(0.5)"), f"--robustness-run={runs}/good", "--robustness-compare=v9"
        )
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert "save it with --robustness-save v9" in text(result)

    def test_update_writes_the_named_baseline_and_the_next_session_compares_with_it(self, suite, pytester, runs):
        code = GOOD.format(assertion='assert_no_proven_drop("baselines/mine")')
        missing = suite(code, f"--robustness-run={runs}/good")
        missing.assert_outcomes(failed=1)
        assert "save it with pytest --robustness-update" in text(missing)
        suite(None, f"--robustness-run={runs}/good", "--robustness-update").assert_outcomes(passed=1)
        assert (pytester.path / "baselines" / "mine.toml").is_file()
        suite(None, f"--robustness-run={runs}/worse").assert_outcomes(failed=1)
        suite(None, f"--robustness-run={runs}/worse", "--robustness-update").assert_outcomes(passed=1)
        suite(None, f"--robustness-run={runs}/worse").assert_outcomes(passed=1)

    def test_a_baselines_path_starts_at_the_root_folder_wherever_pytest_is_called(self, suite, pytester, runs):
        code = GOOD.format(assertion='assert_no_proven_drop("baselines/mine")')
        pytester.makeini("[pytest]")
        suite(code, f"--robustness-run={runs}/good", "--robustness-update").assert_outcomes(passed=1)
        pytester.mkdir("inner")
        os.chdir(pytester.path / "inner")
        suite(None, f"--robustness-run={runs}/good", "..").assert_outcomes(passed=1)

    def test_an_update_says_what_it_wrote_and_from_which_run(self, suite, runs):
        code = "def test_it(robustness_run):\n    robustness_run.assert_no_proven_drop('baselines/main')\n"
        result = suite(code, f"--robustness-run={runs}/good", "--robustness-update")
        assert re.search(r"updated baselines/main.toml from \S*good", text(result))
        nothing = suite(
            GOOD.format(assertion="assert_minimum(0.5)"), f"--robustness-run={runs}/good", "--robustness-update"
        )
        assert "--robustness-update: no assertion compares with a baseline file, nothing was written" in text(nothing)

    @pytest.mark.parametrize(
        ("assertion", "outcome"),
        [("assert_minimum(0.99)", "FAIL"), ("assert_minimum(0.81)", "INCONCLUSIVE")],
    )
    def test_the_summary_line_begins_with_the_outcome(self, suite, runs, monkeypatch, assertion, outcome):
        monkeypatch.setenv("COLUMNS", "110")
        result = suite(GOOD.format(assertion=assertion), f"--robustness-run={runs}/good")
        assert re.search(rf"^FAILED \S+::test_it - {outcome} clean: dice", text(result), re.MULTILINE)
        # The report itself has a line for each thing to know.
        assert re.search(r"^E +worst cases: c\d+", text(result), re.MULTILINE) or outcome == "INCONCLUSIVE"

    def test_two_runs_may_not_update_one_baseline(self, suite, runs):
        code = """
@pytest.mark.parametrize("name", ["good", "worse"])
def test_it(name):
    rb.open_run(f"{RUNS}/{name}").assert_no_proven_drop("baselines/mine")
"""
        result = suite(code, "--robustness-update")
        result.assert_outcomes(passed=1, failed=1)
        assert "give" in text(result)
        assert "a baseline of its own" in text(result)

    def test_the_markers_baseline_and_the_fixture(self, suite, runs):
        code = f"""
@pytest.mark.robustness(run="{runs}/worse", baseline="{runs}/good")
def test_marked(robustness_run):
    robustness_run.assert_no_proven_drop()
@pytest.mark.robustness(run="{runs}/good", baseline="{runs}/good")
def test_fixture(robustness_run, robustness_baseline):
    robustness_run.assert_noninferior(robustness_baseline, margin=0.02)
"""
        result = suite(code)
        result.assert_outcomes(passed=1, failed=1)

    def test_a_baseline_of_other_data_is_refused_with_the_difference(self, suite, runs, tmp_path):
        other = write_run(tmp_path / "other", files={"images/a.png": "9"})
        code = GOOD.format(assertion=f'assert_no_proven_drop("{other.path}")')
        result = suite(code, f"--robustness-run={runs}/good")
        result.assert_outcomes(failed=1)
        assert "it was made on other data: dataset 'd' (test) has other files there" in text(result)


class TestReport:
    CODE = """
@pytest.mark.parametrize("margin", [0.05, 0.5])
def test_it(robustness_run, margin):
    robustness_run.assert_drop_below("antonym:*", margin)
"""

    def test_json_and_markdown_hold_every_assertion(self, suite, pytester, runs):
        suite(self.CODE, f"--robustness-run={runs}/good", "--robustness-report=out.json").assert_outcomes(failed=2)
        found = json.loads((pytester.path / "out.json").read_text())
        assert [entry["test"].rpartition("[")[2] for entry in found] == ["0.05]", "0.5]"]
        assert {cell["condition"] for cell in found[0]["found"]} == {"antonym:side", "antonym:size"}
        suite(None, f"--robustness-run={runs}/good", "--robustness-report=out.md")
        assert (pytester.path / "out.md").read_text().count("| fail |") == 2

    @pytest.mark.slow
    def test_html_is_the_page_of_the_runs(self, suite, pytester, runs):
        suite(self.CODE, f"--robustness-run={runs}/good", "--robustness-report=out.html")
        assert "antonym:side" in (pytester.path / "out.html").read_text(encoding="utf-8")

    def test_another_suffix_is_a_usage_error(self, suite):
        assert suite(self.CODE, "--robustness-report=out.pdf").ret == pytest.ExitCode.USAGE_ERROR
