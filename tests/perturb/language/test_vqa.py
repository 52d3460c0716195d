"""Visual question answering through transformers, with a small ViLT that is built here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from robustness.errors import InputError
from robustness.perturb.language.vqa import VqaModel, crop
from tests.perturb.prompt_cases import blob

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
