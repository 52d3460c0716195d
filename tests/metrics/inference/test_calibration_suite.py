"""The calibration studies of benchmarks/calibration, short; limits widen by four Monte Carlo standard errors.

The seed is fixed, so a failure is a change of the statistics and not bad luck.
"""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from benchmarks.calibration import battery, family, margin, misleading, null, plasmode, power, stars
from benchmarks.calibration._study import Check, Study, rate_limit, summary, write_page
from tests.metrics.tables import paired


def held(study):
    assert study.held, [check for check in study.checks if not check.held]


def test_null_rates_and_coverage():
    held(null.simulate(runs=1000, processes=1))


@pytest.mark.slow
def test_family_wise_error_and_power():
    held(family.simulate(runs=40, processes=1))


@pytest.mark.slow
def test_gates_and_p_values_over_many_cells():
    held(family.simulate_cells(runs=25, processes=1))


@pytest.mark.slow
def test_power_of_gates_and_of_the_printed_mde():
    held(power.simulate(runs=1000, processes=1))


def test_verdicts_at_the_margin():
    for kind in margin.KINDS:
        follows, reacts, ignores, *_ = margin.shares(kind, 30, 60, 0)
        assert max(follows, reacts, ignores) <= rate_limit(0.05, 60, 4.0), kind


@pytest.mark.parametrize(
    "model",
    [
        "blind",
        "untrained",
        "painter",
        "collapses in 10% (margin)",
        "missing where it fails",
        "paints one part whatever side is named",
        "tells part from part",
    ],
)
def test_known_truths_do_not_mislead(model):
    right, starred, false_star, open_, wrong = misleading.outcomes(model, 60, 6, 0)
    assert false_star <= starred
    assert right + starred + open_ + wrong == pytest.approx(1.0)
    assert wrong == 0
    assert right >= 0.5


@pytest.mark.parametrize("truth", ["10% lose all", "5% react", "5% go the other way"])
@pytest.mark.parametrize("n", [12, 20, 30])
def test_a_star_errs_in_a_fifth_at_most(truth, n):
    certified, starred, _ = stars.rates(truth, n, 150, 0)
    assert certified <= rate_limit(0.05, 150, 4.0)
    assert certified + starred <= rate_limit(0.2, 150, 4.0)


@pytest.mark.parametrize(("behaviour", "verdict"), battery.RIGHT.items())
def test_known_models_are_all_judged_right_at_sixty_patients(behaviour, verdict):
    assert battery.said(behaviour, 1.0, 60, 6, 0) == {verdict: 6}


def test_a_blind_model_is_never_certified_below_the_rule_of_three():
    assert battery.said("blind", 1.0, 58, 4, 0) == {"IGNORES*": 4}


def test_half_of_the_patients_following_is_found_with_thirty():
    assert battery.said("partial", 0.5, 30, 20, 0)["FOLLOWS"] >= 19


@pytest.mark.slow
def test_five_percent_followers_are_not_certified_as_ignoring():
    assert battery.said("partial", 0.05, 60, 20, 0)["IGNORES"] <= 3


def test_flipped_real_looking_differences_hold_the_level():
    rng = np.random.default_rng(0)
    d = np.where(rng.random(40) < 0.4, 0.0, rng.standard_exponential(40) * 0.05)
    study = plasmode.simulate(runs=1000, processes=1, table=paired(d).assign(mask_change=0.0))
    assert [row[0] for row in study.rows] == ["dice image:gaussian_noise@1"]
    held(study)


def test_known_discs_are_scored_as_the_metrics_score_them():
    from robustness.metrics.scores.masks import mask_metrics

    one, other = (battery.discs(np.array([20.0]), np.array([c]), np.array([6.0])) for c in (20.0, 24.0))
    dice, iou = battery.overlap(one, other)
    found = mask_metrics(one[0], other[0], names=["dice", "iou"])
    assert (dice[0], iou[0]) == (pytest.approx(found["dice"]), pytest.approx(found["iou"]))


def test_a_missed_check_is_told_in_json_and_on_the_page(tmp_path):
    study = Study("s", "A <study>", "about", ("a",), [(0.5,)], [Check("x", 0.2, 0.0, 0.1), Check("y", 0.1, 0, 1)], 10)
    found = json.loads(json.dumps(summary("calibration", [study])))
    assert found["ratio"] == 0.5
    page = write_page([study], tmp_path / "page.html").read_text()
    assert "NOT HELD: x" in page
    assert "A &lt;study&gt;" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "asked",
    [
        ["--runs", "40"],
        ["--study", "criteria", "--runs", "10", "--processes", "1"],
        ["--study", "outcomes", "--runs", "10", "--processes", "1"],
    ],
)
def test_gates_are_as_often_right_from_audits_as_from_tables(root, asked):
    # A process of its own: the example's modules, one of them called `metrics`, are importable in it.
    command = [sys.executable, "benchmarks/calibration/gate_end_to_end.py", *asked]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["ratio"] == 1.0
