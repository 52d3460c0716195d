"""Image features on disk: found by image and network, atomically, in bounded room, without changing results."""

import dataclasses
import os

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.image_feature_cache import GIB, ImageFeatureCache, identity_of
from robustness.runners.inference.request import Request
from robustness.runners.models.load import load_model
from tests.synthetic import write_dataset

TEXTS = ["left ventricle", "polyp"]
OPTIONS = {"image_size": 32, "device": "cpu"}


def image(seed, height=30, width=40):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def requests_of(*seeds):
    return [Request(image(seed), f"image{seed}", text) for seed in seeds for text in TEXTS]


@pytest.fixture(scope="module")
def model():
    return load_model("film-unet", **OPTIONS)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=3)


def maps_of(model, requests, cache=None, image_batch=2):
    engine = Engine(model, image_batch=image_batch, cache=cache)
    return list(engine.predict(requests)), engine.counters


def files(folder):
    return sorted(folder.glob("*/*/*.safetensors"))


def test_a_second_run_encodes_nothing_and_gives_the_same_bits(model, tmp_path):
    requests = requests_of(0, 1, 2, 3)
    plain, _ = maps_of(model, requests)
    first, wrote = maps_of(model, requests, ImageFeatureCache(tmp_path, model))
    second, read = maps_of(model, requests, ImageFeatureCache(tmp_path, model))
    assert (wrote.n_image_encodes, wrote.n_image_codes_read) == (4, 0)
    assert (read.n_image_encodes, read.n_image_codes_read) == (0, 4)
    assert len(files(tmp_path)) == 4
    for a, b, c in zip(plain, first, second, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


def test_images_that_are_encoded_together_are_found_together(model, tmp_path):
    maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
    plain, _ = maps_of(model, requests_of(0, 1))
    found, counters = maps_of(model, requests_of(0, 1), ImageFeatureCache(tmp_path, model))
    assert (counters.n_image_encodes, counters.n_image_codes_read) == (2, 0)
    assert all(np.array_equal(a, b) for a, b in zip(plain, found, strict=True))


def test_a_second_look_at_the_model_itself_does_not_read_the_disk(model, tmp_path):
    engine = Engine(model, cache=ImageFeatureCache(tmp_path, model))
    list(engine.outcomes(requests_of(0)))
    list(engine.outcomes(requests_of(0), fresh=True))
    assert (engine.counters.n_image_encodes, engine.counters.n_image_codes_read) == (2, 0)


def test_another_image_of_the_same_name_has_another_code(model, tmp_path):
    cache = ImageFeatureCache(tmp_path, model)
    maps_of(model, [Request(image(0), "same", "polyp")], cache)
    found, counters = maps_of(model, [Request(image(1), "same", "polyp")], cache)
    assert counters.n_image_codes_read == 0
    assert np.array_equal(found[0], maps_of(model, [Request(image(1), "same", "polyp")])[0][0])


class TestIdentity:
    def test_it_does_not_depend_on_name_or_threads(self, model):
        other = load_model("film-unet", **OPTIONS)
        other.name = "another label"
        assert identity_of(other, None) == identity_of(model, None)

    @pytest.mark.parametrize("change", ["weights", "precision", "preprocess", "channels_last", "form", "dtype"])
    def test_it_depends_on_everything_that_a_code_does(self, model, change):
        other = load_model("film-unet", **OPTIONS)
        dtype = None
        if change == "weights":
            # In place: neither the checkpoint's name nor its hash would tell.
            next(other.network.parameters()).data[0] += 1e-3
        elif change == "precision":
            other.precision = "bf16"
        elif change == "preprocess":
            other.preprocess = dataclasses.replace(other.preprocess, interpolation="nearest")
        elif change == "channels_last":
            other.channels_last = True
        elif change == "form":
            # What the network's code gives out means something else, in the same shapes.
            other.network.embedding_form += 1
        else:
            dtype = "float16"
        assert identity_of(other, dtype) != identity_of(model, None)


class TestDamage:
    @pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
    def test_a_truncated_file_is_encoded_anew_and_replaced(self, model, tmp_path, share):
        plain, _ = maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
        (path,) = files(tmp_path)
        whole = path.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])
        found, counters = maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
        assert counters.n_image_encodes == 1
        assert all(np.array_equal(a, b) for a, b in zip(plain, found, strict=True))
        assert path.read_bytes() == whole

    def test_a_flipped_bit_is_noticed(self, model, tmp_path):
        plain, _ = maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
        (path,) = files(tmp_path)
        content = bytearray(path.read_bytes())
        content[-100] ^= 0x40
        path.write_bytes(content)
        found, counters = maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
        assert counters.n_image_encodes == 1
        assert all(np.array_equal(a, b) for a, b in zip(plain, found, strict=True))


