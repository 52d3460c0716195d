"""A head that joins members: it starts as their mean, learns while they stay, and is loaded with them."""

import json

import numpy as np
import pytest
import torch

import robustness as rb
from robustness.errors import InputError
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.request import Request
from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from tests.runners.small_models import rows, same, weights
from tests.synthetic import write_dataset

SIDE = 32


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """A U-Net without a prompt, and a file of the user's that follows it."""
    folder = tmp_path_factory.mktemp("members")
    blind = load_model("film-unet", image_size=SIDE, text=False, seed=1, device="cpu")
    torch.save(blind.network.state_dict(), folder / "blind.pt")
    (folder / "own.py").write_text("from tests.synthetic import reads_side\ndef make():\n    return reads_side\n")
    return [
        {"name": "film-unet", "checkpoint": str(folder / "blind.pt"), "options": {"image_size": SIDE, "text": False}},
        {"name": "python", "checkpoint": f"{folder / 'own.py'}:make"},
    ]


def settings(members, **more):
    # The member that is blind to its prompt outweighs the other until training finds out.
    options = {"members": members, "combine": "fusion", "hidden": 4, "member_weights": [9, 1]}
    return {"options": options, "device": "cpu", "quiet": True, "loggers": "none", "batch_size": 4, **more}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, data, members):
    out = tmp_path_factory.mktemp("fusion") / "head"
    return finetune("ensemble", data=data, out=out, prompt="p2", epochs=12, lr=5e-2, **settings(members)), out


def requests(data):
    dataset = rb.load_dataset(data, prompt="p2")
    return [Request(c.image, c.case_id, c.prompt.text) for c in (dataset[n] for n in range(4))]


def predicted(model, data):
    return np.stack(list(Engine(model).predict(requests(data))))


def test_a_fresh_head_is_the_mean_of_logits(members, data):
    fresh = load_model("ensemble", members=members, combine="fusion", member_weights=[1, 3], device="cpu")
    images, texts = ([getattr(r, name) for r in requests(data)] for name in ("image", "text"))
    maps = fresh.member_logits(fresh.encode_image(images), fresh.encode_text(texts))
    assert maps.shape == (4, 2, SIDE, SIDE)
    mean = (maps * torch.tensor([0.25, 0.75]).view(1, 2, 1, 1)).sum(1, keepdim=True)
    sized = torch.nn.functional.interpolate(mean.sigmoid(), size=images[0].shape[:2], mode="bilinear")[:, 0]
    np.testing.assert_allclose(predicted(fresh, data), sized.detach().numpy(), atol=1e-5)


def test_training_moves_the_head_alone_and_learns_whom_to_trust(trained, members, data):
    result, out = trained
    assert result.parameters == result.trainable < 200
    assert json.loads((out / "training.json").read_text())["frozen"] == ["members"]
    assert result.val_dice > 0.9
    losses = [float(row["val_loss"]) for row in rows(out)]
    assert losses[-1] < 0.8 * losses[0]
    head = weights(out)
    assert head["mean.weight"].flatten()[1] > 0.1 + 0.01


def test_it_is_loaded_with_its_members_and_audited(trained, members, data, tmp_path):
    _, out = trained
    loaded = load_model("ensemble", out, device="cpu")
    again = load_model("ensemble", out, members=members, device="cpu")
    np.testing.assert_array_equal(predicted(loaded, data), predicted(again, data))
    told = loaded.describe()
    assert told["combine"] == "fusion"
    assert told["head"]["sha256"]
    assert told["reads_text"] == [False, True]
    run = rb.audit(
        loaded, rb.load_dataset(data, prompt="p5"), perturbations=["antonym:side"], out=tmp_path / "run", report=False
    )
    table = run.results()
    assert (table["error"] == "").all()
    assert table.loc[table["condition"] == "antonym:side", "mask_change"].mean() > 0.5


@pytest.mark.slow
def test_maps_of_the_members_are_computed_once(data, members, tmp_path, monkeypatch):
    from robustness.runners.models.ensemble.segmenter import Ensemble

    calls = []
    whole = Ensemble.member_logits
    monkeypatch.setattr(Ensemble, "member_logits", lambda self, *pair: calls.append(1) or whole(self, *pair))
    some = settings(members, epochs=3, prompt="p2")
    finetune("ensemble", data=data, out=tmp_path / "memory", **some)
    assert len(calls) == 8
    finetune("ensemble", data=data, out=tmp_path / "files", cache=str(tmp_path / "cache"), **some)
    assert len(calls) == 16
    finetune("ensemble", data=data, out=tmp_path / "again", cache=str(tmp_path / "cache"), **some)
    assert len(calls) == 16
    assert same(weights(tmp_path / "memory"), weights(tmp_path / "again"))


def test_it_takes_paraphrases_and_absent_targets(data, members, tmp_path):
    some = settings(members, epochs=2, prompt="p2", absent=0.3, consistency=0.1, augment=["gain"])
    finetune("ensemble", data=data, out=tmp_path / "out", **some)
    assert float(rows(tmp_path / "out")[-1]["consistency_loss"]) >= 0


class TestRefusals:
    def test_other_members_than_those_it_was_trained_on(self, trained, members, tmp_path):
        other = load_model("film-unet", image_size=SIDE, text=False, seed=9, device="cpu")
        torch.save(other.network.state_dict(), tmp_path / "blind.pt")
        changed = [{**members[0], "checkpoint": str(tmp_path / "blind.pt")}, members[1]]
        with pytest.raises(InputError, match=r"member 1 .* has not the weights that the head was trained on"):
            load_model("ensemble", trained[1], members=changed, device="cpu")
        with pytest.raises(InputError, match="expected the 2 that the head was trained on, got 3"):
            load_model("ensemble", trained[1], members=[*members, members[1]], member_weights=[1, 1, 1], device="cpu")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"combine": "logits"}, r'combine: expected "fusion" with the checkpoint'),
            ({"image_size": 64}, "image_size: expected 32, at which the head was trained"),
        ],
    )
    def test_what_contradicts_the_head(self, trained, options, message):
        with pytest.raises(InputError, match=message):
            load_model("ensemble", trained[1], device="cpu", **options)

    def test_an_ensemble_without_a_head_is_not_trained(self, data, members, tmp_path):
        with pytest.raises(InputError, match='combine: expected "fusion" to finetune'):
            finetune("ensemble", data=data, out=tmp_path / "x", options={"members": members}, device="cpu")

    def test_a_network_is_no_head(self, members):
        with pytest.raises(InputError, match="expected the folder of a trained fusion"):
            load_model("ensemble", members[0]["checkpoint"], members=members, device="cpu")

    def test_a_head_of_no_channels(self, members):
        with pytest.raises(InputError, match="hidden: expected a whole number of channels"):
            load_model("ensemble", members=members, combine="fusion", hidden=0, device="cpu")
