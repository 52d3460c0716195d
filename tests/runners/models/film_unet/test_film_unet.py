"""film-unet: the vocabulary spells, the text steers, padding and batches change nothing."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from robustness.errors import InputError
from robustness.plans.audit import parse_plan
from robustness.runners.audit.plan_engine import engine_of
from robustness.runners.data.load import load_dataset
from robustness.runners.models.film_unet.entry import ByteTokenizer
from robustness.runners.models.film_unet.network import FilmUNetConfig
from robustness.runners.models.load import load_model
from robustness.runners.models.tokenizers.bytes import BEGIN, END, ByteVocabulary, pieces
from robustness.runners.training.parts import parameters_by_part
from robustness.workflows.demo_files import demo_checkpoint, demo_data

SMALL = {"image_size": 32, "widths": [8, 16], "token_width": 16, "text_width": 24}
TEXTS = ["", "left", "one small floccinaucinihilipilification, located in the top left of the image", "x 12"]


def images(count, size=40):
    return [np.random.default_rng(n).integers(0, 256, (size, size + n, 3), dtype=np.uint8) for n in range(count)]


def joined_and_convolved(network, pixels, ids):
    """Return the logits (B, 1, H, W) as the U-Net is written down: enlarge, join, convolve."""
    levels = network.image_features(pixels)
    embedding = network.encode_text(ids)[0] if network.takes_text else None
    features = network.bottleneck(levels[-1], embedding)
    for block, skip in zip(network.decoder, levels[-2::-1], strict=True):
        larger = torch.nn.functional.interpolate(features, scale_factor=2, mode="nearest")
        features = block(torch.cat([larger, skip], dim=1), embedding)
    return network.head(features)


@pytest.fixture(scope="module")
def model():
    return load_model("film-unet", device="cpu")


class TestVocabulary:
    @given(st.text(max_size=60))
    @example("A\r\u00b2")
    @settings(max_examples=200, deadline=None)
    def test_round_trip_keeps_every_piece_of_any_text(self, text):
        vocabulary = ByteVocabulary()
        assert pieces(vocabulary.decode(vocabulary.encode(text))) == pieces(text)

    def test_known_words_are_one_id_each(self):
        assert len(ByteVocabulary().encode("left lateral ventricle")) == 2 + 3

    def test_an_unknown_word_is_spelled_by_its_own_bytes(self):
        vocabulary = ByteVocabulary()
        assert len(vocabulary.encode("zyzzyva")) == 2 + 1 + len("zyzzyva")
        assert vocabulary.encode("zyzzyva") != vocabulary.encode("zyzzyvas")

    def test_two_unknown_words_differ_from_one(self):
        vocabulary = ByteVocabulary()
        assert vocabulary.encode("foo bar") != vocabulary.encode("foobar")

    def test_case_and_blanks_do_not_matter(self):
        vocabulary = ByteVocabulary()
        assert vocabulary.encode(" Left  Polyp ") == vocabulary.encode("left polyp")

    def test_empty_text_is_begin_and_end(self):
        assert ByteVocabulary().encode("") == [BEGIN, END]

    def test_a_long_text_is_cut_and_still_ends(self):
        ids = ByteVocabulary(max_length=10).encode("left " * 40)
        assert len(ids) == 10
        assert ids[-1] == END

    @pytest.mark.parametrize("words", [["left", "left"], ["two words"], ["Upper"], [""]])
    def test_a_word_that_could_never_be_met_is_refused(self, words):
        with pytest.raises(InputError, match="words: expected distinct"):
            ByteVocabulary(words)

    def test_known_words_can_be_spelled_on_purpose(self):
        vocabulary = ByteVocabulary()
        spelled = vocabulary.encode("left polyp", spell=[1])
        assert vocabulary.decode(spelled) == "left polyp"
        assert len(spelled) == 2 + 1 + 6


class TestSpelling:
    def generators(self):
        return [np.random.default_rng(n) for n in range(len(TEXTS))]

    def test_share_zero_spells_nothing(self):
        tokenizer = ByteTokenizer()
        assert torch.equal(tokenizer.spelled(TEXTS, 0.0, self.generators()).input_ids, tokenizer(TEXTS).input_ids)

    def test_share_one_leaves_no_word_whole_and_says_the_same(self):
        tokenizer = ByteTokenizer()
        ids = tokenizer.spelled(TEXTS, 1.0, self.generators()).input_ids
        assert int(ids.max()) < 3 + 256
        assert [pieces(tokenizer.vocabulary.decode(row.tolist())) for row in ids] == [pieces(t) for t in TEXTS]


class TestNetwork:
    def test_logits_are_the_same_bits_with_and_without_gradients(self, model):
        with torch.inference_mode():
            image, text = model.encode_image(images(3)), model.encode_text(TEXTS[:3])
            without = model.network.decode(image.tensors, text.tensors)
        copies = [tuple(tensor.clone() for tensor in part.tensors) for part in (image, text)]
        assert torch.equal(model.network.decode(*copies), without)
        levels = model.network.encode_image(model.preprocess.pixel_values(images(3)))
        assert all(torch.equal(level, other) for level, other in zip(levels, image.tensors, strict=True))

    @pytest.mark.parametrize("config", [{}, SMALL, {**SMALL, "text": False}], ids=["whole", "small", "image only"])
    def test_the_decoder_is_that_of_enlarged_features_joined_with_skip_features(self, config):
        network = load_model("film-unet", device="cpu", config=config).network.double()
        side = network.config.image_size
        pixels = torch.rand(2, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        ids = torch.randint(3, 250, (2, 5), generator=torch.Generator().manual_seed(1))
        logits, plain = network(pixels, ids), joined_and_convolved(network, pixels, ids)
        torch.testing.assert_close(logits, plain, atol=1e-10, rtol=0)
        weights = tuple(network.parameters())
        gradients = [torch.autograd.grad(each.square().mean(), weights) for each in (logits, plain)]
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, atol=1e-10, rtol=1e-8)

    def test_decoding_leaves_its_image_features_as_they_are(self, model):
        with torch.inference_mode():
            image, text = model.encode_image(images(2)), model.encode_text(TEXTS[:2])
            first = model.decode(image, text)
            assert torch.equal(model.decode(image, text), first)

    def test_what_an_image_alone_decides_of_a_decoder_is_still_the_decoders(self, model):
        parts = parameters_by_part(model)
        assert {name.split(".")[0] for name in parts["image"]} == {"encoder"}
        assert {name.split(".")[0] for name in parts["text"]} == {"text_encoder"}
        assert {name.split(".")[0] for name in parts["decoder"]} == {"bottleneck", "decoder", "head"}

    def test_stays_small(self, model):
        assert sum(p.numel() for p in model.network.parameters()) < 1_400_000

    def test_one_pair_gives_what_it_gives_in_a_batch(self, model):
        pictures = images(len(TEXTS))
        with torch.no_grad():
            together = model.decode(model.encode_image(pictures), model.encode_text(TEXTS))
            for row, (picture, text) in enumerate(zip(pictures, TEXTS, strict=True)):
                alone = model.decode(model.encode_image([picture]), model.encode_text([text]))
                torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)

    def test_padding_changes_nothing(self, model):
        ids, mask = model.tokenize(TEXTS)
        longest = int(mask.sum(1).max())
        with torch.no_grad():
            (full,) = model.network.encode_text(ids, mask)
            (trimmed,) = model.network.encode_text(ids[:, :longest], mask[:, :longest])
            (without_mask,) = model.network.encode_text(ids)
        torch.testing.assert_close(full, trimmed, atol=1e-5, rtol=0)
        torch.testing.assert_close(full, without_mask, atol=0, rtol=0)

    def test_every_text_gives_other_logits_on_one_image(self, model):
        texts = [*TEXTS, "right", "xyzzy", "xyzzz"]
        with torch.no_grad():
            logits = model.decode(model.encode_image(images(1) * len(texts)), model.encode_text(texts))
        for row in range(1, len(texts)):
            assert (logits[row] - logits[0]).abs().max() > 1e-4

    def test_same_seed_same_weights_and_no_touch_of_the_global_generator(self):
        state = torch.get_rng_state()
        first, again, other = (load_model("film-unet", device="cpu", config=SMALL, seed=s) for s in (1, 1, 2))
        assert torch.equal(torch.get_rng_state(), state)
        pairs = zip(first.network.state_dict().values(), again.network.state_dict().values(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)
        assert not torch.equal(first.network.head.weight, other.network.head.weight)

    def test_ids_are_required(self, model):
        with pytest.raises(InputError, match="input_ids: expected token ids"):
            model.network(torch.zeros(1, 3, 128, 128))

    @pytest.mark.parametrize(
        ("fields", "told"), [({"image_size": 100}, "multiple of 16"), ({"widths": (8, 12)}, "multiples of 8")]
    )
    def test_a_shape_that_cannot_be_built_is_refused(self, fields, told):
        with pytest.raises(InputError, match=told):
            FilmUNetConfig(**fields)


class TestEngine:
    @pytest.mark.parametrize(
        ("side", "stated", "images"),
        [(80, {}, 16), (80, {"image_batch": 2}, 2), (256, {}, 8), (512, {}, 4), (512, {"image_batch": 32}, 32)],
    )
    def test_small_images_are_encoded_many_at_once_unless_the_plan_says_how_many(self, side, stated, images):
        model = load_model("film-unet", device="cpu", config={**SMALL, "image_size": side})
        plan = parse_plan({"model": {"name": "film-unet"}, "data": {"path": "data", "prompt": "p5"}, "engine": stated})
        engine = engine_of(model, plan)
        assert (engine.image_batch, engine.batch_size) == (images, 16)


class TestImageOnly:
    def test_ignores_ids_and_has_no_text_parameters(self):
        model = load_model("film-unet", text=False, config=SMALL, device="cpu")
        assert model.name == "film-unet-image-only"
        assert not [name for name, _ in model.network.named_parameters() if "text" in name or "film" in name]
        pixel_values = model.preprocess.pixel_values(images(2))
        with torch.no_grad():
            without = model.network(pixel_values)
            ids = torch.randint(3, 300, (2, 7), generator=torch.Generator().manual_seed(0))
            assert torch.equal(model.network(pixel_values, ids), without)
            code = model.encode_text(["left", "right"])
            assert torch.equal(model.decode(model.encode_image(images(2)), code), without)


class TestShippedCheckpoints:
    """What the demo's page will say, measured directly on every ninth test slice."""

    SWAP: ClassVar = {"left": "right", "right": "left"}

    def dice_by_text(self, which):
        model = load_model("film-unet", checkpoint=demo_checkpoint(which), device="cpu")
        data = load_dataset(demo_data("brain"), split="test", prompt="p2", subject="image")
        chosen = sorted({info.image_id for info in data.infos})[::9]
        cases = [data[i] for i, info in enumerate(data.infos) if info.image_id in chosen]
        cases = [case for case in cases if case.metadata["attributes"]["side"] != "both"]
        texts = [case.prompt.text for case in cases]
        swapped = [" ".join(self.SWAP.get(word, word) for word in text.split()) for text in texts]
        other = [f"{text.split()[0]} lateral ventricle" for text in texts]
        code = model.encode_image([case.image for case in cases])
        return [
            np.mean([self.dice(m > 0.5, c.mask) for m, c in zip(self.maps(model, code, t, cases), cases, strict=True)])
            for t in (texts, swapped, other)
        ]

    def maps(self, model, code, texts, cases):
        with torch.no_grad():
            return model.probabilities(code, model.encode_text(texts), [case.mask.shape for case in cases])

    def dice(self, predicted, reference):
        total = predicted.sum() + reference.sum()
        return 2 * (predicted & reference).sum() / total if total else 1.0

    @pytest.mark.slow
    def test_the_text_conditioned_one_follows_side_and_structure(self):
        named, swapped, other = self.dice_by_text("text-conditioned")
        assert named > 0.8
        assert swapped < 0.05
        assert other < 0.3

    def test_the_image_only_one_follows_nothing(self):
        named, swapped, other = self.dice_by_text("image-only")
        assert named == swapped == other
        assert 0.2 < named < 0.6
