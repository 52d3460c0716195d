"""Every form in which a map may come is read rightly, or refused in one line."""

import importlib.util
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from robustness.errors import AnswerError, InputError
from robustness.runners.models.black_box.answer_reader import AnswerReader
from robustness.runners.models.black_box.answers import decode_image, decode_npy
from tests.runners.models.black_box.answer_forms import (
    AMBIGUOUS,
    ARRAYS,
    BYTES,
    DOORS,
    FORMS,
    MASK,
    PICTURES,
    REFUSED,
    SIZE,
    SOFT,
    Doors,
    png,
)

ROOT = Path(__file__).resolve().parents[4]


def read(answer, **options):
    return AnswerReader("vendor", **options).read([answer], [[SIZE]], ["pair 0"])[0]


@pytest.mark.parametrize("form", PICTURES)
def test_every_picture_of_the_mask_is_read_as_the_mask(form):
    levels = decode_image(png(PICTURES[form]), [SIZE], "pair 0")
    np.testing.assert_array_equal(read(levels) > 0.5, MASK)


@pytest.mark.parametrize("form", ARRAYS)
def test_every_array_of_the_mask_is_read_as_the_mask(form):
    np.testing.assert_array_equal(read(ARRAYS[form]) > 0.5, MASK)


@pytest.mark.parametrize("form", REFUSED)
def test_what_is_no_map_is_refused_in_one_line(form):
    answer, message = REFUSED[form]
    error = read(answer)
    assert isinstance(error, AnswerError)
    assert message in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        (SOFT * 100, "divide percentages or levels of grey by their full scale"),
        (np.where(MASK, 2, np.arange(MASK.size).reshape(SIZE) % 2), "of labels send the target's alone"),
        (np.where(MASK, 1, -1), "apply a sigmoid to logits"),
    ],
)
def test_the_advice_fits_the_numbers(answer, advice):
    assert advice in str(read(answer))


class TestMaskedArrays:
    def test_pixels_that_are_masked_are_no_numbers(self):
        # Numpy's asarray would give what lies below the mask: ones everywhere.
        error = read(np.ma.masked_array(np.ones(SIZE), mask=~MASK))
        assert "got 81 masked pixels; send array.filled(0)" in str(error)

    def test_so_are_those_of_a_list_of_rows(self):
        rows = list(np.ma.masked_array(np.ones(SIZE), mask=~MASK))
        assert "got 81 masked pixels; send array.filled(0)" in str(read(rows))
        assert "got 81 masked pixels; send array.filled(0)" in str(read([rows]))

    def test_one_without_masked_pixels_is_read(self):
        np.testing.assert_array_equal(read(np.ma.masked_array(SOFT)) > 0.5, MASK)


@pytest.mark.parametrize("form", AMBIGUOUS)
def test_pictures_that_could_mean_two_things_are_refused(form):
    image, message = AMBIGUOUS[form]
    with pytest.raises(AnswerError, match=message):
        decode_image(png(image), [SIZE], "pair 0")


class TestWhatGreyMeans:
    def levels(self, values):
        return decode_image(png(PILImage.fromarray(values)), [SIZE], "pair")

    def reading(self, *batches):
        reader = AnswerReader("vendor")
        for batch in batches:
            answers = reader.read([self.levels(one) for one in batch], [[SIZE]] * len(batch), ["pair"] * len(batch))
        return answers, reader

    def test_zero_one_masks_are_masks_and_it_is_said(self, caplog):
        with caplog.at_level(logging.WARNING):
            answers, reader = self.reading([np.zeros(SIZE, np.uint8), BYTES])
        assert [a.max() for a in answers] == [0, 1]
        assert reader.meaning == "masks"
        assert "hold 0 and 1 and are read as masks" in caplog.text

    def test_a_map_that_is_all_but_empty_is_grey_beside_a_grey_one(self):
        answers, reader = self.reading([(SOFT * 255).astype(np.uint8)], [BYTES])
        assert answers[0].max() == pytest.approx(1 / 255)
        assert reader.meaning == "grey"

    def test_grey_after_masks_stops(self):
        with pytest.raises(InputError, match="state returns = 'mask' or 'probabilities'"):
            self.reading([BYTES], [(SOFT * 255).astype(np.uint8)])

    def test_a_stated_meaning_is_not_questioned(self):
        assert read(self.levels(BYTES), returns="probabilities").max() == pytest.approx(1 / 255)
        assert read(self.levels(BYTES * 3), returns="mask").max() == 1

    def test_logits_do_not_fit_into_a_picture(self):
        assert "logits do not fit" in str(read(self.levels(BYTES), returns="logits"))


@pytest.mark.parametrize("change", [(b"(8, 12)", b"(8, 99)"), (b"(8, 12), }          ", b"(99999999, 99999), }")])
def test_a_head_that_lies_is_one_line_and_asks_for_no_memory(tmp_path, change):
    np.save(tmp_path / "a.npy", SOFT)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes().replace(*change))
    with pytest.raises(AnswerError, match=r"pair 0: a\.npy is no readable array"):
        decode_npy(tmp_path / "a.npy", "pair 0", max_bytes=10**6)


def test_instances_in_one_map_of_numbers_unite():
    labels = np.zeros(SIZE, np.int32)
    labels[2:4, 3:8], labels[4, 3:8] = 1, 2
    np.testing.assert_array_equal(read(labels, returns="instances") > 0, MASK)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    doors = Doors(tmp_path_factory.mktemp("doors"))
    try:
        return {name: {door: doors.came(door, form) for door in DOORS} for name, form in FORMS.items()}
    finally:
        doors.close()


@pytest.mark.slow
class TestDoors:
    def test_each_form_is_read_rightly_or_refused_in_one_line(self, outcomes):
        wrong = {name: row for name, row in outcomes.items() if "WRONG" in row.values()}
        assert not wrong
        sentences = [came for row in outcomes.values() for came in row.values() if came not in ("read", "-")]
        assert all("\n" not in sentence for sentence in sentences)

    def test_what_stands_for_the_mask_is_read_by_the_doors_that_share_the_reader(self, outcomes):
        for name, row in outcomes.items():
            if FORMS[name].mask is not None:
                assert {row[door] for door in DOORS[:5]} <= {"read", "-"}, name

    def test_the_table_of_the_docs_is_what_came_of_it(self, outcomes):
        spec = importlib.util.spec_from_file_location("form_tables", ROOT / ".ci" / "form_tables.py")
        tables = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(tables)
        assert tables.answer_table(outcomes) in (ROOT / "docs" / "models.md").read_text("utf-8")
