"""FGSM and PGD: against a model whose worst image is known, and on every network."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from robustness.errors import InputError
from robustness.perturb.attacks.base import AttackSettings, ExactImage, evaluated_image, with_image
from robustness.perturb.attacks.fgsm import Fgsm
from robustness.perturb.attacks.pgd import Pgd
from robustness.runners.attacks.gradient import fgsm, pgd
from robustness.runners.attacks.loss import loss_of_logits, target_of
from robustness.runners.attacks.model import GradientModel
from robustness.runners.inference.engine import Engine
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.request import Request
from robustness.runners.inference.segmenter import SplitNetwork
from robustness.runners.models.load import load_model
from robustness.runners.training.loss import DiceAndCrossEntropy
from robustness.seeds import generator
from tests.runners.small_models import Linear, case_of, linear, picture, segmenter, smooth

SETTINGS = AttackSettings()
BCE = AttackSettings(loss="bce")
MODELS = ("film-unet", "clipseg", "cris", "biomedclipseg", "biomedclipseg-d", "unet", "deeplabv3plus")
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "one", "small", "left", "caudate", "nucleus")


def exact(image: np.ndarray) -> ExactImage:
    return (image / 255).astype(np.float32).view(ExactImage)


def drawn(rows: int, side: int) -> torch.Tensor:
    return torch.randn(rows, 1, side, side, generator=torch.Generator().manual_seed(rows * side))


def unit(image: np.ndarray) -> np.ndarray:
    return image / 255 if image.dtype == np.uint8 else image.astype(np.float64)


def worst_corner(model, case, eps: float) -> np.ndarray:
    """The image that maximises the cross entropy of the linear model: each pixel away from its reference."""
    weight = model.network.weight.detach().numpy()[0, 0]
    wanted = np.where(case.mask, -1, 1)[..., None]
    return np.clip(unit(case.image) + eps * wanted * np.sign(weight)[..., None], 0, 1)


class TestLinearModel:
    @pytest.mark.parametrize("gray", [False, True])
    @pytest.mark.parametrize("levels", [1, 4, 8])
    def test_fgsm_reaches_the_worst_corner(self, levels: int, gray: bool) -> None:
        model, case = linear(), case_of(picture(1, gray=gray))
        found = fgsm(GradientModel(model), case, levels / 255, 0, BCE)
        assert found.image.dtype == np.uint8
        np.testing.assert_array_equal(found.image, np.rint(worst_corner(model, case, levels / 255) * 255))

    def test_fgsm_of_a_fraction_of_a_level_stays_a_float_picture(self) -> None:
        model, case = linear(), case_of(picture(1))
        found = fgsm(GradientModel(model), case, 1.5 / 255, 0, BCE)
        assert found.image.dtype == np.float32
        np.testing.assert_allclose(found.image, worst_corner(model, case, 1.5 / 255), atol=1e-7)

    @pytest.mark.parametrize("start", [True, False])
    def test_pgd_reaches_the_same_corner_from_any_start(self, start: bool) -> None:
        model, case = linear(), case_of(picture(2))
        settings = AttackSettings(loss="bce", random_start=start, steps=20)
        found = pgd(GradientModel(model), case, 4 / 255, 3, settings)
        np.testing.assert_allclose(found.image, worst_corner(model, case, 4 / 255), atol=1e-6)
        assert found.facts["loss"] == pytest.approx(found.facts["fgsm_loss"], rel=1e-5)
        assert found.facts["suspicious"] == []

    def test_the_gradient_is_that_of_the_loss_in_pixel_units(self) -> None:
        model, case = linear(), case_of(picture(3))
        task = GradientModel(model).task(case, BCE)
        found = task.gradient(task.clean).gradient[0].numpy()
        weight = model.network.weight.detach().numpy()[0, 0]
        logits = weight * (unit(case.image).mean(2) - 0.5)
        expected = (1 / (1 + np.exp(-logits)) - case.mask) * weight / 3 / case.mask.size
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), atol=1e-6)

    def test_nothing_of_the_model_changes(self) -> None:
        model, case = linear(), case_of(picture(4))
        before = model.network.weight.detach().clone()
        pgd(GradientModel(model), case, 2 / 255, 0, SETTINGS)
        assert torch.equal(before, model.network.weight)
        assert model.network.weight.grad is None
        assert model.network.weight.requires_grad

    def test_work_is_counted_in_rows(self) -> None:
        model = GradientModel(linear())
        pgd(model, case_of(picture(5)), 2 / 255, 0, AttackSettings(steps=5, restarts=3))
        # Clean image and 5 steps of 3 starts; forward also the two controls of each start, the last points, the end.
        assert model.counters.n_attack_backwards == 1 + 5 * 3
        assert model.counters.n_attack_forwards == 1 + 5 * 3 + (1 + 3) + 3 + 1


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    name, options = request.param, {}
    if name.startswith("biomedclipseg"):
        vocabulary = tmp_path_factory.mktemp("words") / "vocab.txt"
        vocabulary.write_text("\n".join(VOCABULARY), "utf-8")
        options["tokenizer"] = vocabulary
    return load_model(name, device="cpu", config={} if name == "film-unet" else {"preset": "tiny"}, **options)


class TestEveryNetwork:
    @pytest.mark.slow
    @pytest.mark.parametrize("gray", [False, True])
    def test_the_loss_rises_within_eps_and_gray_stays_gray(self, model, gray: bool) -> None:
        case, eps = case_of(smooth(1, gray=gray)), 4 / 255
        # The engine's inference mode must leave nothing behind that a gradient cannot pass.
        list(Engine(model).predict([Request(case.image, "a", case.prompt.text)]))
        for attack in (fgsm,) if gray else (fgsm, pgd):
            found = attack(GradientModel(model), case, eps, 5, AttackSettings(steps=2))
            assert found.facts["loss"] > found.facts["clean_loss"]
            change = np.abs(unit(found.image) - unit(case.image))
            assert 0 < change.max() <= eps * (1 + 1e-12)
            assert found.image.shape == case.image.shape
            assert found.image.min() >= 0
            assert unit(found.image).max() <= 1
            if gray:
                assert (found.image == found.image[..., :1]).all()

    @pytest.mark.slow
    def test_the_engine_sees_the_picture_that_was_attacked(self, model) -> None:
        case = case_of(smooth(2))
        found = pgd(GradientModel(model), case, 8 / 255, 0, AttackSettings(steps=2))
        changed = with_image(case, found.image)
        request = Request(evaluated_image(changed), "a", case.prompt.text)
        (seen,) = Engine(model, resolution="network").predict([request])
        logits = torch.from_numpy(seen)[None, None].clamp(1e-7, 1 - 1e-7).logit()
        target = target_of(case.mask, seen.shape)
        assert float(loss_of_logits(logits, target, "dice+bce")[0]) == pytest.approx(found.facts["loss"], abs=2e-3)

    @pytest.mark.slow
    def test_the_same_seed_gives_the_same_bits_and_the_record_replays_them(self, model) -> None:
        case, settings = case_of(smooth(3)), AttackSettings(steps=2)
        attack = Pgd().bound_to(lambda *job: pgd(GradientModel(model), *job), settings)
        params = attack.propose(case, 3, generator(1, "x"))
        first = attack.apply(case, params)
        fresh = Pgd().bound_to(lambda *job: pgd(GradientModel(model), *job), AttackSettings(steps=9))
        again = fresh.apply(case, json.loads(json.dumps(params)))
        np.testing.assert_array_equal(evaluated_image(first), evaluated_image(again))
        assert params["eps"] == 4.0


class TestRounding:
    def test_a_round_trip_gives_eight_bits_within_eps(self) -> None:
        case = case_of(picture(6))
        found = pgd(GradientModel(linear()), case, 2 / 255, 0, AttackSettings(round_trip=True, steps=3))
        assert found.image.dtype == np.uint8
        assert np.abs(found.image.astype(int) - case.image).max() == 2

    def test_an_eps_between_levels_rounds_inwards(self) -> None:
        case = case_of(picture(6))
        found = fgsm(GradientModel(linear()), case, 2.7 / 255, 0, AttackSettings(round_trip=True))
        assert np.abs(found.image.astype(int) - case.image).max() == 2

    def test_floats_are_kept_beside_their_eight_bit_view(self) -> None:
        case = case_of(picture(7))
        found = pgd(GradientModel(linear()), case, 2 / 255, 0, SETTINGS)
        changed = with_image(case, found.image)
        assert changed.image.dtype == np.uint8
        np.testing.assert_array_equal(evaluated_image(changed), found.image)
        assert np.abs(changed.image / 255 - found.image).max() <= 0.5 / 255 + 1e-6


class TestDifferentiablePreparation:
    @pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
    @pytest.mark.parametrize("size", [(40, 56), (100, 70), (32, 32)])
    def test_it_is_the_models_own_up_to_the_rounding_of_eight_bits(self, interpolation: str, size) -> None:
        prepare = Preprocess(image_size=32, interpolation=interpolation, mean=(0, 0, 0), std=(1, 1, 1))
        image = smooth(4, size)
        own = prepare.pixel_values([image])
        ours = prepare.pixel_values([exact(image)])
        # PIL rounds to a level after each of two passes.
        assert float((own - ours).abs().max()) <= (0 if size == (32, 32) else 1.6 / 255)
        assert ours.dtype == torch.float32

    def test_mixed_types_keep_their_order_and_bits(self) -> None:
        prepare = Preprocess(image_size=32)
        images = [smooth(0), exact(smooth(1)), smooth(2, (90, 50))]
        together = prepare.pixel_values(images)
        assert torch.equal(together, torch.cat([prepare.pixel_values([image]) for image in images]))

    @pytest.mark.parametrize("value", [-0.01, 1.01, np.nan])
    def test_values_outside_the_range_are_refused(self, value: float) -> None:
        bad = exact(smooth(0))
        bad[3, 3] = value
        with pytest.raises(InputError, match=r"images: expected float32 values in \[0, 1\]"):
            Preprocess(image_size=32).pixel_values([bad])


class TestLoss:
    def test_it_is_the_loss_of_finetuning(self) -> None:
        logits, masks = drawn(1, 9), (drawn(1, 9) > 0.3).float()
        whole = DiceAndCrossEntropy()(logits, masks)
        assert float(loss_of_logits(logits, masks, "dice+bce")) == pytest.approx(float(whole.total), rel=1e-5)
        assert float(loss_of_logits(logits, masks, "bce")) == pytest.approx(float(whole.ce), rel=1e-5)
        assert float(loss_of_logits(logits, masks, "dice")) == pytest.approx(float(whole.dice), rel=1e-5)

    def test_rows_are_apart(self) -> None:
        logits, target = drawn(3, 5), (drawn(1, 5) > 0).float()
        alone = torch.cat([loss_of_logits(row[None], target, "dice+bce") for row in logits])
        assert torch.allclose(loss_of_logits(logits, target, "dice+bce"), alone)

    def test_a_line_thinner_than_a_network_pixel_is_not_lost(self) -> None:
        mask = np.zeros((256, 256), dtype=bool)
        mask[100] = True
        target = target_of(mask, (16, 16))
        assert float(target.mean()) == pytest.approx(mask.mean(), rel=1e-3)


class Steps(SplitNetwork):
    """Rounds its image first: the gradient is zero although other images hurt."""

    takes_text = False

    def encode_image(self, pixel_values):
        return (8 * (torch.round(pixel_values.mean(1, keepdim=True) * 20) / 20 - 0.5),)

    def decode(self, image, text):
        return image[0]


class NotANumber(Linear):
    """Divides by zero on the way back."""

    def decode(self, image, text):
        return image[0] + torch.sqrt((image[0] * 0).clamp(min=0)) * 0


class TestSanity:
    def test_a_masked_gradient_is_reported(self) -> None:
        found = pgd(GradientModel(segmenter(Steps())), case_of(smooth(1, (16, 16))), 8 / 255, 0, SETTINGS)
        assert "the gradient is zero" in found.facts["suspicious"]

    def test_a_gradient_that_is_no_number_is_reported_and_no_number_reaches_the_record(self) -> None:
        model = segmenter(NotANumber(linear().network.weight.detach()))
        attack = Fgsm().bound_to(lambda *job: fgsm(GradientModel(model), *job), SETTINGS)
        params = attack.propose(case_of(picture(1)), 2, generator(0))
        assert "the gradient is not finite" in params["suspicious"]
        assert params["gradient"] is None
        assert params["note"].startswith("suspicious attack (gradient masking?)")
        json.dumps(params, allow_nan=False)

    def test_an_attack_that_steps_over_the_ball_is_weaker_than_one_step_and_says_so(self) -> None:
        # A start that never moves far: PGD with a step of nearly nothing.
        settings = AttackSettings(steps=1, restarts=1, step_size=1e-4)
        found = pgd(GradientModel(linear()), case_of(picture(2)), 4 / 255, 0, settings)
        assert "one gradient step (fgsm) is stronger" in found.facts["suspicious"]

    def test_a_sound_attack_shows_no_sign(self) -> None:
        for seed in range(5):
            found = pgd(GradientModel(linear(seed)), case_of(picture(seed)), 2 / 255, seed, SETTINGS)
            assert found.facts["suspicious"] == []
            assert found.facts["loss"] - found.facts["clean_loss"] > 2 * abs(
                found.facts["noise_loss"] - found.facts["clean_loss"]
            )


@pytest.mark.slow
def test_more_eps_more_loss_and_pgd_beats_fgsm_on_a_curved_model() -> None:
    model, case = load_model("film-unet", device="cpu"), case_of(smooth(5))
    settings = AttackSettings(steps=10)
    losses = [pgd(GradientModel(model), case, k / 255, 0, settings).facts for k in (1, 2, 4, 8)]
    assert [f["loss"] for f in losses] == sorted(f["loss"] for f in losses)
    assert all(f["loss"] >= f["fgsm_loss"] for f in losses)
