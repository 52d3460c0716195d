"""Several models on several data sets as one plan: where each was finetuned, what it loses elsewhere, one page."""

from __future__ import annotations

import pytest

import robustness as rb
from robustness.plans.audit import load_plan
from robustness.reports.data.frames import merge
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections.report import build
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.workflows.audit import audit_plan
from robustness.workflows.run import Run
from tests.synthetic import write_dataset

pytestmark = pytest.mark.slow

PLAN = """
title = "a matrix"
published = true

[[model]]
name = "film-unet"
checkpoint = "vlsm"
label = "reader"

[[model]]
name = "unet"
config = {{ encoder_name = "resnet18", encoder_weights = "none", image_size = 64 }}
trained_on = "south"
label = "cnn"

[[data]]
path = "north"
prompt = "p2"

[[data]]
path = "south"
prompt = "p2"

[perturbations]
prompt = ["antonym:side"]
image = {{ kinds = ["jpeg"], severities = [3] }}

[statistics]
resamples = 199
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("matrix")
    write_dataset(root / "north", images=6)
    write_dataset(root / "south", images=4, size=40)
    reader = rb.load_model("film-unet", config={"image_size": 32, "widths": [8, 16]}, device="cpu")
    save_checkpoint(root / "vlsm", reader, trained_on={"data": "north"})  # type: ignore[arg-type]
    (root / "plan.toml").write_text(PLAN.format(), encoding="utf-8")
    return audit_plan(load_plan(root / "plan.toml"), folder=root, out=root / "run")


def test_every_model_meets_every_data_set(run: Run) -> None:
    results = run.results()
    pairs = set(results[["model", "dataset"]].itertuples(index=False, name=None))
    assert pairs == {(m, d) for m in ("reader", "cnn") for d in ("north", "south")}
    assert (results["error"] == "").all()


def test_the_manifest_says_what_each_model_was_finetuned_on_and_whether_it_reads(run: Run) -> None:
    reader, cnn = run.manifest["models"]
    assert (reader["label"], reader["takes_text"], reader["weights"]["trained_on"]["data"]) == ("reader", True, "north")
    assert (cnn["label"], cnn["takes_text"], cnn["finetuned_on"]) == ("cnn", False, "south")
    origins = merge(read_runs([run.path])).origins
    assert origins["reader"].finetuned_on == ("north",)
    assert origins["cnn"].finetuned_on == ("south",)


def test_the_page_holds_the_matrix_and_the_published_figures_apart(run: Run) -> None:
    report = build(read_runs([run.path]), images=False, published=bool(run.plan.published))
    figures = {figure.family: figure for figure in report.figures}
    names = [column.name for column in figures["matrix"].table.columns]
    cells = [dict(zip(names, row, strict=True)) for row in figures["matrix"].table.rows]
    assert {(c["model"], c["dataset"]): c["note"] for c in cells} == {
        ("reader", "north"): "own data",
        ("reader", "south"): "",
        ("cnn", "north"): "",
        ("cnn", "south"): "own data",
    }
    assert {c["model"]: c["text"] for c in cells} == {"reader": "vision-language", "cnn": "image only"}
    away = next(c for c in cells if c["model"] == "reader" and c["dataset"] == "south")
    means = run.results().query("condition == 'clean' and model == 'reader'").groupby("dataset")["dice"].mean()
    assert away["loss"] == pytest.approx(means["north"] - means["south"])
    assert "published" in figures
    page = (run.path / "report.html").read_text("utf-8")
    assert "Published, not measured here" in page
    assert "finetuned on north" in page


def test_published_figures_are_no_part_of_what_the_results_depend_on(run: Run) -> None:
    assert run.plan.model_copy(update={"published": None}).sha256() == run.plan.sha256()
    again = run.report(run.path / "plain.html", published=False)
    assert "Published, not measured here" not in again.read_text("utf-8")
