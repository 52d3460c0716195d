"""`robustness doctor`: each check states what it found, and what is missing has a fix."""

from __future__ import annotations

import shutil
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.perturb.language import wordnet
from robustness.reports.html import pdf
from robustness.runners.audit import worker_count
from robustness.workflows import doctor
from robustness.workflows.doctor import diagnose

Usage = namedtuple("Usage", "total used free")


def found(name: str, folder: Path = Path()) -> doctor.Finding:
    return next(f for f in diagnose(folder) if f.name == name)


def test_everything_that_is_not_ok_has_a_fix() -> None:
    findings = diagnose(Path())
    names = {f.name for f in findings}
    assert {"robustness", "device", "memory", "WordNet", "Chromium", "disk", "temporary files"} <= names
    assert all(bool(f.fix) == (f.state != "ok") for f in findings)


def test_a_missing_wordnet_is_a_note_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: wordnet.NOT_INSTALLED)
    assert found("WordNet").fix == "python -m nltk.downloader wordnet"
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: wordnet.NO_FREQUENCIES)
    assert found("WordNet").fix == "pip install wordfreq"
    monkeypatch.setattr(wordnet, "missing_for_rarity", lambda: "")
    assert found("WordNet").state == "ok"


def test_a_missing_browser_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "find_browser", lambda: None)
    assert (found("Chromium").state, "install one of chromium" in found("Chromium").fix) == ("note", True)


def test_a_full_disk_and_little_memory_are_seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(1, 1, 10**9))
    monkeypatch.setattr(worker_count, "free_gib", lambda: 1.0)
    disk = found("disk", tmp_path / "not" / "there" / "yet")
    assert (disk.state, disk.found) == ("problem", f"1.0 GB free at {tmp_path}")
    assert found("memory").state == "note"


def test_an_old_and_a_missing_package_are_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["numpy>=9999", "no-such-package>=1", 'another-missing; extra == "x"', 'old; python_version < "3"']
    monkeypatch.setattr(metadata, "requires", lambda name: needs)
    findings = {f.name: f for f in diagnose(Path())}
    assert findings["numpy"].fix == "pip install 'numpy>=9999'"
    assert findings["no-such-package"].fix == "pip install no-such-package"
    assert findings["extras"].found == "not installed: another-missing"
    assert "old" not in findings


def test_the_command_exits_1_on_a_problem_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "diagnose", lambda folder: (doctor.Finding("WordNet", "note", "none", "install it"),))
    result = CliRunner().invoke(app, ["doctor"])
    assert (result.exit_code, result.stdout) == (0, "note    WordNet: none\n        fix: install it\n")
    monkeypatch.setattr(doctor, "diagnose", lambda folder: (doctor.Finding("disk", "problem", "full", "free some"),))
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1
