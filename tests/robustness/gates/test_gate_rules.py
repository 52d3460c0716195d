"""The gates' rules on tables drawn with a known truth, and hostile runs through the command."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.gates.decisions import (
    ErrorRates,
    equivalence,
    no_proven_inferiority,
    noninferiority,
    retention,
    superiority,
)
from robustness.workflows.run import open_run
from tests.gate_runs import rows, seal, write_run

ALONE = ErrorRates(0.05, 1)


def _drawn(runs, subjects, *, mean, seed, cells=1):
    """Subject means of 6 images each: sd 0.05 and intraclass correlation 0.4, as between two versions of a model."""
    rng = np.random.default_rng(seed)
    patient = rng.normal(0, 0.05 * np.sqrt(0.4), (runs, cells, subjects))
    image = rng.normal(0, 0.05 * np.sqrt(0.6 / 6), (runs, cells, subjects))
    return mean + patient + image


def _share(decisions, outcome):
    return np.mean([decision.outcome == outcome for decision in decisions])


def test_a_merge_gate_fails_an_equal_model_at_its_level_and_finds_a_drop():
    equal = [no_proven_inferiority(v[0], 0.0, ALONE) for v in _drawn(2000, 30, mean=0.0, seed=0)]
    worse = [no_proven_inferiority(v[0], 0.0, ALONE) for v in _drawn(2000, 30, mean=0.02, seed=1)]
    assert 0.04 <= _share(equal, "fail") <= 0.06
    assert _share(worse, "fail") >= 0.90


def test_a_release_gate_lets_a_drop_of_the_margin_through_at_its_level():
    at_margin = [noninferiority(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=0.02, seed=2)]
    equal = [noninferiority(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=0.0, seed=3)]
    assert 0.035 <= _share(at_margin, "pass") <= 0.065
    assert _share(equal, "pass") >= 0.90


def _glob(cells, margin):
    errors = ErrorRates(0.05, len(cells))
    outcomes = {noninferiority(values, margin, errors).outcome for values in cells}
    return "fail" if "fail" in outcomes else "inconclusive" if "inconclusive" in outcomes else "pass"


@pytest.mark.slow
def test_a_glob_of_conditions_at_the_margin_fails_falsely_at_most_at_the_level():
    outcomes = [_glob(cells, 0.02) for cells in _drawn(1000, 30, mean=0.02, seed=4, cells=8)]
    assert outcomes.count("fail") / 1000 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)
    assert outcomes.count("fail") / 1000 >= 0.03


@pytest.mark.slow
def test_a_glob_with_one_bad_condition_passes_falsely_at_most_at_the_level():
    drawn = _drawn(1000, 30, mean=0.0, seed=5, cells=8)
    drawn[:, 4] += 0.02
    outcomes = [_glob(cells, 0.02) for cells in drawn]
    assert outcomes.count("pass") / 1000 <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.slow
def test_an_invariance_at_the_margin_is_certified_at_most_at_the_level():
    for mean, seed in ((0.02, 6), (-0.02, 7)):
        found = [equivalence(v[0], 0.02, ALONE) for v in _drawn(2000, 30, mean=mean, seed=seed)]
        assert 0.03 <= _share(found, "pass") <= 0.065
        assert 0.03 <= _share(found, "fail") <= 0.065


def test_above_is_below_in_a_mirror():
    values = np.random.default_rng(0).normal(0.3, 0.1, 20)
    up, down = superiority(values, 0.25, ALONE), noninferiority(-values, -0.25, ALONE)
    assert up.outcome == down.outcome
    assert (up.estimate, up.low, up.high) == pytest.approx((-down.estimate, -down.high, -down.low))
    assert up.needed == down.needed


def test_bounds_are_those_of_the_t_distribution():
    values = np.array([0.1, 0.2, 0.4, 0.3, 0.0])
    found = no_proven_inferiority(values, 0.0, ErrorRates(0.05, 4))
    # R: mean(x) - qt(1 - 0.05/4, 4) * sd(x) / sqrt(5), x = c(.1, .2, .4, .3, 0)
    assert found.low == pytest.approx(0.2 - 3.495406 * 0.15811388 / np.sqrt(5), abs=1e-6)


def test_the_level_is_that_of_the_interval():
    values, four = np.array([0.1, 0.2, 0.4, 0.3, 0.0]), ErrorRates(0.05, 4)
    passes, fails, open_ = (noninferiority(values, limit, four) for limit in (0.9, -0.5, 0.15))
    assert [d.outcome for d in (passes, fails, open_)] == ["pass", "fail", "inconclusive"]
    for found, level in ((passes, 0.9), (fails, 0.975), (open_, 0.975), (superiority(values, -0.5, four), 0.9)):
        # R: qt(0.95, 4) and qt(1 - 0.05/4, 4)
        half = {0.9: 2.131847, 0.975: 3.495406}[level] * 0.15811388 / np.sqrt(5)
        assert found.level == pytest.approx(level)
        assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), abs=1e-6)
    # Where nothing is proven the interval is that of the failure which was not shown.
    unproven = no_proven_inferiority(values, 0.3, four)
    assert (unproven.outcome, unproven.level) == ("pass", pytest.approx(0.975))
    assert np.isnan(noninferiority(values[:1], 0.3, four).level)


def test_what_is_needed_would_decide():
    values = np.tile([0.01, -0.03], 6)
    found = noninferiority(values, 0.0, ALONE)
    assert found.outcome == "inconclusive"
    shares = []
    for seed in range(300):
        again = np.random.default_rng(seed).normal(values.mean(), values.std(ddof=1), found.needed)
        shares.append(noninferiority(again, 0.0, ALONE).outcome == "pass")
    assert 0.70 <= np.mean(shares) <= 0.90


@pytest.mark.parametrize("values", [np.array([]), np.array([0.3])])
def test_fewer_than_two_subjects_decide_nothing(values):
    for found in (
        noninferiority(values, 0.1, ALONE),
        superiority(values, 0.1, ALONE),
        equivalence(values, 0.1, ALONE),
        no_proven_inferiority(values, 0.1, ALONE),
        retention(values, values, 0.5, ALONE, resamples=99, seed=0),
    ):
        assert found.outcome == "inconclusive"
        assert np.isnan(found.low)
        assert found.needed == 2


def test_noise_delays_failing_but_never_passing():
    values = np.full(10, 0.05) + np.linspace(-0.001, 0.001, 10)
    assert noninferiority(values, 0.04, ALONE).outcome == "fail"
    assert noninferiority(values, 0.04, ALONE, noise_allowance=0.02).outcome == "inconclusive"
    assert no_proven_inferiority(values, 0.0, ALONE, noise_allowance=0.06).outcome == "pass"
    assert noninferiority(values, 0.06, ALONE, noise_allowance=0.02).outcome == "pass"


def test_a_share_counts_subjects_and_not_ratios():
    clean = np.array([1e-6, 0.8, 0.9, 0.7, 0.8])
    changed = np.array([0.1, 0.8, 0.9, 0.7, 0.8])
    found = retention(changed, clean, 0.9, ALONE, resamples=999, seed=0)
    assert found.estimate == pytest.approx(changed.sum() / clean.sum())
    assert found.outcome == "pass"


GATES = {
    "drop_below": "margin = 0.1",
    "invariant": "margin = 0.1",
    "retention": "at_least = 0.9",
    "minimum": "at_least = 0.85",
    "directional": 'direction = "drop"\nat_least = 0.1',
}
N = 40
CLEAN = np.clip(0.9 + np.random.default_rng(0).normal(0, 0.02, N), 0, 1)


def _where(n_bad, bad):
    return np.r_[np.full(n_bad, bad), CLEAN[n_bad:]]


# Clean and changed scores, what else every row has, and the tests that must not pass.
RUNS = {
    "two patients": (np.full(2, 0.9), np.full(2, 0.9), {}, set(GATES)),
    "nine patients": (CLEAN[:9], CLEAN[:9], {}, set(GATES)),
    "half undefined": (CLEAN, _where(20, np.nan), {}, set(GATES)),
    "an eighth infinite": (CLEAN, _where(5, np.inf), {}, set(GATES)),
    "3 of 40 undefined": (CLEAN, _where(3, np.nan), {}, {"drop_below", "invariant", "retention", "directional"}),
    "no changed score": (CLEAN, np.full(N, np.nan), {}, set(GATES)),
    "no clean score": (np.full(N, np.nan), CLEAN, {}, set(GATES) - {"minimum"}),
    "untrained": (np.full(N, 0.05), np.full(N, 0.05), {}, set(GATES)),
    "nothing scored": (np.zeros(N), np.zeros(N), {}, set(GATES)),
    "references empty": (np.ones(N), np.ones(N), {"reference_fraction": 0.0}, set(GATES)),
    "references fill the image": (np.ones(N), np.ones(N), {"reference_fraction": 1.0}, set(GATES)),
    "all lose the margin": (np.ones(N), np.full(N, 0.9), {}, {"drop_below", "invariant", "directional"}),
    "all lose the margin, 12": (np.ones(12), np.full(12, 0.9), {}, {"drop_below", "invariant", "directional"}),
}


@pytest.mark.parametrize("name", RUNS)
def test_no_hostile_run_passes_by_the_command(tmp_path, name):
    clean, changed, more, open_ = RUNS[name]
    table = pd.concat([rows("clean", clean, 0.0), rows("image:blur@3", changed, 0.02)], ignore_index=True)
    path = write_run(tmp_path / "run", table.assign(**more), plan={"statistics": {"resamples": 99}}).path
    gates = "".join(
        f'[[gate]]\nname = "{test}"\ntest = "{test}"\ncondition = "image:blur@3"\n{limit}\n'
        for test, limit in GATES.items()
    )
    (tmp_path / "gates.toml").write_text(gates)
    arguments = ["gate", str(path), "--gates", str(tmp_path / "gates.toml"), "--json", str(tmp_path / "found.json")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 1, done.output
    assert not re.search(r"\bnan\b", done.output)
    found = json.loads((tmp_path / "found.json").read_text())["gates"]
    passed = {one["name"] for one in found if one["outcome"] == "pass"}
    assert passed.isdisjoint(open_), passed & open_


# Losses of a mean of .10, the margin: a certified pass is false.
MARGIN_TRUTHS = {
    "10% lose everything": lambda rng, n: np.where(rng.random(n) < 0.1, 1.0, 0.0),
    ".0526 and 5% lose everything": lambda rng, n: np.where(rng.random(n) < 0.05, 1.0, 0.0526),
    "16% lose .625": lambda rng, n: np.where(rng.random(n) < 0.16, 0.625, 0.0),
    "lognormal": lambda rng, n: np.minimum(0.061306 * rng.lognormal(0, 1, n), 1.0),
    "normal": lambda rng, n: np.clip(rng.normal(0.1, 0.1, n), 0, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 30, 60])
@pytest.mark.parametrize("truth", MARGIN_TRUTHS)
def test_gates_that_ask_for_a_certificate_pass_at_most_alpha_at_the_margin(tmp_path, truth, n):
    """End to end: one run of 40 data sets, one gate for each data set and test."""
    rng, runs, parts = np.random.default_rng(11), 40, []
    for d in range(runs):
        loss = MARGIN_TRUTHS[truth](rng, n)
        parts += [
            rows(condition, score, change).assign(dataset=f"d{d:02d}")
            for condition, score, change in (("clean", np.ones(n), 0.0), ("image:blur@3", 1 - loss, 0.02))
        ]
    run = write_run(tmp_path / "run", pd.concat(parts, ignore_index=True), plan={"statistics": {"resamples": 99}})
    asked = {**GATES, "minimum": "at_least = 0.9"}
    del asked["directional"]
    gates = "".join(
        f'[[gate]]\nname = "{test} {d}"\ntest = "{test}"\ncondition = "image:blur@3"\ndataset = "d{d:02d}"\n'
        f"certified = true\n{limit}\n"
        for test, limit in asked.items()
        for d in range(runs)
    )
    (tmp_path / "gates.toml").write_text(gates)
    judged = run.gate(tmp_path / "gates.toml")
    passed = judged["outcome"].eq("pass").groupby(judged["test"]).mean()
    assert passed.max() <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5, passed
    assert len(judged) == 4 * runs


def test_a_distance_that_all_lose_alike_has_no_interval_and_says_why(tmp_path):
    clean = rows("clean", CLEAN, 0.0, hd95=3.0)
    table = pd.concat([clean, rows("image:blur@3", CLEAN, 0.02, hd95=6.5)], ignore_index=True)
    run = write_run(tmp_path / "run", table, plan={"statistics": {"resamples": 99, "margins": {"hd95": 2.0}}})
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\nmetric = "hd95"\nmargin = 2.0\n')
    (row,) = run.gate(tmp_path / "gates.toml").to_dict("records")
    assert row["outcome"] == "inconclusive"
    assert "hd95 effect +3.5000 (no interval)" in row["message"]
    assert "no end that would bound" in row["message"]
    verdict = run.verdicts().set_index("metric").loc["hd95"]
    assert "no interval" in verdict["sentence"]
    assert "96" not in verdict["sentence"]


BASELINE_GATES = """
[[gate]]
test = "noninferior"
margin = 0.02
[[gate]]
test = "no_proven_drop"
"""
# Scores of the baseline and of this run, what else every row has: neither regression test may pass.
REGRESSIONS = {
    "untrained": (np.linspace(0.0, 0.1, 200), np.linspace(0.0, 0.1, 200), {"reference_fraction": 0.05}),
    "nothing scored": (np.zeros(200), np.zeros(200), {}),
    "references empty": (np.ones(200), np.ones(200), {"reference_fraction": 0.0}),
    "half undefined in both": (_where(20, np.nan), _where(20, np.nan), {}),
    "nine patients": (CLEAN[:9], CLEAN[:9], {}),
    "all lose the margin": (CLEAN, CLEAN - 0.02, {}),
    "failed here alone": (CLEAN, _where(3, np.nan), {}),
}


def _found(folder, table, gates, baseline=None):
    """Return outcome and message of every gate, by the command."""
    folder.mkdir(exist_ok=True)
    path = write_run(folder / "run", table, plan={"statistics": {"resamples": 99}}).path
    (folder / "gates.toml").write_text(gates)
    arguments = ["gate", str(path), "--gates", str(folder / "gates.toml"), "--json", str(folder / "found.json")]
    if baseline is not None:
        arguments += ["--baseline", str(write_run(folder / "before", baseline).path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code in (0, 1), done.output
    found = json.loads((folder / "found.json").read_text())["gates"]
    return {one["name"].split()[0]: (one["outcome"], one["found"][0]["message"]) for one in found}


@pytest.mark.parametrize("name", REGRESSIONS)
def test_no_hostile_run_passes_against_a_baseline_by_the_command(tmp_path, name):
    before, after, more = REGRESSIONS[name]
    now, then = (
        pd.concat([rows("clean", dice, 0.0), rows("image:blur@3", dice, 0.02)], ignore_index=True).assign(**more)
        for dice in (after, before)
    )
    found = _found(tmp_path, now, BASELINE_GATES, then)
    assert all(outcome != "pass" for outcome, _ in found.values()), found


def test_a_real_score_passes_against_its_equal_and_a_dead_baseline_has_nothing_to_lose(tmp_path):
    good, dead = (
        pd.concat([rows("clean", CLEAN, 0.0), rows("image:blur@3", blur, 0.02)], ignore_index=True)
        for blur in (CLEAN, np.full(N, 0.01))
    )
    gates = BASELINE_GATES.replace("margin = 0.02", 'margin = 0.02\ncondition = "image:*"')
    assert {k: v[0] for k, v in _found(tmp_path / "a", good, gates, good).items()} == {
        "noninferior": "pass",
        "no_proven_drop": "pass",
    }
    outcome, message = _found(tmp_path / "b", dead, gates, dead)["noninferior"]
    assert (outcome, "it cannot lose that much" in message) == ("inconclusive", True)


VERDICT_GATES = "".join(f'[[gate]]\ntest = "{test}"\n' for test in ("follows", "ignores"))


def _swapped(reads, dice=0.9, n=72):
    """Return rows of a model that reads size words in a share of the patients, asked for another object."""
    turned = reads * np.ones(n)
    base = {"other_case_id": "o", "attribute": "size"}
    clean = rows("clean", np.full(n, dice), 0.0, dice_other=0.0).assign(**base)
    other = rows("other:size", dice * (1 - turned), turned, dice_other=dice * turned).assign(**base)
    return pd.concat([clean, rows("paraphrase", np.full(n, dice), 0.0), other], ignore_index=True)


def _lacking(table, share, *, empty):
    """Return rows of which a share of the swapped ones is undefined, or (`empty`) is not there."""
    lost = table["condition"].eq("other:size") & (table["case_id"] < f"c{int(share * 72):02d}")
    if empty:
        return table[~lost]
    return table.assign(**{name: table[name].mask(lost) for name in ("dice", "dice_other", "mask_change")})


def _unscored(table, condition, *columns):
    """Return rows of which a condition's have no value of these columns; without any they are not there."""
    lost = table["condition"].eq(condition)
    return table.assign(**{name: table[name].mask(lost) for name in columns}) if columns else table[~lost]


