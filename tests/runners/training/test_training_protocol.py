"""What a protocol asks of the loss, the schedule and the end of a training; the reference's accidents by name.

Every registered network finetunes: the four that read text, and the three that do not.
"""

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.plans.finetune import TrainDataSpec, TrainSpec
from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from robustness.runners.training.loss import training_loss
from robustness.runners.training.parts import lone_values_use_running_statistics, parameters_by_part
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.resized_cases import open_split
from robustness.runners.training.schedule import learning_rate, plateaus, since_best
from tests.runners.small_models import FAST, TINY, rows, settings_of, weights
from tests.synthetic import write_dataset

TEXT = ["clipseg", "cris", "biomedclipseg", "biomedclipseg-d"]
CNN = ["unet", "unetplusplus", "deeplabv3plus"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=64)


def loss_of(logits, masks, **spec):
    return training_loss(TrainSpec(**spec))(logits, masks)


class TestAccidents:
    perfect = torch.tensor([[[[40.0, -40.0], [-40.0, -40.0]]]])
    masks = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])

    def test_cross_entropy_of_sigmoids_makes_a_perfect_mask_cost(self):
        # One pixel of the target costs log(1 + 1/e), three of the background log 2; the reference adds 0.2 of the mean.
        expected = (np.log1p(np.exp(-1)) + 3 * np.log(2)) / 4
        found = loss_of(self.perfect, self.masks, ce_weight=0.2, reference_accidents=["ce_of_sigmoids"])
        assert found.ce.item() == pytest.approx(expected, abs=1e-6)
        assert found.total.item() == pytest.approx(0.2 * expected, abs=1e-6)
        assert loss_of(self.perfect, self.masks).total.item() == pytest.approx(0, abs=1e-6)

    def test_zero_cross_entropy_leaves_dice_alone(self):
        logits = torch.randn(2, 1, 5, 5, generator=torch.Generator().manual_seed(0))
        masks = (torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(1)) > 0.5).float()
        found = loss_of(logits, masks, reference_accidents=["zero_ce"])
        assert found.ce.item() == 0
        assert found.total.item() == found.dice.item() == loss_of(logits, masks).dice.item()

    def test_dice_smoothing_is_the_references(self):
        from monai.losses import DiceLoss

        logits = torch.randn(3, 1, 6, 6, generator=torch.Generator().manual_seed(2))
        masks = torch.zeros(3, 1, 6, 6)
        masks[0, 0, :3] = 1
        found = loss_of(logits, masks, dice_smooth=1e-5).dice
        torch.testing.assert_close(found, DiceLoss(sigmoid=True)(logits, masks))

    def test_validation_texts_are_drawn_anew_in_each_epoch_and_seeded(self, data):
        spec = TrainDataSpec(path=str(data))
        opened = open_split(spec, "val", ["p7"])
        drawn = [TrainingCases(opened, size=16, seed=seed, redraw=True) for seed in (0, 0, 1)]
        texts = [[[some.plain(i, epoch).text for i in range(8)] for epoch in range(4)] for some in drawn]
        assert texts[0] == texts[1] != texts[2]
        assert len({tuple(epoch) for epoch in texts[0]}) > 1
        fixed = TrainingCases(opened, size=16)
        assert all(fixed.plain(i, 3).text == fixed.plain(i, 0).text for i in range(8))


class TestSchedule:
    @pytest.mark.parametrize("patience", [0, 2])
    def test_a_plateau_of_the_loss_counts_as_torch_does(self, patience):
        history = np.exp(-np.arange(80) / 9) + 0.02 * np.random.default_rng(patience).random(80)
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        torch_way = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=patience, eps=0)
        spec = TrainSpec(
            lr=1.0,
            plateau_on="loss",
            plateau_factor=0.1,
            plateau_patience=patience,
            plateau_threshold=1e-4,
            lr_floor=0.0,
        )
        for index, value in enumerate(history):
            torch_way.step(value)
            rate = learning_rate(spec, step=0, total=1, history=list(history[: index + 1]))
            assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-6)

    def test_the_floor_is_a_share_of_the_rate(self):
        spec = TrainSpec(lr=2.0, plateau_factor=0.1, plateau_patience=0)
        history = [1.0] * 9
        assert learning_rate(spec, step=0, total=1, history=history) == pytest.approx(0.02)
        assert plateaus(history, patience=0) == 8

    def test_a_gain_below_the_least_one_does_not_count(self):
        history = [0.5, 0.50005, 0.5001, 0.50011]
        assert since_best(history) == 0
        assert since_best(history, least_gain=1e-4) == 0
        assert since_best(history[:3], least_gain=1e-4) == 2


