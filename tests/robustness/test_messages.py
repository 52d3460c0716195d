"""Messages as a user meets them: each says what was expected, what came, and the fix."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import InputError, counted, unknown_name, verb
from robustness.forecasts.text import conditions_in_short
from robustness.gates.baselines import load_baseline, save_baseline
from robustness.plans.audit import parse_plan
from robustness.plans.differences import MOST, differing_keys
from robustness.reports.data.run_tables import refuse_repeated
from robustness.reports.html.page import write_report
from robustness.reports.words import count
from robustness.runners.data.membership import Overlap
from robustness.runs.conclude import _cut_texts, _of_failures
from robustness.workflows.audit import audit_plan
from tests.gate_runs import write_run
from tests.reports.make_run import FOLLOWS_SIDE, make_run
from tests.synthetic import write_dataset


def test_a_table_without_prompts_says_what_to_add(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", images=2)
    table = pd.DataFrame({"image": ["images/s00.png"], "mask": ["masks/s00_left.png"], "site": ["a"]})
    table.to_csv(data / "cases.csv", index=False)
    with pytest.raises(InputError, match=r"column prompt in .*cases.csv, found image, mask, site; add one text for"):
        rb.load_dataset(data / "cases.csv")


def small_plan(data: Path, **changes: object) -> dict[str, object]:
    tree: dict[str, object] = {
        "seed": 0,
        "model": {"name": "film-unet", "device": "cpu"},
        "data": {"path": str(data), "prompt": "p2"},
        "perturbations": {"prompt": ["paraphrase"], "image": []},
        "statistics": {"resamples": 199},
    }
    return {**tree, **changes}


def test_another_plan_names_the_keys_that_differ(tmp_path: Path) -> None:
    data = write_dataset(tmp_path / "set", images=1)
    audit_plan(parse_plan(small_plan(data)), out=tmp_path / "run", report=False)
    other = parse_plan(small_plan(data, seed=7, title="only a title", statistics={"resamples": 299}))
    with pytest.raises(InputError) as refused:
        audit_plan(other, out=tmp_path / "run", report=False)
    text = str(refused.value)
    assert "another plan (seed is 0 there and 7 here; statistics.resamples is 199 there and 299 here)" in text
    assert "title" not in text


def test_many_differing_keys_are_counted_not_listed() -> None:
    said = differing_keys({f"k{i}": 0 for i in range(20)}, {f"k{i}": 1 for i in range(20)})
    assert said.count(" there and ") == MOST
    assert said.endswith(f"{20 - MOST} more keys differ")
    one_more = {f"k{i}": 0 for i in range(MOST + 1)}
    assert differing_keys(one_more, dict.fromkeys(one_more, 1)).endswith("; 1 more key differs")
    assert differing_keys({"a": 1, "b": 2}, {"a": 1, "b": 3}, leave_out=("b",)) == ""


def test_a_typo_among_many_names_lists_the_near_ones() -> None:
    with pytest.raises(InputError) as refused:
        rb.PERTURBATIONS.get("gausian_noise")
    text = str(refused.value)
    assert "did you mean 'gaussian_noise'?" in text
    assert "robustness list perturbations" in text
    assert len(text) < 250


def test_few_names_are_all_told() -> None:
    assert unknown_name("metric", "dise", ["dice", "iou"]) == (
        "metric: expected one of dice, iou, got 'dise'; did you mean 'dice'?"
    )


@pytest.mark.parametrize(
    "function",
    [lambda image: image, lambda: None, lambda images, prompts, more: images, lambda images, *, threshold: images],
)
def test_a_callable_of_another_signature_is_refused_at_once(function: object) -> None:
    with pytest.raises(InputError, match=r"expected a function \(images, prompts\) -> one map per pair, got .*lambda"):
        rb.segmenter(function, name="mine")  # type: ignore[arg-type]


class Batched:
    """A model with a method for a call."""

    def __call__(self, images: list[object], prompts: list[str], *, batch: int = 1) -> list[object]:
        return images


@pytest.mark.parametrize("function", [Batched(), lambda *arguments: arguments[0], lambda a, b, c=1: a, dict])
def test_whatever_can_be_called_with_two_lists_passes(function: object) -> None:
    assert rb.segmenter(function, name="mine").name == "mine"  # type: ignore[arg-type]


@pytest.mark.slow
def test_comparing_runs_of_other_data_says_that_nothing_was_compared(tmp_path: Path) -> None:
    sizes = {"n_images": 4, "severities": (1,), "pictures": 0}
    first, second = (make_run(tmp_path / name, FOLLOWS_SIDE, **sizes) for name in ("a", "b"))
    for part in (*(second / "results").glob("*.parquet"), second / "effects.parquet", second / "verdicts.parquet"):
        pd.read_parquet(part).assign(dataset="elsewhere").to_parquet(part)
    from tests.gate_runs import seal

    seal(second)
    page = tmp_path / "c.html"
    result = CliRunner().invoke(app, ["compare", str(first), str(second), "--out", str(page)])
    assert result.exit_code == 1, result.output
    assert "warning: Nothing was compared. No other run has the data set of" in result.output
    warned = re.search(r'<aside class="warning".*?</li>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert warned is not None
    assert "Nothing was compared." in warned.group(0)


@pytest.mark.slow
def test_comparing_runs_of_one_data_set_warns_of_nothing(tmp_path: Path) -> None:
    sizes = {"n_images": 4, "severities": (1,), "pictures": 0}
    runs = [make_run(tmp_path / name, FOLLOWS_SIDE, **sizes) for name in ("a", "b")]
    result = CliRunner().invoke(app, ["compare", *map(str, runs), "--out", str(tmp_path / "c.html")])
    assert (result.exit_code, "ompared" in result.output) == (0, False)


def test_comparing_a_folder_with_itself_names_both_spellings(tmp_path: Path) -> None:
    run = tmp_path / "run"
    again = run / ".." / "run"
    run.mkdir()
    result = CliRunner().invoke(app, ["compare", str(run), str(again), "--out", str(tmp_path / "c.html")])
    assert isinstance(result.exception, InputError)
    assert f"got {str(run)!r} and {str(again)!r}, which are the same folder" in str(result.exception)


def test_a_page_of_a_run_beside_itself_is_refused_by_the_functions_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for again in (tmp_path / "run", tmp_path / "link"):
        with pytest.raises(InputError, match="which are the same folder; name each run once"):
            write_report([tmp_path / "run", again], tmp_path / "page.html")
    with pytest.raises(InputError, match="got 's3://a/run' and 's3://a/run'"):
        refuse_repeated(["s3://a/run", "s3://a/run"])
    refuse_repeated(["s3://a/run", "s3://b/run"])


def test_a_gate_against_other_data_says_that_nothing_was_compared(tmp_path: Path) -> None:
    old = write_run(tmp_path / "old", files={"a.png": "1"})
    new = write_run(tmp_path / "new", files={"a.png": "2"})
    baseline = save_baseline(old, tmp_path / "main")
    gates = tmp_path / "gates.toml"
    gates.write_text('[[gate]]\ntest = "no_proven_drop"\n', encoding="utf-8")
    result = CliRunner().invoke(app, ["gate", str(new.path), "--baseline", str(baseline), "--gates", str(gates)])
    assert "nothing was compared" in str(result.exception)


@pytest.mark.parametrize(
    ("before", "after"),
    [("n_subjects = ", "n_subjects = 1"), ("undefined = 0", "undefined = 1"), ("dice = 0.", "dice = 1.")],
)
def test_a_baseline_edited_by_hand_is_noticed(tmp_path: Path, before: str, after: str) -> None:
    file = save_baseline(write_run(tmp_path / "run"), tmp_path / "main")
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(InputError, match=r"main.toml was edited by hand since it was saved; restore it, or save"):
        load_baseline(file)


def test_a_comment_in_a_baseline_is_no_edit(tmp_path: Path) -> None:
    file = save_baseline(write_run(tmp_path / "run"), tmp_path / "main")
    file.write_text("# reviewed in March\n" + file.read_text(encoding="utf-8"), encoding="utf-8")
    assert load_baseline(file)


def test_a_baseline_of_an_earlier_version_has_no_hash_of_its_summary(tmp_path: Path) -> None:
    file = save_baseline(write_run(tmp_path / "run"), tmp_path / "main")
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"summary_sha256 = .*\n", "", text), encoding="utf-8")
    assert load_baseline(file)


def test_equal_lines_of_a_forecast_are_folded() -> None:
    kinds = [f"image:kind_{i}@{s}" for i in range(40) for s in (1, 3, 5)]
    assert conditions_in_short(kinds) == (
        "image:kind_0@1,3,5, image:kind_1@1,3,5, image:kind_2@1,3,5 and 37 more like them"
    )
    assert conditions_in_short(["antonym:side"]) == "antonym:side"


def test_another_finetune_plan_names_the_keys_that_differ(tmp_path: Path) -> None:
    from robustness.plans.finetune import parse_train_plan
    from robustness.runners.training.folder import TrainingFolder

    tree = {"model": {"name": "film-unet"}, "data": {"path": "d"}, "train": {"steps": 10}}
    facts = {"plan_sha256": "a", "data_sha256": "d"}
    segmenter = rb.load_model("film-unet", device="cpu")
    TrainingFolder(tmp_path / "net", parse_train_plan(tree), segmenter, trained_on=facts)  # type: ignore[arg-type]
    other = parse_train_plan({**tree, "train": {"steps": 20, "lr": 0.5}})
    with pytest.raises(InputError) as refused:
        TrainingFolder(tmp_path / "net", other, segmenter, trained_on={**facts, "plan_sha256": "b"})  # type: ignore[arg-type]
    assert "train.steps is 10 there and 20 here" in str(refused.value)
    with pytest.raises(InputError, match="holds a run with another data; choose"):
        TrainingFolder(tmp_path / "net", other, segmenter, trained_on={**facts, "plan_sha256": "a", "data_sha256": "e"})  # type: ignore[arg-type]


class TestOneOfEverything:
    """Where one is meant, a sentence says one."""

    def results(self, errors: list[str], case: str = "a") -> pd.DataFrame:
        rows = {"dataset": "d", "case_id": case, "condition": "clean", "note": "", "error": errors}
        return pd.DataFrame(rows, index=range(len(errors)))

    def test_one_case_of_one_that_cannot_be_read(self) -> None:
        assert _of_failures(self.results(["bad"])) == ["1 of 1 case could not be read and is left out: a"]

    def test_one_prediction_of_a_case_that_counts_otherwise(self) -> None:
        (warning,) = _of_failures(self.results(["", "bad"]))
        assert warning == "1 of 2 predictions failed and is left out; other predictions of its case count: a"

    def test_two_predictions_of_one_case(self) -> None:
        (warning,) = _of_failures(self.results(["", "bad", "bad"]))
        assert "2 of 3 predictions failed and are left out; other predictions of their 1 case count" in warning

    @pytest.mark.parametrize(("n", "says"), [(1, "1 text was longer"), (2, "2 texts were longer")])
    def test_cut_texts(self, n: int, says: str) -> None:
        (warning,) = _cut_texts({"n_texts_cut": n})
        assert warning.startswith(says)
        assert not _cut_texts({})

    @pytest.mark.parametrize(
        ("n", "noun", "many", "says"),
        [(1, "entry", "lack", "1 entry lacks"), (0, "entry", "are", "0 entries are"), (2, "way", "do", "2 ways do")],
    )
    def test_verbs_follow_their_number(self, n: int, noun: str, many: str, says: str) -> None:
        assert f"{counted(n, noun)} {verb(n, many)}" == says

    @pytest.mark.parametrize(("trained", "says"), [(1, "1 of 1 audited patient of d was"), (2, "patients of d were")])
    def test_training_on_test_data(self, trained: int, says: str) -> None:
        facts = Overlap("d", "patient", recorded=True, n_subjects=trained, n_images=trained, trained=trained)
        assert says in facts.warning("net")

    def test_the_page_and_the_messages_have_one_rule(self) -> None:
        assert [count(n, "case") for n in (0, 1, 2)] == [counted(n, "case") for n in (0, 1, 2)]
