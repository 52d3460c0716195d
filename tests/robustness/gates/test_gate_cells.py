"""Gates over many cells, over subgroups, against noise, and where rows are undefined."""

import numpy as np
import pandas as pd
import pytest

from robustness.errors import InputError
from tests.gate_runs import SUBJECTS, replace_rows, rows, write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def _outcome(run, tmp_path, gate, **more):
    file = tmp_path / "gates.toml"
    file.write_text(f"[[gate]]\n{gate}")
    return run.gate(file, **more).iloc[0]


class TestNoise:
    def _with_rerun(self, path, spread):
        run = write_run(path, clean_shift=0.0)
        table = run.results()
        clean = table[table.condition == "clean"]
        shift = np.abs(np.random.default_rng(5).normal(0, spread, SUBJECTS))
        rerun = clean.assign(condition="rerun", dice=(clean.dice - shift).clip(0, 1), mask_change=0.1)
        run.folder.write_table(run.folder.part(1), rerun)
        return run

    def test_a_drop_within_the_noise_of_a_rerun_is_not_proven(self, run, tmp_path):
        worse = write_run(tmp_path / "worse", clean_shift=0.05)
        assert _outcome(worse, tmp_path, 'test = "no_proven_drop"', baseline=run).outcome == "fail"
        noisy = self._with_rerun(tmp_path / "noisy", 0.2)
        row = _outcome(worse, tmp_path, 'test = "no_proven_drop"', baseline=noisy)
        assert row.outcome == "pass"
        assert "rerun noise" in row.message

    def test_noise_never_turns_a_failure_into_a_pass_against_a_margin(self, tmp_path):
        noisy = self._with_rerun(tmp_path / "noisy", 2.0)
        row = _outcome(noisy, tmp_path, 'test = "drop_below"\nattribute = "side"\nmargin = 0.05')
        assert row.outcome in ("inconclusive", "fail")


class TestFamilies:
    """A gate over many cells: failing bounds pay for all of them, passing ones do not."""

    def _many(self, tmp_path, drops, seed=3):
        rng = np.random.default_rng(seed)
        clean = np.full(SUBJECTS, 0.8)
        parts = [rows("clean", clean, 0.0)]
        for index, drop in enumerate(drops):
            spread = rng.normal(size=SUBJECTS)
            spread = 0.05 * (spread - spread.mean()) / spread.std(ddof=1)
            parts.append(rows(f"image:k{index}@1", clean - drop + spread, 0.1))
        return write_run(tmp_path / "many", pd.concat(parts, ignore_index=True))

    def test_one_in_twenty_just_past_the_margin_alone_does_not_fail_the_glob(self, tmp_path):
        run = self._many(tmp_path, [0.0] * 19 + [0.0674])
        alone = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:k19@1"\nmargin = 0.05')
        glob = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:*"\nmargin = 0.05')
        assert (alone.outcome, glob.outcome) == ("fail", "inconclusive")
        assert glob.condition == "image:k19@1"
        assert glob.ci_low < alone.ci_low
        assert glob.n_conditions == 20

    def test_passing_has_no_price_because_every_condition_must_pass(self, tmp_path):
        run = self._many(tmp_path, [0.03] * 20)
        alone = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:k3@1"\nmargin = 0.045')
        glob = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:*"\nmargin = 0.045')
        assert (alone.outcome, glob.outcome) == ("pass", "pass")
        assert glob.ci_high >= alone.ci_high

    def test_models_and_datasets_count_as_cells_too(self, tmp_path):
        run = self._many(tmp_path, [0.0, 0.0674])
        table = run.results()
        both = [table.assign(model=m, dataset=d) for m in ("m", "n", "o") for d in ("d", "e", "f", "g")]
        replace_rows(run, pd.concat(both, ignore_index=True))
        gate = 'test = "drop_below"\ncondition = "image:k1@1"\nmargin = 0.05'
        everywhere = _outcome(run, tmp_path, gate)
        here = _outcome(run, tmp_path, f'{gate}\nmodel = "n"\ndataset = "e"')
        assert everywhere.n_conditions == 12
        assert everywhere.ci_low < here.ci_low
        assert (here.model, here.dataset) == ("n", "e")


