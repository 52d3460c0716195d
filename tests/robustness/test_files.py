"""Files: written atomically and whole; of what lies at a path only regular files are read, and nothing waits."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.disk_errors import DiskError, disk_errors, disk_reason
from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, sha256_file, write_atomic, write_text
from robustness.folder_lock import folder_lock
from robustness.image_files import FORMATS, UNREADABLE, TooManyPixelsError, open_image
from robustness.limits import Limits, limited_to
from robustness.regular_files import (
    UnusableFileError,
    check_regular,
    is_regular,
    open_regular,
    read_bytes,
    shown_path,
)
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


import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.image_files import FORMATS, UNREADABLE, TooManyPixelsError, open_image
from robustness.limits import Limits, limited_to
from robustness.regular_files import (
    UnusableFileError,
    check_regular,
    is_regular,
    open_regular,
    read_bytes,
    shown_path,
)


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


def pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def unix_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def link_to_device(path: Path) -> Path:
    path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize(
    ("make", "kind"),
    [(pipe, "a pipe"), (unix_socket, "a socket"), (folder, "a folder"), (link_to_device, "a device")],
)
class TestIrregular:
    def test_is_refused_at_once(self, make, kind, tmp_path, monkeypatch):
        # A socket's path must be short.
        monkeypatch.chdir(tmp_path)
        path = make(Path("image.png"))
        for read in (check_regular, open_regular, lambda p: read_bytes(p, max_bytes=10)):
            with pytest.raises(UnusableFileError, match=f"^expected a regular file, got {kind}$"):
                read(path)
        assert not is_regular(path)


def test_a_link_to_a_regular_file_is_followed(tmp_path):
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read_bytes(tmp_path / "link", max_bytes=7) == b"content"


def test_a_dangling_link_is_a_missing_file(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "link")


@pytest.mark.parametrize("name", ["a\0b.png", "a\ud800b.png"])
def test_a_name_that_no_file_can_have_is_an_unusable_file(name):
    with pytest.raises(UnusableFileError, match="no file can have this name"):
        check_regular(name)
    assert not is_regular(name)


def test_a_name_that_is_too_long_is_an_error_of_the_system(tmp_path):
    with pytest.raises(OSError, match=r"[Nn]ame too long"):
        check_regular(tmp_path / ("a" * 300))
    assert not is_regular(tmp_path / ("a" * 300))


def test_a_larger_file_is_refused_by_its_size(tmp_path):
    (tmp_path / "big").write_bytes(b"12345")
    with pytest.raises(UnusableFileError, match="expected at most 4 bytes, got 5"):
        open_regular(tmp_path / "big", max_bytes=4)


def test_a_file_that_states_no_size_is_bounded_while_it_is_read():
    if not Path("/proc/self/maps").is_file():
        pytest.skip("needs /proc")
    with pytest.raises(UnusableFileError, match="expected at most 10 bytes, got more"):
        read_bytes("/proc/self/maps", max_bytes=10)


def test_paths_are_shown_with_what_cannot_be_printed_escaped():
    assert shown_path("a\ud800\0é") == "a\\ud800\\x00é"


PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_allowed_formats_are_decoded(form, tmp_path):
    path = tmp_path / "image"
    PILImage.fromarray(PIXELS).save(path, format=form)
    assert np.array_equal(np.asarray(open_image(path)), PIXELS)


@pytest.mark.parametrize("form", ["EPS", "PCX", "TGA", "SGI", "ICO"])
def test_a_file_that_poses_as_an_image_meets_no_other_decoder(form, tmp_path):
    path = tmp_path / "image.png"
    PILImage.fromarray(PIXELS).save(path, format=form)
    assert form not in FORMATS
    with pytest.raises(UNREADABLE):
        open_image(path)


def test_more_pixels_than_the_limit_are_refused_before_they_are_decoded(tmp_path):
    PILImage.fromarray(PIXELS).save(tmp_path / "image.png")
    with limited_to(Limits(pixels=15)), pytest.raises(TooManyPixelsError, match="4 x 4"):
        open_image(tmp_path / "image.png")
    with limited_to(Limits(pixels=16)):
        assert open_image(tmp_path / "image.png").size == (4, 4)


def test_a_limit_above_pillows_own_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(PILImage, "MAX_IMAGE_PIXELS", 4)
    PILImage.fromarray(PIXELS).save(tmp_path / "image.png")
    with limited_to(Limits(pixels=16)):
        assert open_image(tmp_path / "image.png").size == (4, 4)


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "image.png")
    with pytest.raises(OSError, match="got a pipe"):
        open_image(tmp_path / "image.png")


def test_bytes_are_decoded_as_files_are(tmp_path):
    PILImage.fromarray(PIXELS).save(tmp_path / "image.png")
    assert np.array_equal(np.asarray(open_image((tmp_path / "image.png").read_bytes())), PIXELS)


def test_what_is_no_image_is_said_in_the_same_words_each_time(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    messages = set()
    # Files that are open meanwhile take numbers, and buffers other addresses.
    with (tmp_path / "a.png").open("rb"):
        for source in (tmp_path / "a.png", b"no image", b"no image either"):
            with pytest.raises(OSError, match=r"none of the formats that are read \(PNG, JPEG, ") as error:
                open_image(source)
            messages.add(str(error.value))
    assert len(messages) == 1
