"""Models by name, and what one may ask of them."""

import json

import pytest
import torch

from robustness.errors import InputError, UnknownNameError
from robustness.registry import MODELS
from robustness.runners.inference.devices import resolve_device, resolve_precision
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.models.black_box.entry import BlackBoxEntry
from robustness.runners.models.entry import ModelEntry, merge, without_values
from robustness.runners.models.load import load_model
from robustness.types import Segmenter

TINY = {"preset": "tiny"}


NETWORKS = [name for name in MODELS.names() if not issubclass(MODELS.get(name), BlackBoxEntry)]


@pytest.mark.parametrize("name", MODELS.names())
def test_every_entry_says_in_one_line_what_it_is(name):
    entry = MODELS.get(name)
    assert entry.title
    assert "\n" not in entry.__doc__.split("\n\n")[0].strip()


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetwork:
    def test_it_tells_what_it_is(self, name):
        entry = MODELS.get(name)()
        assert isinstance(entry, ModelEntry)
        assert entry.title
        config = entry.default_config()
        assert json.loads(json.dumps(config)) == config
        assert isinstance(entry.preprocess(config), Preprocess)

    def test_its_default_config_is_a_fresh_copy(self, name):
        entry = MODELS.get(name)()
        entry.default_config().clear()
        assert entry.default_config()


def test_film_unet_and_clipseg_meet_the_protocol():
    for model in (load_model("film-unet", device="cpu"), load_model("clipseg", config=TINY, device="cpu")):
        assert isinstance(model, Segmenter)
        assert not model.network.training
        assert {p.dtype for p in model.network.parameters()} == {torch.float32}


def test_random_weights_depend_on_the_seed_and_leave_the_global_generator_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, second, third = (load_model("film-unet", device="cpu", seed=s).network.state_dict() for s in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert any(not torch.equal(v, third[k]) for k, v in first.items())


def test_published_models_are_never_random_by_accident():
    with pytest.raises(InputError, match="CIDAS/clipseg-rd64-refined"):
        load_model("clipseg", device="cpu")


def test_random_weights_are_said_in_the_description():
    assert load_model("clipseg", config=TINY, device="cpu", seed=5).describe()["weights"] == {"random": True, "seed": 5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"config": {"preset": "tinny"}}, r"preset: expected one of tiny, got 'tinny'; did you mean 'tiny'\?"),
        ({"config": {**TINY, "reduce_dims": 3}}, r"unknown field 'reduce_dims'; did you mean 'reduce_dim'\?"),
        ({"config": {**TINY, "text_config": {"hiden_size": 3}}}, r"'text_config\.hiden_size'"),
        ({"config": TINY, "reduce_dims": 3}, "did you mean 'reduce_dim'"),
        ({"config": {**TINY, "extract_layers": [9]}}, "extract_layers: expected layers between 0 and 3"),
        ({"config": {**TINY, "vision_config": {"num_attention_heads": 5}}}, "config: .*multiple"),
        ({"config": TINY, "device": "tpu9"}, "device: expected"),
        ({"config": TINY, "device": "cuda:99"}, "device: expected one of"),
        ({"config": TINY, "precision": "bf61"}, r"precision: .*did you mean 'bf16'\?"),
        ({"config": TINY, "threshold": 2.0}, "threshold"),
    ],
)
def test_a_bad_argument_is_one_line_that_tells_how_to_mend_it(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        load_model("clipseg", **{"device": "cpu", **arguments})
    assert "\n" not in str(caught.value)


def test_an_unknown_model_names_the_near_one():
    with pytest.raises(UnknownNameError, match=r"did you mean 'clipseg'\?"):
        load_model("clip-seg")


def test_single_fields_are_keywords():
    assert load_model("clipseg", config=TINY, reduce_dim=24, device="cpu").config["reduce_dim"] == 24
    assert load_model("film-unet", text=False, device="cpu").name == "film-unet-image-only"


def test_image_size_and_threshold_can_be_set():
    model = load_model("clipseg", config=TINY, image_size=96, threshold=0.3, device="cpu")
    assert (model.image_size, model.threshold) == (96, 0.3)


def test_merge_goes_field_by_field_and_copies():
    base = {"a": {"b": [1], "c": 2}}
    merged = merge(base, {"a": {"c": 3}})
    merged["a"]["b"].append(2)
    assert merged == {"a": {"b": [1, 2], "c": 3}}
    assert base == {"a": {"b": [1], "c": 2}}


def test_auto_precision_follows_the_device():
    assert resolve_precision("auto", torch.device("cpu")) == "float32"
    assert resolve_precision("auto", torch.device("cuda")) == "bf16"
    assert resolve_precision("fp16", torch.device("cuda")) == "fp16"
    assert resolve_device("cpu") == torch.device("cpu")


def test_an_outline_draws_nothing(monkeypatch):
    def drawn(*_):
        raise AssertionError("torch imports its compiler to draw normal numbers without a place")

    monkeypatch.setattr(torch.nn.init, "_no_grad_normal_", drawn)
    with without_values():
        assert torch.nn.Embedding(3, 2).weight.is_meta
        assert torch.nn.init.kaiming_normal_(torch.empty(4, 4)).is_meta
        assert float(torch.zeros(9, device="cpu").normal_().abs().sum()) > 0
