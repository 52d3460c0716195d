"""A folder of masks as a model."""

import json

import numpy as np
import pytest
from PIL import Image as PILImage

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.black_box.predictions import condition_folder


def write(folder, condition, case_id, array):
    path = folder / condition / f"{case_id}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(array).save(path)


def request(case_id="a", condition="clean", index=0, size=(4, 6)):
    return Request(np.zeros((*size, 3), np.uint8), case_id, "a text", condition, case_id, index)


@pytest.fixture
def folder(tmp_path):
    square = np.zeros((4, 6), np.uint8)
    square[1:3, 2:4] = 255
    write(tmp_path / "vendor", "clean", "a", square)
    write(tmp_path / "vendor", "image_gamma_3_antonym_size", "a", 255 - square)
    return tmp_path / "vendor"


def test_conditions_are_folder_names_without_special_characters():
    assert condition_folder("image:gamma@3+antonym:size") == "image_gamma_3_antonym_size"


def test_the_engine_reads_the_stored_maps_in_order(folder):
    model = rb.load_predictions(folder)
    assert model.name == "vendor"
    clean, changed = Engine(model).predict([request(), request(condition="image:gamma@3+antonym:size")])
    assert clean.dtype == np.float32
    assert clean.sum() == 4
    np.testing.assert_array_equal(changed, 1 - clean)


def test_the_second_clean_run_is_the_first(folder):
    model = rb.load_predictions(folder)
    np.testing.assert_array_equal(model.lookup(request(condition="rerun")), model.lookup(request()))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (request("b"), "b: no prediction at clean/b.png"),
        (request(condition="drop:size"), "drop_size/a.png"),
        (request(size=(5, 6)), r"a: clean/a.png: expected a map of its image's size \(5, 6\), got shape \(4, 6\)"),
        (request(index=1), "a: no prediction at clean/a__1.png"),
    ],
)
def test_what_is_not_there_is_an_error_of_the_case(folder, bad, message):
    with pytest.raises(CaseError, match=message):
        rb.load_predictions(folder).lookup(bad)


def test_further_listed_texts_lie_beside_the_first(folder):
    write(folder, "clean", "a__1", np.full((4, 6), 255, np.uint8))
    assert rb.load_predictions(folder).lookup(request(index=1)).min() == 1


def test_a_missing_case_does_not_end_the_others(folder):
    outcomes = list(Engine(rb.load_predictions(folder)).outcomes([request("b"), request("a")]))
    assert isinstance(outcomes[0], CaseError)
    assert outcomes[1].sum() == 4
    with pytest.raises(CaseError, match="b: no prediction"):
        list(Engine(rb.load_predictions(folder)).predict([request("b"), request("a")]))


def test_missing_files_are_listed(folder):
    model = rb.load_predictions(folder)
    assert model.missing([("clean", "a"), ("clean", "b"), ("rare:size", "a")]) == ["clean/b.png", "rare_size/a.png"]


def test_a_truncated_file_is_an_error_of_the_case(folder):
    path = folder / "clean" / "a.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(CaseError, match=r"a\.png is not a readable PNG"):
        rb.load_predictions(folder).lookup(request())


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.full((4, 6), 51, np.uint8), 0.2),
        (np.full((4, 6, 3), 51, np.uint8), 0.2),
        (np.full((4, 6), 13107, np.uint16), 0.2),
        (np.full((4, 6), True), 1.0),
    ],
)
def test_grey_levels_are_probabilities(tmp_path, array, expected):
    write(tmp_path, "clean", "a", array)
    np.testing.assert_allclose(rb.load_predictions(tmp_path).lookup(request()), expected, atol=1e-6)


def test_zero_one_masks_are_read_as_masks_and_said(tmp_path, caplog):
    square = np.zeros((4, 6), np.uint8)
    square[1:3, 2:4] = 1
    write(tmp_path, "absent", "a", np.zeros((4, 6), np.uint8))
    write(tmp_path, "clean", "a", square)
    model = rb.load_predictions(tmp_path)
    assert "hold 0 and 1 and are read as masks" in caplog.text
    assert model.describe()["grey_means"] == "masks"
    np.testing.assert_array_equal(model.lookup(request()), square)
    assert rb.load_predictions(tmp_path, returns="probabilities").lookup(request()).max() < 0.01


def test_one_grey_file_anywhere_shows_that_grey_is_probability(tmp_path):
    nearly_empty = np.zeros((4, 6), np.uint8)
    nearly_empty[0, 0] = 1
    write(tmp_path, "clean", "a", nearly_empty)
    write(tmp_path, "drop_size", "a", np.arange(24, dtype=np.uint8).reshape(4, 6))
    assert rb.load_predictions(tmp_path).lookup(request()).max() == pytest.approx(1 / 255)


def test_nothing_can_be_encoded(folder):
    with pytest.raises(InputError, match="lookup"):
        rb.load_predictions(folder).encode_image([])


def test_an_empty_or_absent_folder_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError, match="predictions: expected PNG files"):
            rb.load_predictions(path)


def test_the_description_changes_with_any_file(folder):
    model = rb.load_predictions(folder)
    before = json.loads(json.dumps(model.describe()))
    assert before["files"] == 2
    write(folder, "clean", "a", np.zeros((4, 6), np.uint8))
    assert model.describe()["sha256"] != before["sha256"]