WEAK = np.where(np.arange(72) % 6 == 0, 0.7, 0.0)
FAINT = np.tile(0.04 + np.linspace(-0.01, 0.01, 20), 3)
# Rows of a model that moves its mask whenever it is asked for another object, and what the two gates say.
UNSCORED = {
    "never reaches it": (
        _swapped(1.0).assign(dice_other=0.0),
        ("fail", "fail"),
        "; it does not follow (certified): its mask leaves the first target by 0.90",
    ),
    "seems to reach it by .04": (
        _swapped(1.0, n=20).assign(dice_other=lambda t: np.where(t["condition"] == "other:size", FAINT, 0.0)),
        ("fail", "fail"),
        "; it does not follow (not certified): its mask leaves the first target by 0.90",
    ),
    "no clean Dice": (
        _unscored(_swapped(1.0), "clean", "dice"),
        ("open", "open"),
        "is known of 0 patients, fewer than 10",
    ),
    "nine clean Dice": (
        _swapped(1.0).assign(dice=lambda t: t["dice"].mask((t["condition"] == "clean") & (t["case_id"] >= "c09"))),
        ("open", "open"),
        "is known of 9 patients, fewer than 10",
    ),
    "no clean row": (_unscored(_swapped(1.0), "clean"), ("open", "open"), "is known of 0 patients, fewer than 10"),
    "clean Dice to the second target unknown": (
        _unscored(_swapped(1.0), "clean", "dice_other"),
        ("open", "fail"),
        "is known of 0 patients, fewer than 10, so that following could not be tested",
    ),
    "changed Dice unknown": (_unscored(_swapped(1.0), "other:size", "dice"), ("open", "fail"), "could not be tested"),
    "reaches it in every sixth patient": (
        _swapped(1.0).assign(dice_other=lambda t: np.where(t["condition"] == "other:size", np.tile(WEAK, 3), 0.0)),
        ("open", "fail"),
        "that it does not follow is not shown either: its mask leaves the first target by 0.90 [0.81, 0.90] Dice",
    ),
    "image-only, no clean Dice": (_unscored(_swapped(0.0), "clean", "dice"), ("open", "open"), "fewer than 10"),
    "image-only, no clean row": (_unscored(_swapped(0.0), "clean"), ("open", "open"), "fewer than 10"),
}


