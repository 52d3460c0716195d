"""What every attack entry promises without a model, and settings and signs by hand."""

from __future__ import annotations

import numpy as np
import pytest

from robustness.errors import CaseError, InputError
from robustness.perturb.attacks.base import (
    Attack,
    Attacked,
    AttackSettings,
    evaluated_image,
    image_sha256,
    signs,
    with_image,
)
from robustness.perturb.attacks.pgd import Pgd
from robustness.plans.audit import parse_plan
from robustness.registry import PERTURBATIONS
from robustness.results import SEARCHED, is_attack, is_searched, parse_condition, part_name
from robustness.seeds import generator
from robustness.types import NotApplicable
from tests.perturb.prompt_cases import make_case

ATTACKS = [name for name in PERTURBATIONS.names() if PERTURBATIONS.get(name).needs_model]
CASE = make_case("one small polyp")
PLAN = {"model": {"name": "m"}, "data": {"path": "d"}}


def test_the_attacks_are_registered() -> None:
    assert set(ATTACKS) == {"fgsm", "pgd", "universal", "query_attack", "joint_worst_case"}


@pytest.mark.parametrize("name", ATTACKS)
class TestEveryEntry:
    def test_name_source_and_expectation(self, name: str) -> None:
        entry = PERTURBATIONS.get(name)
        assert entry.name == name
        assert "Source:" in entry.__doc__
        assert entry().expectation == "none"

    def test_without_a_model_it_does_not_apply_and_says_why(self, name: str) -> None:
        found = PERTURBATIONS.get(name)().propose(CASE, 2, generator(0))
        assert isinstance(found, NotApplicable)
        assert name in found.reason

    def test_severity_zero_is_the_identity(self, name: str) -> None:
        entry = PERTURBATIONS.get(name)()
        assert entry.apply(CASE, entry.propose(CASE, 0, generator(0))) is CASE

    def test_a_severity_that_does_not_exist_is_refused(self, name: str) -> None:
        with pytest.raises(InputError, match="severity: expected 0 to 5, got 6"):
            PERTURBATIONS.get(name)().propose(CASE, 6, generator(0))

    def test_its_condition_is_a_bound_in_every_table(self, name: str) -> None:
        condition = PERTURBATIONS.get(name)().condition(3)
        assert is_searched(condition)
        assert is_attack(condition)
        assert parse_condition(condition).severity == 3
        assert parse_condition(condition).family == ("joint" if name == "joint_worst_case" else "image")

    def test_the_settings_it_names_exist(self, name: str) -> None:
        assert all(hasattr(AttackSettings(), setting) for setting in PERTURBATIONS.get(name).uses)


class TestRecord:
    @staticmethod
    def shifted(case, eps, seed, settings):
        return Attacked(case.image + np.uint8(round(eps * 255)), {"loss": 1.0, "suspicious": []})

    def test_it_states_eps_in_levels_and_the_hash_of_the_picture(self) -> None:
        attack = Pgd(search=self.shifted)
        params = attack.propose(CASE, 3, generator(0))
        changed = attack.apply(CASE, params)
        assert params["eps"] == 4.0
        assert (changed.image == 4).all()
        assert params["sha256"] == image_sha256(changed.image)
        assert set(params["settings"]) == set(Pgd.uses)

    def test_a_search_that_finds_another_picture_is_refused(self) -> None:
        params = Pgd(search=self.shifted).propose(CASE, 3, generator(0))

        def other(case, eps, seed, settings):
            return Attacked(case.image + np.uint8(1), {})

        with pytest.raises(CaseError, match="another image than the record's"):
            Pgd(search=other).apply(CASE, params)
        with pytest.raises(CaseError, match="needs the gradient of a model"):
            Pgd().apply(CASE, params)

    def test_pictures_that_were_never_applied_do_not_pile_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("robustness.perturb.attacks.base._HELD_BYTES", 5 * CASE.image.nbytes)

        def noisy(case, eps, seed, settings):
            return Attacked(np.full_like(case.image, seed % 251), {})

        attack = Pgd(search=noisy)
        for number in range(100):
            attack.propose(CASE, 1, generator(number))
        assert len(attack._held) == 5

    def test_a_new_picture_forgets_the_deep_copy_of_the_old_one(self) -> None:
        case = make_case("polyp", image_float=np.zeros((100, 100), np.float32))
        unit = np.full((100, 100, 3), 0.3, np.float32)
        changed = with_image(case, unit)
        assert "image_float" not in changed.metadata
        np.testing.assert_array_equal(evaluated_image(changed), unit)
        assert evaluated_image(with_image(changed, case.image)) is case.image


