"""Joint conditions end to end: draws, words, encodes, statistics and what the report says of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.metrics.analyses.interaction import interactions, reading
from robustness.plans.audit import parse_plan
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections.report import build
from robustness.runners.dry_run.workload import workload
from robustness.workflows.run import Run
from tests.synthetic import bright, reads_side, write_dataset

BLUR, NOISE, FLIP = "image:gaussian_blur@5", "image:gaussian_noise@2", "image:horizontal_flip@1"
WORDS = ("antonym:side", "empty", "typo@1", "paraphrase")
JOINT = [f"{image}+{words}" for image in (BLUR, NOISE, FLIP) for words in WORDS]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("joint")
    data = rb.load_dataset(write_dataset(root / "data", images=8), prompt="p6")
    model = rb.segmenter(reads_side, name="reads-side")
    return rb.audit(model, data, perturbations=JOINT, out=root / "run", report=False, statistics={"resamples": 199})


@pytest.fixture(scope="module")
def rows(run: Run) -> pd.DataFrame:
    return run.results()


def of(rows: pd.DataFrame, condition: str) -> pd.DataFrame:
    found = rows[(rows["condition"] == condition) & rows["applicable"]]
    assert len(found)
    return found.set_index(["case_id", "prompt_index"])


class TestRows:
    @pytest.mark.slow
    def test_both_parts_are_run_alone_and_all_conditions_are_there(self, rows: pd.DataFrame) -> None:
        assert set(rows["condition"]) == {"clean", "rerun", BLUR, NOISE, FLIP, *WORDS, *JOINT}
        joint = rows[rows["condition"].isin(JOINT)]
        assert set(joint["family"]) == {"joint"}
        assert set(joint[joint["condition"] == JOINT[0]]["attribute"]) == {"side"}
        assert (rows["error"] == "").all()

    @pytest.mark.parametrize("image", [BLUR, NOISE])
    @pytest.mark.parametrize("words", ["antonym:side", "typo@1", "paraphrase"])
    def test_halves_are_drawn_as_they_are_drawn_alone(self, rows: pd.DataFrame, image: str, words: str) -> None:
        both, of_image, of_words = of(rows, f"{image}+{words}"), of(rows, image), of(rows, words)
        for key in both.index:
            drawn = json.loads(both.loc[key, "params"])
            assert drawn["image"] == json.loads(of_image.loc[(key[0], 0), "params"])
            assert drawn["prompt"] == json.loads(of_words.loc[key, "params"])
            assert both.loc[key, "prompt"] == of_words.loc[key, "prompt"]

    def test_words_stay_right_or_wrong_on_a_mirrored_picture(self, rows: pd.DataFrame) -> None:
        wrong, flipped = of(rows, f"{FLIP}+antonym:side"), of(rows, FLIP)
        clean = of(rows, "clean")
        # The opposite side, mirrored, is written as the clean side was.
        for key in wrong.index:
            side = clean.loc[key, "prompt"].split()[2]
            assert wrong.loc[key, "prompt"].split()[2] == side
            assert flipped.loc[key, "prompt"].split()[2] != side
            assert json.loads(wrong.loc[key, "truth"])["side"] == "false"
            assert json.loads(flipped.loc[key, "truth"])["side"] == "true"
        assert (flipped["dice"] > 0.95).all()
        assert (wrong["dice"] < 0.05).all()
        assert (flipped["mask_change"] < 0.05).all()

    def test_expectations_are_those_of_the_words(self, rows: pd.DataFrame) -> None:
        said = {words: set(of(rows, f"{BLUR}+{words}")["expectation"]) for words in WORDS}
        assert said == {
            "antonym:side": {"change"},
            "empty": {"control"},
            "typo@1": {"invariant"},
            "paraphrase": {"invariant"},
        }

    def test_where_a_half_does_not_apply_the_row_says_why(self, tmp_path: Path) -> None:
        data = rb.load_dataset(write_dataset(tmp_path / "data", images=2), prompt="p1")
        model = rb.segmenter(reads_side, name="m")
        names = ["image:horizontal_flip_unrewritten@1+empty"]
        found = rb.audit(model, data, perturbations=names, out=tmp_path / "run", report=False).results()
        control = found[found["condition"] == names[0]]
        assert not control["applicable"].any()
        assert set(control["note"]) == {"no word of the prompt becomes false, so there is nothing to leave unrewritten"}


class TestConclusions:
    def test_joint_conditions_carry_no_prompt_verdict_and_robustness_only_where_nothing_should_change(
        self, run: Run
    ) -> None:
        claims = run.verdicts()
        joint = claims[claims["condition"].isin(JOINT)]
        assert set(joint["claim"]) == {"robustness"}
        assert {c.partition("+")[2] for c in joint["condition"]} == {"typo@1", "paraphrase"}

    def test_rewordings_on_changed_pictures_pair_with_the_clean_row(self, run: Run, rows: pd.DataFrame) -> None:
        table = run.effects()
        row = table[(table["condition"] == f"{NOISE}+paraphrase") & (table["metric"] == "dice")].iloc[0]
        means = of(rows, f"{NOISE}+paraphrase").groupby(["subject_id", "case_id"])["dice"].mean()
        clean = of(rows, "clean").groupby(["subject_id", "case_id"])["dice"].mean()
        assert row["effect"] == pytest.approx((clean - means).groupby("subject_id").mean().mean())
        assert row["n_flagged"] == 0

    def test_the_contrast_is_the_two_by_two(self, run: Run, rows: pd.DataFrame) -> None:
        table = interactions(rows, resamples=999).set_index("condition")
        for image in (BLUR, NOISE, FLIP):
            cell = table.loc[f"{image}+empty"]
            mean = {c: of(rows, c).groupby("subject_id")["dice"].mean() for c in ("clean", image, "empty")}
            both = of(rows, f"{image}+empty").groupby("subject_id")["dice"].mean()
            on_clean, on_changed = mean["clean"] - mean["empty"], mean[image] - both
            assert cell["prompt_effect"] == pytest.approx(on_clean.mean())
            assert cell["prompt_effect_changed"] == pytest.approx(on_changed.mean())
            assert cell["interaction"] == pytest.approx((on_changed - on_clean).mean(), abs=1e-12)
            assert cell["image_mean"] == pytest.approx(mean[image].mean())
            assert cell["family_size"] == 12

    def test_the_page_shows_the_grid_and_answers_both_questions(self, run: Run) -> None:
        report = build(read_runs([run.path]), images=False)
        (grid,) = [figure for figure in report.figures if figure.family == "joint"]
        assert len(grid.table.rows) == len(JOINT)
        assert grid.says[0].startswith("Does reliance on text rise when the image degrades?")
        assert grid.says[1].startswith("Does a good prompt rescue a bad image?")


@pytest.mark.slow
def test_a_picture_is_encoded_once_for_all_its_words(tmp_path: Path) -> None:
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=6), prompt="p6")
    model = rb.load_model("film-unet", config={"image_size": 64, "widths": [8, 16]})
    names = [f"{NOISE}+{words}" for words in ("antonym:side", "empty", "typo@1", "typo@3", "order")]
    run = rb.audit(model, data, perturbations=names, out=tmp_path / "run", report=False)
    cases = len(data)
    # Clean and rerun once per image, the drawn noise once per case.
    assert run.manifest["timing"]["n_image_encodes"] == 6 + 6 + cases


@pytest.mark.parametrize("needs_words", [True, False])
def test_reliance_that_rises_on_bad_pictures_is_found_and_constant_reliance_is_not(
    needs_words: bool, tmp_path: Path
) -> None:
    """A model that reads the side only where noise hides the image, beside one that always reads it."""

    def model(images: list[np.ndarray], prompts: list[str]) -> list[np.ndarray]:
        found = []
        for image, prompt, aided in zip(images, prompts, reads_side(images, prompts), strict=True):
            noisy = np.abs(np.diff(image[:12, :, 0].astype(int), axis=1)).mean() > 15
            left = bright(image)
            left[:, left.shape[1] // 2 :] = False
            found.append(aided if noisy or not needs_words else left.astype(np.float32))
            assert prompt is not None
        return found

    data = rb.load_dataset(write_dataset(tmp_path / "data", images=12), prompt="p2")
    names = ["image:gaussian_noise@4+antonym:side"]
    run = rb.audit(rb.segmenter(model, name="m"), data, perturbations=names, out=tmp_path / "run", report=False)
    (row,) = interactions(run.results(), resamples=999).to_dict("records")
    if needs_words:
        assert row["ci_low"] > 0.2
        assert reading(row).startswith("the words matter more on the changed image")
    else:
        assert reading(row) in ("no difference shown", "the words matter less on the changed image")


def test_a_reading_claims_nothing_without_evidence_and_names_the_floor() -> None:
    row: dict[str, Any] = {"interaction": -0.3, "p_adjusted": 0.001, "image_mean": 0.04, "note": ""}
    assert reading(row).endswith("which leaves next to nothing to lose")
    assert reading({**row, "image_mean": 0.5}) == "the words matter less on the changed image"
    assert reading({**row, "p_adjusted": 0.2}) == "no difference shown"
    assert reading({**row, "p_adjusted": float("nan")}) == "too few units to tell"
    assert reading({**row, "interaction": float("nan"), "note": "no rows of empty alone"}) == "no rows of empty alone"


def test_the_forecast_counts_what_the_audit_does(tmp_path: Path) -> None:
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=4), prompt="p6")
    tree = {
        "model": {"name": "film-unet"},
        "data": {"path": str(tmp_path / "data")},
        "perturbations": {"prompt": ["typo@1"], "image": ["jpeg@1"], "joint": ["image:jpeg@1+empty"]},
    }
    counted = workload(parse_plan(tree), data, 0, images=4)
    model = rb.load_model("film-unet", config={"image_size": 32, "widths": [8, 16]})
    run = rb.audit(
        model, data, perturbations=["typo@1", "image:jpeg@1", "image:jpeg@1+empty"], out=tmp_path / "run", report=False
    )
    assert counted.n_rows == len(run.results())
    assert counted.n_image_encodes == run.manifest["timing"]["n_image_encodes"]
    assert counted.n_decodes == run.manifest["timing"]["n_decodes"]
