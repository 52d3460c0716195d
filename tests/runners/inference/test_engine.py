"""Each image once, each text once, in order, in bounded memory, with the plain forward's logits."""

import itertools

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.load import load_model

MODELS = {
    "clipseg": ("clipseg", {"config": {"preset": "tiny"}}),
    "film-unet": ("film-unet", {"image_size": 64}),
    "film-unet-image-only": ("film-unet", {"text": False, "image_size": 64}),
}
TEXTS = ["polyp", "one small pink round polyp, located in top right of the image", "", "left ventricle", "nucleus"]


def image(seed, height=40, width=52):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def requests_of(n_images, texts=TEXTS):
    images = [image(seed, 30 + 3 * seed, 40) for seed in range(n_images)]
    return [Request(images[i], f"image{i}", text) for i, text in itertools.product(range(n_images), texts)]


@pytest.fixture(scope="module", params=list(MODELS))
def model(request):
    name, options = MODELS[request.param]
    loaded = load_model(name, device="cpu", **options)
    assert loaded.name == request.param
    return loaded


@pytest.fixture(scope="module")
def film():
    return load_model("film-unet", image_size=64, device="cpu")


class Recorder:
    """A segmenter that counts what is asked of another and keeps the logits."""

    def __init__(self, model):
        self.model = model
        self.images, self.texts, self.logits, self.decoded = [], [], [], []
        self.name, self.network = model.name, model.network
        self.threshold, self.image_size = model.threshold, model.image_size
        self.fail_above = None

    def encode_image(self, images):
        self.images += [i.tobytes() for i in images]
        return self.model.encode_image(images)

    def encode_text(self, texts):
        self.texts += texts
        return self.model.encode_text(texts)

    def probabilities(self, image_embedding, text_embedding, sizes):
        if self.fail_above is not None and len(text_embedding) > self.fail_above:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.decoded.append(len(text_embedding))
        self.logits += list(self.model.decode(image_embedding, text_embedding))
        return self.model.probabilities(image_embedding, text_embedding, sizes)


def plain(model, requests):
    """The whole forward, one request at a time, texts at full length."""
    out = []
    with torch.inference_mode():
        for request in requests:
            pixels = model.preprocess.pixel_values([request.image])
            tokens = model.tokenize([request.text]) if model.takes_text else (None, None)
            out.append(model.network(pixels, *tokens)[0])
    return torch.stack(out)


def test_logits_equal_those_of_the_plain_forward(model):
    requests = requests_of(3)
    recorder = Recorder(model)
    maps = list(Engine(recorder, batch_size=4, image_batch=2, resolution="network").predict(requests))
    expected = plain(model, requests)
    assert expected.std() > 0.01
    torch.testing.assert_close(torch.stack(recorder.logits), expected, atol=1e-4, rtol=0)
    np.testing.assert_allclose(np.stack(maps), expected.sigmoid()[:, 0].numpy(), atol=1e-4)


def test_the_text_matters_only_to_models_that_read_it(model):
    requests = requests_of(1, ["left ventricle", "polyp"])
    first, second = Engine(model).predict(requests)
    assert np.array_equal(first, second) != model.takes_text


def test_batch_sizes_do_not_change_the_maps(model):
    requests = requests_of(3)
    reference = list(Engine(model).predict(requests))
    for sizes in ((1, 1, 1), (3, 2, 2), (64, 64, 64)):
        engine = Engine(model, batch_size=sizes[0], image_batch=sizes[1], text_batch=sizes[2])
        for found, expected in zip(engine.predict(requests), reference, strict=True):
            np.testing.assert_allclose(found, expected, atol=2.5e-5)


