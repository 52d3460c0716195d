"""Counterfactual prompts and attribute dropout: other questions with their own answers, drawn for each case."""

import json

import numpy as np
import pytest
from PIL import Image

from robustness.perturb.language.parse import parse_prompt
from robustness.plans.finetune import TrainDataSpec
from robustness.runners.training.finetune import finetune
from robustness.runners.training.samples.attribute_dropout import told_apart, without_words
from robustness.runners.training.samples.cases import TrainingCases
from robustness.runners.training.samples.counterfactual import Counterfactuals
from robustness.runners.training.samples.resized_cases import open_split
from robustness.types import CaseInfo, DataContext
from tests.runners.small_models import FAST, same, weights
from tests.synthetic import write_dataset

EPOCHS = 40


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), images=3)


def cases(data, share, *, split="train", pool="train", seed=0, keys=("p2",), **options):
    spec, sizes = TrainDataSpec(path=str(data)), {"size": 48}
    others = None
    if share:
        held = TrainingCases(open_split(spec, pool, list(keys)), seed=seed, **sizes)
        others = Counterfactuals(held, share=share, seed=seed)
    return TrainingCases(open_split(spec, split, list(keys)), seed=seed, others=others, **sizes, **options)


def drawn(some, epochs=EPOCHS):
    return [(some.plain(i), some.drawn(i, epoch)) for i in range(len(some)) for epoch in range(epochs)]


class TestCounterfactuals:
    def test_the_image_stays_and_the_answer_is_that_of_the_question(self, data):
        answers = {}
        for plain, sample in drawn(cases(data, 1.0)):
            assert np.array_equal(plain.image, sample.image)
            assert sample.text != plain.text
            side = {"left": slice(24, None), "right": slice(0, 24)}.get(sample.text.split()[0])
            if sample.mask.any():
                # The patient's left is on the picture's right; the mask is that of the side that was asked for.
                assert "caudate nucleus" in sample.text
                assert sample.mask[:, side].sum() == sample.mask.sum()
                assert not (sample.mask & plain.mask).any()
            else:
                assert "caudate" not in sample.text
            answers[sample.text] = sample.mask.any()
        assert sum(answers.values()) == 2

    def test_the_share_is_kept_and_half_of_it_is_absent(self, data):
        pairs = drawn(cases(data, 0.3), epochs=100)
        changed = [sample for plain, sample in pairs if sample.text != plain.text]
        assert 0.22 < len(changed) / len(pairs) < 0.38
        assert 0.38 < np.mean([not sample.mask.any() for sample in changed]) < 0.62

    def test_other_targets_come_from_the_pool_when_the_training_split_has_one_per_image(self, tmp_path):
        folder = write_dataset(tmp_path, images=3)
        entries = json.loads((folder / "anns" / "train.json").read_text())
        (folder / "anns" / "pool.json").write_text(json.dumps(entries))
        (folder / "anns" / "train.json").write_text(json.dumps([e for e in entries if "_left" in e["mask_name"]]))
        alone = {s.text for _, s in drawn(cases(folder, 1.0)) if s.mask.any()}
        pooled = {s.text for _, s in drawn(cases(folder, 1.0, pool="pool")) if s.mask.any()}
        assert (alone, pooled) == (set(), {"right caudate nucleus"})

    def test_draws_depend_on_seed_epoch_and_case_alone(self, data):
        first, second, other = cases(data, 0.5), cases(data, 0.5), cases(data, 0.5, seed=1)
        for index in reversed(range(len(second))):
            second.drawn(index, 7)
        texts = [[some.drawn(i, 3).text for i in range(len(some))] for some in (first, second, other)]
        assert texts[0] == texts[1]
        assert texts[0] != texts[2]
        assert texts[0] != [first.drawn(i, 4).text for i in range(len(first))]

    def test_samples_that_stay_are_those_of_a_plain_training(self, data):
        plain, some = cases(data, 0.0, keys=("p2", "p3")), cases(data, 0.3, keys=("p2", "p3"))
        texts = [(plain.drawn(i, e).text, some.drawn(i, e).text) for i in range(len(plain)) for e in range(10)]
        assert 0.5 < np.mean([a == b for a, b in texts]) < 1

    def test_flips_move_the_other_mask_and_its_words(self, data):
        seen = set()
        for plain, sample in drawn(cases(data, 1.0, augment=["flip"])):
            flipped = not np.array_equal(plain.image, sample.image)
            if sample.mask.any():
                side = slice(24, None) if sample.text.startswith("left") else slice(0, 24)
                assert sample.mask[:, side].sum() == sample.mask.sum()
                seen.add(flipped)
        assert seen == {True, False}

    @pytest.mark.slow
    def test_a_training_repeats_itself_and_differs_from_a_plain_one(self, data, tmp_path):
        for name, share in (("a", 0.5), ("b", 0.5), ("plain", 0.0)):
            finetune("film-unet", data=data, out=tmp_path / name, epochs=2, counterfactual=share, **FAST)
        assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
        assert not same(weights(tmp_path / "a"), weights(tmp_path / "plain"))


