"""The demo's images are unpacked whole, once, and repaired where they differ; runs of another version are renewed."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from robustness.disk_errors import DiskError
from robustness.errors import OtherRunError
from robustness.folder_lock import LOCK
from robustness.plans.audit import parse_plan
from robustness.run_folder import LOG, MANIFEST, PLAN, STATE
from robustness.runners.data.load import load_dataset
from robustness.waiting import waiting_lock
from robustness.workflows import demo, demo_pixels
from robustness.workflows.demo_files import demo_data


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The nuclei as they lie in the repository."""
    folder = tmp_path / "installation" / "nuclei"
    shutil.copytree(demo_data("nuclei"), folder, ignore=shutil.ignore_patterns("images", "masks"))
    return folder


def holds_its_archive(folder: Path) -> bool:
    with zipfile.ZipFile(folder / "pixels.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("[im]*/*.png")}
    return files == members


def test_the_first_call_unpacks_and_the_next_ones_leave_the_files(packed: Path) -> None:
    assert demo_pixels.unpacked(packed) == packed
    assert holds_its_archive(packed)
    assert {path.name for path in packed.iterdir()} == {path.name for path in demo_data("nuclei").iterdir()}
    before = {path: path.stat().st_mtime_ns for path in packed.rglob("*")}
    assert demo_pixels.unpacked(packed) == packed
    assert {path: path.stat().st_mtime_ns for path in packed.rglob("*")} == before


def test_a_changed_a_missing_and_a_foreign_file_are_put_right(packed: Path) -> None:
    demo_pixels.unpacked(packed)
    image, mask = (sorted((packed / kind).iterdir())[0] for kind in ("images", "masks"))
    for spoil in (lambda: image.write_bytes(mask.read_bytes()), mask.unlink, (packed / "images" / "more.png").touch):
        spoil()
        assert not holds_its_archive(packed)
        assert holds_its_archive(demo_pixels.unpacked(packed))


def test_many_at_once_all_get_a_whole_folder(packed: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: holds_its_archive(demo_pixels.unpacked(packed)), range(8)))


class TestAnInstallationThatCannotBeWrittenTo:
    @pytest.fixture(autouse=True)
    def read_only(self, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        @contextlib.contextmanager
        def refusing(path: Path) -> Iterator[None]:
            if path.is_relative_to(packed):
                raise PermissionError(13, "Permission denied", str(path))
            with waiting_lock(path):
                yield

        monkeypatch.setattr(demo_pixels, "waiting_lock", refusing)

    def test_the_set_is_copied_into_the_users_cache_and_reads_the_same(
        self, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
        folder = demo_pixels.unpacked(packed)
        assert folder.is_relative_to(tmp_path / "cache" / "vlsm-robustness")
        assert folder == demo_pixels.unpacked(packed)
        assert holds_its_archive(folder)
        assert not (packed / "images").exists()
        here, there = (load_dataset(place, "test", "p6") for place in (demo_data("nuclei"), folder))
        assert (here.name, here.fingerprint()) == (there.name, there.fingerprint())
        assert [case.case_id for case in here] == [case.case_id for case in there]

    def test_no_place_at_all_is_said_on_one_line(
        self, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr("platformdirs.user_cache_path", lambda _: tmp_path / "file")
        with pytest.raises(DiskError, match="set XDG_CACHE_HOME") as caught:
            demo_pixels.unpacked(packed)
        assert "\n" not in str(caught.value)


class TestFolderOfTheDemo:
    """`make demo` after another version was installed ended with exit code 2 and asked for another folder."""

    @pytest.fixture
    def runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The runs of a small demo, as another version of the suite leaves them."""
        whole = demo.demo_plan

        def small(which: str) -> demo.Plan:
            plan = whole(which).model_dump(exclude_unset=True)
            plan["data"][0]["limit"] = 2
            return parse_plan({**plan, "perturbations": {"prompt": ["empty"], "image": []}}, source="demo")

        monkeypatch.setattr(demo, "demo_plan", small)
        demo.run_demo(tmp_path / "out")
        for which in demo.RUNS:
            path = tmp_path / "out" / which / STATE
            state = json.loads(path.read_text())
            state["environment"]["packages"]["vlsm-robustness"] = "0.0"
            path.write_text(json.dumps(state))
        return tmp_path / "out"

    def test_runs_of_another_version_are_made_again_and_that_is_said(self, runs: Path) -> None:
        said: list[str] = []
        before = {which: (runs / which / MANIFEST).read_text() for which in demo.RUNS}
        assert demo.run_demo(runs, say=said.append) == runs / "report.html"
        assert [line.split(" holds ")[0] for line in said] == [str(runs / which) for which in demo.RUNS]
        assert all((runs / which / MANIFEST).read_text() != before[which] for which in demo.RUNS)
        # Those are of this version: the next call leaves them.
        now = {which: (runs / which / MANIFEST).read_text() for which in demo.RUNS}
        demo.run_demo(runs, say=said.append)
        assert len(said) == 2
        assert {which: (runs / which / MANIFEST).read_text() for which in demo.RUNS} == now

    def test_a_renewal_that_was_cut_off_goes_on(self, runs: Path) -> None:
        for which in demo.RUNS:
            (runs / which / MANIFEST).unlink()
            shutil.rmtree(runs / which / "results")
        (runs / "image-only" / STATE).unlink()
        for path in (runs / "image-only").iterdir():
            if path.is_file() and path.name != PLAN:
                path.unlink()
        demo.run_demo(runs)
        assert all((runs / which / MANIFEST).is_file() for which in demo.RUNS)

    def test_files_of_the_user_and_runs_of_other_plans_stay(self, runs: Path) -> None:
        run = runs / "text-conditioned"
        before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file() and path.name not in (LOCK, LOG)}
        note = run / "notes.txt"
        note.write_text("mine")
        with pytest.raises(OtherRunError, match="choose another folder"):
            demo.run_demo(runs)
        assert note.read_text() == "mine"
        note.unlink()
        plan = (run / PLAN).read_text()
        assert "Demo: a network" in plan
        (run / PLAN).write_text(plan.replace("Demo: a network", "Mine: a network"))
        with pytest.raises(OtherRunError, match="choose another folder"):
            demo.run_demo(runs)
        (run / PLAN).write_text(plan)
        assert {path: path.read_bytes() for path in before} == before
