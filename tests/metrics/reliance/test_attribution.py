"""Text floors, leaving one attribute out, Shapley values."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.metrics.reliance.attribution import leave_one_out, shapley, shapley_of_table, text_floors
from tests.metrics.tables import rows_of

RNG = np.random.default_rng(0)
BASE = RNG.uniform(0.1, 0.2, 12)
GAIN = {"size": 0.05, "side": 0.3, "location": 0.1}


def additive(kept):
    return BASE + sum(GAIN[name] for name in kept)


def redundant(kept):
    """Side and location say the same: either is worth 0.4, both no more."""
    return BASE + 0.4 * bool({"side", "location"} & kept)


class TestFloors:
    def test_what_the_text_is_worth(self):
        table = pd.concat([rows_of("clean", [0.8] * 8), rows_of("empty", [0.6] * 8), rows_of("drop:size", [0.1] * 8)])
        found = text_floors(table)
        assert found["floor"].tolist() == ["empty"]
        row = found.iloc[0]
        assert (row["due_to_text"], row["share"]) == (pytest.approx(0.2), pytest.approx(0.25))
        assert (row["clean_mean"], row["floor_mean"]) == (pytest.approx(0.8), pytest.approx(0.6))

    def test_a_blind_model_owes_nothing_to_the_text(self):
        table = pd.concat([rows_of(c, np.linspace(0.5, 0.9, 8)) for c in ("clean", "empty", "shuffled")])
        assert (text_floors(table)["share"] == 0).all()


def test_leaving_one_out_is_the_effect_of_dropping_it():
    parts = [rows_of("clean", [0.8] * 10), rows_of("drop:size", [0.75] * 10), rows_of("drop:side", [0.5] * 10)]
    table = pd.concat([*parts, rows_of("antonym:side", [0.0] * 10)])
    found = leave_one_out(table).set_index("attribute")
    assert found["effect"].to_dict() == pytest.approx({"side": 0.3, "size": 0.05})
    assert (found["family_size"] == 2).all()
    assert len(rb.effects(table)) == 3


class TestShapley:
    def test_additive_gains_are_found_exactly(self):
        found = {row.attribute: row for row in shapley(additive, list(GAIN), permutations=6)}
        for name, gain in GAIN.items():
            assert found[name].value == pytest.approx(gain)
            assert found[name].sampling_error == 0.0

    def test_words_that_say_the_same_share_their_worth(self):
        found = {row.attribute: row.value for row in shapley(redundant, list(GAIN))}
        assert found == pytest.approx({"size": 0.0, "side": 0.2, "location": 0.2})

    @pytest.mark.parametrize("permutations", [1, 4, 7, 32])
    def test_values_add_up_and_the_cost_is_bounded(self, permutations):
        names = [f"k{i}" for i in range(6)]
        rng = np.random.default_rng(1)
        table = {frozenset(c): rng.random(9) for n in range(7) for c in itertools.combinations(names, n)}
        found = shapley(table.__getitem__, names, permutations=permutations)
        total = (table[frozenset(names)] - table[frozenset()]).mean()
        assert sum(row.value for row in found) == pytest.approx(total)
        assert found[0].evaluations <= min(2**6, permutations * 5 + 2)

    def test_sampling_comes_near_the_exact_value_within_its_error(self):
        names = [f"k{i}" for i in range(6)]
        rng = np.random.default_rng(2)
        table = {frozenset(c): rng.random(9) for n in range(7) for c in itertools.combinations(names, n)}
        exact = {row.attribute: row.value for row in shapley(table.__getitem__, names, permutations=720)}
        for row in shapley(table.__getitem__, names, permutations=128):
            assert abs(row.value - exact[row.attribute]) < 4 * row.sampling_error
            assert row.sampling_error > 0

    def test_the_seed_decides(self):
        names = [f"k{i}" for i in range(7)]

        def value(kept):
            return np.full(3, math.sqrt(sum(int(k[1:]) ** 2 for k in kept)))

        one, again, other = (shapley(value, names, permutations=4, seed=s) for s in (0, 0, 1))
        assert one == again != other

    @pytest.mark.parametrize("names", [[], ["size", "size"]])
    def test_names_must_differ(self, names):
        with pytest.raises(InputError, match="attributes"):
            shapley(additive, names)

    def test_a_value_per_subject_is_needed(self):
        with pytest.raises(InputError, match="one score per subject"):
            shapley(lambda kept: np.zeros(1 + len(kept)), ["size"])

    def test_of_a_table(self):
        parts = []
        for n in range(4):
            for kept in itertools.combinations(GAIN, n):
                parts.append(rows_of("mine", additive(kept)).assign(kept="+".join(kept)))
        found = shapley_of_table(pd.concat(parts))
        assert found["attribute"].tolist() == ["side", "location", "size"]
        assert found["value"].tolist() == pytest.approx([0.3, 0.1, 0.05])
        with pytest.raises(InputError, match="run that prompt too"):
            shapley_of_table(pd.concat(parts[1:]))
