"""The probe tells where a swap is lost: before image and text meet, or after."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.audit import text_probe
from robustness.runners.audit.text_probe import text_collapse, text_distances, with_text_distance
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.models.load import load_model
from tests.synthetic import reads_side, write_dataset


@pytest.fixture(scope="module")
def film():
    return load_model("film-unet", image_size=32, device="cpu")


class Fixed:
    """A model whose text codes are given."""

    name, takes_text = "fixed", True

    def __init__(self, codes):
        self.codes = codes

    def encode_text(self, texts):
        return TensorEmbedding((torch.tensor([self.codes[t] for t in texts]),))


def test_distances_are_one_minus_the_cosine():
    codes = {"a": [1.0, 0.0], "b": [0.0, 2.0], "c": [-3.0, 0.0], "d": [1.0, 1.0]}
    found = text_distances(Fixed(codes), [("a", "a"), ("a", "b"), ("a", "c"), ("a", "d")])
    assert found == pytest.approx([0, 1, 2, 1 - 2**-0.5])


def test_small_distances_are_not_rounded_away():
    found = text_distances(Fixed({"a": [1.0, 0.0], "b": [1.0, 1e-5]}), [("a", "b")])
    assert found == pytest.approx([5e-11], rel=1e-3)


def test_codes_of_a_network_differ_for_other_words(film):
    same, other = text_distances(film, [("left", "left"), ("left", "right")])
    assert same == 0
    assert other > 1e-4


def test_a_network_deaf_to_words_shows_a_distance_of_zero(film):
    deaf = dataclasses.replace(film)
    deaf.encode_text = lambda texts: film.encode_text(["the same"] * len(texts))
    assert text_distances(deaf, [("left", "right")]) == [0]


@pytest.mark.parametrize(
    "model", [load_model("film-unet", text=False, image_size=32), rb.segmenter(reads_side, name="v")]
)
def test_models_without_a_text_code_are_refused(model):
    with pytest.raises(InputError, match="encodes text"):
        text_distances(model, [("a", "b")])


def test_a_run_gives_one_row_per_changed_prompt(film, tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=2), prompt="p2")
    run = rb.audit(
        film,
        data,
        perturbations=["antonym:side", "empty", "gaussian_noise"],
        severities=[1],
        out=tmp_path / "run",
        report=False,
        metrics={"names": ["dice"]},
        statistics={"resamples": 99},
    )
    results = run.results()
    table = text_collapse(results, film)
    wanted = results[(results["family"] == "prompt") & results["applicable"]]
    assert list(table["prompt"]) == list(wanted["prompt"])
    assert set(table["condition"]) == {"antonym:side", "empty"}
    np.testing.assert_array_equal(table["mask_change"], wanted["mask_change"])
    assert (table["text_distance"] > 0).all()
    swapped = table[table["condition"] == "antonym:side"]
    assert set(swapped["clean_prompt"] + ">" + swapped["prompt"]) == {
        "left caudate nucleus>right caudate nucleus",
        "right caudate nucleus>left caudate nucleus",
    }
    whole = with_text_distance(results, film)
    told = whole[whole["text_distance"].notna()]
    assert list(told.index) == list(wanted.index)
    assert list(told["text_distance"]) == list(table["text_distance"])
    assert "text_distance" in results


class TestADistanceIsExact:
    """The distance of two texts is a fact of the model, whatever else is asked and in whatever order."""

    TEXTS = ("polyp", "one small pink round polyp", "a", "the left caudate nucleus of a brain in axial T1 MRI", "")

    @pytest.fixture(params=["film-unet", "clipseg"])
    def model(self, request):
        config = {"preset": "tiny"} if request.param == "clipseg" else {"image_size": 32}
        return load_model(request.param, config=config, device="cpu")

    def test_it_depends_neither_on_order_nor_on_other_texts(self, model):
        pairs = [(one, other) for one in self.TEXTS for other in self.TEXTS]
        alone = [text_distances(model, [pair])[0] for pair in pairs]
        assert text_distances(model, pairs) == alone
        assert text_distances(model, pairs[::-1]) == alone[::-1]
        assert text_distances(model, [(other, one) for one, other in pairs]) == alone

    def test_forgotten_texts_are_encoded_again_to_the_same_bits(self, model, monkeypatch):
        pairs = [(one, other) for one in self.TEXTS for other in self.TEXTS]
        vectors = {}
        remembered = text_distances(model, pairs, vectors=vectors)
        assert set(vectors) == set(self.TEXTS)
        monkeypatch.setattr(text_probe, "MOST_VECTORS", 2)
        bounded = {}
        assert text_distances(model, pairs, vectors=bounded) == remembered
        assert len(bounded) <= 2

    @pytest.mark.slow
    def test_an_audit_gives_the_same_whatever_the_size_of_its_parts(self, model, tmp_path):
        data = rb.load_dataset(write_dataset(tmp_path / "data", images=3), prompt="p2")
        columns = []
        for size in (1, 2, 3):
            run = rb.audit(
                model,
                data,
                perturbations=["antonym", "drop", "paraphrase"],
                out=tmp_path / str(size),
                report=False,
                engine={"images_per_part": size, "batch_size": size},
                metrics={"names": ["dice"]},
                statistics={"resamples": 99},
            )
            columns.append(run.results()["text_distance"])
        pd.testing.assert_series_equal(columns[0], columns[1], check_exact=True)
        pd.testing.assert_series_equal(columns[0], columns[2], check_exact=True)


def test_every_wording_is_compared_with_the_text_that_its_mask_is_compared_with(film):
    """Paraphrases with the first listed text, swaps with their own; a text without a clean row with the first."""
    texts = [
        ("clean", 0, "left nucleus"),
        ("clean", 1, "the left one"),
        ("paraphrase", 0, "nucleus, left"),
        ("paraphrase", 1, "left nucleus shown"),
        ("paraphrase", 2, "show the left nucleus"),
        ("antonym:side", 1, "the right one"),
        ("antonym:side", 5, "right nucleus"),
    ]
    table = pd.DataFrame(texts, columns=["condition", "prompt_index", "prompt"]).assign(
        model=film.name,
        dataset="d",
        split="test",
        case_id="c",
        attribute="",
        applicable=True,
        mask_change=0.5,
        family=lambda t: np.where(t.condition == "clean", "clean", "prompt"),
    )
    found = text_collapse(table, film)
    assert found["clean_prompt"].tolist() == ["left nucleus"] * 3 + ["the left one", "left nucleus"]
    assert found["prompt_index"].tolist() == [0, 1, 2, 1, 5]
    assert (found["text_distance"] > 0).all()
    assert with_text_distance(table, film)["text_distance"].isna().tolist() == [True, True, *[False] * 5]


def test_an_audit_leaves_no_paraphrase_without_a_distance(film, tmp_path):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=2), prompt="p7")
    run = rb.audit(film, data, perturbations=["antonym:side", "paraphrase"], out=tmp_path / "run", report=False)
    changed = run.results().query("family == 'prompt' and applicable")
    assert changed.query("condition == 'paraphrase'").prompt_index.max() >= 2
    assert changed.text_distance.notna().all()


def test_rows_of_another_model_are_told(film):
    table = pd.DataFrame({"model": ["a", "b"], "condition": "clean"})
    with pytest.raises(InputError, match="rows of 'film-unet'"):
        text_collapse(table, film)
