"""Success curves: what they draw and say, and where attacks stay out."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from robustness.reports.data.frames import Frames
from robustness.reports.data.subgroups import with_pooled_images
from robustness.reports.figures.attacks import Attack, attack_says, attack_table, attack_title, success_curve
from robustness.reports.figures.catalogue import draw
from robustness.reports.figures.registry import FigureInput
from robustness.reports.figures.severity import severity_table
from robustness.reports.words import condition_words
from robustness.results import VERDICT_COLUMNS

LOSS = {1.0: 0.05, 2.0: 0.3, 4.0: 0.6}


def rows(series: str = "m", *, signs: tuple[str, ...] = ()) -> pd.DataFrame:
    made = []
    for number in range(8):
        base = {
            "model": series,
            "dataset": "d",
            "split": "test",
            "series": series,
            "case_id": f"c{number}",
            "subject_id": f"s{number}",
            "prompt_index": 0,
            "applicable": True,
            "error": "",
            "family": "image",
        }
        made.append({**base, "condition": "clean", "family": "clean", "dice": 0.9, "params": ""})
        for place, (eps, loss) in enumerate(LOSS.items(), start=1):
            record = {"eps": eps, "loss": 1 + eps, "clean_loss": 1.0, "suspicious": list(signs)}
            dice = 0.9 - (loss if number % 2 else 0.01)
            made.append({**base, "condition": f"image:pgd@{place}", "dice": dice, "params": json.dumps(record)})
    return pd.DataFrame(made)


def frames(results: pd.DataFrame) -> Frames:
    empty = pd.DataFrame(columns=[*VERDICT_COLUMNS, "series"])
    return Frames(results, empty, empty, empty, tuple(dict.fromkeys(results["series"])))


def test_the_curve_begins_at_the_clean_picture_and_shows_the_share_at_each_eps() -> None:
    built = success_curve(attack_table(rows()), ["m"])
    line = built.data[-1]
    assert list(line.x) == [0.0, 1.0, 2.0, 4.0]
    assert list(line.y) == pytest.approx([0.0, 0.0, 0.5, 0.5])
    assert "at least" in line.hovertemplate


def test_two_models_have_a_line_each() -> None:
    both = attack_table(pd.concat([rows("a"), rows("b")]))
    built = success_curve(both, ["b", "a"])
    assert [trace.name for trace in built.data if trace.mode == "lines+markers"] == ["a", "b"]
    assert built.layout.showlegend


def test_the_words_say_that_it_is_a_bound_and_what_is_doubtful() -> None:
    said = attack_says(attack_table(rows(signs=("the gradient is zero",))))
    assert "at most 4/255" in said
    assert "at least 50% of cases" in said
    assert "mean Dice is at most 0.595 (0.900 clean)" in said
    assert "24 rows show signs that the attack did not work" in said
    assert "signs" not in attack_says(attack_table(rows()))


def test_shares_have_the_level_of_the_plan_and_say_it() -> None:
    usual, loose = (attack_table(rows(), alphas=alphas) for alphas in ({}, {"m": 0.2}))
    assert (set(usual["level"]), set(loose["level"])) == ({0.95}, {0.8})
    assert (usual["share_low"] <= loose["share_low"]).all()
    assert (usual["share_high"] > loose["share_high"]).all()
    assert "(80% interval)" in attack_says(loose)
    assert "(80% interval)" in success_curve(loose, ["m"]).data[-1].text[-1]


def test_each_attack_has_a_figure_with_its_table() -> None:
    (made,) = Attack().captions(FigureInput(frames(rows())))
    assert (made.family, made.key, made.title) == ("attack", "pgd", "PGD attack")
    assert len(made.table.rows) == 3
    assert "at least" in made.alt


def test_the_plans_margin_counts() -> None:
    strict = dataclasses.replace(frames(rows()), margin_dice=0.04)
    (made,) = Attack().captions(FigureInput(strict))
    assert "more than 0.04 Dice" in made.alt
    built = draw(made, strict)
    assert list(built.data[-1].y) == pytest.approx([0.0, 0.5, 0.5, 0.5])
    assert "0.04" in built.layout.yaxis.title.text


def test_a_run_without_attacks_has_none() -> None:
    results = rows()
    assert Attack().captions(FigureInput(frames(results[results["condition"] == "clean"]))) == []


def test_attacks_are_no_severity_curve_and_no_pooled_loss() -> None:
    effects = pd.DataFrame(
        {
            "condition": ["image:pgd@1", "image:pgd@2", "image:gaussian_noise@1", "image:gaussian_noise@2"],
            "metric": "dice",
            "series": "m",
            "clean_mean": 0.9,
            "ci_low": 0.0,
            "ci_high": 0.1,
            "effect": 0.05,
        }
    )
    assert set(severity_table(effects)["kind"]) == {"gaussian_noise"}
    assert set(with_pooled_images(rows())["condition"]) == {"clean"}


def test_names_are_said_in_words() -> None:
    assert attack_title("pgd+worst_case") == "PGD attack + worst paraphrase found"
    assert condition_words("image:pgd@2+worst_case") == "PGD, severity 2 + worst paraphrase found"
    assert condition_words("image:query_attack@1") == "query attack, severity 1"
