"""The audits of the plugin's fixture: run once, reused by later sessions and by other workers."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from robustness.run_folder import MANIFEST
from tests.gate_runs import GOOD
from tests.synthetic import write_dataset

pytest_plugins = ["pytester"]


MODEL = """
import os, pathlib
from tests.synthetic import reads_side

def make():
    def predict(images, prompts):
        log = pathlib.Path(os.environ["CALLS"])
        with log.open("a") as file:
            file.write(f"{os.getpid()}\\n")
        return reads_side(images, prompts)
    return predict
"""
PLAN = """
[model]
name = "python"
checkpoint = "model.py:make"
[data]
path = "data"
prompt = "p2"
subject = "subject"
[perturbations]
prompt = ["antonym:side", "paraphrase", "other"]
image = []
[statistics]
resamples = 199
min_subjects = 6
"""
AUDIT = """
@pytest.mark.parametrize("index", range(4))
def test_it(robustness_audit, index):
    run = robustness_audit("plan.toml")
    run.assert_minimum(0.9)
"""


@pytest.fixture
def project(pytester, monkeypatch):
    """A project with data, a model that counts its calls, and a plan."""
    write_dataset(pytester.path / "data", images=6)
    (pytester.path / "model.py").write_text(MODEL)
    (pytester.path / "plan.toml").write_text(PLAN)
    calls = pytester.path / "calls.log"
    monkeypatch.setenv("CALLS", str(calls))
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    )
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))

    def called():
        return calls.read_text().split() if calls.exists() else []

    return called


class TestAudit:
    @pytest.mark.slow
    def test_an_audit_is_run_once_and_reused_by_later_sessions(self, suite, project, pytester):
        suite(AUDIT).assert_outcomes(passed=4)
        first = project()
        assert first
        suite(None).assert_outcomes(passed=4)
        assert project() == first
        (kept,) = (pytester.path / ".pytest_cache" / "d" / "robustness").glob("plan-*/" + MANIFEST)
        assert kept.is_file()

    @pytest.mark.slow
    def test_whatever_decides_the_result_makes_a_new_audit(self, suite, project, pytester):
        image = next((pytester.path / "data" / "images").glob("*.png"))
        changes = {
            "nothing": lambda: None,
            "plan": lambda: (pytester.path / "plan.toml").write_text(PLAN.replace("paraphrase", "empty")),
            "data": lambda: image.write_bytes(image.read_bytes() + b"\0"),
            "model": lambda: (pytester.path / "model.py").write_text(f"{MODEL}\n# version 2\n"),
            "key": lambda: None,
        }
        suite(AUDIT, "--robustness-cache=kept").assert_outcomes(passed=4)
        for change, make in changes.items():
            before = len(project())
            make()
            code = AUDIT.replace('"plan.toml"', '"plan.toml", key="2"') if change == "key" else AUDIT
            suite(code, "--robustness-cache=kept").assert_outcomes(passed=4)
            assert (len(project()) > before) is (change != "nothing"), change

    @pytest.mark.slow
    def test_a_half_finished_audit_is_gone_on_with(self, suite, project, pytester):
        suite(AUDIT, "--robustness-cache=kept").assert_outcomes(passed=4)
        (run,) = (pytester.path / "kept").glob("plan-*/")
        (run / MANIFEST).unlink()
        suite(AUDIT, "--robustness-cache=kept").assert_outcomes(passed=4)
        assert (run / MANIFEST).is_file()

    @pytest.mark.slow
    def test_a_function_is_audited_once_a_session_and_with_a_key_once_and_for_all(self, suite, project, pytester):
        code = """
import model
@pytest.mark.parametrize("index", range(2))
def test_it(robustness_audit, index, vendor):
    data = rb.load_dataset("data", split="test", prompt="p2", subject="subject")
    run = robustness_audit(vendor, data, perturbations=["antonym:side"], statistics={"resamples": 199}KEY)
    assert len(run.results())
@pytest.fixture(scope="session")
def vendor():
    return rb.segmenter(model.make(), name="vendor")
"""
        pytester.syspathinsert()
        counts = []
        for key in ("", "", ', key="v1"', ', key="v1"'):
            suite(code.replace("KEY", key), "--robustness-cache=kept").assert_outcomes(passed=2)
            counts.append(len(project()))
        assert counts[0] < counts[1] < counts[2] == counts[3]
        assert counts[1] == 2 * counts[0]

    def test_the_markers_plan_is_audited(self, suite, project):
        marked = f'@pytest.mark.robustness(plan="plan.toml"){GOOD.format(assertion="assert_minimum(0.9)")}'
        suite(marked).assert_outcomes(passed=1)
        assert project()

    @pytest.mark.slow
    def test_workers_share_one_audit_and_the_session_saves_it_once(self, suite, project, pytester):
        pytest.importorskip("xdist")
        result = suite(
            AUDIT,
            "-p",
            "xdist",
            "-n2",
            "--dist=each",
            "--robustness-cache=kept",
            "--robustness-save=v1",
            "--robustness-report=found.json",
            subprocess=True,
        )
        result.assert_outcomes(passed=8)
        assert len(set(project())) == 1
        assert len(list((pytester.path / "kept").glob("plan-*/"))) == 1
        assert (pytester.path / "baselines" / "v1.toml").is_file()
        assert len(json.loads((pytester.path / "found.json").read_text())) == 8
