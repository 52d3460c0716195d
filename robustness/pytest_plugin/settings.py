"""Settings and session state that hooks and fixtures share."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from robustness.gates.assertion_settings import AssertionSettings

if TYPE_CHECKING:
    from robustness.runs.stored import StoredRun


T = TypeVar("T")
POLICIES = ("fail", "skip", "warn")


def settings_of(item: pytest.Item) -> AssertionSettings:
    """Return what assertions take from a test: its marker first, then options, then the ini file."""
    config, marked = item.config, marker_of(item)
    policy: Any = (
        marked.get("inconclusive")
        or config.getoption("robustness_inconclusive")
        or config.getini("robustness_inconclusive")
        or "fail"
    )
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
    options: dict[str, Any] = {}
    for mark in reversed(list(item.iter_markers("robustness"))):
        unknown = set(mark.kwargs) - {"run", "plan", "baseline", "inconclusive"}
        if mark.args or unknown:
            _fail(
                f"{item.nodeid}: expected robustness(run=, plan=, baseline=, inconclusive=), got "
                f"{', '.join([*map(repr, mark.args), *sorted(unknown)])}"
            )
        options |= mark.kwargs
    return options


def _fail(message: str) -> NoReturn:
    pytest.fail(message, pytrace=False)


def in_one_line(what: str, opening: Callable[[], T]) -> T:
    """Return what `opening` does; a user's mistake fails the test with its message alone."""
    from robustness.errors import RobustnessError

    try:
        return opening()
    except RobustnessError as error:
        message = f"{what}: {error}"
    _fail(message)


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


def note_run(config: pytest.Config, run: StoredRun, label: str = "") -> None:
    """Remember that the session used a run."""
    _kept(config, RUNS, {}).setdefault(str(run.path.resolve()), label or run.path.name)


def _note_assertion(config: pytest.Config, test: str, row: dict[str, Any]) -> None:
    _kept(config, ASSERTED, []).append({"test": test, **row})


def _kept(config: pytest.Config, key: pytest.StashKey[Any], default: Any) -> Any:
    return config.stash.setdefault(key, default)


def _path_option(config: pytest.Config, name: str) -> str:
    return str(config.getoption(name) or config.getini(name) or "")