@pytest.mark.parametrize("name", UNSCORED)
def test_what_was_not_scored_neither_fails_nor_passes(tmp_path, name):
    """Without clean scores a model that follows failed `follows`, and one that ignores passed `ignores`."""
    table, outcomes, says = UNSCORED[name]
    found = _found(tmp_path, table.reset_index(drop=True), VERDICT_GATES)
    open_ = {"open": "inconclusive"}
    assert [found[test][0] for test in ("follows", "ignores")] == [open_.get(one, one) for one in outcomes], found
    assert says in found["follows"][1], found["follows"]


# Rows, and the tests that may pass.
SWAPS = {
    "image-only": (_swapped(0.0), {"ignores"}),
    "image-only, 58 patients": (_swapped(0.0, n=58), set()),
    "image-only, 12 patients": (_swapped(0.0, n=12), set()),
    "reads": (_swapped(1.0), {"follows"}),
    "reads, nine patients": (_swapped(1.0, n=9), set()),
    "reads in every fifth patient, on average enough": (_swapped(np.arange(72) % 5 == 0), {"follows"}),
    "reads in every twentieth patient": (_swapped(np.arange(72) % 20 == 0), set()),
    "always an empty mask": (_swapped(0.0, dice=0.0), set()),
    "untrained": (_swapped(0.0, dice=0.05), set()),
    "references empty": (_swapped(0.0, dice=1.0).assign(reference_fraction=0.0), set()),
    "image-only, 6 undefined": (_lacking(_swapped(0.0), 6 / 72, empty=False), set()),
    "reads, half undefined": (_lacking(_swapped(1.0), 0.5, empty=False), set()),
    "image-only, 14 without a row": (_lacking(_swapped(0.0), 14 / 72, empty=True), set()),
    "no paraphrase": (_swapped(0.0).query("condition != 'paraphrase'"), set()),
}


