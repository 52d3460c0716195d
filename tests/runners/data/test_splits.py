"""Splits by whole subjects: nothing leaks, nothing is lost, and other data is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import InputError
from robustness.plans.audit import parse_plan
from robustness.runners.data.load import load_dataset
from robustness.runners.data.records import Record
from robustness.runners.data.resplit import split_dataset
from robustness.runners.data.splits import make_splits, read_splits


def records_of(sizes: list[int], targets: tuple[str, ...] = ("polyp",)) -> list[Record]:
    """One record per image; subject i has sizes[i] images, targets taken in turn."""
    made = []
    for subject, size in enumerate(sizes):
        for number in range(size):
            name = f"s{subject:03d}_{number}.png"
            made.append(
                Record(
                    where=name,
                    case_id=name[:-4],
                    image_name=name,
                    image_path=Path(name),
                    mask_name=name,
                    mask_path=Path(name),
                    texts=("polyp",),
                    extra={"subject": f"s{subject:03d}"},
                    target=targets[number % len(targets)],
                )
            )
    return made


def divide(records: list[Record], **options: Any) -> Any:
    return make_splits(records, data="set", sources=("train",), files=(), **options)


@settings(max_examples=60, deadline=None)
@example(sizes=[1, 1, 1, 1, 1, 1, 6], folds=2, seed=0)
@given(sizes=st.lists(st.integers(1, 6), min_size=7, max_size=30), folds=st.integers(2, 5), seed=st.integers(0, 99))
def test_every_subject_is_tested_once_and_never_trained_on_in_that_fold(
    sizes: list[int], folds: int, seed: int
) -> None:
    records = records_of(sizes)
    made = divide(records, folds=folds, seed=seed)
    tested = [case for fold in range(folds) for case in made.cases[f"fold{fold}-test"]]
    assert sorted(tested) == sorted(record.case_id for record in records)
    for fold in range(folds):
        parts = [{case[:4] for case in made.cases[f"fold{fold}-{part}"]} for part in ("train", "val", "test")]
        assert all(parts)
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(sizes)


def test_parts_agree_in_size_and_in_their_share_of_targets() -> None:
    made = divide(records_of([4] * 40, targets=("polyp", "polyp", "polyp", "ulcer")), folds=5, val=0.25)
    for fold in range(5):
        assert len(made.cases[f"fold{fold}-test"]) == 32
        assert len(made.cases[f"fold{fold}-val"]) == 32
    rare = records_of([2] * 30) + [
        Record(
            **{
                **{f: getattr(r, f) for f in Record.__slots__},
                "target": "ulcer",
                "case_id": f"u{r.case_id}",
                "image_name": f"u{r.image_name}",
                "extra": {"subject": f"u{r.extra['subject']}"},
            }
        )
        for r in records_of([1] * 10)
    ]
    for fold, part in ((f, divide(rare, folds=5)) for f in range(5)):
        assert sum(case.startswith("u") for case in part.cases[f"fold{fold}-test"]) == 2


def test_shares_of_a_single_split_are_met() -> None:
    made = divide(records_of([3] * 100), val=0.1, test=0.3, seed=4)
    sizes = {name: len(cases) for name, cases in made.cases.items()}
    assert sizes["test"] == pytest.approx(90, abs=3)
    assert sizes["val"] == pytest.approx(21, abs=3)
    assert sum(sizes.values()) == 300


def test_the_draw_depends_on_the_seed_and_on_nothing_else() -> None:
    records = records_of([2] * 20)
    assert divide(records, folds=4, seed=1).cases == divide(records, folds=4, seed=1).cases
    assert divide(records, folds=4, seed=1).cases != divide(records, folds=4, seed=2).cases
    there, back = (divide(order, folds=4, seed=1).cases["fold0-test"] for order in (records, records[::-1]))
    assert sorted(there) == sorted(back)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"folds": 1}, "folds: expected at least 2"),
        ({"folds": 20}, "at least 22 subjects"),
        ({"val": 0.0}, "val: expected a share"),
        ({"test": 1.0}, "test: expected a share"),
        ({"by": "patient"}, "subject: expected 'image'"),
    ],
)
def test_what_cannot_be_divided_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide(records_of([2] * 10), **options)


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ([1], {}, r"^data: expected at least 3 subjects for .*, .* has 1; add subjects$"),
        ([4], {}, r"^data: expected at least 3 subjects for .*, .* has 1; add subjects, or divide by 'image'$"),
        ([1, 1], {"by": "image"}, r"^data: .* has 2 \(each image counts as one\); add subjects$"),
        ([1] * 3, {"folds": 2}, r"^folds: expected at least 4 subjects for .*, .* has 3; add subjects$"),
        ([2] * 4, {"folds": 3}, r"^folds: .* has 4; ask for fewer folds, or divide by 'image'$"),
    ],
)
def test_too_few_subjects_are_told_what_helps_them(sizes: list[int], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        divide(records_of(sizes), **options)


def test_an_image_of_two_subjects_is_refused() -> None:
    records = records_of([1] * 8)
    twin = Record(**{**{f: getattr(records[0], f) for f in Record.__slots__}, "extra": {"subject": "other"}})
    with pytest.raises(InputError, match=r"image 's000_0\.png' belongs to the subjects 's000' and 'other'"):
        divide([*records, twin], folds=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset folder of ten patients with two images each, in two splits of its own."""
    place = tmp_path / "polyps"
    for kind in ("images", "masks", "anns"):
        (place / kind).mkdir(parents=True)
    entries = []
    for number in range(20):
        name = f"p{number // 2}_{number % 2}.png"
        Image.fromarray(np.full((32, 32, 3), number * 10, np.uint8)).save(place / "images" / name)
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(place / "masks" / name)
        entries.append(
            {
                "img_name": name,
                "mask_name": name,
                "subject": f"p{number // 2}",
                "prompts": {"p0": "", "p6": "one small polyp"},
            }
        )
    for split, part in (("train", entries[:14]), ("test", entries[14:])):
        (place / "anns" / f"{split}.json").write_text(json.dumps(part), encoding="utf-8")
    return place


