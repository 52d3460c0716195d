"""Training that makes prompts safe: absent targets with empty masks, and wordings that must agree."""

import json

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.plans.finetune import TrainDataSpec, TrainSpec
from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from robustness.runners.training.loss import DiceAndCrossEntropy, group_consistency
from robustness.runners.training.samples.absent_targets import AbsentTargets
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.counterfactual import Counterfactuals
from robustness.runners.training.samples.resized_cases import open_split
from tests.runners.small_models import FAST, TINY, largest_difference, rows, same, weights
from tests.synthetic import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=3)


def cases(data, share, *, others=0.0, **options):
    opened = open_split(TrainDataSpec(path=str(data)), "train", ["p2"])
    first = next(iter(opened.values()))
    absent = AbsentTargets(first.context(0), share=share, seed=0) if share else None
    asking = Counterfactuals(TrainingCases(opened, size=48), share=others, seed=0) if others else None
    return TrainingCases(opened, size=48, absent=absent, others=asking, **options)


class TestAbsentTargets:
    def test_what_is_asked_for_is_not_in_the_image_and_the_mask_is_empty(self, data):
        some = cases(data, 0.99)
        texts = {
            sample.text for i in range(len(some)) for e in range(20) if not (sample := some.drawn(i, e)).mask.any()
        }
        assert len(texts) > 3
        assert not any("caudate" in text for text in texts)

    def test_the_split_that_it_reads_counts_among_the_hashed_files(self, data):
        from robustness.runners.training.setup import _cases_of
        from tests.runners.small_models import SMALL

        segmenter = load_model("film-unet", config=SMALL, device="cpu")
        spec = TrainDataSpec(path=str(data), prompt=["p2"], counterfactual_split="test")
        for share, splits in ((0.0, []), (0.3, ["test"])):
            training, _ = _cases_of(spec, TrainSpec(absent=share), segmenter, None)
            assert [pool.split for pool in training.pools()] == splits
        both, _ = _cases_of(spec, TrainSpec(absent=0.3, counterfactual=0.3), segmenter, None)
        assert [pool.split for pool in both.pools()] == ["test"]

    def test_the_share_is_kept_and_the_image_stays(self, data):
        some = cases(data, 0.3)
        pairs = [(some.plain(i), some.drawn(i, e)) for i in range(len(some)) for e in range(100)]
        assert 0.22 < np.mean([not sample.mask.any() for _, sample in pairs]) < 0.38
        assert all(np.array_equal(plain.image, sample.image) for plain, sample in pairs)

    def test_what_may_be_there_undrawn_is_never_asked_for(self, data):
        some = cases(data, 0.99)
        change = some.absent._changes[0]
        case = some._case(0)
        params = change.draw(case, 0, np.random.default_rng(0))
        assert change.expect(case, params) == "change"
        assert some.absent._with(change, case, np.random.default_rng(0)) is None

    def test_counterfactual_prompts_are_drawn_among_the_others(self, data):
        pairs = [
            (some.plain(i), some.drawn(i, e))
            for some in [cases(data, 0.5, others=1.0)]
            for i in range(3)
            for e in range(60)
        ]
        assert 0.3 < np.mean([not sample.mask.any() for _, sample in pairs]) < 0.9
        assert any(sample.mask.any() and sample.text != plain.text for plain, sample in pairs)

    def test_samples_that_stay_are_those_of_a_plain_training(self, data):
        plain, some = cases(data, 0.0), cases(data, 0.3)
        for index in range(len(plain)):
            for epoch in range(10):
                sample = some.drawn(index, epoch)
                if sample.mask.any():
                    assert sample.text == plain.drawn(index, epoch).text


class TestGroupConsistency:
    masks = torch.zeros(2, 1, 4, 4)

    def groups(self):
        self.masks[:, :, :2] = 1
        good = (2 * self.masks - 1) * 4
        return torch.stack([good, -good, good], dim=1).flatten(0, 1).requires_grad_(True)

    def test_equal_answers_cost_nothing(self):
        good = (2 * self.masks - 1).repeat_interleave(3, dim=0)
        assert float(group_consistency(good, self.masks, loss=DiceAndCrossEntropy())) == 0

    def test_it_is_the_mean_distance_over_the_others(self):
        # One of two others differs by 8 in every pixel: 7.5 of Huber's distance.
        assert float(
            group_consistency(self.groups().detach(), self.masks, loss=DiceAndCrossEntropy())
        ) == pytest.approx(3.75)

    def test_the_best_answer_gets_no_gradient_and_the_worst_is_drawn_to_it(self):
        logits = self.groups()
        group_consistency(logits, self.masks, loss=DiceAndCrossEntropy()).backward()
        gradient = logits.grad.unflatten(0, (2, 3))
        assert gradient[:, 0].abs().sum() == gradient[:, 2].abs().sum() == 0
        assert torch.equal(gradient[:, 1].sign(), -(2 * self.masks - 1))

    def test_the_loss_of_each_row_has_the_mean_loss(self):
        loss = DiceAndCrossEntropy(dice_weight=0.7, ce_weight=1.3)
        logits = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        masks = (logits > 0.5).float()
        torch.testing.assert_close(loss.of_each(logits, masks).mean(), loss(logits, masks).total)


class TestWordings:
    def test_every_sample_has_as_many_texts_of_one_meaning(self, data):
        some = cases(data, 0.0, wordings=3)
        samples = [some.drawn(i, e) for i in range(len(some)) for e in range(5)]
        assert {len(sample.rewordings) for sample in samples} == {2}
        assert all(sample.text not in sample.rewordings for sample in samples)
        assert all("caudate" in text for sample in samples for text in sample.rewordings)

    @pytest.mark.slow
    def test_a_training_logs_the_term_repeats_itself_and_differs(self, data, tmp_path):
        for name, weight in (("a", 0.1), ("b", 0.1), ("plain", 0.0)):
            finetune("film-unet", data=data, out=tmp_path / name, epochs=2, consistency=weight, **FAST)
        assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
        assert not same(weights(tmp_path / "a"), weights(tmp_path / "plain"))
        assert all(float(row["consistency_loss"]) > 0 for row in rows(tmp_path / "a"))
        assert "consistency_loss" not in rows(tmp_path / "plain")[0]

    @pytest.mark.slow
    def test_cached_features_change_nothing(self, data, tmp_path):
        for cache in ("auto", "off"):
            options = {**TINY, "consistency": 0.1, "absent": 0.3, "prompt": "p2", "cache": cache, "batch_size": 6}
            finetune("clipseg", data=data, out=tmp_path / cache, epochs=1, **options)
        assert largest_difference(weights(tmp_path / "auto"), weights(tmp_path / "off")) < 1e-4


class TestRefusals:
    @pytest.mark.parametrize("key", ["absent", "consistency"])
    def test_a_network_that_reads_no_text_is_refused(self, data, tmp_path, key):
        with pytest.raises(InputError, match=rf"train\.{key}: expected a model that reads its prompt"):
            finetune("unet", data=data, out=tmp_path, epochs=1, loggers="none", config={"preset": "tiny"}, **{key: 0.3})

    def test_a_plan_without_the_keys_has_the_hash_that_it_had(self):
        assert TrainSpec().absent == TrainSpec().consistency == 0

    def test_metrics_of_a_resumed_training_keep_the_column(self, data, tmp_path):
        finetune("film-unet", data=data, out=tmp_path, epochs=1, consistency=0.2, **FAST)
        log = json.loads((tmp_path / "training.json").read_text())
        assert log["finished"]
        assert list(rows(tmp_path)[0])[-1] == "consistency_loss"
