"""The plugin as a user's suite meets it: options, markers, fixtures, messages, workers."""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tests.gate_runs import GOOD, text

pytest_plugins = ["pytester"]


class TestAssertions:
    OUTCOMES: ClassVar = {
        'assert_drop_below("antonym:size", 0.05)': "passed",
        'assert_drop_below("antonym:side", 0.05)': "failed",
        'assert_invariant("paraphrase", margin=0.02)': "passed",
        'assert_directional("antonym:side", "drop", at_least=0.5)': "passed",
        'assert_directional("antonym:side", "rise")': "failed",
        "assert_minimum(0.75)": "passed",
        "assert_minimum(0.9)": "failed",
        'assert_retention("image:*@3", at_least=0.9)': "passed",
        'assert_retention("image:*@3", at_least=0.99)': "failed",
        'assert_ignores("side")': "failed",
        'assert_follows("size")': "failed",
        'assert_no_proven_drop(RUNS + "/worse", metric="dice")': "passed",
        'assert_no_proven_drop(rb.open_run(RUNS + "/good"), condition="antonym:*")': "passed",
        'assert_noninferior(RUNS + "/good", margin=0.02)': "passed",
    }

    @pytest.mark.slow
    def test_pass_and_fail(self, suite, runs):
        code = "".join(
            f"def test_{index}(robustness_run):\n    robustness_run.{assertion}\n"
            for index, assertion in enumerate(self.OUTCOMES)
        )
        shown = text(suite(code, f"--robustness-run={runs}/good", "-rA"))
        outcomes = {int(n): o.lower() for o, n in re.findall(r"^(PASSED|FAILED) \S+::test_(\d+)", shown, re.M)}
        assert {assertion: outcomes[i] for i, assertion in enumerate(self.OUTCOMES)} == self.OUTCOMES

    def test_a_failure_shows_the_numbers_the_worst_cases_and_what_to_run_next(self, suite, runs):
        code = GOOD.format(assertion=f'assert_no_proven_drop("{runs}/good")')
        shown = text(suite(code, f"--robustness-run={runs}/worse"))
        assert re.search(r"GateError: FAIL: assert_no_proven_drop", shown)
        assert re.search(r"clean: dice drop since the baseline \+0\.05\d* \[\+0\.\d+, \+0\.\d+\]", shown)
        assert "n = 40 patients, 40 cases" in shown
        assert re.search(r"worst cases: c\d\d \(\+0\.\d+\), c\d\d", shown)
        assert f"next: robustness report {runs}/worse" in shown
        assert f"next: robustness compare {runs}/good {runs}/worse" in shown
        # The library's own frames are no news to the reader.
        assert "judge_gate(" not in shown

    def test_a_condition_that_is_not_there_is_named(self, suite, runs):
        result = suite(
            GOOD.format(assertion='assert_drop_below("antonym:colour", 0.1)'), f"--robustness-run={runs}/good"
        )
        result.assert_outcomes(failed=1)
        assert "matches no condition of the run; it has clean, antonym:side" in text(result)


OPEN = """
{mark}
def test_it(robustness_run):
    robustness_run.assert_ignores("size"{argument})
"""


class TestInconclusive:
    @pytest.mark.parametrize(
        ("mark", "argument", "options", "ini", "outcome"),
        [
            ("", "", (), "", {"failed": 1}),
            ("", ', inconclusive="skip"', (), "", {"skipped": 1}),
            ("", ', inconclusive="warn"', (), "", {"passed": 1, "warnings": 1}),
            ('@pytest.mark.robustness(inconclusive="skip")', "", (), "", {"skipped": 1}),
            ("", "", ("--robustness-inconclusive=skip",), "", {"skipped": 1}),
            ("", "", (), "skip", {"skipped": 1}),
            ("", ', inconclusive="fail"', ("--robustness-inconclusive=skip",), "warn", {"failed": 1}),
            (
                '@pytest.mark.robustness(inconclusive="fail")',
                "",
                ("--robustness-inconclusive=skip",),
                "",
                {"failed": 1},
            ),
            ("", "", ("--robustness-inconclusive=skip",), "fail", {"skipped": 1}),
        ],
    )
    def test_argument_then_marker_then_option_then_ini(
        self, suite, pytester, runs, mark, argument, options, ini, outcome
    ):
        if ini:
            pytester.makeini(f"[pytest]\nrobustness_inconclusive = {ini}")
        result = suite(
            OPEN.format(mark=mark, argument=argument), f"--robustness-run={runs}/good", "-rs", "-Wdefault", *options
        )
        result.assert_outcomes(**outcome)
        if "passed" not in outcome:
            assert re.search(r"about \d+ patients", text(result))

    def test_an_unknown_choice_is_an_error(self, suite, pytester, runs):
        pytester.makeini("[pytest]\nrobustness_inconclusive = maybe")
        result = suite(OPEN.format(mark="", argument=""), f"--robustness-run={runs}/good")
        assert "expected one of fail, skip, warn, got 'maybe'" in text(result)


