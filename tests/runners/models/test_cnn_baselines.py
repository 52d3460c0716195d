"""U-Net, U-Net++ and DeepLabV3+: sizes, encoders, checkpoints; no prompt reaches them."""

import json
from pathlib import Path

import pytest
import torch

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.models.cnn import resnet_name
from robustness.runners.models.entry import merge
from robustness.runners.models.load import load_model

LAYOUTS = Path(__file__).parents[3].parent / "shared" / "checkpoints" / "layouts"
NAMES = ("unet", "unetplusplus", "deeplabv3plus")
SMALL = {"preset": "tiny"}


@pytest.fixture(scope="module")
def models():
    return {name: load_model(name, config=SMALL, device="cpu") for name in NAMES}


def on_meta(name, **changes):
    entry = MODELS.get(name)()
    with torch.device("meta"):
        return entry.build(merge(entry.default_config(), changes))


def shapes(network):
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


@pytest.mark.parametrize("name", NAMES)
class TestEveryBaseline:
    @pytest.mark.slow
    def test_logits_have_the_images_size_and_ignore_the_text(self, models, name):
        network = models[name].network
        with torch.no_grad():
            values = torch.randn(1, 3, 64, 96)
            plain, prompted = network(values), network(pixel_values=values, input_ids=torch.ones(1, 4).long())
        assert plain.shape == (1, 1, 64, 96)
        assert torch.equal(plain, prompted)
        assert plain.std() > 0

    def test_it_reads_no_text(self, models, name):
        model = models[name]
        assert not model.takes_text
        assert (model.threshold, model.preprocess.tokenizer) == (0.5, None)
        assert len(model.encode_text(["polyp", "lung"])) == 2

    @pytest.mark.slow
    @pytest.mark.parametrize("wrapper", ["", "net.", "module."])
    def test_its_checkpoints_tell_their_encoder(self, models, tmp_path, name, wrapper):
        state = {wrapper + key: value for key, value in models[name].network.state_dict().items()}
        torch.save({"state_dict": state}, tmp_path / "best.ckpt")
        loaded = load_model(name, tmp_path / "best.ckpt", device="cpu")
        assert loaded.config["encoder_name"] == "resnet18"
        assert all(torch.equal(v, state[wrapper + k]) for k, v in loaded.network.state_dict().items())

    def test_gradients_reach_every_weight(self, name):
        network = load_model(name, config=SMALL, device="cpu").network
        network(torch.randn(1, 3, 64, 64)).square().mean().backward()
        assert all(p.grad is not None for p in network.parameters())

    @pytest.mark.skipif(not LAYOUTS.is_dir(), reason="the reference layouts do not lie beside the checkout")
    def test_the_default_network_has_the_published_layout(self, name):
        document = json.loads((LAYOUTS / f"smp_{name}_resnet50.json").read_text())
        network = on_meta(name, **document["config"])
        assert {k: list(v) for k, v in shapes(network).items()} == {k: shape for k, shape, _ in document["listing"]}
        assert network.state_dict().keys() == on_meta(name).state_dict().keys()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"encoder_name": "resnet5000"}, "cannot build"),
            ({"arch": "Linknet"}, "load it by its name"),
            ({"activation": "sigmoid"}, r"None \(logits\)"),
            ({"classes": 17}, "class_index: expected a channel from 0 to 16"),
            ({"classes": 2, "class_index": 2}, "class_index"),
        ],
    )
    def test_a_configuration_that_cannot_be_is_told_in_one_line(self, name, changes, message):
        with pytest.raises(InputError, match=message) as caught:
            load_model(name, config={**SMALL, **changes}, device="cpu")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "size", "multiple"), [("unetplusplus", 48, 32), ("deeplabv3plus", 40, 16)])
def test_a_size_that_does_not_fit_is_told(models, name, size, multiple):
    with pytest.raises(InputError, match=f"multiples of {multiple}, got 64 x {size}"):
        models[name].network(torch.zeros(1, 3, 64, size))


def test_unet_takes_any_size(models):
    with torch.no_grad():
        assert models["unet"].network(torch.zeros(1, 3, 65, 50)).shape == (1, 1, 65, 50)


@pytest.mark.slow
def test_one_class_of_several_can_be_chosen(tmp_path):
    several = load_model("unet", config=SMALL, classes=3, class_index=0, device="cpu").network
    torch.save(several.state_dict(), tmp_path / "pooled.pt")
    third = load_model("unet", tmp_path / "pooled.pt", class_index=2, device="cpu")
    values = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        whole = several.segmentation_head(several.decoder(several.encoder(values)))
        assert torch.equal(third.network(values), whole[:, 2:3])


def test_a_checkpoint_of_another_encoder_than_asked_for_is_refused(models, tmp_path):
    torch.save(models["unet"].network.state_dict(), tmp_path / "net.pt")
    with pytest.raises(InputError, match="encoder_name is 'resnet34', but the checkpoint's shapes say 'resnet18'"):
        load_model("unet", tmp_path / "net.pt", encoder_name="resnet34", device="cpu")


@pytest.mark.parametrize("encoder", ["resnet34", "resnet50", "resnet101", "resnet152"])
def test_resnets_are_known_by_their_shapes(encoder):
    assert resnet_name(shapes(on_meta("unet", encoder_name=encoder))) == encoder


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["se_resnet50", "resnext50_32x4d", "densenet121"])
def test_other_encoders_are_not_taken_for_resnets(encoder):
    assert resnet_name(shapes(on_meta("unet", encoder_name=encoder))) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "unetplusplus"])
def test_the_decoders_widths_are_read_from_the_checkpoint(tmp_path, name):
    widths = [64, 48, 32, 16, 8]
    torch.save(
        load_model(name, config=SMALL, decoder_channels=widths, device="cpu").network.state_dict(), tmp_path / "a"
    )
    assert load_model(name, tmp_path / "a", device="cpu").config["decoder_channels"] == widths
