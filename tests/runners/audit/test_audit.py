import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pandas as pd
import pytest

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.reports.data.datatable import frame_of
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections.report import build
from robustness.results import COLUMNS
from tests.synthetic import ignores_prompt, reads_side, write_dataset

PROMPTS = ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=6)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return rb.audit(
        rb.segmenter(reads_side, name="reader"),
        rb.load_dataset(data, split="test", prompt="p5"),
        perturbations=[*PROMPTS, "gaussian_noise", "horizontal_flip"],
        severities=[1, 3],
        out=tmp_path_factory.mktemp("runs") / "reader",
        engine={"images_per_part": 2},
        statistics={"min_subjects": 6},
        report=False,
    )


class TestRows:
    @pytest.mark.slow
    def test_the_contract_columns_come_first(self, run):
        assert tuple(run.results().columns[: len(COLUMNS)]) == COLUMNS

    def test_every_case_has_one_clean_and_one_rerun_row_per_kind(self, run):
        rows = run.results()
        assert (rows[rows.condition == "clean"].groupby("case_id").size() >= 1).all()
        assert (rows[rows.condition == "rerun"].groupby("case_id").size() == 1).all()

    def test_a_model_without_noise_has_no_rerun_change(self, run):
        rows = run.results()
        assert (rows.loc[rows.condition == "rerun", "mask_change"] == 0).all()

    def test_the_reader_is_right_on_clean_prompts(self, run):
        rows = run.results()
        assert rows.loc[rows.condition == "clean", "dice"].min() > 0.9

    def test_other_side_names_the_other_case_and_moves_to_it(self, run):
        rows = run.results()
        other = rows[rows.condition == "other:side"]
        assert len(other) == 12
        assert (other.other_case_id != other.case_id).all()
        assert other.dice_other.min() > 0.9
        assert other.dice.max() < 0.1
        clean = rows[(rows.condition == "clean") & (rows.attribute == "side")]
        assert clean.dice_other.max() < 0.1

    def test_a_swapped_side_moves_the_whole_mask(self, run):
        rows = run.results()
        swapped = rows[(rows.condition == "antonym:side") & rows.applicable]
        assert len(swapped) == 12
        assert (swapped.mask_change == 1).all()

    def test_mirrored_images_with_rewritten_words_score_like_clean_ones(self, run):
        rows = run.results()
        flipped = rows[(rows.condition == "image:horizontal_flip@1") & rows.applicable]
        assert len(flipped) == 12
        assert flipped.dice.min() > 0.9
        # The reader follows the rewritten side in the mirrored image, so its mask moves exactly with the image.
        assert flipped.mask_change.max() < 0.2
        assert not (
            flipped.prompt == rows[rows.condition == "clean"].drop_duplicates("case_id").prompt.to_numpy()
        ).any()

    def test_flags_and_params_are_filled(self, run):
        rows = run.results()
        changed = rows[rows.applicable & ~rows.condition.isin(["clean", "rerun"])]
        assert changed.params.map(lambda text: isinstance(json.loads(text), dict)).all()
        assert rows.loc[rows.applicable, "dice"].notna().all()
        assert (rows.loc[~rows.applicable, "note"] != "").all()

    def test_paraphrases_are_compared_with_the_first_text(self, run):
        rows = run.results()
        reworded = rows[rows.condition == "paraphrase"]
        assert set(reworded.case_id) == set(rows.case_id)
        assert (reworded.mask_change == 0).all()


class TestVerdicts:
    def test_the_reader_follows_the_side(self, run):
        verdicts = run.verdicts().query("claim == 'prompt'").set_index("condition")
        # Each of the six follows by most of its Dice, which the betting certificate takes as enough; reacting is not.
        assert verdicts.loc["other:side", "verdict"] == "FOLLOWS"
        assert verdicts.loc["antonym:side", "verdict"] == "REACTS*"
        assert verdicts.loc["antonym:size", "verdict"] in ("IGNORES*", "INCONCLUSIVE")

    def test_the_blind_model_follows_nothing(self, data, tmp_path):
        run = rb.audit(
            rb.segmenter(ignores_prompt, name="blind"),
            rb.load_dataset(data, prompt="p5"),
            perturbations=PROMPTS,
            out=tmp_path / "run",
            statistics={"min_subjects": 6},
            report=False,
        )
        verdicts = run.verdicts()
        prompt = verdicts[verdicts.claim == "prompt"]
        assert set(prompt.verdict) <= {"IGNORES*", "UNTESTABLE"}
        assert (prompt.verdict == "IGNORES*").sum() >= 5


def any_side_is_left(images, prompts):
    """Segment the left disc for any side, both where no side is named: it tells a part from the whole, no more."""
    sided = [p.replace("right caudate", "left caudate") for p in prompts]
    return reads_side(images, sided)