class TestSubgroups:
    def _run(self, tmp_path, shares=(20, 20)):
        rng = np.random.default_rng(1)
        clean = np.full(SUBJECTS, 0.8)
        target = np.repeat(["polyp", "ulcer"], shares)
        blur = clean - np.where(target == "ulcer", 0.2, 0.01) + rng.normal(0, 0.01, SUBJECTS)
        parts = (
            rows(
                "clean",
                clean,
                0.0,
            ),
            rows("image:blur@1", blur, 0.1),
        )
        return write_run(tmp_path / "groups", pd.concat([p.assign(target=target) for p in parts], ignore_index=True))

    def test_each_group_is_judged_and_the_worst_decides(self, tmp_path):
        run = self._run(tmp_path)
        row = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:*"\nsubgroup = "target"\nmargin = 0.05')
        assert (row.outcome, row.subgroup, row.n_subjects) == ("fail", "ulcer", 20)
        assert row.estimate == pytest.approx(0.2, abs=0.01)

    def test_a_glob_chooses_groups(self, tmp_path):
        run = self._run(tmp_path)
        gate = 'test = "drop_below"\ncondition = "image:*"\nsubgroup = "target=pol*"\nmargin = 0.05'
        assert _outcome(run, tmp_path, gate).outcome == "pass"

    def test_a_small_group_decides_nothing(self, tmp_path):
        run = self._run(tmp_path, (35, 5))
        row = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "image:*"\nsubgroup = "target"\nmargin = 0.05')
        assert (row.outcome, row.subgroup) == ("inconclusive", "ulcer")
        assert "needs 10 patients" in row.message

    def test_a_group_without_any_value_is_open_and_one_that_nothing_applies_to_is_left_out(self, tmp_path):
        gate = 'test = "drop_below"\ncondition = "image:*"\nsubgroup = "target"\nmargin = 0.5'
        whole = self._run(tmp_path).results()
        for column, value, outcome, cells in (("dice", np.nan, "inconclusive", 2), ("applicable", False, "pass", 1)):
            table = whole.copy()
            table.loc[(table.target == "ulcer") & (table.condition != "clean"), column] = value
            row = _outcome(write_run(tmp_path / column, table), tmp_path, gate)
            assert (row.outcome, row.n_conditions) == (outcome, cells)

    def test_against_a_baseline_too(self, tmp_path):
        run = self._run(tmp_path)
        worse = run.results()
        worse.loc[(worse.target == "ulcer") & (worse.condition == "clean"), "dice"] -= np.linspace(0.08, 0.12, 20)
        new = write_run(tmp_path / "new", worse)
        row = _outcome(new, tmp_path, 'test = "no_proven_drop"\nsubgroup = "target"', baseline=run)
        assert (row.outcome, row.subgroup) == ("fail", "ulcer")

    def test_blanks_around_the_sign_are_none_of_the_column(self, tmp_path):
        run, gate = self._run(tmp_path), 'test = "minimum"\nat_least = 0.5\nsubgroup = "target{}ulcer"'
        found = [_outcome(run, tmp_path, gate.format(sign)) for sign in ("=", " = ")]
        assert [row.subgroup for row in found] == ["ulcer", "ulcer"]

    @pytest.mark.parametrize(
        ("column", "message"),
        [
            ("sex", r"no column 'sex'; a column of the data is one of the results where \[data\] groups names it"),
            ("target:ulcer", "no column 'target:ulcer'; did you mean 'target'"),
            ("target=liver*", "match no rows"),
        ],
    )
    def test_unknown(self, tmp_path, column, message):
        with pytest.raises(InputError, match=message):
            _outcome(self._run(tmp_path), tmp_path, f'test = "minimum"\nat_least = 0.5\nsubgroup = "{column}"')


