"""A stored prediction computed again: equal where nothing changed, and what changed is named where it did."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PilImage
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import InputError
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.workflows.audit import audit_plan
from robustness.workflows.replay import replay
from tests.synthetic import bright, write_dataset

CONFIG = {"image_size": 32, "widths": [8, 16], "token_width": 8, "text_width": 8}
PLAN = """
seed = 3
[model]
name = "film-unet"
checkpoint = "weights"
device = "cpu"
[data]
path = "data"
prompt = "p2"
[perturbations]
prompt = ["antonym:side", "drop", "wrong_class", "paraphrase"]
joint = ["image:gaussian_noise@3+antonym:side"]
[perturbations.image]
kinds = ["gaussian_noise", "rotation", "hue"]
severities = [3]
[metrics]
names = ["dice", "hd95"]
[statistics]
resamples = 99
[engine]
threads = 1
images_per_part = 2
save_predictions = true
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A plan with its data and weights, and a finished run of it; one image cannot be read."""
    folder = tmp_path_factory.mktemp("replay")
    write_dataset(folder / "data", images=4)
    (folder / "data" / "images" / "s03.png").write_bytes(b"no image")
    save_checkpoint(folder / "weights", rb.load_model("film-unet", config=CONFIG, device="cpu"))
    (folder / "plan.toml").write_text(PLAN)
    audit_plan(rb.load_plan(folder / "plan.toml"), out=folder / "run", folder=folder, report=False)
    return folder


def invoke(*arguments):
    return CliRunner().invoke(app, ["replay", *map(str, arguments)])


class TestNothingChanged:
    def test_a_row_of_every_condition_is_equal_bit_for_bit(self, home):
        run = rb.open_run(home / "run")
        rows = run.results()
        for condition, group in rows.groupby("condition"):
            replayed = run.replay(int(group.index[-1]))
            assert replayed.different == (), condition
            assert replayed.drift == ()
            assert replayed.stored["condition"] == condition
        assert {"clean", "rerun", "image:rotation@3", "image:gaussian_noise@3+antonym:side"} <= set(rows["condition"])

    def test_rows_without_a_prediction_are_equal_too(self, home):
        run = rb.open_run(home / "run")
        rows = run.results()
        failed = int(rows.index[rows["error"] != ""][0])
        skipped = int(rows.index[~rows["applicable"]][0])
        for row in (failed, skipped):
            replayed = run.replay(row)
            assert replayed.different == ()
            assert replayed.scored is None

    def test_the_folder_is_left_as_it_was(self, home):
        before = {path: path.stat().st_mtime_ns for path in (home / "run").rglob("*")}
        rb.open_run(home / "run").replay(0)
        assert {path: path.stat().st_mtime_ns for path in (home / "run").rglob("*")} == before

    def test_the_command_states_equality_and_ends_with_0(self, home):
        result = invoke(home / "run", "--row", 0)
        assert result.exit_code == 0
        assert "columns are equal, bit for bit (its image computed alone)" in result.output
        assert "DIFFERS" not in result.output

    def test_the_image_shows_the_reference_and_both_masks(self, home, tmp_path):
        result = invoke(home / "run", "--row", 0, "--png", tmp_path / "row.png")
        assert result.exit_code == 0
        with PilImage.open(tmp_path / "row.png") as image:
            # Four panels of 48 pixels and three gaps: image, reference, stored mask, recomputed mask.
            assert image.size == (4 * 48 + 3 * 4, 48)
            pixels = np.asarray(image)
        panels = [pixels[:, 52 * n : 52 * n + 48] for n in range(4)]
        assert not (panels[0] == (0, 158, 115)).all(-1).any()
        assert (panels[1] == (0, 158, 115)).all(-1).any()
        stored, recomputed = (panels[2] == (86, 180, 233)).all(-1), (panels[3] == (230, 159, 0)).all(-1)
        np.testing.assert_array_equal(stored, recomputed)
        assert stored.any()

    def test_a_row_without_a_prediction_has_no_image(self, home, tmp_path):
        rows = rb.open_run(home / "run").results()
        row = int(rows.index[~rows["applicable"]][0])
        result = invoke(home / "run", "--row", row, "--png", tmp_path / "row.png")
        assert isinstance(result.exception, InputError)
        assert "expected a row with a prediction" in str(result.exception)
        assert not (tmp_path / "row.png").exists()


class TestSomethingChanged:
    @pytest.fixture
    def copy(self, home, tmp_path):
        import shutil

        shutil.copytree(home, tmp_path / "home")
        return tmp_path / "home"

    def test_other_weights_are_named_and_the_columns_differ(self, copy):
        model = rb.load_model("film-unet", config=CONFIG, device="cpu", seed=9)
        save_checkpoint(copy / "weights", model)
        result = invoke(copy / "run", "--row", 0, "--plan-folder", copy)
        assert result.exit_code == 1
        assert "changed since the audit: the model or its checkpoint" in result.output
        assert "DIFFERS" in result.output
        assert "whole part computed" in result.output

    def test_another_image_is_named(self, copy):
        path = copy / "data" / "images" / "s00.png"
        PilImage.fromarray(255 - np.asarray(PilImage.open(path))).save(path)
        replayed = replay(copy / "run", 0, plan_folder=copy)
        assert "the data" in replayed.drift
        assert replayed.different

    @pytest.mark.parametrize("row", [-1, 10_000])
    def test_a_row_that_is_not_there_is_refused(self, row, home):
        with pytest.raises(InputError, match=r"row: expected a number from 0 to \d+, the rows of the run"):
            rb.open_run(home / "run").replay(row)

    def test_a_case_that_is_gone_is_refused(self, copy):
        path = copy / "data" / "anns" / "test.json"
        path.write_text(json.dumps(json.loads(path.read_text())[2:]))
        with pytest.raises(InputError, match="replay: the data have "):
            replay(copy / "run", 0, plan_folder=copy)

    def test_an_edited_row_is_refused_before_anything_is_computed(self, copy):
        part = copy / "run" / "results" / "part-00000.parquet"
        pd.read_parquet(part).assign(dice=1.0).to_parquet(part)
        with pytest.raises(InputError, match="is not what the audit wrote"):
            rb.open_run(copy / "run").replay(0)


class TestAuditsOfObjects:
    def test_model_and_data_are_given_again(self, tmp_path):
        data = rb.load_dataset(write_dataset(tmp_path / "data", images=3))

        def depends_on_the_batch(images, prompts):
            mean = np.mean([image.mean() for image in images])
            return [np.clip(bright(image) * (0.6 + 0.3 * (mean % 1)), 0, 1).astype(np.float32) for image in images]

        model = rb.segmenter(depends_on_the_batch, name="m")
        run = rb.audit(
            model,
            data,
            perturbations=["empty"],
            metrics={"names": ["dice", "brier"]},
            statistics={"resamples": 99},
            out=tmp_path / "run",
            report=False,
        )
        replayed = run.replay(1, model=model, data=data)
        assert replayed.different == ()
        assert not replayed.alone
        with pytest.raises(InputError, match="expected both model and data, or neither"):
            run.replay(1, model=model)


def test_a_run_without_its_state_is_refused_in_one_line(home, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(home / "run", copy)
    (copy / "state.json").unlink()
    with pytest.raises(InputError, match=r"expected state\.json in .*; restore it"):
        replay(copy, 0, plan_folder=home)
