"""Each published layout in miniature: prepared, checked, audited on three cases, and shown on a page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import robustness as rb
from robustness.cli.main import app
from robustness.errors import InputError, UnknownNameError
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.load import load_dataset
from robustness.runners.data.prepare.layouts import LAYOUTS, explained
from robustness.runners.data.prepare.polyps import sequences_of_archive
from robustness.runners.data.prepare.write import prepare
from tests.runners.data.prepare import downloads

for library in ("nibabel", "pycocotools"):
    pytest.importorskip(library)

# Layout, the download, options, and what is known of subjects.
CASES = {
    "kvasir-seg": ("kvasir-seg", downloads.kvasir, {}, False),
    "cvc-clinicdb": ("cvc-clinicdb", downloads.clinicdb, {}, True),
    "cvc-clinicdb archive": ("cvc-clinicdb", downloads.clinicdb_archive, {}, False),
    "cvc-300": ("cvc-300", downloads.pranet("CVC-300"), {}, False),
    "cvc-colondb": ("cvc-colondb", downloads.pranet("CVC-ColonDB"), {}, False),
    "cvc-colondb archive": ("cvc-colondb", downloads.colondb_archive, {}, False),
    "etis": ("etis", downloads.pranet("ETIS-LaribPolypDB"), {}, False),
    "etis archive": ("etis", downloads.etis_archive, {}, False),
    "etis, truth inside": ("etis", downloads.etis_flat, {}, False),
    "bkai-igh": ("bkai-igh", downloads.bkai, {}, False),
    "isic-2016": ("isic-2016", downloads.isic_2016, {}, False),
    "isic-2018": ("isic-2018", downloads.isic_2018, {}, True),
    "dfu-2022": ("dfu-2022", downloads.dfu, {}, False),
    "busi": ("busi", downloads.busi, {}, False),
    "camus": ("camus", downloads.camus, {}, True),
    "chexlocalize": ("chexlocalize", downloads.chexlocalize, {}, True),
    "msd": ("msd", downloads.decathlon, {}, True),
    "generic": ("generic", downloads.generic, {"target": "lesion"}, True),
}
LOSSY = {"kvasir-seg", "bkai-igh"}


def test_every_layout_is_built_here_and_explained():
    assert {name for name, *_ in CASES.values()} == set(LAYOUTS)
    for layout in LAYOUTS.values():
        assert layout.tree in explained(layout)


def test_the_command_lists_them_with_licence_source_and_subjects():
    listed = CliRunner().invoke(app, ["prepare", "--list"])
    assert listed.exit_code == 0
    for layout in LAYOUTS.values():
        for text in (layout.name, layout.title, layout.licence, layout.source, layout.subjects, *layout.traps):
            assert text in listed.output


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_download_becomes_a_dataset_that_is_checked_and_audited(case, tmp_path):
    name, write, options, subjects_known = CASES[case]
    masks = write(tmp_path / "download")
    made = prepare(name, tmp_path / "download", tmp_path / "data", options=options)
    findings = check_dataset(tmp_path / "data")
    assert list(findings[findings.level == "error"].message) == []
    assert sum(made.cases.values()) == len(masks)
    assert bool(made.subjects) == subjects_known
    read = {}
    for split in made.cases:
        data = load_dataset(tmp_path / "data", split)
        read |= {one.case_id: one.mask for one in data}
        assert data.subject_is_image != subjects_known
    assert set(read) == set(masks)
    for case_id, mask in masks.items():
        wrong = (read[case_id] != mask).sum()
        assert wrong <= (0.02 * mask.size if name in LOSSY else 0), case_id
    _audited(tmp_path, "test" if "test" in made.cases else next(iter(made.cases)))


def _audited(tmp_path: Path, split: str) -> None:
    data = load_dataset(tmp_path / "data", split, subject="image", limit=3)
    model = rb.segmenter(
        lambda images, prompts: [(image.astype(float).mean(axis=2) / 255).astype(np.float32) for image in images],
        name="brightness",
    )
    run = rb.audit(model, data, perturbations=["empty", "gaussian_noise"], out=tmp_path / "run")
    assert (run.results()["error"] == "").all()
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000


def test_frames_of_the_whole_clinicdb_archive_know_their_sequence_and_those_of_a_part_do_not():
    stems = [str(frame) for frame in range(1, 613)]
    found = sequences_of_archive(stems)
    counted = pd.Series(found).value_counts()
    assert len(counted) == 29
    assert [found[frame] for frame in ("1", "25", "26", "205", "206", "592", "612")] == [
        f"sequence{number:02d}" for number in (1, 1, 2, 10, 11, 29, 29)
    ]
    assert (counted["sequence10"], counted.min(), counted.sum()) == (6, 6, 612)
    assert sequences_of_archive(stems[:-1]) == {}
    assert sequences_of_archive([*stems[:-1], "0"]) == {}


def test_annotation_files_of_the_reference_give_splits_names_and_prompts(tmp_path):
    masks = downloads.busi(tmp_path / "download")
    (tmp_path / "anns").mkdir()
    entries = [
        {"img_name": f"{stem}.png", "mask_name": f"{stem}.png", "prompts": {"p0": "", "p6": f"text of {stem}"}}
        for stem in masks
    ]
    for split, own in (("train", entries[:4]), ("test", entries[4:])):
        (tmp_path / "anns" / f"{split}.json").write_text(json.dumps(own))
    made = prepare("busi", tmp_path / "download", tmp_path / "data", annotations=tmp_path / "anns")
    assert dict(made.cases) == {"train": 4, "test": 2}
    data = load_dataset(tmp_path / "data", "train")
    assert [case.prompt.text for case in data] == [f"text of {stem}" for stem in list(masks)[:4]]
    assert all(np.array_equal(case.mask, masks[case.case_id]) for case in data)


def test_older_names_of_findings_are_matched(tmp_path):
    downloads.chexlocalize(tmp_path / "download")
    (tmp_path / "anns").mkdir()
    stem = "patient64540_study1_view1_frontal"
    entry = {"img_name": f"{stem}.jpg", "mask_name": f"{stem}_cardiomegaly.png", "prompts": {"p6": "x"}}
    (tmp_path / "anns" / "val.json").write_text(json.dumps([entry]))
    made = prepare("chexlocalize", tmp_path / "download", tmp_path / "data", annotations=tmp_path / "anns")
    assert dict(made.cases) == {"val": 1}


@pytest.mark.parametrize(
    ("name", "fields", "error", "message"),
    [
        ("kvasr-seg", {}, UnknownNameError, "did you mean 'kvasir-seg'"),
        ("kvasir-seg", {}, InputError, "--list"),
        ("kvasir-seg", {"options": {"target": "polyp"}}, InputError, "takes no options"),
        ("generic", {}, InputError, "--target"),
    ],
)
def test_a_wrong_name_layout_or_option_is_one_line(tmp_path, name, fields, error, message):
    (tmp_path / "download" / "other").mkdir(parents=True)
    with pytest.raises(error, match=message):
        prepare(name, tmp_path / "download", tmp_path / "data", **fields)


def test_a_folder_that_holds_something_is_not_written_into(tmp_path):
    downloads.dfu(tmp_path / "download")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="new or empty"):
        prepare("dfu-2022", tmp_path / "download", tmp_path / "data")


def test_compressed_masks_without_their_library_name_the_extra(tmp_path, monkeypatch):
    downloads.chexlocalize(tmp_path / "download")
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(InputError, match=r"needs pycocotools; install the extra: pip install .*\[medical\]"):
        prepare("chexlocalize", tmp_path / "download", tmp_path / "data")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "expected a column image or .*found nothing"),
        ("image,patient_id\n", "a row of scan0.png in table.csv, which has 0 other rows"),
        ("image,patient_id\nscan0.png,P0\n", "a row of scan1.png in table.csv, which has 1 other row;"),
        ("image,patient_id\nscan0.png,P0\nscan0.png,P1\n", "two different rows of 'scan0.png'"),
    ],
)
def test_a_table_that_does_not_name_each_image_once_is_refused(tmp_path, table, message):
    """One image without a row made each image a subject of its own, and of two rows the last one counted."""
    downloads.generic(tmp_path / "download")
    (tmp_path / "download" / "table.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        prepare("generic", tmp_path / "download", tmp_path / "data", options={"target": "lesion"})


def test_a_table_may_repeat_a_row_and_name_images_that_are_not_there(tmp_path):
    downloads.generic(tmp_path / "download")
    table = tmp_path / "download" / "table.csv"
    table.write_text(table.read_text() + "scan0.png,P0,train,scanner0\nelsewhere.png,P9,test,scanner1\n")
    made = prepare("generic", tmp_path / "download", tmp_path / "data", options={"target": "lesion"})
    assert dict(made.subjects) == {"train": 1, "val": 1, "test": 1}


def test_splits_of_a_source_that_only_some_images_have_are_drawn_anew_and_said(tmp_path):
    downloads.generic(tmp_path / "download")
    table = tmp_path / "download" / "table.csv"
    whole = prepare("generic", tmp_path / "download", tmp_path / "whole", options={"target": "lesion"})
    table.write_text(table.read_text().replace("scan0.png,P0,train,", "scan0.png,P0,,"))
    made = prepare("generic", tmp_path / "download", tmp_path / "data", options={"target": "lesion"})
    assert not any("split" in note for note in whole.notes)
    assert made.notes[0].startswith("1 of 6 images has no split in the source (first: scan0), so all were drawn anew")
