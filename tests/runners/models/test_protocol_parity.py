"""Scores at network resolution are those of the reference benchmark, case by case."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PILImage

import robustness as rb
from robustness.runners.models.load import load_model

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SETS = {"brain_mni_aal": "p2", "head_ct": "p1", "nuclei_dsb": "p1"}
MODELS = {"clipseg": {}, "biomedclipseg": {}, "cris": {}, "unet": {}, "deeplabv3plus": {}}
CASES = 16
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the data sets do not lie beside the checkout"),
]


def moved(model):
    """Move weights and bias until the network's masks are neither empty nor full."""
    torch.manual_seed(0)
    for parameter in model.network.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=(1.2 / parameter[0].numel()) ** 0.5)
    return model


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    options = {}
    if request.param == "biomedclipseg":
        words = "[PAD] [UNK] [CLS] [SEP] left right white gray matter hemorrhage nuclei cell in brain head ct mri"
        options["tokenizer"] = str(tmp_path_factory.mktemp("words") / "vocab.txt")
        Path(options["tokenizer"]).write_text("\n".join(words.split()))
    return moved(load_model(request.param, config={"preset": "tiny"}, device="cpu", seed=3, **options))


def references(model, case):
    """Return (prediction, mask) as the benchmark has them: PIL's filters, sigmoid, its threshold, the first channel."""
    prepare, side = model.preprocess, (model.image_size, model.image_size)
    filters = {"bicubic": PILImage.Resampling.BICUBIC, "bilinear": PILImage.Resampling.BILINEAR}
    picture = PILImage.fromarray(case.image).resize(side, filters[prepare.interpolation])
    values = (torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255)[None]
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (prepare.mean, prepare.std))
    ids, attention = model.tokenize([case.prompt.text]) if model.takes_text else (None, None)
    with torch.inference_mode():
        logits = model.network((values - mean) / std, ids, attention)
    mask = PILImage.fromarray(case.mask.astype(np.uint8) * 255).resize(side, PILImage.Resampling.NEAREST)
    return torch.sigmoid(logits)[0, 0].numpy() > prepare.threshold, np.asarray(mask) > 127


def scores(predicted, mask):
    """Return Dice and IoU as MONAI gives them without `ignore_empty`: 1 where both are empty."""
    both, either = (predicted & mask).sum(), (predicted | mask).sum()
    if not either:
        return 1.0, 1.0
    return 2 * both / (predicted.sum() + mask.sum()), both / either


@pytest.mark.parametrize("name", SETS)
def test_dice_and_iou_of_each_case(model, name, tmp_path):
    data = rb.load_dataset(DATA / name, prompt=SETS[name], split="test", limit=CASES)
    settings = {"metrics": {"names": ["dice", "iou"], "resolution": "network"}, "report": False}
    rb.audit(model, data, perturbations=["empty"], out=tmp_path, **settings)
    table = rb.open_run(tmp_path).results()
    clean = table[table["condition"] == "clean"].set_index("case_id")
    assert len(clean) == len(data) > 3
    areas = []
    for case in data:
        predicted, mask = references(model, case)
        areas.append(predicted.mean())
        np.testing.assert_allclose(
            clean.loc[case.case_id, ["dice", "iou"]].astype(float), scores(predicted, mask), atol=1e-6
        )
    assert 0 < np.mean(areas) < 1