class TestSigns:
    def test_a_sound_attack_has_none(self) -> None:
        assert signs(clean_loss=1.0, loss=2.0, noise_loss=1.1, fgsm_loss=1.9, gradient=0.1) == []

    @pytest.mark.parametrize(
        ("change", "sign"),
        [
            ({"loss": 1.0, "noise_loss": 0.9, "fgsm_loss": 0.9}, "the loss does not rise"),
            ({"noise_loss": 2.0}, "random noise of the same size is as strong"),
            ({"fgsm_loss": 2.1}, "one gradient step (fgsm) is stronger"),
            ({"gradient": 0.0}, "the gradient is zero"),
            ({"gradient": float("nan")}, "the gradient is not finite"),
        ],
    )
    def test_each_sign(self, change: dict[str, float], sign: str) -> None:
        sound = {"clean_loss": 1.0, "loss": 2.0, "noise_loss": 1.1, "fgsm_loss": 1.9, "gradient": 0.1}
        assert signs(**{**sound, **change}) == [sign]

    def test_a_loss_that_is_no_number_does_not_rise(self) -> None:
        assert signs(clean_loss=1.0, loss=float("nan")) == ["the loss does not rise"]


class TestSettings:
    def test_the_plans_defaults_are_the_searches_defaults(self) -> None:
        spec = parse_plan(PLAN).perturbations.attack.model_dump()
        assert AttackSettings(**{**spec, "eps": tuple(spec["eps"])}) == AttackSettings()

    def test_they_enter_the_hash_of_the_plan(self) -> None:
        other = parse_plan({**PLAN, "perturbations": {"attack": {"steps": 11}}})
        assert other.sha256() != parse_plan(PLAN).sha256()

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("eps", [1, 2, 4, 4, 8], "rise with severity"),
            ("eps", [1, 2], "at least 5 items"),
            ("eps", [0, 1, 2, 3, 4], "greater than 0"),
            ("steps", 0, "greater than 0"),
            ("loss", "iou", "dice"),
            ("stepps", 3, "did you mean 'steps'"),
        ],
    )
    def test_a_bad_key_of_a_plan_is_one_line(self, key: str, value: object, message: str) -> None:
        with pytest.raises(InputError, match=message):
            parse_plan({**PLAN, "perturbations": {"attack": {key: value}}})

    @pytest.mark.parametrize(
        "bad", [{"eps": (1, 2, 3)}, {"eps": (5, 4, 3, 2, 1)}, {"steps": 0}, {"step_size": 0.0}, {"loss": "iou"}]
    )
    def test_bad_settings_are_refused(self, bad: dict) -> None:
        with pytest.raises(InputError, match=f"attack.{next(iter(bad))}"):
            AttackSettings(**bad)

    def test_a_step_is_larger_than_the_way_it_must_go(self) -> None:
        assert AttackSettings(steps=10).step * 10 > 1
        assert AttackSettings(step_size=0.5).step == 0.5


def test_every_searched_name_is_an_entry() -> None:
    assert set(PERTURBATIONS.names()) >= SEARCHED
    assert {part_name(PERTURBATIONS.get(n)().condition(1).split("+")[0]) for n in ATTACKS} <= SEARCHED
    assert issubclass(PERTURBATIONS.get("fgsm"), Attack)
