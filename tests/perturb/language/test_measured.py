"""Attributes from pixels: shapes drawn with known outlines, colours by name, places in thirds of the width."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from robustness.errors import InputError
from robustness.perturb.language.measured import COLOURS, colour_of, measure, place_of, shape_of, size_words
from robustness.perturb.language.truth import judge
from robustness.perturb.language.vqa import VqaModel, crop
from tests.perturb.prompt_cases import blob

Draw = Callable[[ImageDraw.ImageDraw], None]


def drawn(draw: Draw) -> np.ndarray:
    picture = Image.new("L", (200, 300), 0)
    draw(ImageDraw.Draw(picture))
    return np.asarray(picture) > 0


def turned(points: list[tuple[float, float]], degrees: float) -> list[tuple[float, float]]:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(100 + x * c - y * s, 150 + x * s + y * c) for x, y in points]


SQUARE = [(-30.0, -30.0), (30.0, -30.0), (30.0, 30.0), (-30.0, 30.0)]
BAR = [(-50.0, -20.0), (50.0, -20.0), (50.0, 20.0), (-50.0, 20.0)]
TRIANGLE = [(0.0, -40.0), (35.0, 20.0), (-35.0, 20.0)]
STAR = [
    ((60 if i % 2 else 25) * math.cos(i * math.pi / 5), (60 if i % 2 else 25) * math.sin(i * math.pi / 5))
    for i in range(10)
]


@pytest.mark.parametrize("angle", [0, 20, 45, 70])
@pytest.mark.parametrize(
    ("points", "name"), [(SQUARE, "square"), (BAR, "rectangular"), (TRIANGLE, "triangular"), (STAR, "irregular")]
)
def test_polygons_are_named_at_every_angle(points: list[tuple[float, float]], name: str, angle: int) -> None:
    assert shape_of(drawn(lambda d: d.polygon(turned(points, angle), fill=1))).name == name


def test_ellipses_are_round_or_oval_and_their_moment_is_known() -> None:
    disc = shape_of(drawn(lambda d: d.ellipse((50, 50, 120, 120), fill=1)))
    egg = shape_of(drawn(lambda d: d.ellipse((50, 50, 150, 100), fill=1)))
    assert (disc.name, egg.name) == ("round", "oval")
    assert disc.moment == pytest.approx(16 * math.pi**2, rel=0.01)
    assert shape_of(drawn(lambda d: d.rectangle((40, 40, 90, 140), fill=1))).moment == pytest.approx(144, rel=0.01)
    assert egg.aspect == pytest.approx(2, rel=0.03)


def test_a_few_pixels_and_a_line_have_no_or_some_name_and_never_fail() -> None:
    assert shape_of(blob((0, 2), (0, 2))).name == ""
    assert shape_of(blob((0, 1), (0, 40))).name


@pytest.mark.parametrize("name", COLOURS)
def test_a_named_colour_is_called_by_its_name(name: str) -> None:
    assert colour_of(np.array([COLOURS[name]] * 5, dtype=np.uint8)) == name


def test_places_are_thirds_of_the_height_and_of_the_width() -> None:
    wide = np.zeros((60, 300), dtype=bool)
    wide[25:35, 120:180] = True
    assert measure(wide)["location"] == "center"
    assert place_of(0.99, 1.0) == "bottom right"
    assert place_of(0.0, 0.34) == "top"


def test_several_components_give_lists_without_repeats() -> None:
    mask = blob((0, 10), (0, 10)) | blob((80, 84), (80, 84)) | blob((88, 92), (88, 92))
    found = measure(mask)
    assert found["number"] == "three"
    assert found["location"] == "top left, bottom right"
    assert found["size"] == "tiny, small"


def test_an_empty_mask_is_no_target_and_no_pixels_are_nothing() -> None:
    assert measure(np.zeros((9, 9), dtype=bool)) == {"number": "no", "area": 0.0}
    assert measure(np.zeros((0, 0), dtype=bool)) == {}


@pytest.mark.parametrize("side", [2, 8, 25, 60, 99])
def test_what_is_measured_is_never_false_of_the_mask(side: int) -> None:
    mask = blob((0, side), (0, side))
    found = measure(mask)
    for kind in ("size", "number", "location"):
        assert judge(kind, found[kind], mask=mask) != "false", kind


def test_sizes_are_listed_from_small_to_large() -> None:
    assert size_words([0.5, 0.001, 0.001, 0.1]) == ["tiny", "medium", "large"]


ANSWERS = {0: "Round", 1: "square", 2: "pink"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViLT of one layer whose bias makes it answer "Round" to everything."""
    import torch
    from transformers import BertTokenizer, ViltConfig, ViltForQuestionAnswering, ViltImageProcessor, ViltProcessor

    path = tmp_path_factory.mktemp("vqa")
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] what is the shape color of polyp ?".split()
    (path / "vocab.txt").write_text("\n".join(words), "utf-8")
    config = ViltConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=32,
        patch_size=16,
        max_position_embeddings=40,
        num_labels=3,
        id2label=ANSWERS,
        label2id={v: k for k, v in ANSWERS.items()},
    )
    model = ViltForQuestionAnswering(config)
    with torch.no_grad():
        last = model.classifier[-1]
        last.weight.zero_()
        last.bias.copy_(torch.tensor([3.0, 0.0, -3.0]))
    model.save_pretrained(path)
    pictures = ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=16)
    ViltProcessor(pictures, BertTokenizer(str(path / "vocab.txt"))).save_pretrained(path)
    return path


def test_a_local_model_answers_for_shape_and_colour(folder: Path) -> None:
    model = VqaModel(str(folder))
    image = np.zeros((60, 80, 3), dtype=np.uint8)
    answer = model.ask(image, "What is the shape of the polyp?")
    assert answer.text == "round"
    assert answer.score == pytest.approx(1 / (1 + np.exp(-3.0)), rel=1e-4)
    mask = np.zeros((60, 80), dtype=bool)
    assert model.attributes(image, mask, "polyp") == {}
    mask[10:30, 20:50] = True
    assert model.attributes(image, mask, "polyp") == {"shape": "round", "colour": "round"}


def test_the_picture_is_cut_out_with_a_margin() -> None:
    image = np.arange(100 * 100 * 3, dtype=np.uint32).reshape(100, 100, 3).astype(np.uint8)
    cut = crop(image, blob((10, 20), (0, 50)))
    assert cut.shape == (12, 55, 3)
    assert np.array_equal(cut, image[9:21, 0:55])


def test_what_is_no_such_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="visual question answering"):
        VqaModel(str(tmp_path))
