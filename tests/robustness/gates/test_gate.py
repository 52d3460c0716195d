"""Gates on runs whose tables are made here, so that the right outcome is known."""

from typing import ClassVar
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import InputError
from robustness.gates.baselines import save_baseline
from robustness.gates.judge import OtherRulesWarning, failed
from robustness.gates.junit import write_junit
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections.report import build
from robustness.run_integrity import other_rules
from robustness.runners.audit.state import compare
from robustness.runners.environment import rule_hashes
from tests.gate_runs import SUBJECTS, rows, seal, write_run
from tests.gate_runs import table as gate_table


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


@pytest.mark.parametrize(("overlap", "outcome"), [(0.0, "fail"), (1.0, "inconclusive")])
def test_a_reaction_towards_a_target_that_overlaps_is_no_failure_to_follow(tmp_path, overlap, outcome):
    table, names = gate_table(), {"other_case_id": "o", "other_overlap": overlap, "attribute": "side"}
    clean = table[table.condition == "clean"].assign(dice_other=0.0, **names)
    other = clean.assign(condition="other:side", family="prompt", dice=0.2, mask_change=0.8, expectation="follow")
    changed = table[table.condition == "paraphrase"]
    run = write_run(tmp_path / "run", pd.concat([clean, changed, other], ignore_index=True))
    row = _outcome(run, tmp_path, 'test = "follows"\nattribute = "side"')
    assert row.outcome == outcome, row.message
    assert ("left out of what decides following" in row.message) == (overlap == 1.0)


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
            (
                'test = "drop_below"\ncondition = "image:*"\nmargin = -0.1',
                "gate.margin: input should be greater than or equal to 0, or 'noise', got -0.1$",
            ),
            ('test = "minimum"\nmetric = "mask_change"\nat_most = 0.1', "mask_change is 0 on clean whatever"),
            ('test = "drop_below"\ncondition = "image:*"\nmetric = "nsd"\nmargin = 0.1', "has no metric 'nsd'"),
        ],
    )
    def test_what_a_test_needs(self, run, tmp_path, gate, message):
        with pytest.raises(InputError, match=message):
            _outcome(run, tmp_path, gate)

    @pytest.mark.parametrize("test", ["no_proven_drop", "noninferior"])
    def test_a_change_of_clean_masks_is_compared_with_no_baseline(self, run, tmp_path, test):
        gate = f'test = "{test}"\nmetric = "mask_change"\nmargin = 0.1'
        with pytest.raises(InputError, match="mask_change is 0 on clean whatever the model does; name a condition"):
            _outcome(run, tmp_path, gate, baseline=run)
        assert _outcome(run, tmp_path, f'{gate}\ncondition = "antonym:*"', baseline=run).outcome == "pass"

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
    assert [[node.tag for node in case] for case in suite] == [["system-out"], ["failure"], ["skipped"]]
    assert suite[0][0].text.startswith("antonym:size: dice effect")


@pytest.mark.parametrize(("policy", "failures"), [("warn", "0"), ("fail", "1")])
def test_junit_follows_what_the_file_says_of_inconclusive(run, tmp_path, policy, failures):
    judged = _judge(run, tmp_path, f'inconclusive = "{policy}"\n[[gate]]\ntest = "ignores"\nattribute = "size"')
    write_junit(judged, tmp_path / "gates.xml")
    assert ElementTree.parse(tmp_path / "gates.xml").getroot().get("failures") == failures


FULL = np.full(SUBJECTS, 0.9)
CLEAN = rows("clean", FULL, 0.0)
EVERY_TEST = {
    "drop_below": 'condition = "image:*"\nmargin = 0.1',
    "invariant": 'condition = "image:*"\nmargin = 0.1',
    "retention": 'condition = "image:*"\nat_least = 0.5',
    "minimum": "at_least = 0.5",
    "directional": 'condition = "image:*"\ndirection = "drop"',
    "no_proven_drop": "",
    "noninferior": "margin = 0.05",
}