def test_the_same_requests_give_the_same_bits(model):
    requests = requests_of(2)
    first, second = (list(Engine(model).predict(requests)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_each_distinct_image_and_text_is_encoded_once(film):
    requests = requests_of(5) + requests_of(5)
    recorder = Recorder(film)
    engine = Engine(recorder, batch_size=4, image_batch=2, text_batch=2)
    assert len(list(engine.predict(requests))) == 50
    assert len(recorder.images) == len(set(recorder.images)) == 5
    assert sorted(recorder.texts) == sorted(TEXTS)
    counters = engine.counters
    assert (counters.n_image_encodes, counters.n_text_encodes, counters.n_decodes) == (5, 5, 25)
    assert engine.describe()["n_decodes"] == 25


def test_texts_are_kept_for_calls_in_a_row_with_the_same_ones(film):
    recorder = Recorder(film)
    engine = Engine(recorder, keep_texts=True)
    for count in (2, 1):
        for found, expected in zip(
            engine.predict(requests_of(count)), Engine(film).predict(requests_of(count)), strict=True
        ):
            np.testing.assert_array_equal(found, expected)
    assert sorted(recorder.texts) == sorted(TEXTS)
    list(engine.outcomes(requests_of(1), fresh=True))
    list(engine.predict(requests_of(1, TEXTS[:2])))
    assert sorted(recorder.texts) == sorted([*TEXTS, *TEXTS, *TEXTS[:2]])


def test_results_come_in_the_order_of_the_requests(film):
    grouped = requests_of(4)
    shuffled = [grouped[i] for i in np.random.default_rng(1).permutation(len(grouped))]
    by_pair = {(r.image_key, r.text): m for r, m in zip(grouped, Engine(film).predict(grouped), strict=True)}
    for request, found in zip(shuffled, Engine(film, image_batch=2).predict(shuffled), strict=True):
        assert found.shape == request.size
        np.testing.assert_allclose(found, by_pair[request.image_key, request.text], atol=2.5e-5)


def test_grouped_requests_stream(film):
    recorder = Recorder(film)
    stream = Engine(recorder, batch_size=5, image_batch=2).predict(requests_of(6))
    next(stream)
    assert len(recorder.images) == 2
    assert recorder.decoded == [5]
    list(stream)
    assert len(recorder.images) == 6


def test_maps_have_the_images_size_or_the_networks(film):
    requests = requests_of(2)
    assert [m.shape for m in Engine(film).predict(requests)] == [r.size for r in requests]
    side = (film.image_size, film.image_size)
    assert {m.shape for m in Engine(film, resolution="network").predict(requests)} == {side}


def test_out_of_memory_halves_the_batch_and_is_counted(film):
    requests = requests_of(2)
    recorder = Recorder(film)
    recorder.fail_above = 3
    engine = Engine(recorder, batch_size=8)
    maps = list(engine.predict(requests))
    assert max(recorder.decoded) <= 3
    # 5 pairs fail, 2 and 2 and 1 fit; the smaller size is kept for what follows.
    assert engine.counters.n_out_of_memory == 2
    assert engine.describe()["reduced_to"] == {"batch_size": 2}
    assert engine.counters.n_decodes == len(requests)
    for found, expected in zip(maps, Engine(film).predict(requests), strict=True):
        np.testing.assert_allclose(found, expected, atol=2.5e-5)


def test_a_single_pair_that_does_not_fit_is_an_error(film):
    recorder = Recorder(film)
    recorder.fail_above = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(Engine(recorder).predict(requests_of(1)))


def test_no_inference_mode_leaks_into_the_consumer(film):
    for _ in Engine(film).predict(requests_of(1)):
        assert not torch.is_inference_mode_enabled()


def test_no_requests_give_no_maps(film):
    assert list(Engine(film).predict([])) == []


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"image_batch": 0}, {"text_batch": -1}, {"resolution": "big"}])
def test_impossible_settings_are_refused(film, options):
    with pytest.raises(InputError, match=next(iter(options))):
        Engine(film, **options)