@pytest.fixture(scope="module")
def nested(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "nested", images=12, whole="pair")


class TestPartAndWhole:
    """Three targets on an image, "s00_left", "s00_pair" (the whole), "s00_right": two of three pairs overlap."""

    def _audit(self, model, data, out):
        return rb.audit(
            rb.segmenter(model, name="model"),
            rb.load_dataset(data, split="test", prompt="p3"),
            perturbations=["other", "paraphrase"],
            out=out,
            report=False,
        )

    # Twelve patients who react alike leave open how many others do not; thirteen would show REACTS.
    @pytest.mark.parametrize(
        ("model", "verdict"), [(reads_side, "FOLLOWS"), (any_side_is_left, "INCONCLUSIVE"), (ignores_prompt, "IGNORES")]
    )
    def test_only_a_model_that_tells_the_parts_apart_follows(self, nested, tmp_path, model, verdict):
        run = self._audit(model, nested, tmp_path / "run")
        rows = run.results().query("condition == 'other:side'").set_index("case_id")
        assert rows.other_overlap["s00_left"] == rows.other_overlap["s00_pair"] == 1
        assert (rows.other_overlap["s00_right"], rows.other_case_id["s00_right"]) == (0, "s00_left")
        found = run.verdicts().set_index(["claim", "condition"]).loc[("prompt", "other:side")]
        assert found.verdict.rstrip("*") == verdict
        assert "24 of 36 cases are left out of what decides following" in found.rule
        if verdict == "FOLLOWS":
            assert (found.n_images, found.n_subjects) == (12, 12)
            assert found.estimate > 0.9
        # Sixty patients like these: part against whole pooled with part against part called the second model faithful.
        rows = run.results()
        table = pd.concat([rows.assign(case_id=rows.case_id + k, subject_id=rows.subject_id + k) for k in "abcde"])
        for apart, follows in (
            (table, verdict == "FOLLOWS"),
            (table.drop(columns="other_overlap"), verdict != "IGNORES"),
        ):
            claims = rb.verdicts(apart, resamples=99).set_index(["claim", "condition"])
            assert claims.loc[("prompt", "other:side"), "verdict"].startswith("FOLLOWS") == follows

    @pytest.mark.slow
    def test_the_page_shows_both_kinds_of_pair(self, nested, tmp_path):
        self._audit(any_side_is_left, nested, tmp_path / "run")
        report = build(read_runs(tmp_path / "run"))
        table = next(t for t in report.tables if t.id == "targets")
        apart, overlapping = frame_of(table).to_dict("records")
        assert (apart["targets"], apart["counts"], apart["n_images"], apart["s_a"], apart["s_b"]) == (
            "apart",
            "yes",
            12,
            0.0,
            0.0,
        )
        assert (overlapping["targets"], overlapping["counts"], overlapping["n_images"]) == ("overlapping", "no", 24)
        assert overlapping["s_a"] == pytest.approx(1 / 3, abs=0.02)
        text = next(p.text for p in report.methods if p.title == "Verdicts on the prompt")
        assert "In 24 of 36 cases with a second target more than 50% of the smaller one lies in the other" in text


class TestManyTexts:
    def test_every_listed_text_is_evaluated_and_swapped(self, data, tmp_path):
        run = rb.audit(
            rb.segmenter(reads_side, name="reader"),
            rb.load_dataset(data, prompt="p7"),
            perturbations=["antonym:side", "paraphrase", "gaussian_noise"],
            severities=[2],
            out=tmp_path / "run",
            report=False,
        )
        rows = run.results()
        for condition in ("clean", "rerun", "antonym:side", "image:gaussian_noise@2"):
            assert (rows[rows.condition == condition].groupby("case_id").prompt_index.nunique() == 2).all(), condition


