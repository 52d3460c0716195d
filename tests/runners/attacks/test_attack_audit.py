"""Attacks inside an audit: rows, resume, order, work counted, warnings, and images that the record gives back."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import robustness as rb
from robustness.perturb.attacks.base import AttackSettings
from robustness.perturb.select import Selected
from robustness.registry import PERTURBATIONS
from robustness.runners.attacks.searches import Attacks
from robustness.runners.attacks.worst_prompt import DiceOfTexts
from robustness.runners.models.load import load_model
from tests.synthetic import write_dataset

ATTACK = {"steps": 3, "restarts": 2, "budget": 6, "text_budget": 5, "universal_images": 1, "universal_epochs": 1}
NAMES = ["pgd@1", "pgd@3", "fgsm@3", "query_attack@3", "universal@3", "joint_worst_case@2", "gaussian_noise@3"]
NAMES = [name if name.startswith("joint") else f"image:{name}" for name in NAMES]


def film():
    return load_model("film-unet", device="cpu", config={"image_size": 32, "widths": [8, 16]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=3)


def audited(folder, out, *, prompt: str = "p5", perturbations=NAMES, **options):
    options = {"attack": ATTACK, **options}
    data = rb.load_dataset(folder, prompt=prompt)
    return rb.audit(
        film(), data, perturbations=perturbations, out=out, report=False, metrics={"names": ["dice"]}, **options
    )


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    return audited(folder, tmp_path_factory.mktemp("runs") / "run", engine={"images_per_part": 1})


def attacked(run) -> pd.DataFrame:
    rows = run.results()
    return rows[rows["condition"].str.contains("pgd|fgsm|query|universal") & rows["applicable"]]


@pytest.mark.slow
def test_every_attack_has_rows_that_state_eps_and_losses(run) -> None:
    rows = attacked(run)
    assert rows.groupby("condition").size().to_dict() == {
        "image:fgsm@3": 6,
        "image:pgd@1": 6,
        "image:pgd@2+worst_case": 6,
        "image:pgd@3": 6,
        "image:query_attack@3": 6,
        "image:universal@3": 4,
    }
    records = [json.loads(text) for text in rows["params"]]
    assert {(c, r["eps"]) for c, r in zip(rows["condition"], records, strict=True)} == {
        ("image:fgsm@3", 4.0),
        ("image:pgd@1", 1.0),
        ("image:pgd@2+worst_case", 2.0),
        ("image:pgd@3", 4.0),
        ("image:query_attack@3", 4.0),
        ("image:universal@3", 4.0),
    }
    assert (rows["expectation"] == "none").all()
    assert rows.loc[rows["condition"] == "image:pgd@2+worst_case", "family"].eq("joint").all()
    pgd = [r for c, r in zip(rows["condition"], records, strict=True) if c.startswith("image:pgd@") and "+" not in c]
    assert all(r["loss"] > r["clean_loss"] for r in pgd)


@pytest.mark.slow
def test_the_table_does_not_depend_on_parts_order_or_batch(run, folder, tmp_path) -> None:
    whole = audited(folder, tmp_path / "run", engine={"images_per_part": 3, "image_batch": 1, "batch_size": 1})
    columns = ["case_id", "condition", "prompt", "dice", "mask_change", "params", "note"]
    order = ["case_id", "condition"]
    first, second = (r.results()[columns].sort_values(order, ignore_index=True) for r in (run, whole))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
def test_a_resumed_run_gives_the_same_rows(run, folder, tmp_path) -> None:
    # The universal perturbation is made again from images of other parts.
    options = {"perturbations": ["image:pgd@1", "image:universal@3"], "engine": {"images_per_part": 1}}
    before = audited(folder, tmp_path / "run", **options).results()
    (tmp_path / "run" / "results" / "part-00002.parquet").unlink()
    resumed = audited(folder, tmp_path / "run", **options)
    pd.testing.assert_frame_equal(before, resumed.results())


@pytest.mark.slow
def test_the_record_gives_back_the_picture_that_was_scored(run, folder) -> None:
    data, model = rb.load_dataset(folder, prompt="p5"), film()
    cases = {case.case_id: case for case in data}
    # A fresh bench without the run's settings: the record alone must do.
    bench, judge = Attacks(model, data, AttackSettings()), DiceOfTexts(model)
    for name in ("image:pgd@3", "image:fgsm@3", "image:query_attack@3", "image:pgd@2+worst_case", "image:universal@3"):
        row = attacked(run).set_index("condition").loc[[name]].iloc[-1]
        entry = "joint_worst_case" if "+" in name else name.removeprefix("image:").partition("@")[0]
        bound = bench.bind([Selected(PERTURBATIONS.get(entry)(), row["severity"])])[0].perturbation
        changed = bound.apply(cases[row["case_id"]], json.loads(row["params"]))
        assert judge(changed, [row["prompt"]]) == [pytest.approx(row["dice"], abs=1e-12)], name


def test_work_is_counted_and_bounds_carry_no_verdict(run) -> None:
    timing = run.manifest["timing"]
    # Query attack: the clean image and the budget, for each of six cases.
    assert 0 < timing["n_attack_queries"] <= 6 * (1 + 6)
    assert timing["n_attack_backwards"] > 0
    assert timing["n_attack_forwards"] > timing["n_attack_backwards"]
    assert 0 < timing["n_attack_texts"] <= 6 * 2 * 5
    assert set(run.verdicts()["condition"]) == {"image:gaussian_noise@3"}


@pytest.mark.slow
def test_every_listed_text_has_a_picture_of_its_own(folder, tmp_path) -> None:
    several = audited(folder, tmp_path / "run", prompt="p7", perturbations=["image:pgd@3"])
    rows = attacked(several)
    hashes = rows.assign(sha=[json.loads(p)["sha256"] for p in rows["params"]]).groupby("case_id")["sha"]
    assert (hashes.nunique() == 2).all()


@pytest.mark.slow
def test_an_attack_that_did_not_work_is_a_warning_of_the_run(folder, tmp_path) -> None:
    weak = {**ATTACK, "steps": 1, "restarts": 1, "step_size": 1e-4}
    suspicious = audited(folder, tmp_path / "run", perturbations=["image:pgd@3"], attack=weak)
    assert attacked(suspicious)["note"].str.startswith("suspicious attack (gradient masking?)").all()
    assert any("signs of not having worked" in text for text in suspicious.manifest["warnings"])


def test_a_black_box_gets_the_reason_and_the_query_attack(folder, tmp_path) -> None:
    from tests.synthetic import reads_side

    data = rb.load_dataset(folder, prompt="p5")
    run = rb.audit(
        rb.segmenter(reads_side, name="reader"),
        data,
        perturbations=["image:pgd@1", "image:query_attack@5"],
        attack={"budget": 5},
        out=tmp_path / "run",
        report=False,
    )
    rows = run.results()
    refused = rows[rows["condition"] == "image:pgd@1"]
    assert not refused["applicable"].any()
    assert refused["note"].str.contains("use query_attack").all()
    assert rows.loc[rows["condition"] == "image:query_attack@5", "applicable"].all()


def test_the_budget_of_the_worst_wording_is_a_key_of_the_plan(folder, tmp_path) -> None:
    run = audited(folder, tmp_path / "run", perturbations=["worst_case"])
    rows = run.results()
    records = [json.loads(p) for p in rows.loc[(rows["condition"] == "worst_case") & rows["applicable"], "params"]]
    assert records
    assert all(r["budget"] == 5 and r["tried"] <= 5 for r in records)