class TestTraining:
    def test_the_fewest_epochs_come_before_an_early_stop(self, data, tmp_path):
        settings = {**FAST, "lr": 1e-12, "patience": 1, "min_epochs": 4, "epochs": 50}
        finetune("film-unet", data=data, out=tmp_path, **settings)
        assert len(rows(tmp_path)) == 4

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["clipseg", "unet"])
    def test_the_references_protocol_trains_on_a_cpu_once_its_precision_is_one_of_a_cpu(self, name, data, tmp_path):
        settings = {**TINY, "protocol": "medvlsm", "prompt": ["p7"], "epochs": 1}
        settings |= {"options": {"encoder_weights": "none"}} if name == "unet" else {}
        with pytest.raises(InputError, match=r"train\.precision: expected float32 or bf16 on a CPU, got 'fp16'"):
            finetune(name, data=data, out=tmp_path / "a", **settings)
        done = finetune(name, data=data, out=tmp_path / "b", precision="float32", **settings)
        assert done.steps == 1
        card = (tmp_path / "b" / "README.md").read_text()
        assert "Sources of protocol `medvlsm`" in card
        assert "scripts/default_configs.py" in card


@pytest.mark.parametrize("name", [*TEXT, *(pytest.param(name, marks=pytest.mark.slow) for name in CNN)])
class TestEveryModel:
    @pytest.mark.slow
    def test_trains_with_an_odd_last_batch_of_one_image_and_its_checkpoint_loads(self, name, data, tmp_path):
        settings = settings_of(name, data)
        done = finetune(name, data=data, out=tmp_path, epochs=1, batch_size=7, **settings)
        assert done.steps == 2
        row = rows(tmp_path)[0]
        assert all(torch.isfinite(torch.tensor(float(row[key]))) for key in ("loss", "val_loss", "val_dice"))
        model = load_model(name, checkpoint=tmp_path, device="cpu")
        assert model.threshold == load_model(name, device="cpu", config={"preset": "tiny"}).threshold


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXT)
def test_the_whole_decoder_of_frozen_encoders_learns_and_nothing_else(name, data, tmp_path):
    settings = settings_of(name, data)
    done = finetune(name, data=data, out=tmp_path, epochs=1, batch_size=4, freeze=["image", "text"], **settings)
    start = load_model(name, device="cpu", config={"preset": "tiny"})
    parts, before, after = parameters_by_part(start), start.network.state_dict(), weights(done.folder)
    changed = {key for key in after if key in before and not torch.equal(after[key], before[key])}
    learned = changed & {key for names in parts.values() for key in names}
    assert learned == set(parts["decoder"])
    assert done.trainable == sum(before[key].numel() for key in parts["decoder"])


@pytest.mark.slow
def test_a_frozen_encoder_of_a_baseline_leaves_its_decoder_to_learn(data, tmp_path):
    done = finetune("unet", data=data, out=tmp_path, epochs=1, batch_size=4, freeze="image", **TINY)
    start = load_model("unet", device="cpu", config={"preset": "tiny"})
    before, after = start.network.state_dict(), weights(done.folder)
    assert all(torch.equal(before[key], after[key]) for key in before if key.startswith("encoder."))
    assert not torch.equal(before["segmentation_head.0.weight"], after["segmentation_head.0.weight"])


class TestLoneValues:
    def test_a_norm_with_one_value_per_channel_uses_what_it_knows_and_then_learns_again(self):
        norm = torch.nn.BatchNorm1d(3).train()
        with lone_values_use_running_statistics(norm):
            assert norm(torch.ones(1, 3)).shape == (1, 3)
            assert norm.training
            before = norm.running_mean.clone()
            norm(torch.ones(2, 3))
            assert not torch.equal(before, norm.running_mean)
        with pytest.raises(ValueError, match="more than 1 value"):
            norm(torch.ones(1, 3))