class TestAttacks:
    """Runs that once passed a gate, or decided one, and should not have."""

    def _judged(self, tmp_path, parts, test, more, before=None):
        n = len(list(tmp_path.iterdir()))
        run = write_run(tmp_path / f"run{n}", pd.concat(parts, ignore_index=True))
        earlier = None if before is None else write_run(tmp_path / f"before{n}", before)
        return _outcome(run, tmp_path, f'test = "{test}"\n{more}', **({"baseline": earlier} if earlier else {}))

    @pytest.mark.slow
    @pytest.mark.parametrize("n", [2, 9])
    @pytest.mark.parametrize("test", EVERY_TEST)
    def test_fewer_than_ten_patients_decide_nothing(self, tmp_path, test, n):
        changed = rows("image:blur@3", FULL - 0.01, 0.1)
        few = [part[part["subject_id"] < f"s{n:02d}"] for part in (CLEAN, changed)]
        row = self._judged(tmp_path, few, test, EVERY_TEST[test], few[0])
        assert (row.outcome, row.certified, row.n_subjects) == ("inconclusive", False, n)

    def test_a_second_run_of_three_patients_excuses_nothing(self, tmp_path):
        rerun = rows("rerun", FULL - 0.3, 0.0).iloc[:3].assign(dice=[0.1, 0.9, 0.5])
        worse = [rows("clean", FULL - 0.3, 0.0), rerun]
        assert self._judged(tmp_path, worse, "no_proven_drop", "", CLEAN).outcome == "fail"
        lost = rows("image:blur@3", FULL - 0.3, 0.3)
        with pytest.raises(InputError, match="as many subjects as a decision takes"):
            self._judged(tmp_path, [CLEAN, rerun, lost], "drop_below", 'condition = "image:*"\nmargin = "noise"')

    @pytest.mark.parametrize(("share", "score"), [(0.0, 1.0), (0.82, 0.9)])
    def test_what_a_trivial_mask_scores_is_no_minimum(self, tmp_path, share, score):
        clean = rows("clean", np.full(SUBJECTS, score), 0.0, reference_fraction=np.full(SUBJECTS, share))
        row = self._judged(tmp_path, [clean], "minimum", "at_least = 0.8")
        assert row.outcome == "inconclusive"
        assert "is not shown above that of" in row.message

    def test_a_margin_beyond_the_clean_score_is_no_test(self, tmp_path):
        parts = [rows("clean", FULL - 0.7, 0.0), rows("image:blur@3", FULL - 0.88, 0.3)]
        row = self._judged(tmp_path, parts, "drop_below", 'condition = "image:*"\nmargin = 0.5')
        assert row.outcome == "inconclusive"
        assert "it cannot lose that much" in row.message

    def test_texts_that_failed_are_missing(self, tmp_path):
        texts = [CLEAN.assign(prompt_index=i) for i in range(3)]
        texts += [rows("image:blur@3", FULL, 0.1).assign(prompt_index=i, error="failed" if i else "") for i in range(3)]
        row = self._judged(tmp_path, texts, "drop_below", 'condition = "image:*"\nmargin = 0.1')
        assert row.outcome == "inconclusive"
        assert "67% of the cases are missing" in row.message

    def test_a_certificate_counts_every_missing_case(self, tmp_path):
        changed = rows("image:blur@3", np.where(np.arange(SUBJECTS) < 2, np.nan, FULL), 0.1)
        gate = 'condition = "image:*"\nmargin = 0.1'
        assert tuple(self._judged(tmp_path, [CLEAN, changed], "drop_below", gate)[["outcome", "certified"]]) == (
            "pass",
            False,
        )
        row = self._judged(tmp_path, [CLEAN, changed], "drop_below", f"{gate}\ncertified = true")
        assert row.outcome == "inconclusive"
        assert "no certificate holds with what is missing" in row.message

    def test_percentages_are_refused(self, tmp_path):
        with pytest.raises(InputError, match="expected a dice from 0 to 1"):
            self._judged(tmp_path, [rows("clean", 100 * FULL, 0.0)], "minimum", "at_least = 0.8")