class TestMinimumAndDirection:
    @pytest.mark.parametrize(
        ("gate", "outcome"),
        [
            ('test = "minimum"\nat_least = 0.75', "pass"),
            ('test = "minimum"\nat_least = 0.9', "fail"),
            ('test = "minimum"\nat_least = 0.805', "inconclusive"),
            ('test = "minimum"\nmetric = "mask_change"\ncondition = "paraphrase"\nat_most = 0.01', "pass"),
            ('test = "directional"\ncondition = "antonym:side"\ndirection = "drop"\nat_least = 0.5', "pass"),
            ('test = "directional"\ncondition = "antonym:side"\ndirection = "rise"', "fail"),
            ('test = "directional"\ncondition = "antonym:size"\ndirection = "drop"\nat_least = 0.1', "fail"),
            ('test = "directional"\ncondition = "paraphrase"\ndirection = "drop"', "inconclusive"),
            (
                'test = "directional"\ncondition = "antonym:side"\nmetric = "mask_change"\ndirection = "rise"\n'
                "at_least = 0.5",
                "pass",
            ),
        ],
    )
    def test_outcomes(self, run, tmp_path, gate, outcome):
        row = _outcome(run, tmp_path, gate)
        assert row.outcome == outcome, row.message

    def test_what_does_not_move_at_all_fails_to_move(self, run, tmp_path):
        still = run.results()
        still.loc[still.condition == "antonym:side", "dice"] = still.loc[still.condition == "clean", "dice"].to_numpy()
        still = write_run(tmp_path / "still", still)
        row = _outcome(still, tmp_path, 'test = "directional"\ncondition = "antonym:side"\ndirection = "drop"')
        assert row.outcome == "fail"


@pytest.fixture(scope="module")
def distances(tmp_path_factory):
    spread = np.linspace(-1, 1, SUBJECTS)
    parts = [rows("clean", np.full(SUBJECTS, 0.8), 0.0, hd95=26.8 + spread)]
    parts.append(rows("image:blur@3", np.full(SUBJECTS, 0.8), 0.1, hd95=30.0 + spread))
    return write_run(tmp_path_factory.mktemp("distances") / "run", pd.concat(parts, ignore_index=True))


class TestItem14MinimumOfADistance:
    """`minimum` with `at_least` on a metric of which less is better passed at HD95 26.8."""

    @pytest.mark.parametrize("condition", ["", 'condition = "image:blur@3"\n'])
    def test_at_least_is_refused_and_the_message_names_at_most(self, distances, tmp_path, condition):
        with pytest.raises(InputError, match=r"at_least: less hd95 is better.*use at_most = 5"):
            _outcome(distances, tmp_path, f'test = "minimum"\nmetric = "hd95"\n{condition}at_least = 5')

    @pytest.mark.parametrize(("limit", "outcome"), [(30, "pass"), (5, "fail"), (26.8, "inconclusive")])
    def test_at_most_judges_the_right_side(self, distances, tmp_path, limit, outcome):
        row = _outcome(distances, tmp_path, f'test = "minimum"\nmetric = "hd95"\nat_most = {limit}')
        # A distance has a smallest value and no largest: only that it is too large can be certified.
        assert (row.outcome, bool(row.certified)) == (outcome, outcome == "fail")

    def test_at_most_of_dice_is_refused_and_the_message_names_at_least(self, distances, tmp_path):
        with pytest.raises(InputError, match=r"at_most: more dice is better.*use at_least = 0.5"):
            _outcome(distances, tmp_path, 'test = "minimum"\nat_most = 0.5')


class TestReliance:
    """mask_change has no better or worse: against a baseline a drop of it fails, or a rise where that is asked for."""

    def test_less_reliance_on_a_word_is_a_proven_drop(self, run, tmp_path):
        reliant = write_run(tmp_path / "reliant", swap_drop=0.1)
        gate = 'test = "no_proven_drop"\ncondition = "antonym:size"\nmetric = "mask_change"'
        row = _outcome(run, tmp_path, gate, baseline=reliant)
        assert row.outcome == "fail"
        assert row.estimate == pytest.approx(0.1, abs=0.01)
        assert _outcome(reliant, tmp_path, gate, baseline=run).outcome == "pass"
        assert _outcome(reliant, tmp_path, f'{gate}\ndirection = "rise"', baseline=run).outcome == "fail"


