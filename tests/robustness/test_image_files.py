"""Images that others made: allowed decoders, bounded pixels, nothing else."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.image_files import FORMATS, UNREADABLE, TooManyPixelsError, open_image
from robustness.limits import Limits, limited_to

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