class TestWhichRun:
    CODE = "def test_it(robustness_run):\n    assert robustness_run.path.name == 'good'\n"

    def test_marker_before_option_before_ini(self, suite, pytester, runs):
        pytester.makeini(f"[pytest]\nrobustness_run = {runs}/good")
        suite(self.CODE).assert_outcomes(passed=1)
        suite(self.CODE, f"--robustness-run={runs}/worse").assert_outcomes(failed=1)
        marked = f'@pytest.mark.robustness(run="{runs}/good")\n{self.CODE}'
        suite(marked, f"--robustness-run={runs}/worse", "--strict-markers").assert_outcomes(passed=1)

    def test_none_is_said_with_every_way_to_name_one(self, suite):
        result = suite(self.CODE)
        result.assert_outcomes(errors=1)
        assert "use --robustness-run RUN, robustness_run in the ini file" in text(result)

    def test_a_run_plan_or_baseline_that_is_not_there_is_one_line_without_a_traceback(self, suite):
        for fixture, options in (
            ("robustness_run", {"run": "runs/none"}),
            ("robustness_run", {"plan": "none.toml"}),
            ("robustness_baseline", {"baseline": "baselines/none"}),
        ):
            ((key, value),) = options.items()
            result = suite(f"@pytest.mark.robustness({key}={value!r})\ndef test_it({fixture}):\n    pass\n")
            result.assert_outcomes(errors=1)
            assert f"{fixture}: " in text(result)
            assert "none" in text(result)
            assert text(result).count("expected") == 1
            assert "raise " not in text(result)

    def test_a_marker_with_an_unknown_key_is_an_error(self, suite):
        result = suite(f"@pytest.mark.robustness(runs='x')\n{self.CODE}")
        result.assert_outcomes(errors=1)
        assert "expected robustness(run=, plan=, baseline=, inconclusive=), got runs" in text(result)


def test_the_installed_package_registers_the_plugin():
    entries = importlib.metadata.entry_points(group="pytest11")
    if not any(entry.dist and entry.dist.name == "vlsm-robustness" for entry in entries):
        pytest.skip("needs the package installed, not only its checkout")
    assert [entry.value for entry in entries if entry.name == "robustness"] == ["robustness.pytest_plugin"]


class TestCost:
    def test_a_suite_that_never_asks_loads_small_modules_alone(self, pytester, suite):
        code = """
def test_it():
    import sys
    heavy = {"torch", "pandas", "numpy", "pydantic", "scipy", "pyarrow"} & set(sys.modules)
    assert not heavy
    ours = {m for m in sys.modules if m.split(".")[0] == "robustness"}
    plugin = {"robustness.pytest_plugin", "robustness.pytest_plugin.settings"}
    assert ours <= {"robustness", "robustness.lazy", "robustness.gates", "robustness.gates.assertion_settings", *plugin}
"""
        pytester.makepyfile(code)
        suite(None, subprocess=True).assert_outcomes(passed=1)

    def test_start_up_loads_nothing_but_small_modules(self):
        code = (
            "import sys, pytest; before = set(sys.modules); import robustness.pytest_plugin; "
            "print(*sorted(m for m in set(sys.modules) - before if m.split('.')[0] not in sys.stdlib_module_names))"
        )
        root = Path(__file__).parents[3]
        done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, text=True)
        assert {name.split(".")[0] for name in done.stdout.split()} == {"robustness"}
        assert len(done.stdout.split()) < 12

    def test_a_test_without_an_audit_pays_a_handful_of_calls(self, request):
        from robustness.pytest_plugin import pytest_runtest_protocol

        calls: list[str] = []
        sys.setprofile(lambda frame, event, _: calls.append(frame.f_code.co_name) if event == "call" else None)
        try:
            for _ in pytest_runtest_protocol(request.node):
                pass
        finally:
            sys.setprofile(None)
        assert 0 < len(calls) < 40
