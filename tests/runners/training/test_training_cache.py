"""Codes of frozen encoders are computed once, and a training cannot tell."""

import pytest
import torch

from robustness.errors import InputError
from robustness.plans.finetune import parse_train_plan
from robustness.runners.training.feature_cache import fingerprint, image_key, open_feature_cache
from robustness.runners.training.feature_store import FileStore
from robustness.runners.training.finetune import finetune
from robustness.runners.training.setup import set_up
from tests.runners.small_models import FAST, SMALL, TINY, losses, same, settings_of, weights
from tests.synthetic import write_dataset

FROZEN = {"epochs": 3, "freeze": ["image", "text"], "augment": ["reword", "misword"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=64)


def setup_of(data, **train):
    tree = {
        "model": {"name": "film-unet", "device": "cpu", "config": SMALL},
        "data": {"path": str(data)},
        "train": {"freeze": ["image", "text"], **train},
    }
    plan = parse_train_plan(tree)
    return set_up(plan, None), plan.train


def counting(monkeypatch, setup):
    """Count the images and texts that reach the encoders."""
    seen = {"image_features": 0, "text_features": 0}
    for name in seen:
        original = getattr(setup.segmenter.network, name)

        def counted(first, *more, name=name, original=original):
            seen[name] += len(first)
            return original(first, *more)

        monkeypatch.setattr(setup.segmenter.network, name, counted)
    return seen


class TestTraining:
    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["film-unet", "clipseg", "cris", "biomedclipseg", "deeplabv3plus"])
    def test_losses_are_those_of_full_forwards(self, name, data, tmp_path):
        settings = {**(FAST if name == "film-unet" else settings_of(name, tmp_path)), **FROZEN, "batch_size": 3}
        if name == "deeplabv3plus":
            settings["freeze"] = ["image"]
        for cache in ("auto", "off"):
            finetune(name, data=data, out=tmp_path / cache, cache=cache, **settings)
        cached, full = (torch.tensor(losses(tmp_path / cache)) for cache in ("auto", "off"))
        # Relative: losses of a fresh network reach hundreds, and sums of floats depend on the number of threads and on
        # the processor; rounding grows with every step (of CRIS 3e-6, 8e-6, 1.3e-5 on an Intel Xeon).
        torch.testing.assert_close(cached, full, rtol=1e-4, atol=1e-5)

    def test_text_codes_are_held_where_the_text_encoder_alone_is_frozen(self, data, tmp_path):
        settings = {**FAST, "epochs": 2, "freeze": "text", "augment": ["flip", "gain"]}
        for cache in ("auto", "off"):
            finetune("film-unet", data=data, out=tmp_path / cache, cache=cache, **settings)
        cached, full = (torch.tensor(losses(tmp_path / cache)) for cache in ("auto", "off"))
        # Relative: losses of a fresh network reach hundreds, and sums of floats depend on the number of threads and on
        # the processor; rounding grows with every step (of CRIS 3e-6, 8e-6, 1.3e-5 on an Intel Xeon).
        torch.testing.assert_close(cached, full, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_half_precision_moves_losses_little(self, data, tmp_path):
        for half in (False, True):
            finetune("clipseg", data=data, out=tmp_path / str(half), cache_float16=half, **TINY, **FROZEN)
        single, double = (torch.tensor(losses(tmp_path / str(half))) for half in (True, False))
        assert 0 < (single - double).abs().max() < 0.02

    @pytest.mark.slow
    def test_files_of_codes_are_found_again_by_the_next_training(self, data, tmp_path):
        folder = tmp_path / "codes"
        held = []
        for name in ("a", "b"):
            finetune("film-unet", data=data, out=tmp_path / name, cache=str(folder), **FAST, **FROZEN)
            held.append({path: path.stat().st_mtime_ns for path in folder.rglob("*.safetensors")})
        assert held[0] == held[1]
        assert sum(path.name.startswith("image-") for path in held[0]) == 4
        assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


class TestWhatIsComputed:
    def test_each_image_and_each_text_once(self, data, monkeypatch):
        setup, spec = setup_of(data)
        seen = counting(monkeypatch, setup)
        told = []
        cache = open_feature_cache(setup, spec, say=told.append)
        # Validation shows the pictures of training here, so they are known by their pixels.
        assert seen["image_features"] == 4
        texts = seen["text_features"]
        assert [line.split(" are cached")[0] for line in told] == [
            f"features of {texts - 1} texts",
            "features of 4 images",
        ]
        for index in range(8):
            cache.texts([setup.training.plain(index).text])
            cache.images([setup.training.plain(index).image])
        assert seen["image_features"] == 4
        # One more asked whether anything of the text encoder learns; the empty text is always held.
        assert seen["text_features"] == texts == 2 + len({setup.training.plain(i).text for i in range(8)})

    @pytest.mark.parametrize("change", ["flip", "shift", "gain"])
    def test_a_change_of_the_image_leaves_texts_alone_held(self, data, change):
        setup, spec = setup_of(data, augment=[change])
        cache = open_feature_cache(setup, spec, say=print)
        assert (cache.holds_images, cache.holds_texts) == (False, True)

    def test_spelled_words_leave_images_alone_held(self, data):
        setup, spec = setup_of(data, spell=0.1)
        cache = open_feature_cache(setup, spec, say=print)
        assert (cache.holds_images, cache.holds_texts) == (True, False)

    def test_nothing_is_held_of_what_learns_or_where_it_is_off(self, data):
        assert open_feature_cache(*setup_of(data, freeze=[]), say=print) is None
        assert open_feature_cache(*setup_of(data, cache="off"), say=print) is None

    def test_images_beyond_the_bound_are_computed_anew_and_that_is_said(self, data):
        setup, spec = setup_of(data, cache_gib=1e-6)
        told = []
        cache = open_feature_cache(setup, spec, say=told.append)
        assert not cache.holds_images
        assert "GiB, more than cache_gib" in told[1]


class TestKeys:
    def test_one_pixel_or_another_shape_is_another_image(self, data):
        image = setup_of(data)[0].training.plain(0).image
        other = image.copy()
        other[3, 4, 1] ^= 1
        assert len({image_key(image), image_key(other), image_key(image.reshape(16, 64, 3))}) == 3

    def test_other_frozen_weights_or_arithmetic_are_another_encoder_and_learning_ones_are_not(self, data):
        segmenter = setup_of(data)[0].segmenter
        before = fingerprint(segmenter, precision="float32", half=False)
        assert before != fingerprint(segmenter, precision="bf16", half=False)
        with torch.no_grad():
            segmenter.network.head.bias += 1
        assert before == fingerprint(segmenter, precision="float32", half=False)
        with torch.no_grad():
            next(segmenter.network.encoder.parameters())[0] += 1
        assert before != fingerprint(segmenter, precision="float32", half=False)

    def test_a_damaged_file_is_named(self, tmp_path):
        store = FileStore(tmp_path, "encoder")
        store.put("key", (torch.ones(1, 2), torch.ones(1, 1, dtype=torch.bool)))
        assert [t.tolist() for t in store.get("key")] == [[[1.0, 1.0]], [[True]]]
        (tmp_path / "encoder" / "key.safetensors").write_bytes(b"x" * 20)
        with pytest.raises(InputError, match=r"train\.cache: .*key\.safetensors cannot be read"):
            store.get("key")
