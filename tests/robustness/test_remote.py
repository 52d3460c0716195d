"""Data and runs at URLs: the memory and the local file system of fsspec."""

import contextlib
import shutil
from pathlib import Path

import fsspec
import pandas as pd
import pytest

import robustness as rb
from robustness import remote
from robustness.errors import InputError
from robustness.plans.audit import parse_plan
from robustness.workflows.audit import audit_plan
from tests.synthetic import write_dataset


@pytest.fixture
def memory(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "set", images=4)


def plan_of(path):
    return parse_plan(
        {
            "model": {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu"},
            "data": {"path": str(path), "prompt": "p5"},
            "perturbations": {"prompt": ["antonym"], "image": {"kinds": []}},
            "engine": {"images_per_part": 2, "threads": 1},
            "metrics": {"names": ["dice"]},
        },
        source="test",
    )


@pytest.mark.parametrize(
    ("path", "url"),
    [
        ("s3://bucket/data", "s3://bucket/data"),
        (Path("s3://bucket/data"), "s3://bucket/data"),
        ("memory://x", "memory://x"),
        ("C:/data", None),
        ("data/set", None),
        ("model.py:factory", None),
    ],
)
def test_a_url_is_told_from_a_path(path, url):
    assert remote.url_of(path) == url


class TestData:
    def test_cases_are_those_of_the_folder(self, memory, data):
        memory.put(str(data), "/bucket/set", recursive=True)
        here, there = rb.load_dataset(data, prompt="p5"), rb.load_dataset("memory://bucket/set", prompt="p5")
        assert there.fingerprint() == here.fingerprint()
        assert (there.name, there.facts()["path"]) == (here.name, "memory://bucket/set")

    def test_the_local_file_system_needs_no_copy(self, memory, data):
        assert remote.local_copy(f"local://{data}", "data") == data

    def test_what_changed_is_fetched_again_and_what_vanished_goes(self, memory, tmp_path):
        memory.pipe({"/b/set/one.txt": b"1", "/b/set/two.txt": b"2"})
        folder = remote.local_copy("memory://b/set", "data")
        memory.pipe("/b/set/one.txt", b"3")
        memory.rm("/b/set/two.txt")
        assert remote.local_copy("memory://b/set", "data") == folder
        assert {path.name: path.read_text() for path in folder.iterdir()} == {"one.txt": "3"}

    def test_beside_a_manifest_lie_its_images(self, memory):
        memory.pipe({"/b/set/cases.csv": b"x", "/b/set/images/a.png": b"y"})
        file = remote.local_copy("memory://b/set/cases.csv", "data")
        assert (file.read_text(), (file.parent / "images" / "a.png").read_text()) == ("x", "y")

    @pytest.mark.parametrize(
        ("url", "said"),
        [
            ("memory://nowhere/at/all", "data: nothing lies at memory://nowhere/at/all; check the address"),
            ("nosuch://bucket/x", "data: nosuch://bucket/x could not be used .*Protocol not known: nosuch"),
        ],
    )
    def test_an_address_that_cannot_be_used_is_named(self, memory, url, said):
        with pytest.raises(InputError, match=said):
            rb.load_dataset(url)


class TestRuns:
    @pytest.mark.slow
    def test_the_run_at_the_url_is_the_run_of_a_folder(self, memory, data, tmp_path):
        memory.put(str(data), "/bucket/set", recursive=True)
        audit_plan(plan_of("memory://bucket/set"), out="memory://bucket/run")
        here = audit_plan(plan_of(data), out=tmp_path / "run", report=False).results()
        assert memory.exists("/bucket/run/report.html")
        shutil.rmtree(tmp_path / "cache")
        there = rb.open_run("memory://bucket/run")
        assert there.verify()["ok"].all()
        pd.testing.assert_frame_equal(there.results(), here.assign(dataset="set"), check_exact=True)

    @pytest.mark.slow
    def test_a_run_that_failed_goes_on_on_another_machine(self, memory, data, tmp_path, monkeypatch):
        from robustness.runners.audit.session import AuditSession

        whole, parts = AuditSession.run_part, []

        def run_part(self, index):
            parts.append(index)
            if len(parts) == 2:
                raise KeyboardInterrupt
            whole(self, index)

        monkeypatch.setattr(AuditSession, "run_part", run_part)
        with contextlib.suppress(KeyboardInterrupt):
            audit_plan(plan_of(data), out="memory://bucket/run", report=False)
        assert memory.exists("/bucket/run/results/part-00000.parquet")
        assert not memory.exists("/bucket/run/manifest.json")
        shutil.rmtree(tmp_path / "cache")
        run = audit_plan(plan_of(data), out="memory://bucket/run", report=False)
        assert parts == [0, 1, 1]
        assert memory.exists("/bucket/run/manifest.json")
        assert len(run.results()) == len(audit_plan(plan_of(data), out=tmp_path / "run", report=False).results())