class TestMetrics:
    def test_metrics_of_probabilities_are_columns_too(self, data, tmp_path):
        run = rb.audit(
            rb.segmenter(reads_side, name="reader"),
            rb.load_dataset(data, prompt="p5"),
            perturbations=["empty"],
            out=tmp_path / "run",
            report=False,
            metrics={"names": ["dice", "brier", "assd", "mask_change"]},
        )
        rows = run.results()
        assert rows.brier.between(0, 1).all()
        assert rows.assd.notna().all()
        assert rows.hd95.isna().all()
        assert set(run.effects().metric) == {"dice", "brier", "assd", "mask_change"}

    def test_dice_against_the_threshold_where_the_plan_asks_for_it(self, data, tmp_path):
        def faint(images, prompts):
            return [0.4 * mask for mask in reads_side(images, prompts)]

        run = rb.audit(
            rb.segmenter(faint, name="faint"),
            rb.load_dataset(data, prompt="p5"),
            perturbations=["empty"],
            out=tmp_path / "run",
            report=False,
            metrics={"thresholds": [0.3, 0.5]},
        )
        clean = run.results().query("condition == 'clean'")
        assert clean["dice_at_0.30"].min() > 0.9
        assert (clean["dice_at_0.50"] == clean.dice).all()
        assert clean.dice.max() == 0
        assert clean.missed.all()
        assert (clean.image_height == 48).all()
        assert clean.reference_fraction.between(0.02, 0.05).all()

    def test_scores_at_network_size_are_those_of_the_published_protocol(self, data, tmp_path):
        model = rb.load_model("film-unet", image_size=32, device="cpu")
        run = rb.audit(
            model,
            rb.load_dataset(data, prompt="p5"),
            perturbations=["horizontal_flip", "empty"],
            out=tmp_path / "run",
            metrics={"names": ["dice", "hd95"], "resolution": "network"},
            report=False,
        )
        rows = run.results()
        assert (rows.error == "").all()
        assert (rows.loc[rows.area_fraction > 0, "centroid_row"] < 32).all()


class TestFailures:
    @pytest.fixture
    def broken(self, tmp_path):
        root = write_dataset(tmp_path / "broken", images=4)
        picture = root / "images" / "s01.png"
        picture.write_bytes(picture.read_bytes()[:200])
        return root

    def test_one_unreadable_image_is_recorded_and_the_rest_goes_on(self, broken, tmp_path):
        run = rb.audit(
            rb.segmenter(reads_side, name="reader"),
            rb.load_dataset(broken, prompt="p5"),
            perturbations=["antonym:side", "paraphrase"],
            out=tmp_path / "run",
            report=False,
        )
        rows = run.results()
        failed = rows[rows.error != ""]
        assert set(failed.case_id) == {"s01_left", "s01_right"}
        assert "s01.png" in failed.error.iloc[0]
        assert rows.loc[rows.error == "", "case_id"].nunique() == 6
        counts = run.manifest["counts"]
        assert counts["errors"] == 2
        assert counts["rows"] == counts["used"] + counts["not_applicable"] + counts["errors"]
        assert any("2 of 8 cases could not be read" in warning for warning in run.manifest["warnings"])

    def test_a_prediction_that_fails_leaves_its_case_in(self, tmp_path):
        """The page said of it that the case could not be read and was left out, whose other rows counted."""

        def flaky(images, prompts):
            if any("right" in text for text in prompts):
                raise RuntimeError("out of memory")
            return reads_side(images, prompts)

        run = rb.audit(
            rb.segmenter(flaky, name="reader", batch_size=1),
            rb.load_dataset(write_dataset(tmp_path / "data"), prompt="p5"),
            perturbations=["antonym:side"],
            out=tmp_path / "run",
            report=False,
        )
        rows = run.results()
        failed = rows[rows.error != ""]
        partly = failed.case_id.nunique()
        assert 0 < len(failed) < len(rows)
        assert set(failed.case_id) <= set(rows[rows.error == ""].case_id)
        (said,) = [text for text in run.manifest["warnings"] if "failed" in text or "could not be read" in text]
        assert said.startswith(f"{len(failed)} of {len(rows)} predictions failed and are left out; ")
        assert f"of their {partly} cases count" in said

    def test_strict_stops_and_keeps_what_was_done(self, broken, tmp_path):
        with pytest.raises(CaseError, match="s01_left"):
            rb.audit(
                rb.segmenter(reads_side, name="reader"),
                rb.load_dataset(broken, prompt="p5"),
                perturbations=["antonym:side"],
                out=tmp_path / "run",
                strict=True,
                engine={"images_per_part": 1},
                report=False,
            )
        assert [p.name for p in (tmp_path / "run" / "results").iterdir()] == ["part-00000.parquet"]

    def test_when_nothing_can_be_read_the_audit_says_so(self, tmp_path):
        root = write_dataset(tmp_path / "broken", images=2)
        for picture in (root / "images").iterdir():
            picture.unlink()
        with pytest.raises(InputError, match=r"no case could be predicted.*s00\.png"):
            rb.audit(
                rb.segmenter(reads_side, name="r"), rb.load_dataset(root), perturbations=["empty"], out=tmp_path / "run"
            )


