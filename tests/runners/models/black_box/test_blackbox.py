"""Any function as a model."""

import json

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.types import Segmenter

SECRET = "s3cret"


def brightness(images, prompts):
    return [
        image.mean(2) / 255 * (0.5 if prompt == "half" else 1.0) for image, prompt in zip(images, prompts, strict=True)
    ]


def image(height=4, width=6, value=255):
    return np.full((height, width, 3), value, np.uint8)


def predict(model, pairs):
    return list(Engine(model, batch_size=2).predict([Request(i, str(n), t) for n, (i, t) in enumerate(pairs)]))


def test_it_meets_the_protocol():
    model = rb.segmenter(brightness, name="vendor")
    assert isinstance(model, Segmenter)
    assert model.network is None
    assert json.loads(json.dumps(model.describe()))["function"].endswith("brightness")


def test_the_function_sees_arrays_and_strings_of_equal_number():
    seen = []

    def spy(images, prompts):
        seen.append((images, prompts))
        return brightness(images, prompts)

    predict(rb.segmenter(spy, name="spy"), [(image(), "a"), (image(3, 3), "half"), (image(), "a")])
    images, prompts = seen[0]
    assert isinstance(images, list)
    assert isinstance(prompts, list)
    assert [type(p) for p in prompts] == [str, str]
    assert [i.shape for i in images] == [(4, 6, 3), (3, 3, 3)]


def test_maps_come_back_in_order_at_each_images_size():
    maps = predict(rb.segmenter(brightness, name="v"), [(image(), "half"), (image(3, 5), "x"), (image(2, 2, 51), "x")])
    assert [m.shape for m in maps] == [(4, 6), (3, 5), (2, 2)]
    assert [round(float(m[0, 0]), 6) for m in maps] == [0.5, 1.0, 0.2]
    assert all(m.dtype == np.float32 for m in maps)


@pytest.mark.parametrize("kind", [lambda a: a > 0.5, lambda a: (a > 0.5).astype(np.uint8), lambda a: torch.tensor(a)])
def test_masks_and_tensors_are_accepted(kind):
    model = rb.segmenter(lambda images, prompts: [kind(m) for m in brightness(images, prompts)], name="v")
    np.testing.assert_array_equal(predict(model, [(image(), "x")])[0], np.ones((4, 6), np.float32))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda n: [np.zeros((4, 6))] * (n - 1), r"one map per pair \(2\), got 1"),
        (lambda n: [np.zeros((6, 4))] * n, r"pair 0 \('first'\).*size \(4, 6\), got shape \(6, 4\)"),
        (lambda n: [np.zeros((4, 6)), np.full((4, 6), 3.0)], r"pair 1 \('second'\).*full scale"),
        (lambda n: [np.zeros((4, 6)), np.full((4, 6), -3.0)], r"pair 1 \('second'\).*sigmoid"),
        (lambda n: [np.full((4, 6), np.nan)] * n, r"pair 0 .*\[0, 1\]"),
        (lambda n: [np.full((4, 6), "x")] * n, "numbers or booleans"),
        (lambda n: None, "expected a sequence"),
    ],
)
def test_what_a_function_returns_is_checked_and_the_pair_named(returned, message):
    model = rb.segmenter(lambda images, prompts: returned(len(images)), name="vendor")
    with pytest.raises(InputError, match=f"vendor.*{message}"):
        predict(model, [(image(), "first"), (image(), "second")])


def test_rounding_beyond_one_is_clipped():
    model = rb.segmenter(lambda images, prompts: [np.full((4, 6), 1 + 1e-7)], name="v")
    assert predict(model, [(image(), "x")])[0].max() == 1.0


def test_decode_gives_logits_for_images_of_one_size_only():
    model = rb.segmenter(brightness, name="v")
    same = model.decode(model.encode_image([image(value=51)] * 2), model.encode_text(["x", "half"]))
    assert same.shape == (2, 1, 4, 6)
    torch.testing.assert_close(same.sigmoid()[:, 0, 0, 0], torch.tensor([0.2, 0.1]))
    with pytest.raises(InputError, match="one size"):
        model.decode(model.encode_image([image(), image(2, 2)]), model.encode_text(["x", "x"]))


