"""Every form in which a map may come is read rightly, or refused in one line."""

import io
import logging

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

from robustness.errors import AnswerError, InputError
from robustness.runners.models.black_box.answer_reader import AnswerReader
from robustness.runners.models.black_box.answers import decode_image

SIZE = (8, 12)
MASK = np.zeros(SIZE, bool)
MASK[2:5, 3:8] = True
SOFT = np.where(MASK, 0.9, 0.1) + np.linspace(-0.05, 0.05, MASK.size).reshape(SIZE)
BYTES = MASK.astype(np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def stacked(*channels):
    return PILImage.fromarray(np.stack([np.broadcast_to(c, SIZE) for c in channels], -1).astype(np.uint8))


def palette(*colours):
    image = PILImage.frombytes("P", (SIZE[1], SIZE[0]), BYTES.tobytes())
    image.putpalette([value for colour in colours for value in colour])
    return image


PICTURES = {
    "1 bit": PILImage.fromarray(MASK),
    "0/1": PILImage.fromarray(BYTES),
    "0/255": PILImage.fromarray(BYTES * 255),
    "0/7": PILImage.fromarray(BYTES * 7),
    "grey": PILImage.fromarray((SOFT * 255).astype(np.uint8)),
    "16 bits, 0/1": PILImage.fromarray(MASK.astype(np.uint16)),
    "16 bits, 0/255": PILImage.fromarray(MASK.astype(np.uint16) * 255),
    "16 bits, 0/65535": PILImage.fromarray(MASK.astype(np.uint16) * 65535),
    "16 bits, grey": PILImage.fromarray((SOFT * 65535).astype(np.uint16)),
    "RGB, 0/1": stacked(BYTES, BYTES, BYTES),
    "RGB, 0/255": stacked(BYTES * 255, BYTES * 255, BYTES * 255),
    "RGB, green": stacked(0, BYTES * 255, 0),
    "RGB, blue of 1": stacked(0, 0, BYTES),
    "RGB, shades of green": stacked(0, SOFT * 255, 0),
    "palette, red": palette((0, 0, 0), (128, 0, 0)),
    "palette, green": palette((0, 0, 0), (0, 255, 0)),
    "palette, blue": palette((0, 0, 0), (0, 0, 255)),
    "palette, never filled": palette((0, 0, 0), (0, 0, 0)),
    "RGBA, opaque": stacked(BYTES * 255, BYTES * 255, BYTES * 255, 255),
    "RGBA, white with alpha": stacked(255, 255, 255, BYTES * 255),
    "RGBA, black with alpha": stacked(0, 0, 0, BYTES * 255),
    "RGBA, half-transparent red": stacked(BYTES * 255, 0, 0, BYTES * 128),
    "RGBA, cut out of the image": stacked(*np.moveaxis(PICTURE, -1, 0), BYTES * 255),
    "grey with alpha": stacked(255, BYTES * 255),
}
ARRAYS = {
    "bool": MASK,
    "uint8, 0/1": BYTES,
    "uint8, 0/255": BYTES * 255,
    "int64, 0/1": MASK.astype(np.int64),
    "float, 0/255": MASK * 255.0,
    "float32": SOFT.astype(np.float32),
    "float64": SOFT,
    "list": SOFT.tolist(),
    "(1, H, W)": SOFT[None],
    "(H, W, 1)": SOFT[..., None],
    "(1, 1, H, W)": SOFT[None, None],
    "tensor": torch.from_numpy(SOFT),
    "tensor, half": torch.from_numpy(SOFT).half(),
    "tensor, bfloat16": torch.from_numpy(SOFT).bfloat16(),
    "tensor with a gradient": torch.from_numpy(SOFT).requires_grad_(),
    "PIL image": PICTURES["0/255"],
}
REFUSED = {
    "NaN": (np.where(MASK, np.nan, SOFT), "got NaN in 15 of 96 pixels"),
    "logits": ((SOFT - 0.5) * 20, "apply a sigmoid to logits"),
    "uint8, grey": ((SOFT * 255).astype(np.uint8), "divide integers by their full scale"),
    "two channels": (np.stack([SOFT, SOFT]), "it has 2 channels"),
    "rows and columns exchanged": (SOFT.T, "rows and columns are exchanged"),
    "another size": (SOFT[:4, :4], "image_size=N"),
    "None": (None, "expected numbers or booleans"),
    "text": ("mask", "expected numbers or booleans"),
    "complex": (SOFT + 1j, "expected numbers or booleans"),
}


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


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
    ("image", "message"),
    [
        (stacked(*np.moveaxis(PICTURE, -1, 0)), "more than two colours"),
        (stacked(255, 255 * (1 - BYTES), 255 * (1 - BYTES)), "no black"),
        (palette((255, 255, 255), (0, 0, 0)), "index 0 of the palette PNG is not black"),
        (stacked(BYTES * 255, 0, 0, np.where(MASK.T.reshape(SIZE), 255, 9)), "two different masks"),
    ],
)
def test_pictures_that_could_mean_two_things_are_refused(image, message):
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


def test_instances_in_one_map_of_numbers_unite():
    labels = np.zeros(SIZE, np.int32)
    labels[2:4, 3:8], labels[4, 3:8] = 1, 2
    np.testing.assert_array_equal(read(labels, returns="instances") > 0, MASK)
