"""Regular files only: whatever else lies at a path is refused before a byte is read, and nothing waits."""

from __future__ import annotations

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