def test_a_made_split_opens_as_a_dataset_and_states_its_file(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "folds.json"
    made = split_dataset(folder, file, folds=5)
    assert read_splits(file) == made
    data = load_dataset(folder, split="fold2-test", splits=file)
    assert [info.case_id for info in data.infos] == list(made.cases["fold2-test"])
    assert len({info.subject_id for info in data.infos}) == made.subjects["fold2-test"] == 2
    assert not data.subject_is_image
    assert any(name.endswith("folds.json") for name in data.fingerprint())
    assert data[0].mask.sum() == 32


def test_a_manifest_is_divided_too(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    lines = ["image,mask,prompt,subject_id"] + [f"i{n}.png,m{n}.png,polyp,s{n}" for n in range(9)]
    table.write_text("\n".join(lines), encoding="utf-8")
    split_dataset(table, tmp_path / "s.json", test=0.3, val=0.3)
    parts = [load_dataset(table, split=name, splits=tmp_path / "s.json") for name in ("train", "val", "test")]
    assert sum(map(len, parts)) == 9
    assert len({info.case_id for part in parts for info in part.infos}) == 9


def test_data_that_changed_since_is_refused(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "folds.json"
    split_dataset(folder, file, folds=3)
    entries = json.loads((folder / "anns" / "test.json").read_text("utf-8"))
    (folder / "anns" / "test.json").write_text(json.dumps(entries[:-1]), encoding="utf-8")
    with pytest.raises(InputError, match=r"made from another version of test\.json"):
        load_dataset(folder, split="fold0-test", splits=file)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"schema": "other"}', '{"schema": "robustness-splits/1"}'])
def test_a_file_that_holds_no_splits_is_one_clear_error(folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "bad.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="splits: expected a file made by `robustness split`"):
        load_dataset(folder, split="fold0-test", splits=tmp_path / "bad.json")


def test_the_command_prints_the_parts_and_a_plan_can_name_them(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "folds.json"
    shown = CliRunner().invoke(app, ["split", str(folder), "--folds", "3", "--out", str(file), "--by", "subject"])
    assert shown.exit_code == 0, shown.output
    assert "fold2-val" in shown.output
    plan = parse_plan(
        {"model": {"name": "unet"}, "data": {"path": str(folder), "split": "fold1-test", "splits": str(file)}}
    )
    from robustness.workflows.loading import load_data

    assert load_data(plan.data[0], seed=0).split == "fold1-test"


def test_a_wrong_split_names_the_near_one(folder: Path, tmp_path: Path) -> None:
    split_dataset(folder, tmp_path / "folds.json", folds=3)
    with pytest.raises(InputError, match="fold0-test"):
        load_dataset(folder, split="fold0_test", splits=tmp_path / "folds.json")


def test_volumes_are_divided_as_their_plan_cuts_them(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    lines = ["image,mask,subject_id"]
    for n in range(6):
        voxels = np.zeros((6, 7, 4), np.uint8)
        voxels[1:4, 2:5, 1:3] = 1
        for name in (f"v{n}.nii.gz", f"m{n}.nii.gz"):
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / name)
        lines.append(f"v{n}.nii.gz,m{n}.nii.gz,P{n // 2}")
    (tmp_path / "cases.csv").write_text("\n".join(lines) + "\n")
    plan = tmp_path / "audit.toml"
    plan.write_text("[data]\npath = 'cases.csv'\nlabels = { 1 = 'tumor' }\nslices = { plane = 'axial' }\n")
    out = tmp_path / "splits.json"
    assert CliRunner().invoke(app, ["split", str(plan), "--out", str(out)]).exit_code == 0
    assert read_splits(out).subjects == {"train": 1, "val": 1, "test": 1}
    data = load_dataset(
        tmp_path / "cases.csv", "test", splits=out, labels={"1": "tumor"}, slices={"plane": "axial"}, prompt="p6"
    )
    assert len(data) == 4
    refused = CliRunner().invoke(app, ["split", str(tmp_path / "cases.csv"), "--out", str(out)])
    assert isinstance(refused.exception, InputError)
    assert CliRunner().invoke(app, ["check", str(plan)]).exit_code == 0


def test_rows_that_name_no_split_are_told_when_a_table_is_divided(tmp_path: Path) -> None:
    rows = [f"{n}.png,{n}.png,one polyp,P{n},{'train' if n < 4 else ''}" for n in range(6)]
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(["image,mask,prompt,subject,split", *rows]) + "\n")
    said = CliRunner().invoke(app, ["split", str(table), "--out", str(tmp_path / "splits.json")])
    assert said.exit_code == 0
    assert "warning: 2 of 6 rows name no split (first: cases.csv row 5)" in said.stderr
