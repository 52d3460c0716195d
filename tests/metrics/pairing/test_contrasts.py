"""Contrasts and comparisons of runs, against the effects that they must agree with."""

import numpy as np
import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.metrics.analyses.effects import effects
from robustness.metrics.pairing.before_after import BeforeAfter
from robustness.metrics.pairing.contrasts import contrasts, scores
from robustness.metrics.pairing.rows import read_rows


def _table(seed=0, models=("m",), subjects=6, images=3, texts=2):
    rng = np.random.default_rng(seed)
    records = []
    for model in models:
        for s in range(subjects):
            for i in range(images):
                for t in range(texts):
                    for condition in ("clean", "antonym:size", "image:blur@1"):
                        records.append(
                            {
                                "model": model,
                                "dataset": "d",
                                "split": "test",
                                "case_id": f"s{s}i{i}",
                                "subject_id": f"s{s}",
                                "target": "ab"[s % 2],
                                "condition": condition,
                                "prompt_index": t,
                                "dice": rng.uniform(),
                                "hd95": rng.uniform(0, 9),
                                "mask_change": rng.uniform(),
                            }
                        )
    return pd.DataFrame(records)


@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_a_contrast_is_the_effect_of_the_condition(metric):
    table = _table(models=("m", "n"))
    orientation = "clean - perturbed" if metric == "dice" else "perturbed - clean"
    found = contrasts(read_rows(table), metric, orientation)
    expected = effects(table, metric=metric, resamples=99).set_index(["model", "dataset", "condition"])
    assert len(found) == len(expected) == 4
    for cell in found:
        row = expected.loc[(cell.model, cell.dataset, cell.condition)]
        assert cell.effect.mean() == pytest.approx(row.effect)
        assert (cell.n_subjects, cell.n_images) == (row.n_subjects, row.n_images)
        assert cell.clean.mean() == pytest.approx(row.clean_mean)
        assert cell.changed.mean() == pytest.approx(row.perturbed_mean)


def test_case_effects_carry_the_names_of_their_cases():
    table = _table()
    cell = contrasts(read_rows(table), "dice", "clean - perturbed")[0]
    wide = table.pivot_table(index="case_id", columns="condition", values="dice")
    for name, value in zip(cell.cases, cell.case_effects, strict=True):
        assert value == pytest.approx(wide.loc[name, "clean"] - wide.loc[name, cell.condition])


def test_groups_are_contrasts_of_their_own():
    table = _table()
    found = contrasts(read_rows(table), "dice", "clean - perturbed", by="target")
    for cell in found:
        part = table[table.target == cell.group]
        alone = next(
            c for c in contrasts(read_rows(part), "dice", "clean - perturbed") if c.condition == cell.condition
        )
        assert cell.effect == pytest.approx(alone.effect)
    assert {cell.group for cell in found} == {"a", "b"}


def test_a_case_in_two_groups_is_an_error():
    table = _table()
    table.loc[3, "target"] = "other"
    with pytest.raises(InputError, match="expected one target per case, case 's0i0' has several"):
        contrasts(read_rows(table), "dice", "clean - perturbed", by="target")


def test_scores_are_subject_means():
    table = _table()
    for cell in scores(read_rows(table), "dice"):
        part = table[table.condition == cell.condition]
        by_case = part.groupby(["subject_id", "case_id"]).dice.mean()
        assert cell.effect == pytest.approx(by_case.groupby("subject_id").mean().to_numpy())
        assert dict(zip(cell.cases, cell.case_effects, strict=True)) == pytest.approx(by_case.droplevel(0).to_dict())


class TestBeforeAfter:
    def _changes(self, before, after, partners=None, conditions=("clean", "antonym:size"), metric="dice"):
        both = BeforeAfter(before, after, partners or {"m": "m"}, conditions)
        return {c.contrast.condition: c for c in both.changes(metric, "clean - perturbed")}

    def test_each_condition_is_paired_with_itself_case_by_case_and_text_by_text(self):
        before, after = _table(1), _table(2)
        found = self._changes(before, after.sample(frac=1, random_state=0))
        keys = ["condition", "case_id", "prompt_index"]
        merged = before.merge(after, on=keys, suffixes=("_before", "_after"))
        merged["difference"] = merged.dice_before - merged.dice_after
        for condition in ("clean", "antonym:size"):
            part = merged[merged.condition == condition]
            by_case = part.groupby(["subject_id_before", "case_id"]).difference.mean()
            expected = by_case.groupby("subject_id_before").mean().to_numpy()
            assert found[condition].contrast.effect == pytest.approx(expected)
            assert found[condition].differing == ()

    def test_rows_that_repeat_for_a_second_object_pair_one_to_one(self):
        before, after = _table(1), _table(2)
        twice = [pd.concat([t, t[t.condition == "clean"]], ignore_index=True) for t in (before, after)]
        alone, repeated = self._changes(before, after), self._changes(*twice)
        assert repeated["clean"].contrast.effect == pytest.approx(alone["clean"].contrast.effect)

    def test_another_name_of_the_model_is_mapped(self):
        before, after = _table(1), _table(2).assign(model="new")
        found = self._changes(before, after, {"new": "m"})
        assert found["clean"].contrast.model == "new"
        assert found["clean"].contrast.effect == pytest.approx(
            self._changes(before, _table(2))["clean"].contrast.effect
        )

    def test_conditions_that_nobody_asked_for_may_differ(self):
        before, after = _table(1), _table(2)
        after = after[after.condition != "image:blur@1"]
        assert set(self._changes(before, after)) == {"clean", "antonym:size"}
        with pytest.raises(InputError, match=r"'image:blur@1' was measured on other cases"):
            self._changes(before, after, conditions=("image:blur@1",))

    def test_another_text_index_is_another_case(self):
        before, after = _table(1), _table(2)
        with pytest.raises(InputError, match="compare runs of the same data"):
            self._changes(before, after[after.prompt_index == 0])

    def test_undefined_rows_are_counted_on_both_sides_and_named(self):
        before, after = _table(1), _table(2)
        before.loc[(before.case_id == "s1i1") & (before.condition == "clean"), "dice"] = np.nan
        after.loc[(after.case_id == "s2i2") & (after.condition == "clean"), "dice"] = np.nan
        change = self._changes(before, after)["clean"]
        # The counts are alike, yet the means are over other cases.
        assert (change.undefined_before, change.undefined_after) == (2, 2)
        assert change.differing == ("s1i1", "s2i2")
