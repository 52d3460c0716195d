"""The shape that every network takes."""

import json

import numpy as np
import pytest
import torch
from torchvision import transforms

from robustness.errors import InputError
from robustness.files import sha256_file
from robustness.metrics.scores.masks import mask_metrics
from robustness.runners.data.load import load_dataset
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.inference.mask_answers import Answer, MaskBatch, Row, Shipment, packed_references
from robustness.runners.inference.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from robustness.runners.inference.segmenter import NetworkSegmenter, SplitNetwork, Tokens, resize_maps
from robustness.runners.models.load import load_model
from robustness.workflows.demo_files import demo_checkpoint, demo_data


class LengthTokenizer:
    """One id per character."""

    context_length = 12

    def __call__(self, texts):
        ids = torch.zeros(len(texts), self.context_length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids[row, : len(text)] = torch.tensor([ord(c) for c in text[: self.context_length]])
        return Tokens(ids, (ids != 0).long())


class MeanNetwork(SplitNetwork):
    """Logits: the image's first channel plus the mean id; remembers the ids that it was given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.seen = []

    def encode_image(self, pixel_values):
        return (pixel_values[:, :1] * self.weight,)

    def encode_text(self, input_ids, attention_mask=None):
        self.seen.append(input_ids)
        return ((input_ids * attention_mask).sum(1) / attention_mask.sum(1) / 100,)

    def decode(self, image, text):
        return image[0] + text[0][:, None, None, None]


class ImageOnlyNetwork(SplitNetwork):
    takes_text = False

    def encode_image(self, pixel_values):
        return (pixel_values[:, :1],)

    def decode(self, image, text):
        assert text[0].shape == (len(image[0]), 0)
        return image[0]


def image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def segmenter():
    return NetworkSegmenter("toy", MeanNetwork(), Preprocess(image_size=8), tokenizer=LengthTokenizer())


class TestPreprocess:
    @pytest.mark.parametrize("shape", [(64, 64), (37, 91), (8, 8), (1, 1), (5, 200)])
    def test_pixel_values_are_bitwise_those_of_torchvision(self, shape):
        from PIL import Image as PILImage

        array = image(*shape)
        ours = Preprocess(image_size=32, mean=CLIP_MEAN, std=CLIP_STD).pixel_values([array])
        theirs = transforms.Compose(
            [transforms.Resize((32, 32)), transforms.ToTensor(), transforms.Normalize(CLIP_MEAN, CLIP_STD)]
        )(PILImage.fromarray(array))
        assert ours.dtype == torch.float32
        assert torch.equal(ours[0], theirs)

    def test_images_of_different_sizes_make_one_batch_in_order(self):
        prepare = Preprocess(image_size=16)
        images = [image(10, 20, 1), image(30, 8, 2)]
        together = prepare.pixel_values(images)
        assert torch.equal(together, torch.cat([prepare.pixel_values([i]) for i in images]))

    def test_it_survives_json(self):
        prepare = Preprocess(image_size=416, interpolation="bicubic", mean=CLIP_MEAN, std=CLIP_STD, threshold=0.35)
        assert Preprocess.from_dict(json.loads(json.dumps(prepare.as_dict()))) == prepare

    @pytest.mark.parametrize(
        "bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), "x.png"]
    )
    def test_an_array_that_is_no_rgb_image_is_refused(self, bad):
        with pytest.raises(InputError, match="images: expected"):
            Preprocess(image_size=8).pixel_values([bad])

    @pytest.mark.parametrize("fields", [{"interpolation": "magic"}, {"image_size": 0}, {"threshold": 1.0}])
    def test_impossible_settings_are_refused(self, fields):
        with pytest.raises(InputError, match=next(iter(fields))):
            Preprocess(**{"image_size": 8, **fields})


class TestTensorEmbedding:
    def test_take_repeats_and_reorders_rows(self):
        code = TensorEmbedding((torch.arange(6).reshape(3, 2), torch.tensor([7, 8, 9])))
        taken = code.take([2, 0, 2])
        assert len(taken) == 3
        assert taken.tensors[0].tolist() == [[4, 5], [0, 1], [4, 5]]
        assert taken.tensors[1].tolist() == [9, 7, 9]

    def test_concat_fills_shorter_texts_with_zeros(self):
        short, long = TensorEmbedding((torch.ones(1, 2, 3),)), TensorEmbedding((torch.ones(2, 4, 3),))
        joined = TensorEmbedding.concat([short, long]).tensors[0]
        assert joined.shape == (3, 4, 3)
        assert joined[0, :2].eq(1).all()
        assert joined[0, 2:].eq(0).all()
        assert joined[1:].eq(1).all()

    def test_a_code_without_text_still_counts_its_rows(self):
        code = TensorEmbedding((torch.empty(5, 0),))
        assert len(code) == 5
        assert len(code.take([0, 0])) == 2


class TestNetworkSegmenter:
    def test_network_is_in_eval_mode(self, segmenter):
        assert not segmenter.network.training

    def test_padding_is_trimmed_to_the_longest_text_of_the_call(self, segmenter):
        segmenter.encode_text(["ab", "abcde"])
        assert segmenter.network.seen[-1].shape == (2, 5)
        segmenter.trims_text = False
        segmenter.encode_text(["ab"])
        assert segmenter.network.seen[-1].shape == (1, 12)

    def test_an_empty_text_keeps_one_position(self, segmenter):
        segmenter.encode_text([""])
        assert segmenter.network.seen[-1].shape == (1, 1)

    def test_tokenize_gives_the_full_context(self, segmenter):
        tokens = segmenter.tokenize(["abc"])
        assert tokens.input_ids.shape == tokens.attention_mask.shape == (1, 12)

    def test_the_parts_compose_to_the_forward(self, segmenter):
        images, texts = [image(9, 7), image(20, 8, 1)], ["abc", "z"]
        parts = segmenter.decode(segmenter.encode_image(images), segmenter.encode_text(texts))
        whole = segmenter.network(segmenter.preprocess.pixel_values(images), *segmenter.tokenize(texts))
        torch.testing.assert_close(parts, whole, atol=1e-6, rtol=0)

    def test_gradients_flow_through_every_part(self, segmenter):
        logits = segmenter.decode(segmenter.encode_image([image(8, 8)]), segmenter.encode_text(["a"]))
        logits.sum().backward()
        assert segmenter.network.weight.grad is not None

    def test_probabilities_have_the_wanted_sizes_and_order(self, segmenter):
        codes = segmenter.encode_image([image(9, 7), image(20, 8, 1)]), segmenter.encode_text(["a", "b"])
        maps = segmenter.probabilities(*codes, [(9, 7), (20, 8)])
        assert [m.shape for m in maps] == [(9, 7), (20, 8)]
        assert all(m.dtype == np.float32 and 0 <= m.min() <= m.max() <= 1 for m in maps)
        at_network = segmenter.probabilities(*codes, None)
        assert [m.shape for m in at_network] == [(8, 8), (8, 8)]
        expected = torch.sigmoid(segmenter.decode(*codes))[:, 0].detach().numpy()
        np.testing.assert_array_equal(np.stack(at_network), expected)

    def test_probabilities_are_resized_not_logits(self):
        maps = torch.tensor([[[[0.0, 1.0]]]])
        np.testing.assert_allclose(resize_maps(maps, [(1, 4)])[0], [[0.0, 0.25, 0.75, 1.0]], atol=1e-7)

    def test_a_model_without_vocabulary_says_how_to_give_one(self):
        model = NetworkSegmenter("toy", MeanNetwork(), Preprocess(image_size=8))
        with pytest.raises(InputError, match="tokenizer=PATH"):
            model.encode_text(["a"])

    def test_a_network_with_text_refuses_to_run_without(self, segmenter):
        with pytest.raises(InputError, match="input_ids"):
            segmenter.network(torch.zeros(1, 3, 8, 8))

    def test_an_image_only_network_ignores_the_text(self):
        model = NetworkSegmenter("plain", ImageOnlyNetwork(), Preprocess(image_size=8), takes_text=False)
        pixels = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
        ids = torch.ones(2, 4, dtype=torch.long)
        assert torch.equal(model.network(pixels), model.network(pixels, ids, ids))
        maps = model.probabilities(model.encode_image([image(8, 8)] * 2), model.encode_text(["a", "b"]), None)
        np.testing.assert_array_equal(maps[0], maps[1])

    def test_low_precision_on_request_still_gives_float32_logits(self, segmenter):
        segmenter.precision = "bf16"
        logits = segmenter.decode(segmenter.encode_image([image(8, 8)]), segmenter.encode_text(["a"]))
        assert logits.dtype == torch.float32
        assert segmenter.network.weight.dtype == torch.float32

    def test_description_is_json_and_names_the_arithmetic(self, segmenter):
        described = json.loads(json.dumps(segmenter.describe()))
        assert described["parameters"] == 1
        assert described["precision"] == "float32"
        assert described["preprocess"]["image_size"] == 8

    def test_the_threshold_can_be_set(self, segmenter):
        segmenter.threshold = 0.35
        assert segmenter.threshold == segmenter.preprocess.threshold == 0.35


def test_printing_a_model_says_whose_weights_it_has_and_whether_it_reads_its_prompt() -> None:
    reader, blind = (str(load_model("film-unet", demo_checkpoint(name))) for name in ("text-conditioned", "image-only"))
    digest = sha256_file(demo_checkpoint("text-conditioned") / "model.safetensors")
    assert f"parameters, weights sha256 {digest[:8]}, input " in reader
    assert "threshold 0.5, reads its prompt, cpu " in reader
    assert "cannot read its prompt" in blind
    assert len(reader) < 200
    assert "random weights" in str(load_model("film-unet", seed=1))


def test_printing_data_says_how_many_cases_images_and_patients_there_are() -> None:
    data = load_dataset(demo_data("brain"), split="test", prompt="p5", subject="image")
    assert str(data) == "Dataset('brain', split='test', prompt='p5', 372 cases on 62 images, no patient known)"


class TestMasks:
    """Masks that were thresholded, packed and counted beside the model are those of the host."""

    THRESHOLDS = (0.5, 0.1, 0.9)

    @pytest.fixture
    def maps(self):
        maps = np.random.default_rng(0).random((4, 7, 9), dtype=np.float32)
        # At the threshold, and one step to either side of it, in float32.
        for place, threshold in enumerate(self.THRESHOLDS):
            at = np.float32(threshold)
            maps[:, 0, 3 * place : 3 * place + 3] = np.nextafter(at, np.float32(0)), at, np.nextafter(at, np.float32(1))
        maps[3] = 0
        return maps

    def test_bits_ranges_and_counts_are_exact(self, maps):
        batch = MaskBatch.of(torch.from_numpy(maps), self.THRESHOLDS, whole=True)
        references = [[maps[0] > 0.3, np.zeros((7, 9), bool)], [np.ones((7, 9), bool)], [maps[2] > 0.6], []]
        references[3] = [maps[3] > 0]
        outcomes = [(number, Row(batch, number)) for number in range(4)]
        answers = Shipment(outcomes, [packed_references(masks) for masks in references]).take()
        for number, one in enumerate(maps):
            expected, answer = Answer.of(one, self.THRESHOLDS), answers[number].unpacked()
            np.testing.assert_array_equal(answer.masks, expected.masks)
            np.testing.assert_array_equal(answer.probability, one)
            assert (answer.high, answer.low) == (expected.high, expected.low)
            for place, mask in enumerate(expected.masks):
                for which, reference in enumerate(references[number]):
                    counted = answer.overlap(place, which)
                    assert counted == (mask.sum(), reference.sum(), (mask & reference).sum())
                    names = ("dice", "iou", "precision", "specificity")
                    host = mask_metrics(mask, reference, names=names)
                    assert mask_metrics(mask, reference, names=names, overlap=counted) == host

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_map_that_is_not_finite_is_an_error(self, maps, value):
        maps[1, 2, 2] = value
        batch = MaskBatch.of(torch.from_numpy(maps[:2]), (0.5,), whole=False)
        shipment = Shipment([(0, Row(batch, 0)), (1, Row(batch, 1))], [packed_references([maps[0] > 0])] * 2)
        good, bad = (answer.unpacked() for answer in shipment.take().values())
        assert isinstance(good, Answer)
        assert str(bad) == "the model's output is not finite (NaN or infinity)"

    def test_an_image_that_a_feeder_resized_gives_the_same_input(self):
        rng, preprocess = np.random.default_rng(1), Preprocess(image_size=24, interpolation="bicubic")
        images = [rng.integers(0, 256, size, dtype=np.uint8) for size in ((40, 31, 3), (24, 24, 3), (9, 50, 3))]
        squares = [preprocess.square(image) for image in images]
        values = preprocess.pixel_values(images)
        assert torch.equal(preprocess.pixel_values(squares), values)
        mean, std = (torch.tensor(numbers).view(1, 3, 1, 1) for numbers in (preprocess.mean, preprocess.std))
        plain = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float().div(255).sub(mean).div(std)
        assert torch.equal(values, plain)
