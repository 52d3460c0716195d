"""Code of others that calls `sys.exit`: a flagged failure, never the end of the program."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.foreign_code import ExitedError, foreign_code
from tests.synthetic import bright, write_dataset


def audit(model, tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=2))
    return rb.audit(
        model, data, perturbations=["empty"], out=tmp_path / "run", report=False, statistics={"resamples": 99}
    )


@pytest.mark.parametrize("code", [None, 0, 3, "bye"])
def test_an_exit_becomes_an_error(code):
    with pytest.raises(ExitedError, match=r"it called sys.exit\("), foreign_code():
        sys.exit(code)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, type("Terminated", (SystemExit,), {})])
def test_all_else_passes(error):
    with pytest.raises(error), foreign_code():
        raise error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import sys\nsys.exit(3)\n", r"checkpoint: .*model.py raised ExitedError: it called sys.exit\(3\)"),
        ("import sys\ndef make():\n    sys.exit()\n", r"model.py:make raised ExitedError: it called sys.exit\(\)"),
    ],
)
def test_a_file_that_exits_is_refused_in_one_line(content, message, tmp_path):
    (tmp_path / "model.py").write_text(content)
    with pytest.raises(InputError, match=message):
        rb.load_model("python", f"{tmp_path / 'model.py'}:make")


@pytest.mark.slow
def test_a_prediction_that_exits_is_a_failed_row(tmp_path):
    def exits_on_nothing(images, prompts):
        if "" in prompts:
            sys.exit(3)
        return [bright(image).astype(np.float32) for image in images]

    results = audit(rb.segmenter(exits_on_nothing, name="m"), tmp_path).results()
    failed = results[results["condition"] == "empty"]
    assert failed["error"].str.contains(r"it called sys\.exit\(3\)").all()
    assert (results.loc[results["condition"] == "clean", "error"] == "").all()


def test_a_predictor_that_changes_its_images_in_place_changes_no_other_prediction(tmp_path):
    def blackens(images, prompts):
        maps = [bright(image).astype(np.float32) for image in images]
        for image in images:
            image[:] = 0
        return maps

    careless = audit(rb.segmenter(blackens, name="m"), tmp_path).results()
    careful = audit(
        rb.segmenter(lambda images, prompts: [bright(i).astype(np.float32) for i in images], name="m"), tmp_path / "b"
    ).results()
    assert (careless["error"] == "").all()
    np.testing.assert_array_equal(careless["dice"], careful["dice"])


def test_cases_on_one_image_share_its_pixels_and_cannot_change_them(tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=1))
    one, other = data[0], data[1]
    assert one.image is other.image
    with pytest.raises(ValueError, match="read-only"):
        one.image[0, 0] = 0
