"""The pytest plugin: options, markers and fixtures. Nothing else is loaded until a test asks for it.

A suite that never does pays for the import of this file and of two small ones.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from robustness.gates.assertion_settings import provide
from robustness.pytest_plugin.settings import (
    POLICIES,
    _fail,
    _path_option,
    in_one_line,
    in_root,
    marker_of,
    note_run,
    settings_of,
)

if TYPE_CHECKING:
    from robustness.gates.baselines import Baseline
    from robustness.pytest_plugin.audits import AuditFactory
    from robustness.workflows.run import Run

MARKER = (
    "robustness(run=None, plan=None, baseline=None, inconclusive=None): the run or plan of robustness_run, the "
    "baseline of its comparisons, and what an inconclusive assertion does (fail, skip, warn)"
)
_AT_THE_END = ("robustness_save", "robustness_compare", "robustness_update", "robustness_report")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options and the keys of the ini file."""
    group = parser.getgroup("robustness", "audits of segmentation models")
    add = group.addoption
    add("--robustness-run", metavar="RUN", help="the run's folder that the fixture robustness_run opens")
    add("--robustness-cache", metavar="DIR", help="where audits are kept; default: in pytest's cache")
    add("--robustness-baselines", metavar="DIR", help="where baselines lie; default: baselines, in the root folder")
    add("--robustness-save", metavar="NAME", help="save the session's runs as baseline NAME")
    add("--robustness-compare", metavar="NAME", help="compare with baseline NAME (also in assertions that name none)")
    add(
        "--robustness-compare-fail",
        metavar="EXPR",
        action="append",
        default=[],
        help="with --robustness-compare: fail the session where EXPR is proven, for example dice:drop>0.02",
    )
    add("--robustness-update", action="store_true", help="save baselines again instead of comparing with them")
    add("--robustness-report", metavar="FILE", help="write the runs as .html, or the assertions as .md or .json")
    add("--robustness-inconclusive", choices=POLICIES, help="what an inconclusive assertion does; default: fail")
    parser.addini("robustness_run", "the run's folder that the fixture robustness_run opens")
    parser.addini("robustness_cache", "where audits are kept")
    parser.addini("robustness_baselines", "where baselines lie")
    parser.addini("robustness_inconclusive", "what an inconclusive assertion does: fail, skip or warn")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker; where something happens at the session's end, what does it."""
    config.addinivalue_line("markers", MARKER)
    if config.getoption("robustness_compare_fail") and not config.getoption("robustness_compare"):
        raise pytest.UsageError(
            "--robustness-compare-fail: expected a baseline to compare with; add --robustness-compare"
        )
    if any(config.getoption(name) for name in _AT_THE_END):
        from robustness.pytest_plugin.session import RobustnessSession

        config.pluginmanager.register(RobustnessSession(config), "robustness-session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let assertions know which test makes them."""
    before = provide(partial(settings_of, item))
    try:
        return (yield)
    finally:
        provide(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Let the summary line of a failed assertion begin with its outcome: pytest cuts the line."""
    report = yield
    crash = getattr(report.longrepr, "reprcrash", None)
    # Known by its attribute: no module is loaded for suites that never assert on a run.
    error = call.excinfo.value if call.excinfo else None
    summary = getattr(error, "summary", None)
    if crash is not None and isinstance(summary, str) and hasattr(error, "judged"):
        crash.message = summary
    return report


@pytest.fixture(scope="session")
def robustness_audit(request: pytest.FixtureRequest) -> AuditFactory:
    """Run an audit, or reuse the one of the same plan, data, checkpoint and version: a function that returns a run."""
    from robustness.pytest_plugin.audits import AuditFactory

    return AuditFactory(request.config, partial(note_run, request.config))


@pytest.fixture
def robustness_run(request: pytest.FixtureRequest) -> Run:
    """The run of the test's marker, of --robustness-run, or of the ini file."""
    from robustness.workflows.run import open_run

    config, marked = request.config, marker_of(request.node)
    if marked.get("plan"):
        factory = request.getfixturevalue("robustness_audit")
        audited: Run = in_one_line("robustness_run", lambda: factory(marked["plan"]))
        return audited
    path = marked.get("run") or _path_option(config, "robustness_run")
    if not path:
        _fail(
            "robustness_run: expected a run; use --robustness-run RUN, robustness_run in the ini file, or "
            '@pytest.mark.robustness(run="runs/x") or (plan="plan.toml")'
        )
    run = in_one_line("robustness_run", lambda: open_run(in_root(config, path)))
    note_run(config, run)
    return run


@pytest.fixture
def robustness_baseline(request: pytest.FixtureRequest) -> Run | Baseline | Path:
    """The baseline of the test's marker or of --robustness-compare; with --robustness-update its path."""
    from robustness.gates.baselines import is_baseline, load_baseline

    settings = settings_of(request.node)
    if settings.baseline is None:
        _fail(
            "robustness_baseline: expected a baseline; use --robustness-compare NAME or "
            '@pytest.mark.robustness(baseline="baselines/NAME")'
        )
    if settings.update:
        return settings.baseline
    from robustness.workflows.run import open_run

    path = settings.baseline

    def read() -> Run | Baseline:
        return load_baseline(path) if is_baseline(path) else open_run(path)

    return in_one_line("robustness_baseline", read)
