"""SAM 3: transformers' own forward pass, split; the union of the instances that count."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from robustness.errors import InputError
from robustness.runners.models.instances import NOTHING, InstanceNetwork
from robustness.runners.models.load import load_model
from robustness.types import Segmenter
from tests.runners.small_models import assert_cached_codes_give_full_forwards, assert_logits_of_the_network

TEXTS = ["polyp", "one small pink round polyp, located in top right of the image", "", "left ventricle"]


def image(seed, height=40, width=52):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    loaded = load_model("sam3", config={"preset": "tiny", "score_threshold": 0.2}, device="cpu", seed=1)
    torch.manual_seed(0)
    for parameter in loaded.network.parameters():
        # Fresh weights have a deviation of 0.02, under which every text and every image gives the same logits.
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=(1.5 / parameter[0].numel()) ** 0.5)
    return loaded


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    target = tmp_path_factory.mktemp("sam3")
    model.network._whole[0].save_pretrained(target)
    return target


def whole_forward(model, images, texts):
    """Return the union as transformers computes its parts, from pixels and ids in one call, texts at full length."""
    ids, mask = model.tokenize(texts)
    with torch.inference_mode():
        out = model.network._whole[0](
            pixel_values=model.preprocess.pixel_values(images), input_ids=ids, attention_mask=mask
        )
    scores = out.pred_logits.sigmoid() * out.presence_logits.sigmoid()
    logits = []
    for masks, counts in zip(out.pred_masks, scores > model.config["score_threshold"], strict=True):
        kept = masks[counts]
        logits.append(kept.amax(0) if len(kept) else torch.full(masks.shape[1:], NOTHING))
    return torch.stack(logits)[:, None], scores


def test_it_meets_the_protocol_with_its_preparation_as_data(model):
    assert isinstance(model, Segmenter)
    assert model.preprocess.as_dict() == {
        "image_size": 56,
        "interpolation": "bilinear",
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "tokenizer": "clip-bpe",
        "context_length": 32,
        "threshold": 0.5,
    }


def test_logits_are_those_of_the_whole_forward(model):
    images = [image(0), image(1), image(2), image(3)]
    expected, scores = whole_forward(model, images, TEXTS)
    assert 0 < (scores > 0.2).float().mean() < 1
    assert expected.std() > 0.1
    assert_logits_of_the_network(model, images, TEXTS, expected)


def test_cached_codes_give_the_maps_of_full_forwards(model):
    images = [image(0, 40, 40), image(1, 52, 30), image(2)]
    assert len(TEXTS) == 4
    assert_cached_codes_give_full_forwards(model, images, TEXTS, whole_forward)


@pytest.mark.slow
def test_a_folder_of_transformers_loads_with_its_configuration(model, folder):
    loaded = load_model("sam3", folder, score_threshold=0.2, device="cpu")
    assert loaded.config == model.config
    assert all(torch.equal(v, loaded.network.state_dict()[k]) for k, v in model.network.state_dict().items())
    assert list(loaded.provenance["sha256"]) == ["model.safetensors"]


@pytest.mark.slow
def test_a_file_of_a_folder_needs_the_configuration_only(model, folder):
    loaded = load_model("sam3", folder / "model.safetensors", config={"preset": "tiny"}, device="cpu")
    assert all(torch.equal(v, loaded.network.state_dict()[k]) for k, v in model.network.state_dict().items())


@pytest.mark.slow
def test_the_image_model_is_read_from_the_folder_of_the_video_model(model, folder, tmp_path):
    from transformers import Sam3VideoConfig

    state = load_file(folder / "model.safetensors")
    beside = {"tracker_model.weight": torch.zeros(2), "tracker_neck.weight": torch.zeros(2)}
    save_file(
        {**{f"detector_model.{k}": v for k, v in state.items()}, **beside},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    Sam3VideoConfig(detector_config=model.network._whole[0].config.to_dict()).save_pretrained(tmp_path)
    loaded = load_model("sam3", tmp_path, score_threshold=0.2, device="cpu")
    assert loaded.config == model.config
    assert all(torch.equal(v, loaded.network.state_dict()[k]) for k, v in model.network.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("text_projection.bias"), r"1 missing \(text_projection\.bias\)"),
        (lambda state: state.update(extra=torch.zeros(3)), r"1 unexpected \(extra\)"),
        (lambda state: state.update({"text_projection.bias": torch.full((32,), float("nan"))}), "finite weights"),
    ],
)
def test_a_folder_that_does_not_fit_is_one_line(folder, tmp_path, change, message):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(InputError, match=message) as caught:
        load_model("sam3", tmp_path, device="cpu")
    assert "\n" not in str(caught.value)


def test_loading_prints_nothing_and_leaves_reports_as_they_were(folder, capfd):
    from transformers.utils import logging

    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    load_model("sam3", folder, device="cpu")
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_no_weights_are_never_random_by_accident():
    with pytest.raises(InputError, match="facebook/sam3"):
        load_model("sam3", device="cpu")


class Fixed(InstanceNetwork):
    """Answers with given masks, whatever is asked."""

    def __init__(self, masks):
        super().__init__()
        self.masks = masks

    def instances(self, image, text):
        yield from self.masks


class TestUnion:
    def test_each_pixel_has_the_largest_logit_of_what_counts(self):
        masks = torch.tensor([[[1.0, -2.0]], [[-3.0, 4.0]]])
        assert Fixed([masks]).decode((), ()).tolist() == [[[[1.0, 4.0]]]]

    def test_nothing_that_counts_is_an_empty_mask(self):
        logits = Fixed([torch.ones(0, 4, 4)] * 2).decode((), ())
        assert logits.shape == (2, 1, 4, 4)
        assert bool((logits == NOTHING).all())
        assert float(logits.sigmoid().max()) < 1e-8


@pytest.mark.parametrize("size", [(40, 52), (90, 33)])
def test_masks_are_those_of_the_published_post_processing(model, size):
    from transformers.models.sam3.image_processing_sam3 import Sam3ImageProcessor

    shares = []
    for seed, text in enumerate(TEXTS):
        picture = image(seed, *size)
        ids, mask = model.tokenize([text])
        with torch.inference_mode():
            output = model.network._whole[0](
                pixel_values=model.preprocess.pixel_values([picture]), input_ids=ids, attention_mask=mask
            )
        published = Sam3ImageProcessor().post_process_instance_segmentation(
            output, threshold=model.network.score_threshold, target_sizes=[size]
        )[0]["masks"]
        expected = published.bool().any(0).numpy() if len(published) else np.zeros(size, bool)
        found = model.probabilities(model.encode_image([picture]), model.encode_text([text]), [size])[0]
        shares.append(expected.mean())
        assert np.array_equal(found > model.threshold, expected)
    assert 0 < max(shares) < 1


@pytest.mark.slow
def test_lite_text_is_read_at_the_length_its_processor_pads_to(tmp_path):
    from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

    from robustness.runners.models.sam3 import Sam3Model

    tree = dict(Sam3Model.presets["tiny"]["transformers"])
    tree["text_config"] = {**tree["text_config"], "max_position_embeddings": 20, "repmixer_kernel_size": 3}
    torch.manual_seed(2)
    whole = Sam3LiteTextModel(Sam3LiteTextConfig(**tree)).eval()
    for parameter in whole.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=(1.5 / parameter[0].numel()) ** 0.5)
    whole.save_pretrained(tmp_path)
    loaded = load_model("sam3", tmp_path, score_threshold=0.2, device="cpu")
    assert loaded.preprocess.context_length == 32
    ids, mask = loaded.tokenize(TEXTS)
    pixels = loaded.preprocess.pixel_values([image(n) for n in range(4)])
    with torch.inference_mode():
        out = whole(pixel_values=pixels, input_ids=ids, attention_mask=mask)
        code = loaded.encode_text(TEXTS)
        found = loaded.network.decode(loaded.network.encode_image(pixels), code.tensors)
    assert code.tensors[0].shape[1] == 32
    scores = out.pred_logits.sigmoid() * out.presence_logits.sigmoid() > 0.2
    expected = [
        m[s].amax(0) if s.any() else torch.full(m.shape[1:], NOTHING)
        for m, s in zip(out.pred_masks, scores, strict=True)
    ]
    torch.testing.assert_close(found[:, 0], torch.stack(expected), atol=1e-4, rtol=0)
