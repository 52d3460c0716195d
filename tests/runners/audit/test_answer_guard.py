"""Audits of models that are not ours: uniform answers stop, bad pairs are flagged, named weights belong to them."""

import sys

import numpy as np
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.runners.audit.answer_guard import Answers, fits_of, turned_by
from robustness.runners.models.load import load_model
from tests.synthetic import reads_side, write_dataset

ZERO_ONE = """
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image
from tests.synthetic import reads_side
source, target = map(Path, sys.argv[1:3])
for pair in json.loads((source / "pairs.json").read_text()):
    image = np.asarray(Image.open(source / pair["image"]))
    mask = reads_side([image], [pair["prompt"]])[0].astype(np.uint8)
    Image.fromarray(mask).save(target / (pair["id"] + ".png"))
"""


@pytest.fixture
def data(tmp_path):
    return rb.load_dataset(write_dataset(tmp_path / "data", images=4), prompt="p5")


def audit(model, data, out, **options):
    settings = {"report": False, "statistics": {"resamples": 99}, "metrics": {"names": ["dice"]}, **options}
    return rb.audit(model, data, perturbations=["antonym:side"], out=out, **settings)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda i, p: [np.zeros(x.shape[:2]) for x in i], "every map is 0 everywhere"),
        (lambda i, p: [np.full(x.shape[:2], 1 / 255) for x in i], "state returns = 'mask'"),
        (lambda i, p: [np.full(x.shape[:2], 0.4) for x in i], "above the threshold 0.5"),
        (lambda i, p: [np.ones(x.shape[:2]) for x in i], "are masks inverted"),
    ],
)
def test_answers_that_are_all_alike_stop_with_the_likely_cause(data, tmp_path, predict, message):
    with pytest.raises(InputError, match=message):
        audit(rb.segmenter(predict, name="vendor"), data, tmp_path / "run")
    assert not (tmp_path / "run" / "verdicts.parquet").exists()


@pytest.mark.parametrize("background", [0.0, 0.02], ids=["masks", "probabilities"])
def test_numbers_from_0_to_1_that_are_declared_as_logits_stop(data, tmp_path, background):
    """A sigmoid of them is 0.5 and more: where the background is not 0 all of it would be foreground."""

    def predict(images, prompts):
        maps = [np.where(mask, 0.9, background).astype(np.float32) for mask in reads_side(images, prompts)]
        for one in maps:
            one[:2] = 0  # so that no mask is full
        return maps

    with pytest.raises(InputError, match="probabilities or masks declared as returns = 'logits'"):
        audit(rb.segmenter(predict, name="vendor", returns="logits"), data, tmp_path / "run")
    right = rb.segmenter(lambda i, p: [np.log(m + 0.01) + 2 for m in predict(i, p)], name="vendor", returns="logits")
    assert len(audit(right, data, tmp_path / "right").results()) > 0


def test_inverted_maps_stop_though_none_is_full(data, tmp_path):
    """Inverted, a small structure is most of the picture: whatever the prompt says, little of the mask changes."""
    model = rb.segmenter(lambda i, p: [1 - m for m in reads_side(i, p)], name="vendor")
    with pytest.raises(
        InputError, match=r"inverted \(mean Dice 1.00, as sent 0.00\): inside and outside are exchanged"
    ):
        audit(model, data, tmp_path / "run")


@pytest.mark.parametrize(
    ("turn", "says"),
    [
        (lambda m: m[:, ::-1], "mirrored left to right (mean Dice 1.00, as sent 0.00)"),
        (lambda m: m.T, "with rows and columns exchanged (mean Dice 1.00, as sent 0.0"),
        (lambda m: m, ""),
    ],
)
def test_turned_maps_are_warned_of(data, tmp_path, turn, says):
    model = rb.segmenter(lambda i, p: [turn(m) for m in reads_side(i, p)], name="vendor")
    warnings = audit(model, data, tmp_path / "run").manifest["warnings"]
    turned = [text for text in warnings if "fit the references much better" in text]
    assert [says in text for text in turned] == ([True] if says else [])


REFERENCE = np.zeros((8, 8), bool)
REFERENCE[1:3, 1:7] = True


@pytest.mark.parametrize(
    ("predicted", "reference", "turned"),
    [
        # Two of 52 pixels: inverted it fits a large reference about as well as a full map does.
        (np.arange(64).reshape(8, 8) < 2, ~REFERENCE, ""),
        (REFERENCE, REFERENCE, ""),
        (REFERENCE[::-1], REFERENCE, "upside down (mean Dice 1.00, as sent 0.00)"),
        (np.zeros((8, 8), bool), REFERENCE, ""),
        (REFERENCE, np.zeros((8, 8), bool), ""),
    ],
)
def test_what_tells_how_masks_lie(predicted, reference, turned):
    answers = Answers()
    for _ in range(3):
        fits = fits_of(predicted, reference)
        answers.fits.update(fits)
        answers.n_fits += bool(fits)
    assert turned_by(answers) == turned
    if fits:
        both = np.count_nonzero(~predicted & reference)
        assert fits["inverted"] == 2 * both / (64 - predicted.sum() + reference.sum())


