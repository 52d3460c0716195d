"""Forecasts of an audit, compared with the audit itself."""

from __future__ import annotations

import json
import shutil

import pytest
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import InputError
from robustness.forecasts.forecast import forecast
from robustness.forecasts.spread import SpreadModel
from robustness.forecasts.text import as_json, lines
from robustness.gates.spec import Gates
from robustness.plans.audit import parse_plan
from robustness.workflows.audit import audit_plan
from robustness.workflows.demo_files import demo_data
from tests.synthetic import write_dataset

MODEL = """
import numpy as np

def make():
    def predict(images, prompts):
        # Reads no word, and any noise moves it: it wants bright and even.
        return [((i[:, :, 0] > 120) & (i[:, :, 0] % 2 == 0)).astype(np.float32) for i in images]
    return predict
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    (root / "model.py").write_text(MODEL)
    write_dataset(root / "set", images=8)
    return root


def _plan(root, *, prompt=("antonym", "paraphrase", "other", "empty"), image=("gaussian_noise",), **more):
    tree = {
        "model": {"name": "python", "checkpoint": str(root / "model.py:make"), "label": "blind"},
        "data": {"path": str(root / "set"), "prompt": "p5"},
        "perturbations": {"prompt": list(prompt), "image": {"kinds": list(image), "severities": [1, 3]}},
        "metrics": {"names": ["dice"]},
        "statistics": {"resamples": 199, "min_subjects": 6},
        "engine": {"images_per_part": 8, "image_batch": 2},
    }
    return parse_plan({**tree, **more})


def _gates(*gates):
    return Gates.model_validate({"gate": [{"margin": 0.05, **gate} for gate in gates]})


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return audit_plan(_plan(data), out=tmp_path_factory.mktemp("runs") / "run", report=False)


@pytest.fixture(scope="module")
def found(data):
    return forecast(_plan(data), batches=0)


class TestWork:
    @pytest.mark.slow
    def test_with_all_images_looked_at_the_counts_are_those_of_the_audit(self, data, run):
        plan = _plan(data, engine={"images_per_part": 8, "image_batch": 8})
        (work,) = forecast(plan, batches=0).works
        timing = run.manifest["timing"]
        assert work.sampled == work.n_images == 8
        assert work.n_rows == run.manifest["counts"]["rows"]
        told = {k: getattr(work, k) for k in ("n_image_encodes", "n_decodes")}
        assert told == {k: timing[k] for k in told}

    def test_with_some_images_looked_at_they_are_close(self, found, run):
        (work,) = found.works
        assert work.sampled == 2
        assert work.n_rows == pytest.approx(run.manifest["counts"]["rows"], rel=0.05)
        assert work.n_decodes == pytest.approx(run.manifest["timing"]["n_decodes"], rel=0.05)

    @pytest.mark.slow
    def test_what_is_searched_with_the_model_is_named(self, data):
        (work,) = forecast(_plan(data, prompt=["antonym", "worst_case"]), batches=0).works
        assert work.by_model == ("worst_case",)

    def test_no_time_is_told_without_a_measurement_and_no_model_is_opened(self, data):
        told = forecast(_plan(data, model={"name": "python", "checkpoint": "absent.py:make"}), batches=0)
        assert told.seconds is None
        assert any(line.startswith("TIME    not measured") for line in lines(told))

    @pytest.mark.slow
    def test_a_measurement_rests_on_batches_after_one_to_warm_up(self, data):
        told = forecast(_plan(data), batches=2)
        (pilot,) = told.pilots
        assert (pilot.batches, pilot.images) == (2, 4)
        assert 0 < pilot.low <= pilot.mean <= pilot.high
        middle, low, high = told.seconds
        assert low <= middle <= high
        assert middle == pytest.approx(pilot.start + pilot.mean * told.works[0].n_rows)
        assert pilot.start > 0


class TestClaims:
    def test_they_are_the_claims_that_the_audit_makes_on_as_many_subjects(self, found, run):
        made = run.verdicts()
        told = {(c.claim, c.condition, c.metric, c.n_subjects) for c in found.claims}
        said = {
            (r["claim"], r["condition"], "mask_change" if r["claim"] == "prompt" else r["metric"], r["n_subjects"])
            for r in made.to_dict("records")
            if r["claim"] != "abstention"
        }
        assert told == said

    def test_too_few_subjects_to_certify_are_named_with_the_number_that_does(self, found):
        claim = next(c for c in found.claims if c.condition == "antonym:side")
        # Claims that all hold cost no more subjects than one.
        assert claim.needed == 59
        assert claim.never["IGNORES"].startswith(f"8 of the {claim.needed} patients")
        assert "FOLLOWS" in claim.never
        assert "FOLLOWS" not in next(c for c in found.claims if c.condition == "other:side").never

    def test_without_paraphrases_there_is_no_paraphrase_baseline(self, data):
        claims = forecast(_plan(data, prompt=["antonym"]), batches=0).claims
        prompt = [c for c in claims if c.claim == "prompt"]
        assert prompt
        assert all("REACTS, UNSTABLE, IGNORES" in c.never for c in prompt)

    def test_one_patient_allows_no_verdict(self, data):
        spec = {"path": str(data / "set"), "prompt": "p5", "subject": "regex:^(s)"}
        claims = forecast(_plan(data, data=spec), batches=0).claims
        assert claims
        assert all("1 patient, fewer than 6: described, not judged" in c.never["any verdict"] for c in claims)

    def test_five_patients_are_described_and_not_judged(self, data):
        spec = {"path": str(data / "set"), "prompt": "p5", "limit": 10}
        claims = forecast(_plan(data, data=spec), batches=0).claims
        claim = next(c for c in claims if c.condition == "antonym:side")
        assert claim.never == {"any verdict": "5 patients, fewer than 6: described, not judged"}

    def test_no_shift_is_said_of_a_model_that_nothing_was_asked_of_yet(self, data):
        """Targets that overlap were said to have S_A 0.000 [0.000, 0.000]."""
        spec = {"path": str(demo_data("brain")), "prompt": "p6", "subject": "image", "limit": 24}
        claims = forecast(_plan(data, data=spec, prompt=["other"]), batches=0).claims
        prompt = [c for c in claims if c.claim == "prompt"]
        assert prompt
        assert all(c.never["any verdict"].endswith(", fewer than 6: described, not judged") for c in prompt)

    def test_more_subjects_find_less_and_a_wider_spread_finds_more(self, found):
        claim = next(c for c in found.claims if c.condition == "image:gaussian_noise@3" and c.metric == "dice")
        assert claim.shown_up_to < claim.margin < claim.found_from
        assert found.spread.of("clean", "dice").value < SpreadModel({}, 1.0).of("clean", "dice").value


class TestSpread:
    def test_an_earlier_run_replaces_the_assumptions(self, data, run):
        told = forecast(_plan(data), batches=0, like=run)
        claim = next(c for c in told.claims if c.condition == "image:gaussian_noise@3" and c.metric == "mask_change")
        assert claim.sd.source == "run: image:gaussian_noise@3"
        values = (
            run.results().query("condition == 'image:gaussian_noise@3'").groupby("subject_id")["mask_change"].mean()
        )
        assert claim.sd.value == pytest.approx(values.std(ddof=1))

    def test_a_run_of_something_else_is_refused(self, data, run):
        with pytest.raises(InputError, match="shares no condition"):
            forecast(_plan(data, prompt=["typo"], image=[]), batches=0, like=run)

    def test_a_metric_without_assumption_gets_no_number(self, data):
        plan = _plan(data, metrics={"names": ["dice", "hd95"]}, statistics={"resamples": 199, "margins": {"hd95": 3.0}})
        claim = next(c for c in forecast(plan, batches=0).claims if c.metric == "hd95")
        assert "no assumption for hd95" in claim.sd.source
        assert claim.found_from != claim.found_from


class TestGates:
    def _one(self, data, gate, **more):
        (told,) = forecast(_plan(data, **more), batches=0, gates=_gates(gate)).gates
        return told

    @pytest.mark.parametrize(
        ("gate", "reason"),
        [
            ({"test": "drop_below", "condition": "antonym:colour"}, "matches no condition"),
            ({"test": "ignores", "attribute": "side"}, "IGNORES needs"),
            ({"test": "follows", "condition": "antonym:side"}, "no second object"),
            ({"test": "drop_below", "condition": "paraphrase", "subgroup": "case_id"}, "it takes 6 to decide"),
        ],
    )
    def test_what_can_never_pass_is_named(self, data, gate, reason):
        assert reason in self._one(data, gate).never

    @pytest.mark.parametrize(
        "gate",
        [
            {"test": "follows", "attribute": "side"},
            {"test": "drop_below", "condition": "paraphrase"},
            {"test": "no_proven_drop"},
            {"test": "retention", "condition": "image:*", "at_least": 0.9},
            {"test": "noninferior", "margin": "noise"},
            {"test": "minimum", "at_least": 0.8},
            {"test": "directional", "condition": "antonym:side", "direction": "drop"},
        ],
    )
    def test_what_can_pass_is_not(self, data, gate):
        assert self._one(data, gate).never == ""

    @pytest.mark.parametrize(("subject", "never"), [(None, "no patient of set is known"), ("image", "")])
    def test_a_certificate_over_images_of_unknown_patients_is_out_of_reach(self, data, tmp_path, subject, never):
        shutil.copytree(data / "set", tmp_path / "set")
        entries = tmp_path / "set/anns/test.json"
        nameless = [{k: v for k, v in one.items() if k != "subject"} for one in json.loads(entries.read_text())]
        entries.write_text(json.dumps(nameless))
        spec = {"path": str(tmp_path / "set"), "prompt": "p5"} | ({"subject": subject} if subject else {})
        for gate in ({"test": "drop_below", "condition": "paraphrase"}, {"test": "follows", "attribute": "side"}):
            asking = _gates(gate, {**gate, "certified": True})
            free, asked = forecast(_plan(data, data=spec), batches=0, gates=asking).gates
            assert (free.never, asked.never[: len(never)], bool(asked.never)) == ("", never, bool(never))

    def test_an_unchanged_model_passes_the_merge_gate_but_for_alpha(self, data):
        assert self._one(data, {"test": "no_proven_drop", "margin": 0.0}).passes == pytest.approx(0.95)

    @pytest.mark.slow
    def test_the_family_of_a_glob_pays_for_what_it_fails_not_for_what_it_passes(self, data):
        one = self._one(data, {"test": "drop_below", "condition": "image:gaussian_noise@3"})
        both = self._one(data, {"test": "drop_below", "condition": "image:*"})
        assert len(both.conditions) == 2
        assert both.passes == pytest.approx(one.passes)
        assert both.fails_from > one.fails_from

    def test_it_is_certain_where_the_audit_leaves_the_gate_open(self, data, run, tmp_path):
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "ignores"\nattribute = "side"\n')
        assert set(run.verdicts().query("condition == 'antonym:side'")["verdict"]) == {"IGNORES*"}
        assert run.gate(tmp_path / "gates.toml").outcome.tolist() == ["inconclusive"]


class TestCommand:
    @pytest.fixture
    def files(self, data, tmp_path):
        (tmp_path / "plan.toml").write_text(_plan(data).to_toml())
        (tmp_path / "gates.toml").write_text(
            '[[gate]]\nname = "sides"\ntest = "ignores"\nattribute = "side"\n'
            '[[gate]]\nname = "words"\ntest = "drop_below"\ncondition = "paraphrase"\nmargin = 0.05\n'
        )
        return tmp_path

    def _call(self, files, *more):
        arguments = ["plan", str(files / "plan.toml"), "--gates", str(files / "gates.toml"), *more]
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    def test_it_says_it_and_exits_with_0(self, files):
        done = self._call(files, "--batches", "1", "--json", str(files / "told.json"))
        assert done.exit_code == 0
        for word in ("DATA", "WORK", "TIME", "ASSUMED", "REACTS from", "GATES", "NEVER   sides cannot pass"):
            assert word in done.stdout
        told = json.loads((files / "told.json").read_text())
        assert told["undecidable"] == ["sides"]
        assert told["seconds"]["estimate"] > 0
        assert sorted(p.name for p in files.iterdir()) == ["gates.toml", "plan.toml", "told.json"]

    @pytest.mark.slow
    def test_strict_exits_with_1_where_a_gate_can_never_pass(self, files):
        assert self._call(files, "--no-measure", "--strict").exit_code == 1
        (files / "gates.toml").write_text('[[gate]]\ntest = "no_proven_drop"\n')
        assert self._call(files, "--no-measure", "--strict").exit_code == 0


def test_json_holds_no_number_that_json_lacks(found):
    json.dumps(as_json(found), allow_nan=False)


def test_the_api_offers_it(data):
    assert rb.forecast(_plan(data), batches=0).unit == "patient"
