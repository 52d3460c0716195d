"""An audit of predictions that were made elsewhere."""

import numpy as np
import pytest
from PIL import Image as PilImage

import robustness as rb
from tests.synthetic import reads_side, write_dataset


@pytest.fixture
def stored(tmp_path):
    """Predictions of the reader, as its own audit saved them."""
    data = rb.load_dataset(write_dataset(tmp_path / "set", images=4), prompt="p5")
    direct = rb.audit(
        rb.segmenter(reads_side, name="reader"),
        data,
        perturbations=["antonym:side", "paraphrase", "gaussian_noise"],
        severities=[1],
        out=tmp_path / "direct",
        report=False,
        engine={"save_predictions": True},
    )
    return data, direct, tmp_path / "direct" / "predictions" / "reader" / "set"


def _again(data, folder, out):
    return rb.audit(
        rb.load_predictions(folder, name="reader"),
        data,
        perturbations=["antonym:side", "paraphrase", "gaussian_noise"],
        severities=[1],
        out=out,
        report=False,
    )


def test_saved_masks_score_as_the_direct_audit_did(stored, tmp_path):
    data, direct, folder = stored
    again = _again(data, folder, tmp_path / "again").results()
    before = direct.results()
    assert again.dice.equals(before.dice)
    assert again.mask_change.equals(before.mask_change)


def test_a_missing_mask_is_an_error_in_its_row_only(stored, tmp_path):
    data, _, folder = stored
    (folder / "antonym_side" / "s01_left.png").unlink()
    (folder / "clean" / "s02_left.png").unlink()
    rows = _again(data, folder, tmp_path / "again").results()
    failed = rows[rows.error != ""]
    assert set(zip(failed.condition, failed.case_id, strict=True)) == {
        ("antonym:side", "s01_left"),
        ("clean", "s02_left"),
        ("rerun", "s02_left"),
    }
    without_clean = rows[(rows.case_id == "s02_left") & (rows.condition == "antonym:side")]
    assert without_clean.dice.notna().all()
    assert without_clean.mask_change.isna().all()


def test_a_mask_of_another_size_is_an_error_in_its_row(stored, tmp_path):
    data, _, folder = stored
    PilImage.fromarray(np.zeros((7, 9), np.uint8)).save(folder / "antonym_side" / "s01_left.png")
    rows = _again(data, folder, tmp_path / "again").results()
    failed = rows[rows.error != ""]
    assert failed.case_id.tolist() == ["s01_left"]
    assert "7" in failed.error.iloc[0]
