"""The query attack, the universal perturbation, words and image together, and which model allows which."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from robustness.perturb.attacks.base import AttackSettings, with_image
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.perturb.select import Selected, select
from robustness.registry import PERTURBATIONS
from robustness.runners.attacks.model import AttackCounters, GradientModel
from robustness.runners.attacks.query import QueryModel, query_attack
from robustness.runners.attacks.searches import GRADIENT_ATTACKS, Attacks
from robustness.runners.attacks.universal import UniversalAttack, _chosen
from robustness.runners.attacks.worst_prompt import DiceOfTexts
from robustness.runners.data.load import load_dataset
from robustness.runners.models.black_box.callable import BlackBox
from robustness.runners.models.load import load_model
from robustness.seeds import generator
from robustness.types import Case, CaseInfo, NotApplicable, Prompt
from tests.runners.small_models import case_of, smooth
from tests.synthetic import disc, write_dataset

EPS = 8 / 255


class Bright:
    """A black box that finds what is brighter than a limit, sharply or softly, and remembers what it was shown."""

    def __init__(self, *, soft: bool = True) -> None:
        self.soft = soft
        self.seen: list[np.ndarray] = []

    def __call__(self, images: Sequence[np.ndarray], prompts: Sequence[str]) -> list[np.ndarray]:
        self.seen += images
        return [self._map(image) for image in images]

    def _map(self, image: np.ndarray) -> np.ndarray:
        level = (image.mean(2) - 128) / 12
        return (1 / (1 + np.exp(-level)) if self.soft else level > 0).astype(np.float32)


def faint(seed: int = 0, *, gray: bool = True) -> Case:
    """A disc barely brighter than the limit on a ground barely darker."""
    rng = np.random.default_rng(seed)
    mask = disc(24, 24, 10)
    pixels = np.where(mask, 134, 122)[..., None] + rng.integers(-2, 3, (48, 48, 1 if gray else 3))
    image = np.broadcast_to(pixels, (48, 48, 3)).astype(np.uint8).copy()
    return Case("c", "s", image, mask, Prompt("disc"), "disc", {"image_id": "c"})


class TestQueryAttack:
    @pytest.mark.parametrize("soft", [True, False])
    @pytest.mark.parametrize("gray", [True, False])
    def test_it_breaks_a_black_box_within_eps_and_budget(self, soft: bool, gray: bool) -> None:
        function, case = Bright(soft=soft), faint(gray=gray)
        model = QueryModel(BlackBox(function, "bright"))
        found = query_attack(model, case, EPS, 1, AttackSettings(budget=150))
        assert found.facts["loss"] > found.facts["clean_loss"]
        assert found.facts["queries"] <= 150
        assert len(function.seen) == found.facts["queries"] + 1 == model.counters.n_attack_queries
        assert all(image.dtype == np.uint8 for image in function.seen)
        assert 0 < np.abs(found.image.astype(int) - case.image).max() <= 8
        assert (found.image == found.image[..., :1]).all() == gray
        judge = DiceOfTexts(model.model)
        assert judge(with_image(case, found.image), ["disc"]) < judge(case, ["disc"])

    def test_the_seed_decides_and_a_larger_budget_finds_no_less(self) -> None:
        def run(seed: int, budget: int):
            return query_attack(QueryModel(BlackBox(Bright(), "b")), faint(), EPS, seed, AttackSettings(budget=budget))

        np.testing.assert_array_equal(run(4, 40).image, run(4, 40).image)
        assert not np.array_equal(run(4, 40).image, run(5, 40).image)
        assert run(4, 3).facts["loss"] <= run(4, 200).facts["loss"]

    def test_it_stops_when_nothing_of_the_mask_is_left(self) -> None:
        class Empty(Bright):
            def _map(self, image: np.ndarray) -> np.ndarray:
                return np.zeros(image.shape[:2], np.float32)

        found = query_attack(QueryModel(BlackBox(Empty(), "e")), faint(), EPS, 0, AttackSettings(budget=50))
        assert found.facts["queries"] <= 2
        assert "the loss does not rise" in found.facts["suspicious"]

    def test_less_than_a_level_is_not_applicable(self) -> None:
        found = query_attack(QueryModel(BlackBox(Bright(), "b")), faint(), 0.5 / 255, 0, AttackSettings())
        assert isinstance(found, NotApplicable)
        assert "0.5 levels" in found.reason


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return load_dataset(write_dataset(tmp_path_factory.mktemp("data") / "set", images=6), prompt="p5")


@pytest.fixture(scope="module")
def film():
    return load_model("film-unet", device="cpu", config={"image_size": 32, "widths": [8, 16]})


class TestUniversal:
    SETTINGS = AttackSettings(universal_images=2, universal_epochs=2)

    def attack(self, film, data):
        return UniversalAttack(GradientModel(film), data, 0)

    def test_it_is_made_from_some_subjects_and_shown_on_the_others(self, film, data) -> None:
        attack = self.attack(film, data)
        found = [attack(case, EPS, 0, self.SETTINGS) for case in data]
        refused = [isinstance(one, NotApplicable) for one in found]
        assert sum(refused) == 4
        for case, one in zip(data, found, strict=True):
            if not isinstance(one, NotApplicable):
                assert one.facts["n_made_from"] == 2
                assert one.facts["made_from_loss"][1] > one.facts["made_from_loss"][0]
                assert np.abs(one.image.astype(np.float64) - case.image / 255).max() <= EPS * (1 + 1e-12)

    def test_the_pattern_is_one_for_all_and_does_not_depend_on_who_asks_first(self, film, data) -> None:
        first, second = self.attack(film, data), self.attack(film, data)
        shown = [case for case in data if not isinstance(first(case, EPS, 0, self.SETTINGS), NotApplicable)]
        second(shown[-1], EPS, 0, self.SETTINGS)
        np.testing.assert_array_equal(
            first(shown[0], EPS, 0, self.SETTINGS).image, second(shown[0], EPS, 0, self.SETTINGS).image
        )
        inside = [one for one in shown if one.image.min() > 8 and one.image.max() < 247]
        change = [first(c, EPS, 0, self.SETTINGS).image - (c.image / 255).astype(np.float32) for c in inside]
        for one in change[1:]:
            np.testing.assert_allclose(one, change[0], atol=1e-6)

    def test_no_subject_is_on_both_sides(self) -> None:
        infos = tuple(CaseInfo(f"c{i}", f"i{i}", f"s{i // 3}", "t", (Prompt("a"),)) for i in range(12))
        chosen = _chosen(infos, 4, 0)
        subjects = {i // 3 for i in range(12) if f"i{i}" in chosen}
        assert len(chosen) == 3 * len(subjects) == 6

    def test_a_single_picture_is_not_enough(self) -> None:
        assert _chosen((CaseInfo("c", "i", "s", "t", (Prompt("a"),)),), 4, 0) is None


class TestJoint:
    def test_the_pair_is_at_least_as_bad_as_either_alone_and_within_budget(self, film, data) -> None:
        attacks = Attacks(film, data, AttackSettings(steps=2, text_budget=9, rounds=2))
        case, judge = data[0], DiceOfTexts(film)
        found = attacks.searches["joint_worst_case"](case, EPS, 3, attacks.settings)
        scores = found.facts["scores"]
        assert found.facts["tried"] <= 2 * 9
        assert attacks.counters.n_attack_texts == found.facts["tried"]
        assert scores["clean"] == judge(case, [case.prompt.text])[0]
        kept = judge(with_image(case, found.image), [found.prompt])[0]
        assert kept == pytest.approx(min(scores["words"], scores["picture"], scores["both"]))
        assert found.facts["attacks"] == 3

    def test_the_words_alone_are_those_of_the_worst_wording_in_the_same_plan(self, film, data) -> None:
        settings = AttackSettings(steps=1, text_budget=9, rounds=2)
        for case in data[:3]:
            words = WorstCase(context=data.context(4), judge=DiceOfTexts(film), budget=9)
            alone = words.propose(case, 0, generator(4, case.case_id, "worst_case", 0))
            scores = (
                Attacks(film, data, settings, 4).searches["joint_worst_case"](case, EPS, 3, settings).facts["scores"]
            )
            assert scores["words"] == alone["worst_score"]

    def test_the_change_rewrites_the_words_and_keeps_the_mask(self, film, data) -> None:
        settings = AttackSettings(steps=2, text_budget=6, rounds=1)
        chosen = Selected(PERTURBATIONS.get("joint_worst_case")(), 2)
        bound = Attacks(film, data, settings).bind([chosen])[0]
        assert bound.condition == "image:pgd@2+worst_case"
        params = bound.perturbation.propose(data[1], 2, generator(0))
        changed = bound.perturbation.apply(data[1], json.loads(json.dumps(params)))
        assert changed.prompt.text == params["text"]
        np.testing.assert_array_equal(changed.mask, data[1].mask)

    def test_a_model_without_words_has_none(self, data) -> None:
        model = load_model("film-unet", device="cpu", config={"image_size": 32, "widths": [8, 16]}, text=False)
        found = Attacks(model, data).searches["joint_worst_case"](data[0], EPS, 0, AttackSettings())
        assert isinstance(found, NotApplicable)
        assert "pgd alone" in found.reason


class TestBinding:
    def test_a_black_box_is_sent_to_the_query_attack(self, data) -> None:
        attacks = Attacks(BlackBox(Bright(), "vendor"), data)
        for name in GRADIENT_ATTACKS:
            found = attacks.searches[name](data[0], EPS, 0, attacks.settings)
            assert found.reason == (
                "vendor is known by its predictions only, without a gradient; use query_attack, which only asks for"
                " predictions"
            )
        assert not isinstance(
            attacks.searches["query_attack"](data[0], EPS, 0, AttackSettings(budget=3)), NotApplicable
        )

    def test_stored_predictions_answer_nothing_new(self, data) -> None:
        class Stored(BlackBox):
            def lookup(self, request):
                raise AssertionError("an attack must not ask")

        attacks = Attacks(Stored(Bright(), "stored"), data)
        for name in (*GRADIENT_ATTACKS, "query_attack"):
            found = attacks.searches[name](data[0], EPS, 0, attacks.settings)
            assert found.reason == "stored predictions answer no changed image"

    def test_only_attacks_are_bound(self, film, data) -> None:
        chosen = select(["antonym:side"], ["gaussian_noise@1", "pgd@1"], data.context())
        bound = Attacks(film, data).bind(chosen)
        assert [b is c for b, c in zip(bound, chosen, strict=True)] == [True, True, False]
        assert bound[2].condition == "image:pgd@1"

    def test_counters_are_shared(self, film, data) -> None:
        counters = AttackCounters()
        attacks = Attacks(film, data, AttackSettings(steps=1, restarts=1), counters=counters)
        attacks.searches["pgd"](data[0], EPS, 0, attacks.settings)
        assert counters.n_attack_backwards == 2


def test_a_gray_picture_of_another_size_than_the_network_keeps_its_shape(film) -> None:
    case = case_of(smooth(1, (50, 70), gray=True))
    found = Attacks(film, load_like(case)).searches["fgsm"](case, EPS, 0, AttackSettings())
    assert found.image.shape == (50, 70, 3)


def load_like(case: Case):
    """A dataset is only asked for its context here."""

    class One:
        infos = (CaseInfo(case.case_id, case.case_id, case.subject_id, case.target, (case.prompt,)),)

        def context(self, seed: int = 0):
            from robustness.types import DataContext

            return DataContext(name="one", infos=self.infos, seed=seed)

    return One()
