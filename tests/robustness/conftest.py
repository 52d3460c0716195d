"""Suites inside of tests: pytest run on files that a test writes, with two finished runs at hand."""

from __future__ import annotations

import importlib

import pytest

from robustness.registry import MODELS, PERTURBATIONS
from tests.gate_runs import write_run


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """Two runs. What an inner session would import is imported here once: pytester drops it after each session."""
    folder = tmp_path_factory.mktemp("runs")
    good = write_run(folder / "good")
    write_run(folder / "worse", seed=1, clean_shift=0.05)
    good.assert_noninferior(good, margin=0.02)
    good.assert_retention("image:*", at_least=0.5)
    for name in (
        "workflows.audit",
        "pytest_plugin.audits",
        "pytest_plugin.session",
        "runners.audit.run",
        "runners.models.black_box.python_file",
        "runners.models.black_box.callable",
    ):
        importlib.import_module(f"robustness.{name}")
    importlib.import_module("robustness.runners.environment").environment(None)
    MODELS.names()
    PERTURBATIONS.names()
    return folder


@pytest.fixture
def suite(pytester, runs, monkeypatch):
    """Write a suite and run it; return its result."""
    monkeypatch.setenv("RUNS", str(runs))
    # Options of the surrounding suite must not reach the inner one, and other plugins only cost time. What pytest takes
    # for a build server (it then repeats whole messages in its summary) and the terminal's width must not either.
    for name in ("PYTEST_ADDOPTS", "CI", "BUILD_NUMBER", "COLUMNS", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(code, *options, subprocess=False):
        if code is not None:
            pytester.makepyfile(f"import os\nRUNS = os.environ['RUNS']\nimport pytest\nimport robustness as rb\n{code}")
        arguments = ("-p", "robustness.pytest_plugin", *options)
        return pytester.runpytest_subprocess(*arguments) if subprocess else pytester.runpytest_inprocess(*arguments)

    return run
