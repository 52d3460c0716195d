"""Each kind of detector and SAM: what transformers computes in one piece, split and joined again."""

import numpy as np
import pytest
import torch
import transformers
from torch.nn import functional

from robustness.errors import InputError
from robustness.runners.inference.preprocess import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD
from robustness.runners.models.entry import merge
from robustness.runners.models.instances import NOTHING
from robustness.runners.models.load import load_model
from robustness.runners.models.pretrained import config_object, plain_config
from tests.golden.make import TINY

IDS = {
    "grounding": (torch.tensor([[101, 320, 1012, 102, 0], [101, 77, 640, 1012, 102]]), [[1, 1, 1, 1, 0], [1] * 5]),
    "owlv2": (torch.tensor([[49406, 320, 2368, 49407, 0], [49406, 518, 77, 640, 49407]]), [[1, 1, 1, 1, 0], [1] * 5]),
}
OWL = {
    "projection_dim": 32,
    "text_config": {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    },
    "vision_config": {
        "hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 64, "patch_size": 16,
    },
}  # fmt: skip
SAM2 = {
    "vision_config": {
        "backbone_config": {
            "hidden_size": 12, "image_size": [64, 64], "blocks_per_stage": [1, 2, 1, 1],
            "embed_dim_per_stage": [12, 24, 48, 96], "num_attention_heads_per_stage": [1, 1, 2, 2],
            "window_size_per_stage": [4, 4, 4, 4], "global_attention_blocks": [2],
            "window_positional_embedding_background_size": [2, 2],
        },
        "backbone_channel_list": [96, 48, 24, 12], "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    },
    "prompt_encoder_config": {"hidden_size": 32, "image_size": 64},
    "mask_decoder_config": {
        "hidden_size": 32, "mlp_dim": 48, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    },
}  # fmt: skip


def tiny_parts():
    from robustness.runners.models.grounded_sam.entry import GroundedSamModel

    preset = GroundedSamModel.presets["tiny"]
    hq = {**preset["sam"], "mask_decoder_config": {**preset["sam"]["mask_decoder_config"], "vit_dim": 32}}
    return {
        "grounding": ("GroundingDinoForObjectDetection", "GroundingDinoConfig", preset["detector"]),
        "mm": ("MMGroundingDinoForObjectDetection", "MMGroundingDinoConfig", preset["detector"]),
        "owlv2": ("Owlv2ForObjectDetection", "Owlv2Config", OWL),
        "sam": ("SamModel", "SamConfig", preset["sam"]),
        "sam_hq": ("SamHQModel", "SamHQConfig", hq),
        "sam2": ("Sam2Model", "Sam2Config", SAM2),
    }


@pytest.fixture(scope="module")
def wholes():
    """One small network of each kind, with weights that tell images and texts apart."""
    built = {}
    for name, (kind, config, values) in tiny_parts().items():
        torch.manual_seed(3)
        settings = getattr(transformers, config)
        full = config_object(settings, merge(plain_config(settings()), values))
        whole = getattr(transformers, kind)(full).eval()
        for parameter in whole.parameters():
            if parameter.ndim >= 2:
                torch.nn.init.normal_(parameter, std=(1.5 / parameter[0].numel()) ** 0.5)
        built[name] = whole
    return built


@pytest.fixture(scope="module")
def folders(wholes, tmp_path_factory):
    places = {}
    for name, whole in wholes.items():
        places[name] = tmp_path_factory.mktemp(name)
        whole.save_pretrained(places[name])
    return places


def boxes_and_scores(detector, name, pixels, ids, mask):
    if name == "owlv2":
        statistics = [torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD, CLIP_MEAN, CLIP_STD)]
        own = (pixels * statistics[1] + statistics[0] - statistics[2]) / statistics[3]
        found = detector(pixel_values=own, input_ids=ids, attention_mask=mask)
        return found.pred_boxes[0], found.logits[0, :, 0].sigmoid()
    seen = functional.interpolate(pixels, size=(128, 128), mode="bilinear", antialias=True)
    found = detector(pixel_values=seen, input_ids=ids, attention_mask=mask)
    return found.pred_boxes[0], found.logits[0].sigmoid().amax(-1)


