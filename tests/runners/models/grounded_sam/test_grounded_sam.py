"""Grounding DINO + SAM: transformers' own forward passes, split; the union of the masks of the boxes that count."""

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.runners.models.instances import NOTHING
from robustness.runners.models.load import load_model
from robustness.types import Segmenter
from tests.runners.small_models import assert_cached_codes_give_full_forwards, assert_logits_of_the_network

TEXTS = ["polyp", "one small pink round polyp, located in top right.", "", "left ventricle"]
WORDS = ["polyp", "one", "small", "pink", "round", "located", "in", "top", "right", "left", "ventricle", ","]
THRESHOLD = 0.5


def image(seed, height=40, width=52):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """Grounding DINO knows the start, the end and the period by their places in BERT's vocabulary."""
    pieces = [f"[unused{i}]" for i in range(1100)]
    for place, piece in {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 1012: ".", 1029: "?"}.items():
        pieces[place] = piece
    pieces[200 : 200 + len(WORDS)] = WORDS
    folder = tmp_path_factory.mktemp("vocabulary")
    (folder / "vocab.txt").write_text("\n".join(pieces))
    return folder


@pytest.fixture(scope="module")
def model(vocabulary):
    config = {"preset": "tiny", "score_threshold": THRESHOLD}
    loaded = load_model("grounded-sam", config=config, device="cpu", tokenizer=vocabulary, seed=1)
    torch.manual_seed(0)
    for parameter in loaded.network.parameters():
        # Fresh weights hardly tell one text or image from another.
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=(1.5 / parameter[0].numel()) ** 0.5)
    return loaded


@pytest.fixture(scope="module")
def folders(model, vocabulary, tmp_path_factory):
    detector, sam = tmp_path_factory.mktemp("detector"), tmp_path_factory.mktemp("sam")
    model.network.detector.save_pretrained(detector)
    model.network.sam.save_pretrained(sam)
    (detector / "vocab.txt").write_text((vocabulary / "vocab.txt").read_text())
    return detector, sam


def whole_forward(model, images, texts):
    """Return the union of what transformers computes from pixels and ids, one pair and one box at a time."""
    network, logits, kept = model.network, [], []
    for picture, text in zip(images, texts, strict=True):
        pixels = model.preprocess.pixel_values([picture])
        ids, mask = model.tokenize([text])
        with torch.inference_mode():
            seen = torch.nn.functional.interpolate(pixels, size=(128, 128), mode="bilinear", antialias=True)
            found = network.detector(pixel_values=seen, input_ids=ids, attention_mask=mask)
            counts = found.logits[0].sigmoid().amax(-1) > THRESHOLD
            total = torch.full((16, 16), NOTHING)
            for x, y, w, h in found.pred_boxes[0][counts].tolist():
                box = torch.tensor([[[x - w / 2, y - h / 2, x + w / 2, y + h / 2]]]) * 64
                mask_logits = network.sam(pixel_values=pixels, input_boxes=box, multimask_output=False).pred_masks
                total = torch.maximum(total, mask_logits[0, 0, 0])
        kept.append(int(counts.sum()))
        logits.append(total[None])
    return torch.stack(logits), kept


def test_it_meets_the_protocol_with_its_preparation_as_data(model):
    assert isinstance(model, Segmenter)
    assert (model.image_size, model.threshold) == (64, 0.5)
    assert (model.preprocess.tokenizer, model.preprocess.context_length) == ("wordpiece", 256)


def test_logits_are_those_of_the_two_networks(model):
    images = [image(0), image(1), image(2), image(3)]
    expected, kept = whole_forward(model, images, TEXTS)
    assert 0 < sum(kept) < 24
    assert_logits_of_the_network(model, images, TEXTS, expected)


@pytest.mark.slow
def test_cached_codes_give_the_maps_of_full_forwards(model):
    images = [image(0, 40, 40), image(1, 52, 30), image(2)]
    assert len(TEXTS) == 4
    assert_cached_codes_give_full_forwards(model, images, TEXTS, whole_forward)


def test_the_detector_may_see_another_size(vocabulary):
    config = {"preset": "tiny", "detector_size": 96, "score_threshold": 0.0}
    model = load_model("grounded-sam", config=config, device="cpu", tokenizer=vocabulary)
    with torch.inference_mode():
        code = model.encode_image([image(0)])
        assert [t.shape[-1] for t in code.tensors] == [4, 12, 6, 3]
        assert model.decode(code, model.encode_text(["polyp"])).shape == (1, 1, 16, 16)


def test_a_phrase_ends_with_one_period(model):
    with_period, without = (model.tokenize([text]).input_ids for text in ("polyp.", " polyp "))
    assert torch.equal(with_period, without)
    assert with_period[0, :4].tolist() == [101, 200, 1012, 102]
    assert model.tokenizer.count("polyp") == 4