def test_network_resolution_needs_a_stated_size():
    request = [Request(image(), "a", "x")]
    sized = rb.segmenter(brightness, name="v", image_size=8)
    assert next(Engine(sized, resolution="network").predict(request)).shape == (8, 8)
    with pytest.raises(InputError, match="image_size"):
        list(Engine(rb.segmenter(brightness, name="v"), resolution="network").predict(request))


@pytest.mark.parametrize("options", [{"predict": 3}, {"predict": brightness, "threshold": 1.5}])
def test_impossible_arguments_are_refused(options):
    function = options.pop("predict")
    with pytest.raises(InputError):
        rb.segmenter(function, name="v", **options)


@pytest.mark.parametrize(
    "token", [f"{SECRET}\n", f"{SECRET}\r\nX-Other: 1", f" {SECRET}", f"{SECRET}\u00e9", f"{SECRET}\x7f"]
)
def test_a_token_that_no_header_can_hold_is_refused_without_a_word_of_it(token, monkeypatch):
    monkeypatch.setenv("ROBUSTNESS_TEST_TOKEN", token)
    with pytest.raises(InputError, match=r"token_env: the value of 'ROBUSTNESS_TEST_TOKEN' cannot be sent") as error:
        rb.load_model("http", url="http://127.0.0.1:9/", token_env="ROBUSTNESS_TEST_TOKEN")
    assert SECRET not in str(error.value)


@pytest.mark.parametrize("name", [7, "a\0b", "", ["x"]])
def test_a_name_of_no_variable_is_refused(name):
    with pytest.raises(InputError, match="token_env: "):
        rb.load_model("http", url="http://127.0.0.1:9/", token_env=name)


class TestOneBuffer:
    """A model that fills one array for all pairs would give each the mask of the last one."""

    @staticmethod
    def filling(buffer, *, lazily=False):
        def fill(images, prompts):
            for one, prompt in zip(images, prompts, strict=True):
                buffer[...] = float(one[0, 0, 0] > 100 and prompt == "a")
                yield buffer

        return fill if lazily else lambda images, prompts: list(fill(images, prompts))

    @pytest.mark.parametrize("lazily", [False, True])
    @pytest.mark.parametrize("buffer", [np.zeros((4, 6), np.float32), torch.zeros(1, 4, 6, dtype=torch.bfloat16)])
    @pytest.mark.parametrize("pairs", [[(image(), "a"), (image(value=0), "a")], [(image(), "a"), (image(), "b")]])
    def test_it_is_refused(self, pairs, buffer, lazily):
        model = rb.segmenter(self.filling(buffer, lazily=lazily), name="v")
        with pytest.raises(InputError, match=r"v: pairs share one array, and pair 0 \('a'\) gets another map alone"):
            predict(model, pairs)

    def test_so_it_is_where_a_pair_that_raises_has_the_others_asked_alone(self):
        buffer = np.zeros((4, 6), np.float32)

        def fill(images, prompts):
            if "c" in prompts:
                raise ValueError("no")
            return self.filling(buffer)(images, prompts)

        model = rb.segmenter(fill, name="v")
        images, texts = model.encode_image([image()] * 3), model.encode_text(["a", "b", "c"])
        with pytest.raises(InputError, match="it fills one buffer for all"):
            model.outcomes(images, texts, [(4, 6)] * 3)

    def test_one_array_for_pairs_that_deserve_one_is_taken(self):
        nothing, calls = np.zeros((4, 6), np.float32), []

        def of_image_alone(images, prompts):
            calls.append(len(images))
            seen = {one.tobytes(): (one.mean(2) > 100).astype(np.float32) for one in images}
            return [seen[one.tobytes()] if one.any() else nothing for one in images]

        model = rb.segmenter(of_image_alone, name="v")
        maps = predict(model, [(image(value=v), text) for v in (255, 0, 0, 255) * 6 for text in "ab"])
        assert [float(m.mean()) for m in maps[:8]] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]
        assert calls.count(1) == 6  # twice in each of three batches, and never again

    def test_noise_is_no_buffer(self):
        rng = np.random.default_rng(0)

        def noisy(images, prompts):
            return [rng.random((4, 6)).astype(np.float32)] * len(images)

        assert len(predict(rb.segmenter(noisy, name="v"), [(image(), "a"), (image(), "b")])) == 2