@pytest.mark.parametrize("name", SWAPS)
def test_words_are_followed_or_ignored_by_the_command_only_where_that_is_shown(tmp_path, name):
    table, may = SWAPS[name]
    passed = {test for test, (outcome, _) in _found(tmp_path, table, VERDICT_GATES).items() if outcome == "pass"}
    assert passed == may


def _asked_for_nothing(painted, clean_area=0.1, dice=0.9, n=60):
    """Return rows of a model asked for another class; `painted`: its area there."""
    area = {"area_fraction": painted * np.ones(n), "expectation": "abstain"}
    clean = rows("clean", dice * np.ones(n), 0.0, area_fraction=clean_area * np.ones(n))
    return pd.concat([clean, rows("wrong_class", np.zeros(n), 1.0).assign(**area)], ignore_index=True)


FIRST = np.arange(60) < 3
# Rows, and what the gate says.
ABSTENTIONS = {
    "paints where asked alone": (_asked_for_nothing(0.0), "pass", ""),
    "always an empty mask": (_asked_for_nothing(0.0, 0.0, 0.0), "inconclusive", "0 of 60 patients have a clean mask"),
    "clean masks of 8 patients": (
        _asked_for_nothing(0.0, np.r_[np.full(8, 0.1), np.zeros(52)]),
        "inconclusive",
        "8 of 60 patients",
    ),
    "no clean area known": (_asked_for_nothing(0.0, np.nan), "inconclusive", "0 of 0 patients have a clean mask"),
    "untrained": (_asked_for_nothing(0.0, dice=0.05), "inconclusive", "no pass: the clean Dice 0.050"),
    "28 patients": (_asked_for_nothing(0.0, n=28), "inconclusive", "0 of 28"),
    "nine patients": (_asked_for_nothing(0.0, n=9), "inconclusive", "fewer than 10"),
    "no area": (_asked_for_nothing(np.nan), "inconclusive", "no area of the mask is known"),
    "three unknown": (_asked_for_nothing(np.where(FIRST, np.nan, 0.0)), "inconclusive", "overturn"),
    "painter": (_asked_for_nothing(0.1), "fail", "hallucinates"),
    "images of three patients": (
        _asked_for_nothing(0.0).assign(subject_id=[f"s{i % 3}" for i in range(120)]),
        "inconclusive",
        "3 patients",
    ),
}