@pytest.mark.slow
def test_two_folders_of_transformers_load_with_their_configurations(model, folders):
    detector, sam = folders
    loaded = load_model(
        "grounded-sam", detector, sam_from=str(sam), detector_size=128, score_threshold=THRESHOLD, device="cpu"
    )
    assert {**loaded.config, "sam_from": ""} == {**model.config, "sam_from": ""}
    assert all(torch.equal(v, loaded.network.state_dict()[k]) for k, v in model.network.state_dict().items())
    assert loaded.tokenize(["polyp"]).input_ids[0, 1] == 200
    assert len(loaded.provenance["sha256"]) == 2


def test_a_folder_that_is_no_sam_is_named(folders):
    with pytest.raises(InputError, match="sam_from: expected a transformers folder or hub name of a SAM"):
        load_model("grounded-sam", folders[0], sam_from=str(folders[0]), device="cpu")


def test_without_a_vocabulary_ids_still_work(folders, tmp_path):
    model = load_model("grounded-sam", config={"preset": "tiny"}, device="cpu")
    with pytest.raises(InputError, match="tokenizer: grounded-sam has no vocabulary"):
        model.encode_text(["polyp"])
    ids = torch.tensor([[101, 200, 1012, 102]])
    with torch.inference_mode():
        assert model.network(torch.zeros(1, 3, 64, 64), ids).shape == (1, 1, 16, 16)


def published_mask(model, picture, text):
    """Return the union of what transformers' own post-processing makes of each box of a square picture."""
    from transformers import SamImageProcessor

    network, size = model.network, picture.shape[:2]
    pixels = model.preprocess.pixel_values([picture])
    ids, mask = model.tokenize([text])
    with torch.inference_mode():
        seen = torch.nn.functional.interpolate(pixels, size=(128, 128), mode="bilinear", antialias=True)
        found = network.detector(pixel_values=seen, input_ids=ids, attention_mask=mask)
        x, y, w, h = found.pred_boxes[0][found.logits[0].sigmoid().amax(-1) > THRESHOLD].unbind(-1)
        if not len(x):
            return np.zeros(size, bool)
        boxes = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=-1)[None] * 64
        masks = network.sam(pixel_values=pixels, input_boxes=boxes, multimask_output=False).pred_masks
    processor = SamImageProcessor(size={"longest_edge": 64}, pad_size={"height": 64, "width": 64})
    whole = processor.post_process_masks(masks, [size], [(64, 64)], pad_size={"height": 64, "width": 64})
    return whole[0][:, 0].any(0).numpy()


@pytest.mark.parametrize("side", [40, 64, 150])
def test_masks_are_those_of_the_published_post_processing(model, side):
    shares = []
    for seed, text in enumerate(TEXTS):
        picture = image(seed, side, side)
        code, words = model.encode_image([picture]), model.encode_text([text])
        found = model.probabilities(code, words, [(side, side)])[0] > model.threshold
        expected = published_mask(model, picture, text)
        shares.append(expected.mean())
        assert np.array_equal(found, expected)
    assert 0 < max(shares) < 1


def test_the_union_may_be_enlarged_instead_and_is_another_mask(model, vocabulary):
    config = {"preset": "tiny", "score_threshold": THRESHOLD, "enlarge": "union"}
    other = load_model("grounded-sam", config=config, device="cpu", tokenizer=vocabulary)
    other.network.load_state_dict(model.network.state_dict())
    picture, size = image(0, 150, 150), [(150, 150)]
    maps = [m.probabilities(m.encode_image([picture]), m.encode_text(["polyp"]), size)[0] for m in (model, other)]
    assert np.abs(maps[0] - maps[1]).max() > 0.01
    code, words = other.encode_image([picture]), other.encode_text(["polyp"])
    logits = torch.nn.functional.interpolate(
        other.decode(code, words).sigmoid(), size=(150, 150), mode="bilinear", align_corners=False
    )
    np.testing.assert_array_equal(maps[1], logits[0, 0].detach().numpy())


def test_no_box_that_counts_is_an_empty_mask(vocabulary):
    config = {"preset": "tiny", "score_threshold": 0.999999}
    model = load_model("grounded-sam", config=config, device="cpu", tokenizer=vocabulary)
    found = model.probabilities(model.encode_image([image(0)]), model.encode_text(["polyp"]), [(40, 52)])[0]
    assert found.shape == (40, 52)
    assert 0 < found.max() < 1e-8


def test_an_unknown_order_is_refused():
    with pytest.raises(InputError, match="enlarge: expected one of instances, union, got 'both'"):
        load_model("grounded-sam", config={"preset": "tiny", "enlarge": "both"}, device="cpu")