class TestOtherRules:
    """Two runs that other code of the suite made are not compared in silence."""

    RULES: ClassVar = {"reading": "a", "perturbations": "b", "metrics and verdicts": "c"}

    @pytest.mark.parametrize(
        ("now", "then", "says"),
        [
            ({}, {}, ""),
            ({"rules": RULES, "suite_version": "1"}, {"rules": RULES, "suite_version": "1"}, ""),
            ({"rules": RULES}, {"rules": RULES | {"reading": "z"}}, "were made by other rules of reading of the suite"),
            ({"rules": RULES}, {}, "baseline does not record the rules of reading"),
            ({"suite_version": "2"}, {"suite_version": "1"}, "run and baseline do not record the rules"),
            ({"rules": RULES, "suite_version": "2"}, {"rules": RULES, "suite_version": "1"}, "by another version of"),
        ],
    )
    def test_what_is_said(self, now, then, says):
        warning = other_rules(now, then, names=("run", "baseline"))
        assert says in warning
        assert bool(warning) == bool(says)

    @pytest.mark.slow
    def test_the_gate_and_a_page_of_both_warn(self, tmp_path):
        runs = [write_run(tmp_path / name) for name in ("new", "old")]
        for run, rules in zip(runs, (self.RULES, self.RULES | {"perturbations": "z"}), strict=True):
            seal(run.path, run.manifest | {"rules": rules, "suite_version": "1"})
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "no_proven_drop"')
        saved = save_baseline(rb.open_run(runs[1].path), tmp_path / "main")
        for earlier in (runs[1].path, saved):
            command = ["gate", runs[0].path, "--baseline", earlier, "--gates", tmp_path / "gates.toml"]
            result = CliRunner().invoke(app, [str(word) for word in command])
            assert result.exit_code == 0
            assert "run and baseline were made by other rules of perturbations of the suite" in result.stderr
            # From Python and in an assertion too: a drop may be the suite's and not the model's.
            with pytest.warns(OtherRulesWarning, match="other rules of perturbations of the suite"):
                rb.open_run(runs[0].path).gate(tmp_path / "gates.toml", baseline=earlier)
            with pytest.warns(OtherRulesWarning, match="other rules of perturbations of the suite"):
                rb.open_run(runs[0].path).assert_no_proven_drop(earlier)
        warnings = build(read_runs([run.path for run in runs])).warnings
        assert any("Run old and run new were made by other rules of perturbations" in text for text in warnings)

    def test_an_audit_records_the_code_that_made_it(self):
        rules = rule_hashes()
        assert list(rules) == list(self.RULES)
        assert len(set(rules.values())) == 3
        assert all(len(value) == 16 for value in rules.values())

    def test_an_unfinished_run_is_not_continued_by_other_rules_unless_told(self):
        state = {"plan_sha256": "p", "datasets": [], "models": [], "conditions": [], "parts": 1}
        now = state | {"environment": {"threads": 1, "rules": self.RULES}}
        compare(state | {"environment": {"threads": 1}}, now, allow_drift=False)
        before = state | {"environment": {"threads": 1, "rules": self.RULES | {"reading": "z"}}}
        compare(before, now, allow_drift=True)
        older = (
            r"another version of this suite began the run in this folder \(rules of reading was 'z', is '.+'\); choose"
        )
        with pytest.raises(InputError, match=older):
            compare(before, now, allow_drift=False)
        with pytest.raises(InputError, match="a run with another list of conditions by another version of this suite;"):
            compare(before | {"conditions": ["empty"]}, now, allow_drift=True)

    def test_a_version_that_changed_is_told_from_a_machine_that_changed(self):
        """The whole lists of packages stood in the line, and a new version of the suite was a changed machine."""
        state = {"plan_sha256": "p", "datasets": [], "models": [], "conditions": [], "parts": 1}
        packages = {"vlsm-robustness": "1.1", "torch": "2.0"}
        before = {"threads": 1, "packages": packages | {"vlsm-robustness": "1.0"}}
        for now, says in (
            (
                before | {"packages": packages},
                r"another version .* \(vlsm-robustness was '1.0', is '1.1'\); choose another",
            ),
            (
                before | {"threads": 2},
                r"the machine changed since the run began \(threads was 1, is 2\); use --allow-drift",
            ),
            (
                before | {"packages": {**before["packages"], "torch": "2.1"}},
                r"changed .* \(torch was '2.0', is '2.1'\)",
            ),
        ):
            with pytest.raises(InputError, match=says):
                compare(state | {"environment": before}, state | {"environment": now}, allow_drift=False)
