"""The pytest plugin: options, markers and fixtures. Nothing else is loaded until a test asks for it.

A suite that never does pays for the import of this file and of two small ones.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from robustness.assertion_settings import AssertionSettings, provide

if TYPE_CHECKING:
    from robustness.baselines import Baseline
    from robustness.pytest_audit import AuditFactory
    from robustness.run import Run

POLICIES = ("fail", "skip", "warn")
MARKER = (
    "robustness(run=None, plan=None, baseline=None, inconclusive=None): the run or plan of robustness_run, the "
    "baseline of its comparisons, and what an inconclusive assertion does (fail, skip, warn)"
)
_AT_THE_END = ("robustness_save", "robustness_compare", "robustness_report")


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
        "--robustness-compare-fail", metavar="EXPR", action="append", default=[],
        help="with --robustness-compare: fail the session where EXPR is proven, for example dice:drop>0.02",
    )  # fmt: skip
    add("--robustness-update", action="store_true", help="save baselines anew instead of comparing with them")
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
        from robustness.pytest_session import RobustnessSession

        config.pluginmanager.register(RobustnessSession(config), "robustness-session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Let assertions know which test makes them."""
    before = provide(partial(settings_of, item))
    try:
        return (yield)
    finally:
        provide(before)


@pytest.fixture(scope="session")
def robustness_audit(request: pytest.FixtureRequest) -> AuditFactory:
    """Run an audit, or reuse the one of the same plan, data, checkpoint and version: a function that returns a run."""
    from robustness.pytest_audit import AuditFactory

    return AuditFactory(request.config, partial(note_run, request.config))


@pytest.fixture
def robustness_run(request: pytest.FixtureRequest) -> Run:
    """The run of the test's marker, of --robustness-run, or of the ini file."""
    from robustness.run import open_run

    config, marked = request.config, marker_of(request.node)
    if marked.get("plan"):
        factory = request.getfixturevalue("robustness_audit")
        audited: Run = factory(marked["plan"])
        return audited
    path = marked.get("run") or _path_option(config, "robustness_run")
    if not path:
        _fail(
            "robustness_run: expected a run; use --robustness-run RUN, robustness_run in the ini file, or "
            '@pytest.mark.robustness(run="runs/x") or (plan="plan.toml")'
        )
    run = open_run(in_root(config, path))
    note_run(config, run)
    return run


@pytest.fixture
def robustness_baseline(request: pytest.FixtureRequest) -> Run | Baseline | Path:
    """The baseline of the test's marker or of --robustness-compare; with --robustness-update its path."""
    from robustness.baselines import open_earlier

    settings = settings_of(request.node)
    if settings.baseline is None:
        _fail(
            "robustness_baseline: expected a baseline; use --robustness-compare NAME or "
            '@pytest.mark.robustness(baseline="baselines/NAME")'
        )
    return settings.baseline if settings.update else open_earlier(settings.baseline)


def settings_of(item: pytest.Item) -> AssertionSettings:
    """Return what assertions take from a test: its marker first, then options, then the ini file."""
    config, marked = item.config, marker_of(item)
    policy: Any = (
        marked.get("inconclusive") or config.getoption("robustness_inconclusive")
        or config.getini("robustness_inconclusive") or "fail"
    )  # fmt: skip
    if policy not in POLICIES:
        _fail(f"inconclusive: expected one of {', '.join(POLICIES)}, got {policy!r}")
    baseline = in_root(config, marked["baseline"]) if marked.get("baseline") else compared(config)
    return AssertionSettings(
        inconclusive=policy,
        baseline=baseline,
        root=config.rootpath,
        update=bool(config.getoption("robustness_update")),
        updated=_kept(config, UPDATED, {}),
        record=partial(_note_assertion, config, item.nodeid),
    )


def marker_of(item: pytest.Item) -> dict[str, Any]:
    """Return the keywords of a test's robustness markers, the nearest first."""
    found: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("robustness"))):
        unknown = set(mark.kwargs) - {"run", "plan", "baseline", "inconclusive"}
        if mark.args or unknown:
            _fail(
                f"{item.nodeid}: expected robustness(run=, plan=, baseline=, inconclusive=), got "
                f"{', '.join([*map(repr, mark.args), *sorted(unknown)])}"
            )
        found |= mark.kwargs
    return found


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)


def in_root(config: pytest.Config, path: str | Path) -> Path:
    """Return a path of the suite: relative ones start at pytest's root folder."""
    return config.rootpath / path


def baselines_folder(config: pytest.Config) -> Path:
    """Return where this suite keeps its baselines."""
    return in_root(config, _path_option(config, "robustness_baselines") or "baselines")


def compared(config: pytest.Config) -> Path | None:
    """Return the baseline of --robustness-compare."""
    name = config.getoption("robustness_compare")
    return baselines_folder(config) / name if name else None


RUNS = pytest.StashKey[dict[str, str]]()
ASSERTED = pytest.StashKey[list[dict[str, Any]]]()
UPDATED = pytest.StashKey[dict[Path, Path]]()


def note_run(config: pytest.Config, run: Run, label: str = "") -> None:
    """Remember that the session used a run."""
    _kept(config, RUNS, {}).setdefault(str(run.path.resolve()), label or run.path.name)


def _note_assertion(config: pytest.Config, test: str, found: dict[str, Any]) -> None:
    _kept(config, ASSERTED, []).append({"test": test, **found})


def _kept(config: pytest.Config, key: pytest.StashKey[Any], default: Any) -> Any:
    return config.stash.setdefault(key, default)


def _path_option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name) or "")