class TestResume:
    def test_a_deleted_part_is_made_again_bit_for_bit(self, data, tmp_path):
        def go():
            return rb.audit(
                rb.segmenter(reads_side, name="reader"),
                rb.load_dataset(data, prompt="p5"),
                perturbations=PROMPTS,
                out=tmp_path / "run",
                engine={"images_per_part": 2},
                report=False,
            )

        before = go().results()
        part = tmp_path / "run" / "results" / "part-00001.parquet"
        content = part.read_bytes()
        part.unlink()
        run = go()
        assert part.read_bytes() == content
        pd.testing.assert_frame_equal(run.results(), before)
        assert run.verify().ok.all()

    def test_another_plan_in_the_same_folder_is_refused(self, data, tmp_path):
        model, dataset = rb.segmenter(reads_side, name="reader"), rb.load_dataset(data, prompt="p5")
        rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", report=False)
        with pytest.raises(InputError, match="holds a run with another plan"):
            rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", seed=1, report=False)

    def test_other_images_in_the_parts_are_refused(self, tmp_path):
        dataset = rb.load_dataset(write_dataset(tmp_path / "set", images=16), prompt="p5")
        model = rb.segmenter(reads_side, name="reader")
        rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", report=False)
        state = json.loads((tmp_path / "run" / "state.json").read_text())
        assert state["images_of_parts"] == [4, 4, 4, 4]
        # A version that shared images out otherwise wrote none, or others.
        del state["images_of_parts"]
        (tmp_path / "run" / "state.json").write_text(json.dumps(state))
        with pytest.raises(InputError, match="another sharing of its images among parts"):
            rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", report=False, allow_drift=True)

    def test_changed_data_is_refused(self, tmp_path):
        root = write_dataset(tmp_path / "set", images=2)
        model = rb.segmenter(reads_side, name="reader")
        rb.audit(model, rb.load_dataset(root), perturbations=["empty"], out=tmp_path / "run", report=False)
        mask = root / "masks" / "s00_left.png"
        (root / "masks" / "s00_right.png").write_bytes(mask.read_bytes())
        with pytest.raises(InputError, match="another state of the data"):
            rb.audit(model, rb.load_dataset(root), perturbations=["empty"], out=tmp_path / "run", report=False)

    def test_an_audit_killed_before_its_state_was_written_begins_anew(self, data, tmp_path):
        (tmp_path / "run" / "results").mkdir(parents=True)
        (tmp_path / "run" / "plan.toml").write_text("seed = ")
        model, dataset = rb.segmenter(reads_side, name="reader"), rb.load_dataset(data, prompt="p5")
        run = rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", report=False)
        assert run.verify().ok.all()

    def test_a_folder_with_something_else_is_refused(self, data, tmp_path):
        (tmp_path / "thesis.tex").write_text("x")
        with pytest.raises(InputError, match=r"holds 'thesis.tex'"):
            rb.audit(
                rb.segmenter(reads_side, name="r"),
                rb.load_dataset(data, prompt="p5"),
                perturbations=["empty"],
                out=tmp_path,
            )

    @pytest.mark.slow
    def test_killed_at_random_moments_the_resumed_table_is_the_undisturbed_one(self, data, tmp_path):
        script = tmp_path / "go.py"
        script.write_text(
            textwrap.dedent(
                f"""
                import sys, time
                sys.path.insert(0, {str(Path(__file__).parents[3])!r})
                import robustness as rb
                from tests.synthetic import reads_side

                def slow(images, prompts):
                    time.sleep(0.02)
                    return reads_side(images, prompts)

                rb.audit(
                    rb.segmenter(slow, name="reader"), rb.load_dataset({str(data)!r}, prompt="p5"),
                    perturbations={PROMPTS!r} + ["gaussian_noise"], out=sys.argv[1],
                    engine={{"images_per_part": 1, "threads": 1}}, report=False,
                )
                print("finished", flush=True)
                """
            )
        )
        started = time.perf_counter()
        subprocess.run([sys.executable, script, tmp_path / "whole"], check=True, capture_output=True)
        whole = time.perf_counter() - started
        for number in range(4):
            process = subprocess.Popen(
                [sys.executable, script, tmp_path / "killed"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
            time.sleep(whole * (0.45 + 0.13 * number))
            process.send_signal(signal.SIGKILL)
            process.wait()
        last = subprocess.run(
            [sys.executable, script, tmp_path / "killed"], check=False, capture_output=True, text=True
        )
        assert last.returncode == 0, last.stderr[-2000:]
        names = sorted(os.listdir(tmp_path / "whole" / "results"))
        assert names == sorted(os.listdir(tmp_path / "killed" / "results"))
        for name in names:
            assert (tmp_path / "whole" / "results" / name).read_bytes() == (
                tmp_path / "killed" / "results" / name
            ).read_bytes()
        whole_run, resumed = rb.open_run(tmp_path / "whole"), rb.open_run(tmp_path / "killed")
        pd.testing.assert_frame_equal(whole_run.effects(), resumed.effects())
        assert resumed.verify().ok.all()