@pytest.mark.slow
def test_a_command_with_zero_one_masks_follows_its_prompt(data, tmp_path, root):
    (tmp_path / "predict.py").write_text(f"import sys; sys.path.insert(0, {str(root)!r})\n" + ZERO_ONE)
    model = load_model("command", command=[sys.executable, str(tmp_path / "predict.py"), "{input}", "{output}"])
    run = audit(model, data, tmp_path / "run")
    table = run.results()
    assert table.loc[table["condition"] == "clean", "dice"].min() > 0.9
    assert table.loc[table["condition"] == "antonym:side", "dice"].max() < 0.1
    assert "mask of 0 and 1 (8-bit PNG)" in run.manifest["model"]["answers"]["data"]["read_as"]


@pytest.mark.parametrize("broken", ["raises", "gives NaN"])
def test_one_bad_image_costs_its_rows_alone(data, tmp_path, broken):
    bad = data[2].image

    def predict(images, prompts):
        if broken == "raises" and any(np.array_equal(image, bad) for image in images):
            raise ZeroDivisionError("no such slice")
        maps = reads_side(images, prompts)
        return [np.full_like(m, np.nan) if np.array_equal(i, bad) else m for i, m in zip(images, maps, strict=True)]

    run = audit(rb.segmenter(predict, name="vendor"), data, tmp_path / "run")
    table = run.results()
    failed = table[table["error"] != ""]
    assert set(failed["case_id"]) == {"s01_left", "s01_right"}
    assert failed["error"].str.contains("ZeroDivisionError: no such slice" if broken == "raises" else "NaN").all()
    assert (table[~table.index.isin(failed.index)]["dice"].notna()).all()


def test_a_model_that_fails_for_every_case_stops_early(tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=6), prompt="p5")
    calls = []

    def predict(images, prompts):
        calls.append(len(images))
        raise RuntimeError("no weights")

    with pytest.raises(InputError, match=r"failed for 8 cases in a row.*no weights"):
        audit(rb.segmenter(predict, name="vendor"), data, tmp_path / "run")


def test_weights_that_a_python_model_names_are_part_of_it(data, tmp_path):
    (tmp_path / "w.pt").write_bytes(b"one")
    (tmp_path / "own.py").write_text(
        "from tests.synthetic import reads_side\ndef make(weights):\n    return reads_side\n"
    )

    def model():
        return load_model("python", f"{tmp_path / 'own.py'}:make", arguments={"weights": str(tmp_path / "w.pt")})

    audit(model(), data, tmp_path / "run")
    (tmp_path / "w.pt").write_bytes(b"two")
    with pytest.raises(InputError, match="another model or checkpoint"):
        audit(model(), data, tmp_path / "run")


def test_a_model_that_does_not_say_how_much_it_reads_is_not_known(data, tmp_path):
    unknown = audit(rb.segmenter(reads_side, name="vendor"), data, tmp_path / "a")
    assert unknown.manifest["timing"]["n_texts_unjudged"] > 0
    known = audit(rb.segmenter(reads_side, name="vendor", max_words=3), data, tmp_path / "b")
    assert known.manifest["timing"]["n_texts_unjudged"] == 0
    assert known.manifest["timing"]["n_texts_cut"] > 0


def test_a_box_at_network_resolution_is_scored_on_its_own_map(data, tmp_path):
    def small(images, prompts):
        return [m[::2, ::2] for m in reads_side(images, prompts)]

    model = rb.segmenter(small, name="vendor", image_size=24)
    run = audit(model, data, tmp_path / "run", metrics={"names": ["dice"], "resolution": "network"})
    assert (run.results()["image_height"].dropna() == 24).all()


class OwnCode(list):
    def take(self, rows):
        return OwnCode(self[row] for row in rows)

    @staticmethod
    def concat(codes):
        return OwnCode(item for code in codes for item in code)


class OwnSegmenter:
    """A segmenter with a code class of its own."""

    name, image_size, threshold, network, takes_text = "own", 0, 0.5, None, True

    def encode_image(self, images):
        return OwnCode(images)

    encode_text = encode_image

    def probabilities(self, image_embedding, text_embedding, sizes=None):
        return reads_side(image_embedding, text_embedding)


def test_a_segmenter_with_a_code_class_of_its_own_is_audited(data, tmp_path):
    table = audit(OwnSegmenter(), data, tmp_path / "run").results()
    assert (table["error"] == "").all()
