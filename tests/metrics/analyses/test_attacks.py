"""Success shares by hand, signs of masking, and that bounds join no family of ordinary claims."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.metrics.analyses.attacks import COLUMNS, WEAKER, attack_signs, attack_success, attack_warnings
from robustness.metrics.analyses.interaction import interactions
from robustness.metrics.inference.shares import share_interval
from robustness.metrics.pairing.grid import grids
from robustness.metrics.verdicts.verdicts import verdicts

SUBJECTS = 12


def row(condition: str, subject: int, image: int, dice: float, **record: object) -> dict[str, object]:
    return {
        "model": "m",
        "dataset": "d",
        "split": "test",
        "case_id": f"c{subject}-{image}",
        "subject_id": f"s{subject}",
        "condition": condition,
        "prompt_index": 0,
        "applicable": True,
        "error": "",
        "dice": dice,
        "mask_change": 0.0 if condition == "clean" else 0.3,
        "expectation": "none",
        "params": json.dumps(record) if record else "",
    }


def table(*, losses: tuple[float, float] = (1.5, 2.0), suspicious: tuple[str, ...] = ()) -> pd.DataFrame:
    """Two images per subject: pgd@1 costs 0.05, pgd@2 costs 0.2 on the first image of every third subject."""
    rows = []
    for subject in range(SUBJECTS):
        for image in range(2):
            rows.append(row("clean", subject, image, 0.9))
            record = {"clean_loss": 1.0, "suspicious": list(suspicious)}
            rows.append(row("image:pgd@1", subject, image, 0.85, eps=1.0, loss=losses[0], **record))
            dice = 0.45 if subject % 3 == 0 and image == 0 else 0.85
            rows.append(row("image:pgd@2", subject, image, dice, eps=2.0, loss=losses[1], **record))
            rows.append(row("image:gaussian_noise@3", subject, image, 0.88))
    return pd.DataFrame(rows)


class TestSuccess:
    def test_shares_are_taken_over_subjects(self) -> None:
        found = attack_success(table()).set_index("condition")
        assert list(found.reset_index().columns[3:]) == [
            c for c in COLUMNS if c not in ("model", "dataset", "condition")
        ]
        assert list(found["eps"]) == [1.0, 2.0]
        assert found.loc["image:pgd@1", "share"] == 0
        # Four of twelve subjects lose one of their two images.
        assert found.loc["image:pgd@2", "share"] == pytest.approx(4 * 0.5 / 12)
        assert found.loc["image:pgd@2", "failed"] == pytest.approx(4 * 0.5 / 12)
        assert found.loc["image:pgd@2", "attacked_mean"] == pytest.approx(0.85 - 0.4 * 4 * 0.5 / 12)
        assert (found["n_images"] == 24).all()
        assert (found["n_subjects"] == SUBJECTS).all()

    def test_no_success_leaves_the_rule_of_three(self) -> None:
        found = attack_success(table()).iloc[0]
        assert found["share_low"] == 0
        assert found["share_high"] == pytest.approx(1 - 0.025 ** (1 / SUBJECTS), abs=1e-3)

    def test_the_margin_decides_and_is_not_reached_by_rounding(self) -> None:
        assert attack_success(table(), margin=0.05).set_index("eps").loc[1.0, "share"] == 0
        assert attack_success(table(), margin=0.04).set_index("eps").loc[1.0, "share"] == 1

    def test_what_does_not_apply_is_not_counted(self) -> None:
        rows = table()
        rows.loc[(rows["condition"] == "image:pgd@2") & (rows["subject_id"] == "s1"), "applicable"] = False
        assert attack_success(rows).set_index("eps").loc[2.0, "n_subjects"] == SUBJECTS - 1

    def test_a_table_without_attacks_gives_no_rows_and_one_without_records_no_eps(self) -> None:
        rows = table()
        assert attack_success(rows[~rows["condition"].str.contains("pgd")]).empty
        assert attack_success(rows.drop(columns="params"))["eps"].isna().all()

    def test_less_is_better_is_refused(self) -> None:
        with pytest.raises(InputError, match="more is better"):
            attack_success(table().assign(hd95=1.0), metric="hd95")


class TestSigns:
    def test_a_sound_run_has_none(self) -> None:
        assert attack_signs(table()).empty
        assert attack_warnings(table()) == []

    def test_recorded_signs_are_counted_and_said(self) -> None:
        rows = table(suspicious=("the gradient is zero",))
        counted = attack_signs(rows)
        assert list(counted["n"]) == [24, 24]
        said = attack_warnings(rows)
        assert len(said) == 2
        assert "the gradient is zero: 24 of 24 rows" in said[0]
        assert "no robustness" in said[0]
        assert (attack_success(rows)["n_suspicious"] == 24).all()

    def test_a_smaller_eps_that_is_stronger_is_a_sign_of_the_larger(self) -> None:
        counted = attack_signs(table(losses=(2.0, 1.8)))
        assert counted[["condition", "sign", "n"]].to_numpy().tolist() == [["image:pgd@2", WEAKER, 24]]
        # Within one percent of the rise nothing is said.
        assert attack_signs(table(losses=(2.0, 1.995))).empty

    def test_losses_under_other_words_are_not_compared(self) -> None:
        rows = table(losses=(2.0, 1.8))
        at_two = rows["condition"] == "image:pgd@2"
        rows.loc[at_two, "params"] = [
            p.replace('"clean_loss": 1.0', '"clean_loss": 0.9') for p in rows.loc[at_two, "params"]
        ]
        assert attack_signs(rows).empty

    def test_a_loss_that_was_no_number_is_passed_over(self) -> None:
        rows = table(losses=(2.0, 1.8))
        rows["params"] = [p.replace('"loss": 2.0', '"loss": null') for p in rows["params"]]
        assert attack_signs(rows).empty

    def test_a_record_that_is_no_json_is_passed_over(self) -> None:
        rows = table()
        rows.loc[rows.index[1], "params"] = "{"
        assert attack_signs(rows).empty


class TestFamilies:
    def test_attacks_carry_no_verdict_and_widen_no_interval_of_others(self) -> None:
        rows = table()
        alone = rows[~rows["condition"].str.contains("pgd")]
        joint = [row("image:pgd@2+worst_case", s, i, 0.2) for s in range(SUBJECTS) for i in range(2)]
        found = verdicts(pd.concat([rows, pd.DataFrame(joint)]), resamples=199)
        assert set(found["condition"]) == {"image:gaussian_noise@3"}
        columns = ["condition", "metric", "verdict", "ci_low", "ci_high"]
        pd.testing.assert_frame_equal(found[columns], verdicts(alone, resamples=199)[columns])

    def test_they_are_no_corruption(self) -> None:
        assert [grid.corruptions for grid in grids(table())] == [("image:gaussian_noise",)]

    def test_a_joint_search_is_no_contrast(self) -> None:
        joint = [row("image:pgd@2+worst_case", s, i, 0.2) for s in range(SUBJECTS) for i in range(2)]
        assert interactions(pd.concat([table(), pd.DataFrame(joint)]), resamples=199).empty


def test_an_interval_of_a_share_holds_its_estimate() -> None:
    for n in (2, 4, 30):
        none, every = share_interval(np.zeros(n)), share_interval(np.ones(n))
        assert none.low == none.estimate == 0 < none.high
        assert every.high == every.estimate == 1 > every.low
