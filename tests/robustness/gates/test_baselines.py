"""Baseline files: what they hold, what they refuse, and that they compare like the run itself."""

import re
import tomllib

import numpy as np
import pandas as pd
import pytest

from robustness.errors import InputError
from robustness.gates.baselines import load_baseline, open_earlier, save_baseline
from robustness.gates.judge import Gates, GateSpec, judge
from robustness.run_folder import MANIFEST
from tests.gate_runs import write_run

GATES = Gates(
    gate=[
        GateSpec(test="no_proven_drop"),
        GateSpec(test="noninferior", condition="*", margin=0.02),
        GateSpec(test="no_proven_drop", condition="antonym:*", metric="mask_change", subgroup="target"),
    ]
)


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("old") / "run")


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("new") / "run", seed=1, clean_shift=0.01, weights="w2")


def test_a_baseline_file_compares_exactly_like_the_run_that_it_was_made_from(old, new, tmp_path):
    file = save_baseline(old, tmp_path / "release-1.2")
    assert file == tmp_path / "release-1.2.toml"
    by_run, by_file = judge(new, GATES, baseline=old), judge(new, GATES, baseline=load_baseline(file))
    pd.testing.assert_frame_equal(by_run, by_file)
    assert (by_run.outcome != "pass").any()


def test_the_summary_says_what_was_measured_and_how_it_went(old, tmp_path):
    text = save_baseline(old, tmp_path / "b").read_text()
    facts = tomllib.loads(text)
    assert facts["model"] == [{"name": "m", "model": "clipseg", "sha256": ["model.safetensors w1"]}]
    assert (facts["data"][0]["name"], facts["data"][0]["n_subjects"], len(facts["data"][0]["sha256"])) == ("d", 40, 64)
    assert facts["plan"]["measured"]["data[0].split"] == "test"
    clean = old.results().query("condition == 'clean'").dice
    assert facts["scores"]["m"]["d"]["clean"] == {
        "rows": 40,
        "undefined": 0,
        "dice": round(float(clean.mean()), 4),
        "mask_change": 0.0,
    }


def test_files_are_the_same_bytes_each_time(old, tmp_path):
    first, second = save_baseline(old, tmp_path / "a" / "b"), save_baseline(old, tmp_path / "c" / "b")
    assert first.read_bytes() == second.read_bytes()
    assert first.with_suffix(".parquet").read_bytes() == second.with_suffix(".parquet").read_bytes()


def test_prompts_paths_and_error_texts_stay_out(old, tmp_path):
    table = old.results()
    table.loc[0, "error"] = "cannot read secret/patient_smith.png"
    run = write_run(tmp_path / "run", table)
    stored = load_baseline(save_baseline(run, tmp_path / "b")).results()
    assert "prompt" not in stored
    assert set(stored.error) == {"", "failed"}


@pytest.mark.parametrize(
    ("plan", "files", "message"),
    [
        ({"seed": 3}, None, "another plan: seed is 0 there and 3 here"),
        ({"metrics": {"resolution": "network"}}, None, "metrics.resolution is 'original' there and 'network' here"),
        ({"data": {"path": "d", "prompt": "p5"}}, None, r"data\[0\].prompt is 'p6' there and 'p5' here"),
        ({"data": {"path": "d", "limit": 9}}, None, r"data\[0\].limit is not set there and 9 here"),
        (None, {"images/a.png": "2"}, r"other data: dataset 'd' \(test\) has other files there"),
    ],
)
def test_another_plan_or_other_data_is_refused_with_the_difference(old, tmp_path, plan, files, message):
    other = write_run(tmp_path / "other", plan=plan, files=files)
    for earlier in (old, load_baseline(save_baseline(old, tmp_path / "b"))):
        with pytest.raises(InputError, match=message):
            judge(other, GATES, baseline=earlier)


@pytest.mark.parametrize(
    "plan",
    [
        {"model": {"name": "cris", "threshold": 0.35}},
        {"data": {"path": "elsewhere/d"}},
        {"title": "New", "engine": {"batch_size": 2}},
        {"statistics": {"alpha": 0.01, "resamples": 199}},
    ],
)
def test_another_model_place_engine_or_error_rate_is_not(old, tmp_path, plan):
    other = write_run(tmp_path / "other", plan=plan, weights="w9")
    judged = judge(other, GATES, baseline=load_baseline(save_baseline(old, tmp_path / "b")))
    assert (judged.outcome == "pass").all()


def test_a_key_that_an_earlier_version_did_not_know_stood_at_its_default(old, new, tmp_path):
    file = save_baseline(old, tmp_path / "b")
    text = file.read_text()
    line = '"metrics.resolution" = "original"\n'
    assert line in text
    # That version wrote no hash of the summary either.
    file.write_text(re.sub(r"summary_sha256 = .*\n", "", text.replace(line, "")))
    judge(new, GATES, baseline=load_baseline(file))
    other = write_run(tmp_path / "other", plan={"metrics": {"resolution": "network"}})
    with pytest.raises(InputError, match=r"metrics\.resolution is 'original' there and 'network' here"):
        judge(other, GATES, baseline=load_baseline(file))


def test_other_cases_are_refused_by_a_baseline_file(old, tmp_path):
    table = old.results()
    run = write_run(tmp_path / "fewer", table[table.case_id != "c11"])
    with pytest.raises(InputError, match="'c11'"):
        judge(run, GATES, baseline=load_baseline(save_baseline(old, tmp_path / "b")))


def test_a_changed_count_of_undefined_rows_fails_against_a_file(old, tmp_path):
    table = old.results()
    table.loc[(table.condition == "clean") & (table.case_id == "c02"), "dice"] = np.nan
    run = write_run(tmp_path / "undefined", table)
    row = judge(run, GATES, baseline=load_baseline(save_baseline(old, tmp_path / "b"))).iloc[0]
    assert row.outcome == "fail"
    assert "undefined dice rows went from 0 in the baseline to 1 here (c02)" in row.message


class TestDamage:
    def test_scores_that_were_changed_are_refused(self, old, new, tmp_path):
        file = save_baseline(old, tmp_path / "b")
        save_baseline(new, tmp_path / "n").with_suffix(".parquet").replace(tmp_path / "b.parquet")
        with pytest.raises(InputError, match=r"b.parquet is not the file that b.toml describes"):
            load_baseline(file)

    def test_a_missing_file_is_named(self, old, tmp_path):
        file = save_baseline(old, tmp_path / "b")
        (tmp_path / "b.parquet").unlink()
        with pytest.raises(InputError, match=r"b.parquet', found none"):
            load_baseline(file)
        with pytest.raises(InputError, match="expected a run's folder or a baseline file"):
            open_earlier(tmp_path / "nothing")

    def test_another_format_is_refused(self, old, tmp_path):
        file = save_baseline(old, tmp_path / "b")
        file.write_text(file.read_text().replace("format = 1", "format = 7"))
        with pytest.raises(InputError, match="format 7"):
            load_baseline(file)

    def test_an_unfinished_run_is_no_baseline(self, tmp_path):
        run = write_run(tmp_path / "run")
        (run.path / MANIFEST).unlink()
        with pytest.raises(InputError, match="no manifest"):
            save_baseline(run, tmp_path / "b")


def test_any_of_the_names_opens_a_baseline(old, tmp_path):
    save_baseline(old, tmp_path / "b")
    for name in ("b", "b.toml", "b.parquet"):
        assert len(open_earlier(tmp_path / name).results()) == len(old.results())
