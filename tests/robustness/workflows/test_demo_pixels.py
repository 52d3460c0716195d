"""Embedded images are unpacked whole, once, and repaired where they differ from their archive."""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from robustness.disk_errors import DiskError
from robustness.runners.data.load import load_dataset
from robustness.waiting import waiting_lock
from robustness.workflows import demo_pixels
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
