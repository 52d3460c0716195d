"""Gates on runs whose tables are made here, so that the right outcome is known."""

from xml.etree import ElementTree

import pytest

from robustness.errors import InputError
from robustness.gates.judge import failed
from robustness.gates.junit import write_junit
from tests.gate_runs import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "run")


def _judge(run, tmp_path, text, **more):
    file = tmp_path / "gates.toml"
    file.write_text(text)
    return run.gate(file, **more)


def _outcome(run, tmp_path, gate, **more):
    return _judge(run, tmp_path, f"[[gate]]\n{gate}", **more).iloc[0]


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ('test = "drop_below"\ncondition = "antonym:size"\nmargin = 0.05', "pass"),
        ('test = "drop_below"\nattribute = "side"\nmargin = 0.05', "fail"),
        ('test = "drop_below"\ncondition = "image:*"\nmargin = 0.04', "inconclusive"),
        ('test = "invariant"\ncondition = "paraphrase"\nmargin = 0.02', "pass"),
        ('test = "invariant"\ncondition = "antonym:side"\nmargin = 0.02', "fail"),
        ('test = "retention"\ncondition = "image:*"\nat_least = 0.9', "pass"),
        ('test = "retention"\ncondition = "image:*"\nat_least = 0.99', "fail"),
        ('test = "ignores"\nattribute = "side"', "fail"),
        ('test = "ignores"\nattribute = "size"', "inconclusive"),
        ('test = "follows"\nattribute = "size"', "fail"),
        ('test = "follows"\nattribute = "side"', "inconclusive"),
    ],
)
def test_outcomes(run, tmp_path, gate, outcome):
    row = _outcome(run, tmp_path, gate)
    assert row.outcome == outcome, row.message
    assert row.message


def test_retention_names_the_condition_that_keeps_least(tmp_path):
    run = write_run(tmp_path / "run")
    table = run.results()
    mild = table[table.condition == "image:blur@3"].assign(condition="image:blur@1")
    clean = table.loc[table.condition == "clean", "dice"].to_numpy()
    run.folder.write_table(run.folder.part(1), mild.assign(dice=0.99 * clean))
    row = _outcome(run, tmp_path, 'test = "retention"\ncondition = "image:*"\nat_least = 0.5')
    assert (row.outcome, row.condition) == ("pass", "image:blur@3")


def test_a_glob_is_judged_by_its_worst_condition(run, tmp_path):
    row = _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "antonym:*"\nmargin = 0.05')
    assert (row.condition, row.outcome) == ("antonym:side", "fail")


class TestBaseline:
    def test_the_same_model_passes_both(self, run, tmp_path):
        for gate in ('test = "no_proven_drop"', 'test = "noninferior"\nmargin = 0.02'):
            assert _outcome(run, tmp_path, gate, baseline=run).outcome == "pass"

    def test_a_worse_model_fails_both(self, run, tmp_path):
        worse = write_run(tmp_path / "worse", clean_shift=0.05)
        for gate in ('test = "no_proven_drop"', 'test = "noninferior"\nmargin = 0.02'):
            row = _outcome(worse, tmp_path, gate, baseline=run)
            assert row.outcome == "fail"
            assert row.estimate == pytest.approx(0.05, abs=1e-6)

    def test_more_reliance_on_size_words_is_seen_per_condition(self, run, tmp_path):
        worse = write_run(tmp_path / "worse", swap_drop=0.1)
        gate = 'test = "no_proven_drop"\ncondition = "antonym:size"'
        assert _outcome(worse, tmp_path, gate, baseline=run).outcome == "fail"
        assert _outcome(run, tmp_path, gate, baseline=worse).outcome == "pass"

    def test_without_a_baseline_it_is_an_error(self, run, tmp_path):
        with pytest.raises(InputError, match="use --baseline RUN"):
            _outcome(run, tmp_path, 'test = "no_proven_drop"')

    def test_other_cases_are_refused(self, run, tmp_path):
        fewer = write_run(tmp_path / "fewer")
        table = fewer.results()
        fewer.folder.write_table(fewer.folder.part(0), table[table.case_id != "c03"])
        with pytest.raises(InputError, match="'c03'"):
            _outcome(run, tmp_path, 'test = "no_proven_drop"', baseline=fewer)

    def test_a_run_of_two_models_is_compared_model_by_model(self, run, tmp_path):
        two = write_run(tmp_path / "two")
        first = two.results()
        other = first.assign(model="n", dice=(first.dice - 0.15).clip(0, 1))
        two.folder.write_table(two.folder.part(1), other)
        for gate in ('test = "no_proven_drop"', 'test = "noninferior"\nmargin = 0.02'):
            assert _outcome(two, tmp_path, gate, baseline=two).outcome == "pass"
        with pytest.raises(InputError, match="the baseline has no model 'n'"):
            _outcome(two, tmp_path, 'test = "no_proven_drop"', baseline=run)
        assert _outcome(two, tmp_path, 'test = "no_proven_drop"\nmodel = "n"', baseline=run).outcome == "fail"


