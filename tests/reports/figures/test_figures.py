"""Figures are pure functions of the tables; what success curves draw and say, and where attacks stay out."""

from __future__ import annotations

import dataclasses
import json

import pandas as pd
import pytest

from robustness.reports.data.frames import Frames, merge
from robustness.reports.data.paired import comparisons
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.subgroups import with_pooled_images
from robustness.reports.figures.attacks import Attack, attack_says, attack_table, attack_title, success_curve
from robustness.reports.figures.catalogue import captions, draw
from robustness.reports.figures.drop import drop_conditions
from robustness.reports.figures.registry import FigureInput
from robustness.reports.figures.reliance import reliance_forest
from robustness.reports.figures.scores import score_distribution
from robustness.reports.figures.severity import severity_curve, severity_table
from robustness.reports.figures.training_curves import training_figure, write_training_page
from robustness.reports.words import condition_words
from robustness.results import VERDICT_COLUMNS
from robustness.workflows.finetune import write_curves


@pytest.mark.slow
def test_every_listed_figure_is_drawn_and_holds_data(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    listed = captions(frames, compared=comparisons(frames))
    assert {f.family for f in listed} == {
        "reliance",
        "heatmap",
        "drop",
        "severity",
        "scores",
        "shift",
        "rank",
        "paired",
    }
    for text in listed:
        figure = draw(text, frames)
        assert len(figure.data) > 0
        assert text.table.rows


def test_drawing_changes_no_table(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    before = frames.verdicts.copy()
    for text in captions(frames):
        draw(text, frames)
    pd.testing.assert_frame_equal(frames.verdicts, before)


def test_forests_of_one_page_share_rows_and_range(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    first, second = (draw(t, frames) for t in captions(frames) if t.family == "reliance")
    assert first.layout.xaxis.range == second.layout.xaxis.range
    assert len(first.layout.yaxis.tickvals) == len(second.layout.yaxis.tickvals)


def test_the_margin_band_stands_where_the_table_says(runs: tuple[RunTables, ...]) -> None:
    rows = runs[0].verdicts
    rows = rows[rows["condition"] == "antonym:size"]
    (band,) = reliance_forest(rows).layout.shapes
    assert (band.x0, band.x1) == (-0.05, 0.05)


def test_rows_decided_by_another_quantity_say_so(runs: tuple[RunTables, ...]) -> None:
    labels = reliance_forest(runs[0].verdicts).layout.yaxis.ticktext
    assert "side: second target · Dice" in labels
    assert "side: opposite" in labels


def test_the_loss_figure_shows_image_changes_at_their_highest_degree(runs: tuple[RunTables, ...]) -> None:
    shown = drop_conditions(runs[0].effects)
    assert "image:gaussian_noise@5" in shown
    assert "image:gaussian_noise@3" not in shown
    assert "image:horizontal_flip@1" in shown
    assert "antonym:side" in shown


def test_a_change_with_one_degree_has_no_curve(runs: tuple[RunTables, ...]) -> None:
    assert "horizontal_flip" not in set(severity_table(runs[0].effects)["kind"])


def test_the_band_is_the_interval_of_the_loss_at_the_clean_mean(runs: tuple[RunTables, ...]) -> None:
    row = severity_table(runs[0].effects).iloc[0]
    assert row["low"] == row["clean_mean"] - row["ci_high"]
    band = severity_curve(runs[0].effects, row["kind"]).data[0]
    assert row["low"] in band.y


def test_floors_stand_on_the_row_of_their_model(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    figure = score_distribution(frames.results, frames.effects)
    floors = [trace for trace in figure.data if str(trace.name).startswith("floor")]
    assert len(floors) == 2
    assert all(tuple(trace.y) == (0, 1) for trace in floors)


@pytest.fixture
def log():
    columns = {
        "epoch": [1, 2, 3],
        "step": [4, 8, 12],
        "loss": [1.0, 0.7, 0.6],
        "dice_loss": [0.6, 0.5, 0.4],
        "ce_loss": [0.4, 0.2, 0.2],
        "val_loss": [1.1, 0.8, 0.9],
        "val_dice": [0.2, 0.7, 0.6],
        "lr": [1e-3, 1e-3, 3e-4],
        "seconds": [1.0, 2.0, 3.0],
    }
    return pd.DataFrame(columns)


class TestFigure:
    def test_every_curve_holds_the_values_of_its_column(self, log):
        traces = {trace.name: trace for trace in training_figure(log).data}
        names = {"training loss": "loss", "validation loss": "val_loss", "Dice term": "dice_loss"}
        names |= {"cross entropy term": "ce_loss", "validation Dice": "val_dice", "learning rate": "lr"}
        for name, column in names.items():
            assert list(traces[name].x) == [4, 8, 12]
            assert list(traces[name].y) == list(log[column])

    def test_the_best_epoch_is_marked(self, log):
        best = next(trace for trace in training_figure(log).data if trace.name == "best")
        assert (list(best.x), list(best.y), list(best.text)) == ([8], [0.7], ["best: 0.700 in epoch 2"])

    def test_a_log_without_rows_is_an_empty_figure(self, log):
        assert not any(len(trace.x) for trace in training_figure(log.iloc[:0]).data)


class TestPage:
    def test_stands_alone_and_escapes_its_title(self, log, tmp_path):
        text = write_training_page(log, tmp_path / "curves.html", title="a <b>").read_text()
        assert "<h1>a &lt;b&gt;</h1>" in text
        assert "Best validation Dice 0.7000 in epoch 2" in text
        assert "<script src=" not in text
        assert "<link" not in text

    def test_is_written_from_the_folder_and_left_out_without_a_validation(self, log, tmp_path):
        assert write_curves(tmp_path) is None
        log.to_csv(tmp_path / "metrics.csv", index=False)
        assert write_curves(tmp_path).read_text().count("plotly-graph-div") >= 1


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