class TestRoom:
    def test_codes_that_were_not_used_for_longest_make_room(self, model, tmp_path):
        maps_of(model, requests_of(0), ImageFeatureCache(tmp_path, model))
        size = files(tmp_path)[0].stat().st_size
        cache = ImageFeatureCache(tmp_path, model, limit_gib=4.5 * size / GIB)
        for seed in (1, 2, 3):
            maps_of(model, requests_of(seed), cache)
        for age, path in enumerate(sorted(files(tmp_path), key=lambda p: p.stat().st_mtime_ns)):
            os.utime(path, (1000 + age, 1000 + age))
        # Reading makes the oldest one the youngest.
        assert maps_of(model, requests_of(0), cache)[1].n_image_codes_read == 1
        maps_of(model, requests_of(4), cache)
        assert sum(p.stat().st_size for p in files(tmp_path)) <= 4.5 * size
        assert [maps_of(model, requests_of(s), cache)[1].n_image_codes_read for s in (0, 4)] == [1, 1]
        assert maps_of(model, requests_of(1), cache)[1].n_image_codes_read == 0

    def test_other_runs_count(self, model, tmp_path):
        maps_of(model, requests_of(0, 1, 2, 3), ImageFeatureCache(tmp_path, model))
        size = files(tmp_path)[0].stat().st_size
        other = load_model("film-unet", **OPTIONS, seed=1)
        maps_of(other, requests_of(0), ImageFeatureCache(tmp_path, other, limit_gib=3.5 * size / GIB))
        assert sum(p.stat().st_size for p in files(tmp_path)) <= 3.5 * size


class TestHalf:
    def test_files_are_half_as_large_and_maps_stay_near(self, model, tmp_path):
        requests = requests_of(0, 1)
        plain, _ = maps_of(model, requests, ImageFeatureCache(tmp_path / "whole", model))
        half, _ = maps_of(model, requests, ImageFeatureCache(tmp_path / "half", model, dtype="float16"))
        sizes = [sum(p.stat().st_size for p in files(tmp_path / name)) for name in ("half", "whole")]
        assert sizes[0] < 0.55 * sizes[1]
        assert 0 < max(float(np.abs(a - b).max()) for a, b in zip(plain, half, strict=True)) < 5e-3

    def test_a_run_that_fills_the_cache_and_one_that_reads_it_agree_to_the_bit(self, model, tmp_path):
        requests = requests_of(0, 1)
        first, second = (
            maps_of(model, requests, ImageFeatureCache(tmp_path, model, dtype="float16")) for _ in range(2)
        )
        assert second[1].n_image_codes_read == 2
        assert all(np.array_equal(a, b) for a, b in zip(first[0], second[0], strict=True))

    def test_values_beyond_its_range_are_kept_whole(self, model, tmp_path):
        from robustness.runners.inference.embedding import TensorEmbedding

        code = TensorEmbedding((torch.tensor([[1e6, 1.0]]), torch.tensor([[True]])))
        cache = ImageFeatureCache(tmp_path, model, dtype="float16")
        kept, found = cache.store([image(0)], code), cache.load([image(0)])
        for one in (kept, found):
            assert torch.equal(one.tensors[0], code.tensors[0])
            assert torch.equal(one.tensors[1], code.tensors[1])


@pytest.mark.parametrize("options", [{"limit_gib": 0}, {"dtype": "int8"}])
def test_impossible_settings_are_refused(model, tmp_path, options):
    with pytest.raises(InputError, match="cache"):
        ImageFeatureCache(tmp_path, model, **options)


def test_a_folder_that_cannot_be_made_is_one_line(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cache: expected a folder that can be written"):
        ImageFeatureCache(tmp_path / "file", model)


class TestPlans:
    """``[engine] cache`` of an audit."""

    def audit(self, data, out, **engine):
        return rb.audit(
            load_model("film-unet", **OPTIONS),
            rb.load_dataset(data, prompt="p5"),
            perturbations=["drop", "inversion"],
            out=out,
            engine=engine,
            report=False,
            statistics={"resamples": 99},
        )

    @pytest.mark.slow
    def test_rows_are_those_without_a_cache_and_a_second_audit_encodes_only_the_rerun(self, data, tmp_path):
        plain = self.audit(data, tmp_path / "plain").results()
        cache = str(tmp_path / "cache")
        first, second = (self.audit(data, tmp_path / name, cache=cache) for name in ("first", "second"))
        for run in (first, second):
            assert run.results().drop(columns="model").equals(plain.drop(columns="model"))
        timing = second.manifest["timing"]
        assert timing["n_image_encodes"] == 3
        assert timing["n_image_codes_read"] > 3

    @pytest.mark.slow
    def test_a_run_may_go_on_with_another_cache(self, data, tmp_path):
        out = tmp_path / "run"
        whole = self.audit(data, out, images_per_part=1).results()
        (out / "results" / "part-00001.parquet").unlink()
        resumed = self.audit(data, out, images_per_part=1, cache=str(tmp_path / "cache"), cache_gib=0.5, prefetch=1)
        assert resumed.results().equals(whole)

    def test_a_black_box_has_no_codes(self, data, tmp_path):
        predict = rb.segmenter(lambda images, prompts: [np.eye(*i.shape[:2]) for i in images], name="none")
        rb.audit(
            predict,
            rb.load_dataset(data, prompt="p5"),
            perturbations=["drop"],
            out=tmp_path / "run",
            engine={"cache": str(tmp_path / "cache")},
            report=False,
            statistics={"resamples": 99},
        )
        assert not (tmp_path / "cache").exists()