class TestFile:
    @pytest.mark.parametrize(
        ("gate", "message"),
        [
            ('test = "retention"\ncondition = "image:*"', "retention needs at_least"),
            ('test = "directional"\ncondition = "image:*"', "directional needs direction"),
            ('test = "minimum"', "minimum needs at_least or at_most"),
            ('test = "follows"\nattribute = "side"\nsubgroup = "target"', "know no subgroups"),
            ('test = "drop_below"\ncondition = "image:*"\nmargin = -0.1', "margin"),
            ('test = "drop_below"\ncondition = "image:*"\nmetric = "nsd"\nmargin = 0.1', "has no metric 'nsd'"),
        ],
    )
    def test_what_a_test_needs(self, run, tmp_path, gate, message):
        with pytest.raises(InputError, match=message):
            _outcome(run, tmp_path, gate)

    @pytest.mark.parametrize("test", ["drop_below", "invariant", "retention"])
    def test_clean_compared_with_clean_is_a_mistake(self, run, tmp_path, test):
        with pytest.raises(InputError, match="name another condition"):
            _outcome(run, tmp_path, f'test = "{test}"\ncondition = "clean"\nat_least = 0.5')

    def test_a_condition_that_matches_nothing(self, run, tmp_path):
        with pytest.raises(InputError, match=r"'antonym:colour' matches no condition .*antonym:side"):
            _outcome(run, tmp_path, 'test = "drop_below"\ncondition = "antonym:colour"\nmargin = 0.1')

    def test_unknown_keys_name_the_near_key(self, run, tmp_path):
        with pytest.raises(InputError, match="did you mean 'margin'"):
            _outcome(run, tmp_path, 'test = "drop_below"\nmargins = 0.1')

    def test_absent(self, run, tmp_path):
        with pytest.raises(InputError, match="found none at"):
            run.gate(tmp_path / "none.toml")


@pytest.mark.parametrize(("policy", "holds"), [("fail", False), ("warn", True), ("skip", True)])
def test_inconclusive_does_what_the_file_says(run, tmp_path, policy, holds):
    text = f'inconclusive = "{policy}"\n[[gate]]\ntest = "ignores"\nattribute = "size"'
    judged = _judge(run, tmp_path, text)
    assert failed(judged) is not holds
    assert judged.outcome.tolist() == ["skip" if policy == "skip" else "inconclusive"]


def test_a_warning_never_holds_back(run, tmp_path):
    judged = _judge(run, tmp_path, '[[gate]]\ntest = "ignores"\nattribute = "side"\nseverity = "warn"')
    assert judged.outcome.tolist() == ["fail"]
    assert not failed(judged)


def test_junit_counts_failures(run, tmp_path):
    text = (
        '[[gate]]\nname = "size"\ntest = "drop_below"\ncondition = "antonym:size"\nmargin = 0.05\n'
        '[[gate]]\nname = "side"\ntest = "ignores"\nattribute = "side"\n'
        '[[gate]]\nname = "side, warning"\ntest = "ignores"\nattribute = "side"\nseverity = "warn"\n'
    )
    write_junit(_judge(run, tmp_path, text), tmp_path / "gates.xml")
    suite = ElementTree.parse(tmp_path / "gates.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("3", "1")
    assert [len(case) for case in suite] == [0, 1, 1]


@pytest.mark.parametrize(("policy", "failures"), [("warn", "0"), ("fail", "1")])
def test_junit_follows_what_the_file_says_of_inconclusive(run, tmp_path, policy, failures):
    judged = _judge(run, tmp_path, f'inconclusive = "{policy}"\n[[gate]]\ntest = "ignores"\nattribute = "size"')
    write_junit(judged, tmp_path / "gates.xml")
    assert ElementTree.parse(tmp_path / "gates.xml").getroot().get("failures") == failures