class TestNoiseMargin:
    def test_the_margin_is_what_a_rerun_may_differ_by(self, tmp_path):
        run = TestNoise()._with_rerun(tmp_path / "noisy", 0.02)
        row = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "paraphrase"\nmargin = "noise"')
        rerun, clean = (run.results().query(f"condition == '{c}'").dice.to_numpy() for c in ("rerun", "clean"))
        difference = clean - rerun
        half = 1.684875 * difference.std(ddof=1) / np.sqrt(SUBJECTS)  # R: qt(0.95, 39) = 1.684875
        assert row.margin == pytest.approx(difference.mean() + half, rel=1e-5)
        assert row.outcome == "pass"

    def test_an_unchanged_model_without_noise_passes(self, run, tmp_path):
        table = run.results()
        quiet = pd.concat([table, table[table.condition == "clean"].assign(condition="rerun")], ignore_index=True)
        quiet = write_run(tmp_path / "quiet", quiet)
        row = _outcome(quiet, tmp_path, 'test = "noninferior"\nmargin = "noise"', baseline=quiet)
        assert (row.outcome, row.margin) == ("pass", 0.0)

    def test_without_a_rerun_it_is_an_error(self, run, tmp_path):
        with pytest.raises(InputError, match="needs a second clean run"):
            _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "paraphrase"\nmargin = "noise"')


class TestUndefined:
    def test_a_changed_count_of_undefined_rows_fails(self, run, tmp_path):
        table = run.results()
        table.loc[(table.condition == "clean") & table.case_id.isin(["c03", "c07"]), "dice"] = np.nan
        fewer = write_run(tmp_path / "fewer", table)
        for gate in ('test = "no_proven_drop"', 'test = "noninferior"\nmargin = 0.5'):
            row = _outcome(fewer, tmp_path, gate, baseline=run)
            assert row.outcome == "fail"
            assert "went from 0 in the baseline to 2 here (c03, c07)" in row.message
            assert _outcome(fewer, tmp_path, gate, baseline=fewer).outcome == "pass"

    def test_a_case_that_failed_in_one_run_counts(self, run, tmp_path):
        table = run.results()
        keep = (table.case_id != "c05") | (table.condition == "clean")
        table.loc[(table.case_id == "c05") & (table.condition == "clean"), ["error", "dice"]] = [
            "out of memory",
            np.nan,
        ]
        broken = write_run(tmp_path / "broken", table[keep])
        row = _outcome(broken, tmp_path, 'test = "no_proven_drop"\ncondition = "antonym:size"', baseline=run)
        assert row.outcome == "fail"
        assert "from 0 in the baseline to 1 here (c05)" in row.message


class TestTwoReferents:
    def test_a_word_that_may_be_dropped_does_not_contradict_following(self, run, tmp_path):
        verdicts = run.verdicts()
        side = verdicts[(verdicts.claim == "prompt") & (verdicts.condition == "antonym:side")]
        reacts = side.assign(verdict="REACTS")
        dropped = side.assign(condition="drop:side", verdict="IGNORES")
        other = side.assign(condition="other:side", verdict="FOLLOWS")
        gate = 'test = "follows"\nattribute = "side"'
        untestable = side.assign(condition="other:side", verdict="UNTESTABLE")
        ignores = side.assign(verdict="IGNORES")
        cases = (
            ((reacts, dropped), "inconclusive"),
            ((reacts, dropped, other), "pass"),
            ((ignores, untestable), "fail"),
            ((dropped,), "fail"),
        )
        for number, (parts, outcome) in enumerate(cases):
            judged = write_run(tmp_path / f"r{number}")
            judged.folder.write_table(judged.path / "verdicts.parquet", pd.concat(parts, ignore_index=True))
            assert _outcome(judged, tmp_path, gate).outcome == outcome

    def test_following_on_one_dataset_does_not_cover_another(self, tmp_path):
        judged = write_run(tmp_path / "two")
        replace_rows(judged, pd.concat([judged.results(), judged.results().assign(dataset="e")], ignore_index=True))
        verdicts = judged.verdicts()
        side = verdicts[(verdicts.claim == "prompt") & (verdicts.condition == "antonym:side")]
        both = [
            side.assign(condition="other:side", verdict="FOLLOWS"),
            side.assign(condition="other:side", verdict="IGNORES", dataset="e"),
        ]
        judged.folder.write_table(judged.path / "verdicts.parquet", pd.concat(both, ignore_index=True))
        row = _outcome(judged, tmp_path, 'test = "follows"\nattribute = "side"')
        assert (row.outcome, row.dataset) == ("fail", "e")
