"""Run folders and pages that the tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from robustness.reports.data.run_tables import RunTables, read_runs
from robustness.reports.html.page import write_report
from tests.reports.chromium import Browser, find_chromium
from tests.reports.make_run import FOLLOWS_SIDE, IGNORES_ALL, make_run

HOSTILE = (
    '<script>alert(1)</script> "one" & <img src=x onerror="document.title=\'owned\'"> large left </script> of the brain'
)


@pytest.fixture(scope="session")
def run_folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small runs: a model that follows side words and one that ignores every word."""
    base = tmp_path_factory.mktemp("runs")
    sizes = {"n_images": 6, "severities": (1, 3, 5), "pictures": 1}
    return [
        make_run(base / "text-conditioned", FOLLOWS_SIDE, **sizes),
        make_run(base / "image-only", IGNORES_ALL, seed=1, **sizes),
    ]


@pytest.fixture(scope="session")
def runs(run_folders: list[Path]) -> tuple[RunTables, ...]:
    return read_runs(run_folders)


@pytest.fixture(scope="session")
def page(run_folders: list[Path]) -> Path:
    """The page that compares both runs."""
    return write_report(run_folders, run_folders[0].parent / "report.html")


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run whose prompts are markup."""
    base = tmp_path_factory.mktemp("hostile")
    run = make_run(
        base / "run", n_images=4, severities=(1, 5), pictures=1, prompt=HOSTILE, model="<b onclick=x>net</b>"
    )
    return write_report(run, base / "report.html")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if find_chromium() is None:
        pytest.skip("no Chromium is installed: the page cannot be opened")
    with Browser() as opened:
        yield opened
