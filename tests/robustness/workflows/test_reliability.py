"""Runs that must not be silently wrong: outputs that are no numbers, pooled data sets, unfinished and edited runs."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

import robustness as rb
from robustness.errors import InputError
from robustness.folder_lock import folder_lock
from robustness.gates.judge import load_gates
from robustness.runners.environment import rule_hashes
from tests.gate_runs import seal, write_run
from tests.synthetic import bright, write_dataset

CONFIG = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}


def audit(model, data, out, **options):
    options = {"perturbations": ["empty"], "engine": {"threads": 1}, "report": False, **options}
    return rb.audit(model, data, out=out, statistics={"resamples": 99}, **options)


def segments_bright(images, prompts):
    return [bright(image).astype(np.float32) for image in images]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rb.load_dataset(write_dataset(tmp_path_factory.mktemp("set") / "data", images=2))


class TestOutputsThatAreNoNumbers:
    def network(self, layer):
        model = rb.load_model("film-unet", config=CONFIG, device="cpu")
        model.network.decode = layer(model.network.decode)
        return model

    def test_nan_for_one_text_is_a_failed_row_and_not_an_empty_mask(self, data, tmp_path):
        def nan_for_no_text(decode):
            return lambda image, text: decode(image, text).masked_fill(
                torch.isclose(text[0], self.empty, atol=1e-4).all(1)[:, None, None, None], float("nan")
            )

        model = rb.load_model("film-unet", config=CONFIG, device="cpu")
        with torch.inference_mode():
            self.empty = model.encode_text([""]).tensors[0][0].clone()
        model.network.decode = nan_for_no_text(model.network.decode)
        run = audit(model, data, tmp_path / "run")
        rows = run.results()
        failed = rows[rows["condition"] == "empty"]
        assert failed["error"].str.contains("not finite").all()
        assert failed["dice"].isna().all()
        assert run.manifest["counts"]["errors"] == len(failed)
        assert (rows.loc[rows["condition"] == "clean", "error"] == "").all()

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
    def test_a_network_that_never_gives_numbers_is_refused(self, value, data, tmp_path):
        model = self.network(lambda decode: lambda image, text: torch.full_like(decode(image, text), value))
        with pytest.raises(InputError, match=r"no case could be predicted .* not finite"):
            audit(model, data, tmp_path / "run")


class TestWeights:
    @pytest.mark.parametrize(
        "dtype", [torch.int8, torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn, torch.float8_e5m2]
    )
    def test_weights_that_are_no_plain_floats_are_refused(self, dtype, tmp_path):
        state = rb.load_model("film-unet", config=CONFIG, device="cpu").network.state_dict()
        torch.save({key: value.to(dtype) for key, value in state.items()}, tmp_path / "w.pt")
        with pytest.raises(InputError, match=rf"expected float32, .* got {str(dtype)[6:]}; save the weights"):
            rb.load_model("film-unet", tmp_path / "w.pt", config=CONFIG, device="cpu")

    def test_a_config_that_names_another_model_is_refused(self, tmp_path):
        network = rb.load_model("film-unet", config=CONFIG, device="cpu").network
        save_file(dict(network.state_dict()), tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps({"model": "clipseg", "config": {"image_size": 80}}))
        for path in (tmp_path, tmp_path / "model.safetensors"):
            with pytest.raises(
                InputError, match=r"config.json says that these weights are of 'clipseg', expected 'film"
            ):
                rb.load_model("film-unet", path, device="cpu")
        # A file that lies in the same folder by chance is not described by it.
        (tmp_path / "model.safetensors").rename(tmp_path / "mine.safetensors")
        assert rb.load_model("film-unet", tmp_path / "mine.safetensors", config=CONFIG, device="cpu").image_size == 32

    @pytest.mark.parametrize("content", ["[]", "null", '"a"', "{"])
    def test_a_config_that_is_none_is_refused(self, content, tmp_path):
        state = rb.load_model("film-unet", config=CONFIG, device="cpu").network.state_dict()
        save_file(dict(state), tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(InputError, match="checkpoint: "):
            rb.load_model("film-unet", tmp_path, device="cpu")


def test_two_data_sets_of_one_name_are_not_pooled(tmp_path):
    sites = [rb.load_dataset(write_dataset(tmp_path / site / "data", images=2)) for site in ("siteA", "siteB")]
    model = rb.segmenter(segments_bright, name="m")
    with pytest.raises(InputError, match=r"a name for each data set, got 'data' \(test\) twice; set name in each"):
        audit(model, sites, tmp_path / "run")
    named = [rb.load_dataset(tmp_path / site / "data", name=site) for site in ("siteA", "siteB")]
    assert set(audit(model, named, tmp_path / "run").results()["dataset"]) == {"siteA", "siteB"}


class TestGates:
    @pytest.mark.parametrize("bound", ["at_least = nan", "at_most = inf", "at_least = -inf"])
    def test_bounds_that_are_no_numbers_are_refused(self, bound, tmp_path):
        (tmp_path / "gates.toml").write_text(f'[[gate]]\ntest = "minimum"\n{bound}\n')
        with pytest.raises(InputError, match="finite number"):
            load_gates(tmp_path / "gates.toml")

    def test_a_margin_without_end_is_refused(self, tmp_path):
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "drop_below"\nmargin = inf\n')
        with pytest.raises(InputError, match="finite number"):
            load_gates(tmp_path / "gates.toml")

    def test_a_column_that_is_no_score_is_no_metric(self, tmp_path):
        run = write_run(tmp_path / "run")
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "minimum"\nmetric = "prompt"\nat_least = 0.1\n')
        with pytest.raises(InputError, match="'prompt' is a column of the run and no score"):
            run.gate(tmp_path / "gates.toml")


class TestUnfinishedAndEditedRuns:
    @pytest.fixture
    def run(self, tmp_path):
        (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "minimum"\nat_least = 0.1\n')
        return write_run(tmp_path / "run")

    def refusal(self, path):
        messages = set()
        for read in (
            lambda run: run.results(),
            lambda run: run.effects(),
            lambda run: run.gate(path.parent / "gates.toml"),
            lambda run: run.assert_minimum(0.1),
            lambda run: run.report(path.parent / "page.html"),
            lambda run: run.save_baseline(path.parent / "base"),
        ):
            with pytest.raises(InputError) as caught:
                read(rb.open_run(path))
            messages.add(str(caught.value))
        assert len(messages) == 1
        assert not (path.parent / "page.html").exists()
        return messages.pop()

    def test_a_killed_audit_passes_no_gate(self, run):
        (run.path / "manifest.json").unlink()
        assert self.refusal(run.path).endswith("has no manifest.json; run the same audit again to resume it")

    def test_a_lost_part_is_missed(self, run):
        (run.path / "results" / "part-00000.parquet").unlink()
        assert "results/part-00000.parquet is missing; restore it, or run the same audit again" in self.refusal(
            run.path
        )

    def test_a_turned_bit_is_seen(self, run):
        path = run.path / "results" / "part-00000.parquet"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        assert "part-00000.parquet is not what the audit wrote (its hash differs)" in self.refusal(run.path)

    def test_edited_verdicts_are_seen(self, run):
        path = run.path / "verdicts.parquet"
        pd.read_parquet(path).assign(verdict="ROBUST").to_parquet(path)
        assert "verdicts.parquet is not what the audit wrote" in self.refusal(run.path)

    def test_an_alpha_that_was_raised_is_seen(self, run):
        path = run.path / "plan.toml"
        path.write_text(path.read_text().replace("alpha = 0.05", "alpha = 0.2"))
        assert "plan.toml was changed since the audit ran" in self.refusal(run.path)

    def test_files_that_are_whole_are_hashed_once(self, run, monkeypatch):
        rows = rb.open_run(run.path).results()
        monkeypatch.setattr("robustness.run_integrity.sha256_file", lambda path: pytest.fail("hashed again"))
        pd.testing.assert_frame_equal(rb.open_run(run.path).results(), rows)


class TestAuditAgain:
    @pytest.fixture
    def made(self, data, tmp_path):
        model = rb.segmenter(segments_bright, name="m")
        audit(model, data, tmp_path / "run", engine={"threads": 1, "images_per_part": 1})
        return lambda: audit(model, data, tmp_path / "run", engine={"threads": 1, "images_per_part": 1})

    @pytest.mark.parametrize("name", ["effects.parquet", "verdicts.parquet", "manifest.json", "plan.toml"])
    def test_conclusions_that_are_lost_come_again(self, name, made, tmp_path):
        before = rb.open_run(tmp_path / "run").verdicts()
        (tmp_path / "run" / name).unlink()
        pd.testing.assert_frame_equal(made().verdicts(), before)

    def test_verdicts_that_were_edited_come_again_from_the_rows(self, made, tmp_path):
        before = rb.open_run(tmp_path / "run").verdicts()
        before.assign(verdict="ROBUST").to_parquet(tmp_path / "run" / "verdicts.parquet")
        pd.testing.assert_frame_equal(made().verdicts(), before)

    @pytest.mark.slow
    @pytest.mark.parametrize("is_finished", [True, False])
    def test_rows_that_were_changed_are_refused_and_come_again_once_removed(self, is_finished, made, tmp_path):
        before = rb.open_run(tmp_path / "run").results()
        part = tmp_path / "run" / "results" / "part-00001.parquet"
        pd.read_parquet(part).assign(dice=1.0).to_parquet(part)
        if not is_finished:
            (tmp_path / "run" / "manifest.json").unlink()
        with pytest.raises(InputError, match=r"part-00001.parquet is not what the audit wrote .* delete it and run"):
            made()
        part.unlink()
        pd.testing.assert_frame_equal(made().results(), before)

    def test_a_plan_that_was_edited_in_an_unfinished_run_is_refused(self, made, tmp_path):
        path = tmp_path / "run" / "plan.toml"
        path.write_text(path.read_text().replace("alpha = 0.05", "alpha = 0.2"))
        (tmp_path / "run" / "manifest.json").unlink()
        with pytest.raises(InputError, match=r"plan.toml was changed since the audit began; restore it, or delete it"):
            made()

    @pytest.mark.parametrize("content", ["", "[]", "{}", "[" * 100_000])
    def test_a_damaged_state_is_one_line(self, content, made, tmp_path):
        (tmp_path / "run" / "state.json").write_text(content)
        with pytest.raises(InputError, match=r"run: state.json is damaged.*; restore it, or audit into a new folder"):
            made()

    def test_a_refused_audit_touches_nothing_of_the_running_one(self, made, tmp_path):
        being_written = tmp_path / "run" / ".effects.parquet.abc.tmp"
        being_written.write_text("half")
        with folder_lock(tmp_path / "run"), pytest.raises(InputError, match=rf"another process \({os.getpid()}\)"):
            made()
        assert being_written.exists()
        made()
        assert not being_written.exists()


def test_one_bad_entry_flags_a_case_and_not_the_audit(tmp_path):
    root = write_dataset(tmp_path / "data", images=3)
    path = root / "anns" / "test.json"
    entries = json.loads(path.read_text())
    for entry, text in zip(entries, ("a\0b", "a\ud800b", [None], "left " * 2_000), strict=False):
        entry["prompts"] = {"p6": text}
    path.write_text(json.dumps(entries))
    run = audit(rb.segmenter(segments_bright, name="m"), rb.load_dataset(root), tmp_path / "run")
    rows = run.results()
    assert rows["case_id"].nunique() == len(entries)
    assert len(run.manifest["counts"]["failed_cases"]) == 4
    errors = " ".join(rows["error"].dropna())
    assert "a NUL or a lone surrogate" in errors
    assert "[limits] text_characters" in errors


def test_lists_of_prompts_in_parquet_are_read(tmp_path):
    root = write_dataset(tmp_path / "data", images=1)
    table = {"image": ["images/s00.png"], "mask": ["masks/s00_left.png"], "prompt": [["left nucleus", "nucleus"]]}
    pd.DataFrame(table).to_parquet(root / "table.parquet")
    data = rb.load_dataset(root / "table.parquet")
    assert [prompt.text for prompt in data.infos[0].prompts] == ["left nucleus", "nucleus"]


class TestVerifyTellsANumberFromAWording:
    """A run of another version, and one that was edited with its hashes: what differs is named."""

    @pytest.fixture
    def run(self, tmp_path):
        return write_run(tmp_path / "run")

    def _verify(self, run, *, rules=None, **change):
        table = run.verdicts()
        for column, value in change.items():
            table.loc[0, column] = value
        table.to_parquet(run.path / "verdicts.parquet")
        seal(run.path, run.manifest | {"rules": rules or rule_hashes(), "suite_version": rb.__version__})
        checks = rb.open_run(run.path).verify().set_index("check")
        # The plan of these runs is hashed nowhere.
        return checks[~checks["ok"]]["detail"].drop("plan hash", errors="ignore")

    def test_other_words_of_another_version_are_wording_alone(self, run):
        rule = run.verdicts()["rule"][0].split(" ")[0] + " said otherwise"
        failed = self._verify(run, rules=rule_hashes() | {"metrics": "0"}, sentence="Said otherwise.", rule=rule)
        assert list(failed.index) == ["wording of verdicts"]
        assert "every number, verdict and number of a rule is equal" in failed.iloc[0]
        assert "other rules of metrics" in failed.iloc[0]
        assert "verify with the version that made the run" in failed.iloc[0]

    @pytest.mark.parametrize(
        ("change", "names"),
        [
            ({"verdict": "FOLLOWS"}, "verdict in 1 of"),
            ({"estimate": 0.9}, "estimate in 1 of"),
            ({"rule": "99 no such rule"}, "number of the rule in 1 of"),
        ],
    )
    def test_another_number_is_named(self, run, change, names):
        failed = self._verify(run, **change)
        assert names in failed["verdicts follow from the rows"]
        assert "(first: row 0)" in failed["verdicts follow from the rows"]
        assert "by this very code" in failed["verdicts follow from the rows"]
        assert "every number" not in str(failed.get("wording of verdicts"))

    def test_an_edited_sentence_of_this_very_code_is_no_other_version(self, run):
        failed = self._verify(run, sentence="It follows every word.")
        assert "the table was changed" in failed["wording of verdicts"]

    def test_columns_of_another_version_are_named(self, run):
        table = run.verdicts().drop(columns="share").assign(extra=1)
        table.to_parquet(run.path / "verdicts.parquet")
        seal(run.path, run.manifest | {"rules": {}})
        checks = rb.open_run(run.path).verify().set_index("check")
        assert checks.loc["verdicts follow from the rows", "ok"]
        assert "share is missing, extra is not derived" in checks.loc["columns of verdicts", "detail"]
