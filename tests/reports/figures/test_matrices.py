"""Matrices, ranks, subgroups, thresholds and text collapse: their numbers, and when there is nothing to show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from robustness.errors import InputError
from robustness.metrics.analyses.effects import effects
from robustness.reports.data.frames import merge
from robustness.reports.data.origins import Origin
from robustness.reports.data.run_tables import RunTables
from robustness.reports.data.subgroups import grouping_columns, subgroup_table
from robustness.reports.data.unit_means import unit_interval, unit_intervals
from robustness.reports.figures.catalogue import captions
from robustness.reports.figures.collapse import collapse_plot, collapse_table, uncrowded
from robustness.reports.figures.joint import joint_grid, joint_table
from robustness.reports.figures.matrix import matrix_table, says, transfer_matrix
from robustness.reports.figures.plots import plot, plot_kinds
from robustness.reports.figures.published import published, published_matrix
from robustness.reports.figures.ranks import rank_table
from robustness.reports.figures.scores import floor_scores
from robustness.reports.figures.shift import shift_matrix, shift_table
from robustness.reports.figures.thresholds import threshold_curves, threshold_table
from robustness.results import parse_condition


def test_each_cell_of_the_shift_matrix_is_its_row(runs: tuple[RunTables, ...]) -> None:
    table = runs[0].effects
    figure = shift_matrix(table)
    rows = table[(table["metric"] == "dice") & table["condition"].str.startswith("image:")].set_index("condition")
    drawn = {
        condition: value
        for line, names in zip(figure.data[0].z, figure.data[0].meta["cells"], strict=True)
        for value, condition in zip(line, names, strict=True)
        if condition
    }
    assert drawn == rows["effect"].to_dict()
    assert "image:horizontal_flip@1" in drawn
    assert next(iter(shift_table(table)["condition"])).startswith("image:gaussian_noise")


def joint_rows(interaction: float) -> pd.DataFrame:
    """Rows where noise costs 0.1, the swap 0.2, and both together 0.3 plus `interaction`."""
    cost = {"clean": 0.0, "image:noise@3": 0.1, "antonym:size": 0.2, "image:noise@3+antonym:size": 0.3 + interaction}
    rng = np.random.default_rng(0)
    rows = []
    for case in range(12):
        at_best = 0.9 + rng.normal(0, 0.02)
        for condition, lost in cost.items():
            family = parse_condition(condition).family
            rows.append(
                {
                    "series": "m",
                    "model": "m",
                    "dataset": "d",
                    "case_id": f"c{case}",
                    "subject_id": f"s{case // 2}",
                    "condition": condition,
                    "family": family,
                    "prompt_index": 0,
                    "applicable": True,
                    "dice": at_best - lost + rng.normal(0, 0.001),
                }
            )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("interaction", [0.0, 0.15, -0.2])
def test_the_interaction_is_what_was_put_in(interaction: float) -> None:
    rows = joint_rows(interaction)
    table = effects(rows, resamples=99)
    (found,) = joint_table(table, rows).to_dict("records")
    assert found["interaction"] == pytest.approx(interaction, abs=0.003)
    assert found["interaction_low"] < found["interaction"] < found["interaction_high"]
    (loose,) = joint_table(table, rows, alpha=0.2).to_dict("records")
    assert found["interaction_low"] < loose["interaction_low"] < loose["interaction_high"] < found["interaction_high"]
    assert (found["interaction_level"], loose["interaction_level"]) == (0.95, 0.8)
    assert joint_table(table)["interaction"].item() == pytest.approx(found["interaction"])
    cells = joint_grid(table).data[0].z
    assert cells[0] == pytest.approx([0.0, 0.2], abs=0.003)
    assert cells[1] == pytest.approx([0.1, 0.3 + interaction], abs=0.003)


def test_the_better_model_ranks_first_and_ties_share_the_rank(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs).results
    table = rank_table(results, "clean")
    assert list(table["series"]) == ["film-unet", "film-unet-image-only"]
    assert list(table["rank"]) == [1, 2]
    assert table["first"].iloc[0] > 0.95
    twin = pd.concat([results[results["series"] == "film-unet"].assign(series=s) for s in ("a", "b")])
    tied = rank_table(twin, "clean")
    assert list(tied["rank"]) == [1.5, 1.5]
    assert list(tied["first"]) == [0.5, 0.5]
    assert [sum(shares) for shares in tied["shares"]] == [1.0, 1.0]


def test_close_models_have_no_sure_order() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {
            "series": s,
            "dataset": "d",
            "condition": "clean",
            "case_id": f"c{i}",
            "subject_id": f"s{i}",
            "prompt_index": 0,
            "dice": rng.uniform(),
        }
        for s in ("a", "b")
        for i in range(20)
    ]
    table = rank_table(pd.DataFrame(rows), "clean")
    assert 0.02 < table["first"].iloc[0] < 0.98
    assert list(table["rank_low"]) == [1.0, 1.0]
    assert list(table["rank_high"]) == [2.0, 2.0]


def test_a_matrix_of_data_sets_needs_two_and_holds_unit_means(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results
    assert matrix_table(results).empty
    second = results.assign(dataset="elsewhere", dice=results["dice"] / 2)
    table = matrix_table(pd.concat([results, second]), alpha=0.1, resamples=99)
    clean = results[results["condition"] == "clean"].groupby("subject_id")["dice"].mean()
    assert table["mean"].tolist() == pytest.approx([clean.mean(), clean.mean() / 2])
    low, high = stats.t.interval(0.9, len(clean) - 1, clean.mean(), stats.sem(clean))
    assert (table["ci_low"][0], table["ci_high"][0], table["level"][0]) == pytest.approx((low, high, 0.9))
    assert transfer_matrix(pd.concat([results, second])).data[0].z[0] == pytest.approx(table["mean"].tolist())
    assert set(table["note"]) == {"finetuned on unknown data"}


def test_two_runs_of_one_model_on_one_data_set_count_once(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results
    both = pd.concat([results, results.assign(dataset="elsewhere")])
    again = both.assign(series=both["series"] + " (again)", subject_id="another", dice=0.0)
    pd.testing.assert_frame_equal(
        matrix_table(pd.concat([both, again]), resamples=99), matrix_table(both, resamples=99)
    )


def test_a_model_away_from_its_own_data_is_compared_with_home(runs: tuple[RunTables, ...]) -> None:
    results = runs[0].results
    home = str(results["dataset"].iloc[0])
    away = results.assign(dataset="elsewhere", dice=results["dice"] / 2)
    known = {str(results["model"].iloc[0]): Origin((home,), True)}
    table = matrix_table(pd.concat([results, away]), known, resamples=99).set_index("dataset")
    assert table.loc["elsewhere", "retention"] == pytest.approx(0.5)
    assert table.loc[home, "note"] == "own data"
    assert set(table["text"]) == {"vision-language"}
    assert "own" in transfer_matrix(pd.concat([results, away]), known).data[0].text[0][0]
    (sentence,) = says(table.reset_index())
    assert f"its own data ({home})" in sentence
    assert "50% kept" in sentence


def test_published_figures_are_the_papers_and_only_shown_where_asked(runs: tuple[RunTables, ...]) -> None:
    table = published().set_index(["model", "finetuned_on"])["dice_percent"]
    assert table["CRIS", "Kvasir-SEG"] == 91.39
    assert table["DeepLabV3+", "BKAI"] == 69.02
    assert len(table) == 15
    assert not [f for f in captions(merge(runs)) if f.family == "published"]
    (shown,) = [f for f in captions(merge(runs), published=True) if f.family == "published"]
    assert shown.says[0].startswith("Published, not measured here, Dice in percent. Source: Poudel et al.")
    assert published_matrix().data[0].text[0][0] == "91.39"


def test_subgroups_name_groups_of_too_few_units_without_a_number(runs: tuple[RunTables, ...]) -> None:
    table = subgroup_table(merge(runs[:1]).results)
    assert set(table["grouping"]) == {"target"}
    assert set(table["note"]) == {"too few units (< 10)"}
    assert table["mean"].isna().all()
    assert (table["n_subjects"] > 0).all()


@pytest.mark.parametrize("alpha", [0.05, 0.1])
def test_subgroups_hold_unit_means_with_intervals_over_the_groups(alpha: float) -> None:
    rng = np.random.default_rng(3)
    rows = [
        {
            "series": "m",
            "dataset": "d",
            "condition": condition,
            "family": family,
            "case_id": f"c{i}",
            "subject_id": f"s{i // 2}",
            "prompt_index": 0,
            "group_site": "north" if i < 24 else "south",
            "dice": rng.uniform(0.5, 0.9) - (0.3 if family == "image" else 0.0),
        }
        for condition, family in (("clean", "clean"), ("image:jpeg@1", "image"), ("image:jpeg@5", "image"))
        for i in range(50)
    ]
    results = pd.DataFrame(rows)
    table = subgroup_table(results, alphas={"m": alpha}).set_index("group")
    assert set(table["level"]) == set(table["loss_level"]) == {1 - alpha / 2}
    wide = results.pivot_table(index=["subject_id", "case_id", "group_site"], columns="condition", values="dice")
    wide["loss"] = wide["clean"] - wide[["image:jpeg@1", "image:jpeg@5"]].mean(axis=1)
    for group, mine in wide.groupby("group_site"):
        units = mine.groupby("subject_id")[["clean", "loss"]].mean()
        for column, (mean, low, high) in {
            "clean": ("mean", "ci_low", "ci_high"),
            "loss": ("loss", "loss_low", "loss_high"),
        }.items():
            expected = stats.t.interval(1 - alpha / 2, len(units) - 1, units[column].mean(), stats.sem(units[column]))
            assert table.loc[group, mean] == pytest.approx(units[column].mean())
            assert (table.loc[group, low], table.loc[group, high]) == pytest.approx(expected)


def test_a_column_named_group_divides_the_cases(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs[:1]).results
    sites = results.assign(group_site=np.where(results["case_id"] < "axi_003", "north", "south"))
    assert "group_site" in grouping_columns(sites)
    assert "site" in set(subgroup_table(sites)["grouping"])


def test_threshold_curves_need_their_columns(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs).results
    assert threshold_table(results).empty
    cut = results.assign(**{"dice_at_0.30": results["dice"] * 0.9, "dice_at_0.50": results["dice"]})
    table = threshold_table(cut)
    assert table["threshold"].tolist() == [0.3, 0.5, 0.3, 0.5]
    assert table["mean"][0] == pytest.approx(0.9 * table["mean"][1])
    assert [t.mode for t in threshold_curves(cut).data].count("lines+markers") == 2


def test_the_collapse_plot_needs_text_distances(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs).results
    assert collapse_table(results).empty
    far = results.assign(text_distance=np.where(results["family"] == "prompt", 0.25, np.nan))
    table = collapse_table(far)
    assert set(table["condition"]) == set(results[results["family"] == "prompt"]["condition"])
    assert table["distance"].tolist() == pytest.approx([0.25] * len(table))
    assert sum(len(t.x) for t in collapse_plot(far).data) == len(table)


def test_painting_every_pixel_is_a_floor_where_the_reference_is_known(runs: tuple[RunTables, ...]) -> None:
    frames = merge(runs)
    known = frames.results.assign(reference_fraction=0.25)
    floors = floor_scores(frames.effects, known).set_index(["series", "condition"])["perturbed_mean"]
    assert floors["film-unet", "all_ones"] == pytest.approx(2 * 0.25 / 1.25)
    assert "all_ones" not in set(floor_scores(frames.effects, frames.results)["condition"])


def test_a_single_figure_is_drawn_by_name(run_folders: list, runs: tuple[RunTables, ...]) -> None:
    figure = plot(run_folders[0], "forest")
    verdicts = runs[0].verdicts
    drawn = sorted(x for trace in figure.data for x in trace.x)
    assert drawn == sorted(verdicts[verdicts["claim"] == "prompt"]["estimate"].dropna())
    assert len(plot(run_folders[0], "severity", key="gamma").data) == 2
    assert len(plot(run_folders, "paired").data) >= 1


def test_a_wrong_name_of_a_figure_is_one_clear_error(run_folders: list) -> None:
    with pytest.raises(InputError, match="did you mean 'forest'"):
        plot(run_folders[0], "forrest")
    with pytest.raises(InputError, match="hold no figure 'joint'"):
        plot(run_folders[0], "joint")
    assert set(plot_kinds()) >= {"forest", "severity", "shift", "joint", "rank", "thresholds", "collapse", "paired"}


def test_names_stand_beside_points_only_where_they_cover_nothing() -> None:
    assert uncrowded([(0.2, 0.2), (0.8, 0.8)], ["low", "high"]) == ["low", "high"]
    assert uncrowded([(0.5, 0.5), (0.5, 0.51)], ["under", "over"]) == ["", "over"]
    assert uncrowded([(0.5, 0.5), (0.53, 0.5)], ["covers the next", "next"]) == ["", "next"]
    assert uncrowded([(0.99, 0.5)], ["runs out of the plot"]) == [""]
    assert uncrowded([], []) == []


def test_texts_that_hardly_differ_still_have_a_scale(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs[:1]).results
    near = results.assign(text_distance=np.where(results["family"] == "prompt", 2e-5, np.nan))
    axis = collapse_plot(near).layout.xaxis
    assert sum(axis.range[0] <= tick <= axis.range[1] for tick in axis.tickvals) >= 2


def test_labels_of_the_distance_axis_stand_apart(runs: tuple[RunTables, ...]) -> None:
    results = merge(runs[:1]).results
    rng = np.random.default_rng(0)
    far = results.assign(
        text_distance=np.where(results["family"] == "prompt", rng.uniform(0.0, 0.6, len(results)), np.nan)
    )
    axis = collapse_plot(far).layout.xaxis
    least = 0.07 * axis.range[1]
    assert len(axis.tickvals) == len(axis.ticktext) >= 5
    assert np.diff(axis.tickvals).min() >= least


def test_intervals_of_many_groups_are_those_of_each_group() -> None:
    rng = np.random.default_rng(7)
    rows = pd.DataFrame(
        {
            "condition": np.repeat(["b", "a", "none"], 40),
            "subject_id": rng.choice(["p1", "p2", "p3", None], 120),
            "case_id": rng.choice([f"c{n}" for n in range(9)], 120),
            "score": np.where(rng.random(120) < 0.2, np.nan, rng.random(120)),
        }
    )
    rows.loc[rows["condition"] == "none", "score"] = np.nan
    table = unit_intervals(rows, "score", by=["condition"], level=0.95)
    assert set(table.index.get_level_values("condition")) == {"a", "b"}
    for condition in ("a", "b"):
        expected = unit_interval(rows[rows["condition"] == condition], "score", level=0.95)
        assert table.loc[(condition,)].to_dict() == pytest.approx(expected, rel=1e-12)
