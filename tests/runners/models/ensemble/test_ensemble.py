"""Several models as one: equal to the mean of its members, each encoder run once."""

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.biomedclipseg.entry import BiomedClipSegNetwork
from robustness.runners.models.clipseg.network import ClipSegNetwork
from robustness.runners.models.load import load_model
from tests.golden.make import fill
from tests.synthetic import write_dataset

TINY = {"preset": "tiny"}
IMAGES = [np.random.default_rng(n).integers(0, 256, (40, 56, 3)).astype(np.uint8) for n in range(2)]
REQUESTS = [Request(image, str(n), text) for n, image in enumerate(IMAGES) for text in ("left", "right lung")]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Two small U-Nets with text, and two CLIPSegs that share their encoders."""
    folder = tmp_path_factory.mktemp("members")
    for seed in (1, 2):
        model = load_model("film-unet", image_size=32, seed=seed, device="cpu")
        torch.save(model.network.state_dict(), folder / f"film{seed}.pt")
    first = load_model("clipseg", config=TINY, seed=1, device="cpu").network.state_dict()
    second = load_model("clipseg", config=TINY, seed=2, device="cpu").network.state_dict()
    torch.save(first, folder / "clip1.pt")
    torch.save({k: first[k] if k.startswith("clip.") else second[k] for k in first}, folder / "clip2.pt")
    return folder


def members(folder, kind):
    options = {"config": TINY} if kind == "clip" else {"options": {"image_size": 32}}
    name = "clipseg" if kind == "clip" else "film-unet"
    return [{"name": name, "checkpoint": str(folder / f"{kind}{n}.pt"), **options} for n in (1, 2)]


def predicted(model):
    return list(Engine(model).predict(REQUESTS))


def alone(spec):
    options = spec.get("options", {})
    return load_model(spec["name"], spec["checkpoint"], config=spec.get("config"), device="cpu", **options)


@pytest.mark.parametrize("kind", ["film", "clip"])
def test_the_mean_of_probabilities_is_that_of_the_members(checkpoints, kind):
    specs = members(checkpoints, kind)
    ensemble = load_model("ensemble", members=specs, device="cpu", member_weights=[3, 1])
    one, two = (predicted(alone(spec)) for spec in specs)
    for mean, a, b in zip(predicted(ensemble), one, two, strict=True):
        np.testing.assert_allclose(mean, 0.75 * a + 0.25 * b, atol=1e-6)


def test_the_mean_of_logits_is_that_of_the_members(checkpoints):
    specs = members(checkpoints, "film")
    ensemble = load_model("ensemble", members=specs, device="cpu", combine="logits")
    parts = [alone(spec) for spec in specs]
    images, texts = [r.image for r in REQUESTS], [r.text for r in REQUESTS]
    with torch.no_grad():
        mean = sum(m.decode(m.encode_image(images), m.encode_text(texts)) for m in parts) / 2
    sized = torch.nn.functional.interpolate(mean, size=(40, 56), mode="bilinear").sigmoid()[:, 0].numpy()
    np.testing.assert_allclose(np.stack(predicted(ensemble)), sized, atol=1e-5)


def test_members_that_share_encoders_run_them_once(checkpoints, monkeypatch):
    ensemble = load_model("ensemble", members=members(checkpoints, "clip"), device="cpu")
    assert ensemble.describe()["image_encoders"] == ensemble.describe()["text_encoders"] == 1
    calls = []
    kind = type(ensemble.members[0].network)
    whole = kind.image_features
    monkeypatch.setattr(kind, "image_features", lambda self, pixels: calls.append(1) or whole(self, pixels))
    predicted(ensemble)
    assert len(calls) == 1


def test_members_of_other_weights_share_nothing(checkpoints):
    told = load_model("ensemble", members=members(checkpoints, "film"), device="cpu").describe()
    assert told["image_encoders"] == told["text_encoders"] == 2


def test_it_reads_its_prompt_where_one_member_does(tmp_path, checkpoints):
    (tmp_path / "own.py").write_text("from tests.synthetic import reads_side\ndef make():\n    return reads_side\n")
    blind = {"name": "film-unet", "options": {"image_size": 32, "text": False}}
    ensemble = load_model(
        "ensemble", members=[blind, {"name": "python", "checkpoint": f"{tmp_path / 'own.py'}:make"}], device="cpu"
    )
    assert ensemble.takes_text
    assert ensemble.describe()["reads_text"] == [False, True]
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=2), prompt="p5")
    run = rb.audit(ensemble, data, perturbations=["antonym:side"], out=tmp_path / "run", report=False)
    table = run.results()
    assert (table["error"] == "").all()
    assert table.loc[table["condition"] == "antonym:side", "mask_change"].max() > 0
    assert run.manifest["model"]["members"][1]["source"]["factory"] == "make"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "at least two"),
        ({"members": [{"name": "film-unet"}]}, "at least two"),
        ({"members": [{"name": "film-unet"}, {"nam": "film-unet"}]}, "expected tables"),
        ({"members": [{"name": "film-unet"}, {"name": "film-unet", "checkpont": "x"}]}, "did you mean 'checkpoint'"),
        ({"members": [{"name": "film-unet"}] * 2, "combine": "median"}, "combine: expected one of"),
        ({"members": [{"name": "film-unet"}] * 2, "member_weights": [1]}, "one number per member"),
        ({"members": [{"name": "film-unet"}] * 2, "member_weights": [0, 0]}, "one of them above"),
        ({"members": [], "checkpoint": "x"}, "checkpoint: expected a file, a folder"),
        ({"members": [{"name": "film-unet"}, {"name": "predictions", "checkpoint": "x"}]}, "models that predict"),
        ({"member": []}, "did you mean 'members'"),
    ],
)
def test_impossible_ensembles_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        load_model("ensemble", **options)


class TestGolden:
    """CLIPSeg and BiomedCLIPSeg with the weights of the golden vectors."""

    @pytest.fixture(scope="class")
    @classmethod
    def specs(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("golden")
        words = "[PAD] [UNK] [CLS] [SEP] left right lung caudate nucleus".split()
        (folder / "vocab.txt").write_text("\n".join(words))
        specs = []
        for name in ("clipseg", "biomedclipseg"):
            network = load_model(name, config=TINY, device="cpu").network
            fill(network)
            torch.save(network.state_dict(), folder / f"{name}.pt")
            options = {"tokenizer": str(folder / "vocab.txt")} if name == "biomedclipseg" else {}
            specs.append({"name": name, "checkpoint": str(folder / f"{name}.pt"), "config": TINY, "options": options})
        return specs

    @pytest.mark.slow
    def test_it_is_the_mean_of_its_members(self, specs):
        ensemble = load_model("ensemble", members=specs, device="cpu")
        one, two = (predicted(alone(spec)) for spec in specs)
        for mean, a, b in zip(predicted(ensemble), one, two, strict=True):
            np.testing.assert_allclose(mean, (a.astype(np.float64) + b) / 2, atol=1e-6)

    @pytest.mark.slow
    def test_a_prompt_audit_encodes_no_more_than_its_members_do(self, specs, tmp_path, monkeypatch):
        data = rb.load_dataset(write_dataset(tmp_path / "data", images=2), prompt="p2")
        counts = {"image": 0, "text": 0}
        for kind in (ClipSegNetwork, BiomedClipSegNetwork):
            for part in counts:
                whole = getattr(kind, f"{part}_features")

                def counted(self, first, *rest, part=part, whole=whole):
                    counts[part] += len(first)
                    return whole(self, first, *rest)

                monkeypatch.setattr(kind, f"{part}_features", counted)

        def encodes(model, name):
            counts.update(image=0, text=0)
            run = rb.audit(
                model, data, perturbations=["antonym", "paraphrase", "typo"], out=tmp_path / name, report=False
            )
            assert (run.results()["error"] == "").all()
            return dict(counts)

        apart = [encodes(alone(spec), spec["name"]) for spec in specs]
        together = encodes(load_model("ensemble", members=specs, device="cpu"), "ensemble")
        assert min(together.values()) > 0
        for part in counts:
            assert together[part] <= 1.1 * sum(one[part] for one in apart)
