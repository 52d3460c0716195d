from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from robustness.disk_errors import DiskError, disk_errors, disk_reason
from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, sha256_file, write_atomic, write_text
from robustness.folder_lock import folder_lock
from robustness.waiting import within


def test_a_failed_write_leaves_the_old_file_and_no_leftover(tmp_path):
    path = tmp_path / "table"
    write_text(path, "old")

    def broken(temporary):
        temporary.write_text("half")
        raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        write_atomic(path, broken)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path):
    (tmp_path / ".part.x1.tmp").write_text("half")
    (tmp_path / "part").write_text("whole")
    remove_leftovers(tmp_path)
    assert os.listdir(tmp_path) == ["part"]


def test_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_in_the_way_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="out: expected a folder that can be written to"):
        make_folder(tmp_path / "file", "out")
    with pytest.raises(InputError, match="choose one"):
        make_folder(tmp_path / "file" / "below", "out")


@pytest.mark.parametrize("place", ["file/inside", "file/deep/inside", "n" * 300, "new/" + "n" * 300, "m" * 300 + "/x"])
def test_a_place_where_no_file_can_be_is_one_line_and_leaves_nothing(place, tmp_path):
    (tmp_path / "file").write_text("whole")
    with pytest.raises(InputError, match="expected a place where a file can be") as caught:
        write_text(tmp_path / place, "new")
    assert len(str(caught.value).splitlines()) == 1
    assert (tmp_path / "file").read_text() == "whole"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "file"]


def test_new_files_are_as_readable_as_others(tmp_path):
    (tmp_path / "plain").write_text("x")
    write_text(tmp_path / "atomic", "x")
    assert (tmp_path / "atomic").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EFBIG, "File too large"), "File too large"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "No space left on device"),
        (RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter: File too large"), "File too large"),
    ],
)
def test_errors_of_disks_are_known_whoever_raises_them(error, reason):
    assert disk_reason(error) == reason
    with (
        pytest.raises(
            DiskError, match=rf"^disk: part.parquet could not be written \({reason}\); .* goes on from there"
        ),
        disk_errors(Path("part.parquet")),
    ):
        raise error


@pytest.mark.parametrize("error", [ValueError("No such column"), RuntimeError("size mismatch"), KeyError("a")])
def test_other_errors_pass(error):
    assert disk_reason(error) is None
    with pytest.raises(type(error)), disk_errors(Path("part.parquet")):
        raise error


_HOLD = """
import sys
from pathlib import Path
from robustness.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_process_is_refused_and_the_holder_is_named(tmp_path):
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=rf"another process \({other.pid}\) is writing"), folder_lock(tmp_path):
            pass
        other.kill()
    # The system frees the lock of a process that was killed.
    with folder_lock(tmp_path):
        pass


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.symlink_to(p.parent / "elsewhere"), os.mkfifo])
def test_a_lock_that_is_no_file_is_refused_and_nothing_is_followed(make, tmp_path):
    make(tmp_path / ".lock")
    with pytest.raises(InputError, match=r"expected a file .lock in .*; remove it"), folder_lock(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_work_returns_or_raises_is_passed_on():
    assert within(30, lambda: "done", abort=lambda: None) == "done"
    with pytest.raises(KeyError, match="missing"):
        within(30, lambda: {}["missing"], abort=lambda: None)


def test_work_that_waits_for_ever_is_aborted():
    released = threading.Event()
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
        within(0.05, lambda: released.wait(60), abort=released.set)
    assert released.is_set()