@pytest.mark.parametrize("name", ABSTENTIONS)
def test_what_never_answers_does_not_abstain_by_the_command(tmp_path, name):
    table, outcome, says = ABSTENTIONS[name]
    found = _found(tmp_path, table, '[[gate]]\ntest = "abstains"\n')["abstains"]
    assert (found[0], says in found[1]) == (outcome, True), found


def test_a_model_without_a_row_of_what_a_gate_asks_is_open(tmp_path):
    good = pd.concat([rows("clean", CLEAN, 0.0), rows("image:blur@3", CLEAN, 0.02)], ignore_index=True)
    table = pd.concat([good, good[good["condition"] == "clean"].assign(model="other")], ignore_index=True)
    gate = '[[gate]]\ntest = "drop_below"\nmargin = 0.1\ncondition = "image:blur@3"\n'
    outcome, message = _found(tmp_path / "a", table, gate)["drop_below"]
    assert (outcome, message.startswith("other on d has no row of 'image:blur@3'")) == ("inconclusive", True)
    assert _found(tmp_path / "b", table, gate + 'model = "m"\n')["drop_below"][0] == "pass"


# What a manifest says of the comparison with the training, whether the gate asks for a certificate, and the outcome.
NOBODY = {"status": "none", "unit": "patient", "n_subjects": 40, "n_images": 40, "complete": True}
STARTED = {"complete": False, "incomplete": "it started from weights that do not record their training"}
RECORDS = {
    "nobody": (NOBODY, True, "pass", "none of 40 patients"),
    "no manifest entry": ({}, False, "inconclusive", "does not record"),
    "not recorded": ({**NOBODY, "status": "not recorded"}, False, "inconclusive", "does not record"),
    "somebody": ({**NOBODY, "status": "overlap", "trained": 1}, False, "fail", "seen in training"),
    "a member without a record": ({**NOBODY, "gap": "one of its members"}, False, "inconclusive", "one of its members"),
    "equal names in data of another name": (
        {**NOBODY, "namesakes": 3},
        False,
        "inconclusive",
        "3 of them bear the name",
    ),
    "started from published weights": ({**NOBODY, **STARTED}, False, "pass", "certified no: it started from"),
    "the same, certified": ({**NOBODY, **STARTED}, True, "inconclusive", "started from weights"),
    "an older run, certified": ({**NOBODY, "complete": False}, True, "inconclusive", "patients are unknown, or the"),
    "an older manifest": ({k: v for k, v in NOBODY.items() if k != "complete"}, True, "pass", "none of 40"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_cannot_show_that_nobody_was_trained_on_does_not_pass(tmp_path, name):
    overlap, certified, outcome, says = RECORDS[name]
    table = pd.concat([rows("clean", CLEAN, 0.0), rows("image:blur@3", CLEAN, 0.02)], ignore_index=True)
    path = write_run(tmp_path / "run", table, plan={"statistics": {"resamples": 99}}).path
    manifest = json.loads((path / "manifest.json").read_text())
    manifest["models"][0]["training_overlap"] = [{**overlap, "dataset": "d"}] if overlap else []
    seal(path, manifest)
    (tmp_path / "g.toml").write_text(f'[[gate]]\ntest = "no_training_overlap"\ncertified = {str(certified).lower()}\n')
    arguments = ["gate", str(path), "--gates", str(tmp_path / "g.toml"), "--json", str(tmp_path / "found.json")]
    CliRunner().invoke(app, arguments)
    (gate,) = json.loads((tmp_path / "found.json").read_text())["gates"]
    assert (gate["outcome"], says in gate["found"][0]["message"]) == (outcome, True), gate["found"]


# What a manifest says of a second data set, whether the gate asks for a certificate, and what comes out.
UNKNOWN = {"subject_is_image": True}
STATED = {"subject_is_image": True, "subject": "image"}
UNITS = {
    "patients": ({"subject_is_image": False}, True, "pass", True, "", "certified yes"),
    "nobody known": (UNKNOWN, False, "pass", False, "images", "no patient of other is known"),
    "nobody known, certified": (UNKNOWN, True, "inconclusive", False, "", 'state subject = "image" in the plan'),
    "stated": (STATED, True, "pass", True, "images", 'subject = "image" states so'),
    "not recorded": ({}, True, "inconclusive", False, "", "does not record whether those of other are patients"),
    "one split of two": (
        [{"subject_is_image": False}, UNKNOWN],
        True,
        "inconclusive",
        False,
        "",
        "no patient of other",
    ),
}
GATES_OF_UNITS = """
inconclusive = "warn"
[[gate]]
test = "drop_below"
condition = "image:blur@3"
margin = 0.1
certified = {certified}
[[gate]]
test = "minimum"
at_least = 0.5
certified = {certified}
[[gate]]
test = "abstains"
certified = {certified}
"""


def _two_datasets(folder, facts):
    """Write a run of two data sets that pass alike: the patients of "d" are known; `facts`: those of "other"."""
    table = _asked_for_nothing(0.0)
    table = pd.concat([table, rows("image:blur@3", np.full(60, 0.9), 0.02)], ignore_index=True)
    both = pd.concat([table, table.assign(dataset="other")], ignore_index=True)
    path = write_run(folder / "run", both, plan={"statistics": {"resamples": 99}}).path
    manifest = json.loads((path / "manifest.json").read_text())
    known = {k: v for k, v in manifest["datasets"][0].items() if k != "subject_is_image"}
    listed = facts if isinstance(facts, list) else [facts]
    manifest["datasets"] += [{**known, "name": "other", "split": f"s{i}", **one} for i, one in enumerate(listed)]
    return seal(path, manifest)


@pytest.mark.parametrize("name", UNITS)
def test_a_certificate_over_images_of_unknown_patients_counts_only_where_the_user_says_so(tmp_path, name):
    """Beside data whose patients are known, images of unknown ones passed as plain "certified yes"."""
    facts, asked, outcome, certified, assumed, says = UNITS[name]
    path = _two_datasets(tmp_path, facts)
    (tmp_path / "gates.toml").write_text(GATES_OF_UNITS.format(certified=str(asked).lower()))
    arguments = ["gate", str(path), "--gates", str(tmp_path / "gates.toml"), "--json", str(tmp_path / "found.json")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    for gate in json.loads((tmp_path / "found.json").read_text())["gates"]:
        found = {one["dataset"]: one for one in gate["found"]}
        assert (found["d"]["outcome"], found["d"]["certified"], found["d"]["certified_if"]) == ("pass", True, "")
        other = found["other"]
        assert (other["outcome"], other["certified"]) == (outcome, certified), other
        assert other["certified_if"] == (f"the {assumed} are independent" if assumed else "")
        assert says in other["message"] or (name == "patients" and gate["gate"]["test"] == "abstains")
        # A gate is worth what the weakest of its cells is.
        assert (gate["outcome"], gate["certified"]) == (outcome, certified)
        assert gate["certified_if"] == other["certified_if"]


def test_every_output_says_on_what_a_certificate_depends(tmp_path):
    path = _two_datasets(tmp_path, UNKNOWN)
    file = tmp_path / "gates.toml"
    file.write_text(GATES_OF_UNITS.format(certified="false"))
    arguments = ["gate", str(path), "--gates", str(file)]
    for option, name in (("--markdown", "m.md"), ("--junit", "j.xml")):
        arguments += [option, str(tmp_path / name)]
    done = CliRunner().invoke(app, arguments)
    table = open_run(path).gate(file)
    condition = "if the images are independent"
    assert done.output.count(f"yes, {condition}") == (tmp_path / "m.md").read_text().count(f"yes, {condition}") == 3
    assert (tmp_path / "j.xml").read_text().count(condition) >= 3
    assert list(table["certified_if"]) == ["the images are independent"] * 3
    assert not table["certified"].any()
    assert table["message"].str.contains(condition).all()
    judged = open_run(path).assert_minimum(0.5)
    assert (judged.certified, judged.certified_if) == (False, "the images are independent")
    with pytest.raises(AssertionError, match='state subject = "image" in the plan'):
        open_run(path).assert_minimum(0.5, certified=True)


def test_a_pass_without_a_certificate_in_one_cell_is_none_with_one(tmp_path):
    """The row of a gate had the certificate of the cell with the largest effect, whatever those of others were."""
    sure, one_missing = np.full(N, 0.899), np.where(np.arange(N) == 0, np.nan, 0.9)
    shown = {"image:blur@3": sure, "image:noise@3": one_missing}
    cells = [rows("clean", np.full(N, 0.9), 0.0), *(rows(name, dice, 0.02) for name, dice in shown.items())]
    path = write_run(tmp_path / "run", pd.concat(cells, ignore_index=True), plan={"statistics": {"resamples": 99}}).path
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\nmargin = 0.1\n')
    row = open_run(path).gate(tmp_path / "gates.toml").loc[0]
    assert (row["outcome"], row["certified"]) == ("pass", False), row["message"]
    assert row["message"].endswith("certified yes; certified no for 1 of 2 (first: image:noise@3 of m on d)")


def test_a_failure_for_other_reasons_has_no_certificate(tmp_path):
    before = pd.concat([rows("clean", np.full(N, 0.9), 0.0), rows("image:blur@3", np.full(N, 0.9), 0.02)])
    after = before.assign(dice=np.where(np.arange(len(before)) == 0, np.nan, before["dice"]))
    paths = [write_run(tmp_path / name, table).path for name, table in (("before", before), ("after", after))]
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "noninferior"\nmargin = 0.3\n')
    row = open_run(paths[1]).gate(tmp_path / "gates.toml", baseline=paths[0]).loc[0]
    assert (row["outcome"], row["certified"]) == ("fail", False), row["message"]


def test_a_run_without_what_a_test_judges_says_so(tmp_path):
    """A condition of the run that no test of this kind judges "matches no condition of the run", it said."""
    run = write_run(tmp_path / "run")
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "abstains"\n')
    with pytest.raises(InputError, match=r"'\*' matches no condition of the run that abstains can judge$"):
        run.gate(tmp_path / "gates.toml")
