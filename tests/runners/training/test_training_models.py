"""Every registered network finetunes: the four that read text, and the three that do not."""

import pytest
import torch

from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from robustness.runners.training.parts import lone_values_use_running_statistics, parameters_by_part
from tests.runners.small_models import TINY, rows, settings_of, weights
from tests.synthetic import write_dataset

TEXT = ["clipseg", "cris", "biomedclipseg", "biomedclipseg-d"]
CNN = ["unet", "unetplusplus", "deeplabv3plus"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=4, size=64)


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