PAIRS = [("grounding", "sam_hq"), ("grounding", "sam2"), ("mm", "sam"), ("owlv2", "sam"), ("owlv2", "sam2")]


@pytest.mark.slow
@pytest.mark.parametrize(("detector", "sam"), PAIRS)
def test_logits_are_those_of_the_two_networks(wholes, folders, detector, sam):
    ids, mask = IDS["owlv2" if detector == "owlv2" else "grounding"]
    mask = torch.tensor(mask)
    size = {} if detector == "owlv2" else {"detector_size": 128}
    pixels = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        rows = [boxes_and_scores(wholes[detector], detector, pixels[[n]], ids[[n]], mask[[n]]) for n in range(2)]
        # Between two scores, so that some boxes count, some do not, and rounding moves none.
        ordered = torch.cat([scores for _, scores in rows]).sort().values
        gap = (ordered[1:] - ordered[:-1])[len(ordered) // 4 : -len(ordered) // 4].argmax() + len(ordered) // 4
        threshold = float(ordered[gap : gap + 2].mean())
        loaded = load_model(
            "grounded-sam",
            folders[detector],
            sam_from=str(folders[sam]),
            score_threshold=threshold,
            device="cpu",
            **size,
        )
        found = loaded.network(pixels, ids, mask)
        assert 0 < int((ordered > threshold).sum()) < len(ordered)
        for row, (boxes, scores) in enumerate(rows):
            expected = torch.full(found.shape[-2:], NOTHING)
            for x, y, w, h in boxes[scores > threshold].tolist():
                box = torch.tensor([[[x - w / 2, y - h / 2, x + w / 2, y + h / 2]]]) * 64
                masks = wholes[sam](pixel_values=pixels[[row]], input_boxes=box, multimask_output=False).pred_masks
                expected = torch.maximum(expected, masks[0, 0, 0])
            torch.testing.assert_close(found[row, 0], expected, atol=1e-4, rtol=0)
    assert np.ptp(found.numpy()) > 0.1


@pytest.mark.slow
def test_they_are_named_in_results_and_owl_reads_sixteen_ids(folders):
    loaded = load_model("grounded-sam", folders["owlv2"], sam_from=str(folders["sam2"]), device="cpu")
    assert loaded.name == "grounded-sam (owlv2 + sam2)"
    assert loaded.preprocess.context_length == 16
    assert loaded.config["score_threshold"] == 0.1
    long = "one small pink round polyp with a smooth surface, located in the top right of the image"
    assert loaded.cut_texts([long, "a polyp"]) == [long]


def test_masks_of_sam2_are_those_of_the_published_post_processing(folders, wholes):
    loaded = load_model(
        "grounded-sam", folders["owlv2"], sam_from=str(folders["sam2"]), score_threshold=0.0, device="cpu"
    )
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    code, words = loaded.encode_image([picture]), loaded.encode_text(["a polyp"])
    ours = loaded.probabilities(code, words, [(40, 40)])[0] > 0.5
    with torch.inference_mode():
        (masks,) = loaded.network.instances(code.tensors, words.tensors)
    processor = transformers.Sam2ImageProcessor()
    whole = processor.post_process_masks([masks[None]], [(40, 40)])[0]
    np.testing.assert_array_equal(ours, whole[0].any(0).numpy())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sam_from": "owlv2"}, r"sam_from: expected a transformers folder or hub name of a SAM \(sam, sam_hq, sam2\)"),
        ({"sam_from": "sam", "detector_size": 128}, "detector_size: expected 64 for this OWLv2, got 128"),
    ],
)
def test_what_does_not_fit_is_refused(folders, options, message):
    options["sam_from"] = str(folders[options["sam_from"]])
    with pytest.raises(InputError, match=message):
        load_model("grounded-sam", folders["owlv2"], device="cpu", **options)


def test_the_default_is_what_it_was():
    assert load_model("grounded-sam", config=TINY, device="cpu").name == "grounded-sam"