def case_with(data, text, **changes):
    case = cases(data, 0.0)._case(0)
    from dataclasses import replace

    return replace(case, prompt=parse_prompt(text, modality="T1 MRI"), target="caudate nucleus", **changes)


def context(*texts):
    infos = [
        CaseInfo(f"other{i}", "image", "s", "caudate nucleus", (parse_prompt(text, modality="T1 MRI"),))
        for i, text in enumerate(texts)
    ]
    return DataContext(name="d", infos=tuple(infos))


class TestWithoutWords:
    text = "one small left caudate nucleus in axial T1 brain MRI, located in the right of the image"

    def left(self, data, ctx, chance=1.0):
        case = case_with(data, self.text, metadata={"image_id": "image", "modality": "T1 MRI"})
        return without_words(case, ctx, chance=chance, rng=np.random.default_rng(0)).prompt.text

    def test_everything_but_target_and_side_may_go(self, data):
        text = self.left(data, context())
        assert "left caudate nucleus" in text
        assert not any(word in text for word in ("small", "one", "located"))

    def test_nothing_goes_without_chance(self, data):
        assert self.left(data, context(), chance=0.0) == self.text

    def test_a_word_that_alone_tells_another_case_apart_stays(self, data):
        text = self.left(data, context(self.text.replace("small", "large")))
        assert "small" in text
        assert "located" not in text

    def test_of_two_words_that_tell_another_case_apart_one_stays(self, data):
        other = self.text.replace("small", "large").replace("the right of", "the top of")
        text = self.left(data, context(other))
        assert ("small" in text) != ("located" in text)

    def test_told_apart_names_the_kinds(self):
        first, second = (parse_prompt(t, modality="MRI") for t in ("small left hippocampus", "large left hippocampus"))
        assert told_apart(first, second) == {"size"}

    def test_chance_is_the_share_of_words_that_go(self, data):
        case = case_with(data, self.text, metadata={"image_id": "image", "modality": "T1 MRI"})
        rng = np.random.default_rng(1)
        texts = [without_words(case, context(), chance=0.3, rng=rng).prompt.text for _ in range(200)]
        assert 0.2 < np.mean(["small" not in text for text in texts]) < 0.4


class TestSmallAndEmpty:
    def test_no_target_prompts_with_empty_masks_and_one_validation_case_train(self, tmp_path):
        folder = write_dataset(tmp_path / "data", images=2)
        for name in ("train", "val"):
            path = folder / "anns" / f"{name}.json"
            entries = json.loads(path.read_text())
            for entry in entries[:2]:
                entry["prompts"] = {"p2": "No tumor"}
                Image.new("L", (48, 48)).save(folder / "masks" / entry["mask_name"])
            path.write_text(json.dumps(entries if name == "train" else entries[:1]))
        settings = {**FAST, "prompt": "p2", "counterfactual": 0.5, "attribute_dropout": 0.5, "epochs": 3}
        done = finetune("film-unet", data=folder, out=tmp_path / "out", **settings)
        assert 0 <= done.val_dice <= 1
        assert np.isfinite(done.val_dice)