class TestEqualPairs:
    def test_a_pair_asked_for_twice_is_decoded_once_and_given_twice(self, film):
        engine = Engine(film)
        maps = list(engine.predict(requests_of(2, TEXTS[:2]) + requests_of(2, TEXTS[:2])))
        assert engine.counters.n_decodes == 4
        for first, second in zip(maps[:4], maps[4:], strict=True):
            np.testing.assert_array_equal(first, second)

    def test_a_model_without_text_decodes_each_image_once(self):
        engine = Engine(load_model("film-unet", text=False, image_size=32))
        maps = list(engine.predict(requests_of(1)))
        assert (engine.counters.n_text_encodes, engine.counters.n_decodes) == (1, 1)
        np.testing.assert_array_equal(maps[0], maps[2])


class TestOptions:
    @pytest.mark.parametrize("name", ["clipseg", "cris", "unet"])
    def test_the_memory_order_of_channels_changes_nothing_but_rounding(self, name):
        options = {"config": {"preset": "tiny"}, "device": "cpu"}
        requests = requests_of(2, TEXTS[:2])
        plain, ordered = (
            list(Engine(load_model(name, channels_last=c, **options)).predict(requests)) for c in (False, True)
        )
        for found, expected in zip(ordered, plain, strict=True):
            np.testing.assert_allclose(found, expected, atol=2.5e-5)

    def test_each_part_is_compiled_once_and_computes_the_same(self, monkeypatch):
        compiled = []
        monkeypatch.setattr(torch, "compile", lambda part: compiled.append(part.__name__) or part)
        options = {"image_size": 64, "device": "cpu"}
        requests = requests_of(3)
        engine = Engine(load_model("film-unet", compiled=True, **options), batch_size=2, image_batch=1)
        maps = list(engine.predict(requests))
        assert sorted(compiled) == ["decode", "encode_image", "encode_text"]
        for found, expected in zip(maps, Engine(load_model("film-unet", **options)).predict(requests), strict=True):
            np.testing.assert_allclose(found, expected, atol=2.5e-5)

    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    def test_half_precision_stays_near_and_gives_float32_maps(self, film, precision):
        requests = requests_of(2, TEXTS[:2])
        half = load_model("film-unet", image_size=64, device="cpu", precision=precision)
        for found, expected in zip(Engine(half).predict(requests), Engine(film).predict(requests), strict=True):
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, atol=0.03)
        assert half.network.training is False
        assert {p.dtype for p in half.network.parameters()} == {torch.float32}


class TestInputsAtTheEdge:
    @pytest.mark.parametrize("name", ["clipseg", "cris", "unet"])
    def test_a_picture_of_one_pixel_gives_a_map_of_one_pixel(self, name):
        model = load_model(name, config={"preset": "tiny"}, device="cpu")
        (found,) = Engine(model).predict([Request(image(0, 1, 1), "a", "polyp")])
        assert found.shape == (1, 1)
        assert 0 <= found[0, 0] <= 1

    def test_a_picture_of_20000_pixels_a_side_is_refused_before_any_work(self, film):
        # One stored pixel, seen 400 million times.
        huge = np.broadcast_to(np.zeros(3, np.uint8), (20_000, 20_000, 3))
        with pytest.raises(InputError, match="got 20000 x 20000; tile or downsample it"):
            list(Engine(film).predict([Request(huge, "a", "polyp")]))

    @pytest.mark.parametrize("name", ["clipseg", "cris"])
    def test_prompts_without_a_word_still_have_their_start_and_end(self, name):
        model = load_model(name, config={"preset": "tiny"}, device="cpu")
        for found in Engine(model).predict(requests_of(1, ["", "   ", "\n"])):
            assert np.isfinite(found).all()

    def test_texts_longer_than_the_context_are_counted_and_said(self, caplog):
        model = load_model("clipseg", config={"preset": "tiny"}, device="cpu")
        engine = Engine(model)
        long = "polyp " * 100
        first, second, _ = engine.predict(requests_of(1, [long, long + "left", "polyp"]))
        np.testing.assert_array_equal(first, second)
        assert engine.counters.n_texts_cut == engine.describe()["n_texts_cut"] == 2
        assert "2 of 3 texts are longer than clipseg's context" in caplog.text
