"""Who of an audited dataset a checkpoint was trained on: the record, the comparison, warning, gate and page."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

import robustness as rb
from robustness.plans.finetune import parse_train_plan
from robustness.reports.data.run_tables import read_runs
from robustness.reports.sections.report import build
from robustness.runners.data.membership import digest, members, overlap_of, pixel_digests, training_records
from robustness.runners.models.load import load_model
from robustness.runners.training.finetune import finetune
from tests.synthetic import reads_side, write_dataset

SMALL = {"image_size": 32, "widths": [8, 16], "token_width": 16, "text_width": 24}
FAST = {"config": SMALL, "device": "cpu", "batch_size": 4, "epochs": 1, "quiet": True, "prompt": "p2"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A dataset "set" whose training, validation and test splits hold subjects 0-2, 3 and 4-15."""
    root = write_dataset(tmp_path_factory.mktemp("data") / "set", images=16)
    entries = json.loads((root / "anns" / "test.json").read_text())
    number = {"train": range(3), "val": range(3, 4), "test": range(4, 16)}
    for split, chosen in number.items():
        names = {f"subject{i}" for i in chosen}
        (root / "anns" / f"{split}.json").write_text(json.dumps([e for e in entries if e["subject"] in names]))
    return root


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    return finetune("film-unet", data=data, out=tmp_path_factory.mktemp("nets") / "net", **FAST).folder


def _overlap(folder, data, split="test"):
    return overlap_of(load_model("film-unet", folder, device="cpu"), rb.load_dataset(data, split=split, prompt="p2"))


class TestRecord:
    def test_names_are_hashes_that_can_be_compared(self, data):
        record = members(rb.load_dataset(data, split="train", prompt="p2"), role="train")
        assert record["ids"] == sorted(digest(f"subject{i}") for i in range(3))
        assert (record["role"], record["data"], record["unit"], len(record["images"])) == ("train", "set", "patient", 3)
        assert "subject0" not in json.dumps(record)

    def test_plain_and_off(self, data):
        dataset = rb.load_dataset(data, split="train", prompt="p2")
        assert members(dataset, role="train", form="plain")["ids"] == ["subject0", "subject1", "subject2"]
        assert not {"ids", "images"} & set(members(dataset, role="train", form="off"))

    def test_the_checkpoint_holds_it_and_the_card_counts_it(self, trained):
        records = json.loads((trained / "config.json").read_text())["trained_on"]["subjects"]
        assert [(r["role"], len(r["ids"])) for r in records] == [("train", 3), ("validation", 1)]
        assert "train 3 patients of `set`, validation 1 patient of `set`" in (trained / "README.md").read_text()

    def test_it_changes_no_weights(self):
        tree = {"model": {"name": "film-unet"}, "data": {"path": "d"}}
        assert parse_train_plan(tree).sha256() == parse_train_plan(tree | {"train": {"subjects": "off"}}).sha256()

    def test_a_training_that_starts_from_it_keeps_its_subjects(self, data, trained, tmp_path):
        folder = finetune(
            "film-unet", data=data, out=tmp_path / "next", checkpoint=trained, split="test", val_split="val", **FAST
        ).folder
        records = training_records(load_model("film-unet", folder, device="cpu"))
        assert {(r["role"], r["split"]) for r in records} == {
            ("train", "test"),
            ("validation", "val"),
            ("train", "train"),
        }
        assert _overlap(folder, data, "train").trained == 3


class TestComparison:
    def test_of_other_patients(self, data, trained):
        found = _overlap(trained, data)
        assert (found.status, found.n_subjects, found.trained, found.images, found.warning("m")) == (
            "none",
            12,
            0,
            0,
            "",
        )

    def test_of_the_training_and_the_validation_split(self, data, trained):
        found = _overlap(trained, data, "train")
        assert (found.status, found.trained, found.validated, found.images) == ("overlap", 3, 0, 3)
        assert "3 of 3 audited patients of set were trained on" in found.warning("net")
        assert _overlap(trained, data, "val").validated == 1

    def test_an_image_under_another_name_in_other_data_is_known_by_its_content(self, data, trained, tmp_path):
        copy = tmp_path / "other"
        shutil.copytree(data, copy)
        entries = json.loads((copy / "anns" / "test.json").read_text())
        shutil.copy(copy / "images" / "s00.png", copy / "images" / "x.png")
        for entry in entries[:2]:
            entry |= {"img_name": "x.png", "subject": "somebody"}
        (copy / "anns" / "test.json").write_text(json.dumps(entries))
        found = _overlap(trained, copy)
        assert (found.status, found.trained, found.images, found.namesakes) == ("overlap", 1, 1, 0)

    @pytest.mark.parametrize("suffix", ["tiff", "bmp", "png"])
    def test_a_copy_in_another_file_is_known_by_its_pixels(self, data, trained, tmp_path, suffix):
        copy = tmp_path / "other"
        shutil.copytree(data, copy)
        with Image.open(copy / "images" / "s00.png") as image:
            image.save(copy / "images" / f"x.{suffix}", **({"compress_level": 1} if suffix == "png" else {}))
        assert (copy / "images" / f"x.{suffix}").read_bytes() != (copy / "images" / "s00.png").read_bytes()
        entries = json.loads((copy / "anns" / "test.json").read_text())
        for entry in entries[:2]:
            entry |= {"img_name": f"x.{suffix}", "subject": "somebody"}
        (copy / "anns" / "test.json").write_text(json.dumps(entries))
        found = _overlap(trained, copy)
        assert (found.status, found.trained, found.images) == ("overlap", 1, 1)

    def test_images_of_one_value_and_unreadable_ones_are_no_copies(self, data, tmp_path):
        copy = tmp_path / "other"
        shutil.copytree(data, copy)
        dataset = rb.load_dataset(copy, split="train", prompt="p2")
        assert len(pixel_digests(dataset)) == 3
        with Image.open(copy / "images" / "s00.png") as image:
            Image.new("RGB", image.size, (7, 7, 7)).save(copy / "images" / "s00.png")
        (copy / "images" / "s01.png").write_bytes(b"no image")
        assert len(pixel_digests(rb.load_dataset(copy, split="train", prompt="p2"))) == 1

    def test_equal_names_in_other_data_are_counted_and_not_held_against_it(self, data, trained, tmp_path):
        copy = tmp_path / "other"
        shutil.copytree(data, copy)
        for path in (copy / "images").glob("*.png"):
            Image.open(path).point(lambda v: max(0, v - 1)).save(path)
        found = _overlap(trained, copy, "train")
        assert (found.status, found.trained, found.images, found.namesakes) == ("none", 0, 0, 3)

    @pytest.mark.parametrize("form", ["plain", "off"])
    def test_the_plan_says_how_names_are_recorded(self, data, tmp_path, form):
        folder = finetune("film-unet", data=data, out=tmp_path / form, subjects=form, **FAST).folder
        assert _overlap(folder, data, "train").status == {"plain": "overlap", "off": "not recorded"}[form]

    def test_a_black_box_and_an_old_checkpoint_record_nothing(self, data, trained, tmp_path):
        dataset = rb.load_dataset(data, split="train", prompt="p2")
        assert overlap_of(rb.segmenter(reads_side, name="box"), dataset).status == "not recorded"
        shutil.copytree(trained, tmp_path / "old")
        document = json.loads((tmp_path / "old" / "config.json").read_text())
        del document["trained_on"]["subjects"]
        (tmp_path / "old" / "config.json").write_text(json.dumps(document))
        assert _overlap(tmp_path / "old", data, "train").status == "not recorded"

    def test_what_is_not_recorded_is_named_though_nobody_was_found(self, data, trained, tmp_path):
        def gap_of(change):
            folder = tmp_path / str(len(list(tmp_path.iterdir())))
            shutil.copytree(trained, folder)
            document = json.loads((folder / "config.json").read_text())
            change(document["trained_on"])
            (folder / "config.json").write_text(json.dumps(document))
            found = _overlap(folder, data)
            return found.status, found.gap, found.complete

        assert gap_of(lambda facts: None) == ("none", "", True)
        # Records of older versions know no pixels: a copy in another file could not be found.
        assert gap_of(lambda facts: facts["subjects"][0].pop("pixels")) == ("none", "", False)
        off = gap_of(lambda facts: facts["subjects"].append({"role": "train", "data": "set", "form": "off"}))
        assert off[:2] == ("none", "a part of its training was recorded without names and images")
        other = gap_of(lambda facts: [record.update(unit="image") for record in facts["subjects"]])
        assert "each image of set and the audit each patient" in other[1]
        published = gap_of(lambda facts: facts.update(started_from={"sha256": {"model.safetensors": "0"}}))
        assert published == ("none", "", False)

    def test_images_of_unknown_patients_prove_nothing(self, trained, tmp_path):
        data = rb.load_dataset(write_dataset(tmp_path / "set", images=3), subject="image", prompt="p2")
        found = overlap_of(load_model("film-unet", trained, device="cpu"), data)
        assert (found.complete, found.incomplete[:20]) == (False, "no patient is known,")

    def test_an_ensemble_with_a_member_that_records_nothing_says_so(self, data, trained):
        ensemble = load_model("ensemble", members=[{"name": "film-unet", "checkpoint": str(trained)}] * 2, device="cpu")
        ensemble.members[1].provenance = {"random": True}
        found = overlap_of(ensemble, rb.load_dataset(data, split="test", prompt="p2"))
        assert (found.status, found.gap) == ("none", "one of its members does not record its training")

    def test_an_ensemble_knows_what_its_members_saw(self, data, trained):
        member = {"name": "film-unet", "checkpoint": str(trained)}
        model = load_model("ensemble", members=[member, member], device="cpu")
        assert overlap_of(model, rb.load_dataset(data, split="train", prompt="p2")).trained == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("split", "outcome", "says"),
    [
        ("train", "fail", "3 of 3 audited patients of set were trained on"),
        ("test", "pass", "none of 12 patients is in the record"),
        ("box", "inconclusive", "does not record whom it was trained on"),
    ],
)
def test_warning_manifest_gate_and_page(data, trained, tmp_path, split, outcome, says):
    model = rb.segmenter(reads_side, name="box") if split == "box" else load_model("film-unet", trained, device="cpu")
    dataset = rb.load_dataset(data, split="test" if split == "box" else split, prompt="p2")
    run = rb.audit(model, dataset, perturbations=["empty"], out=tmp_path / "run", report=False)
    warned = [text for text in run.manifest["warnings"] if "has seen test data in training" in text]
    assert len(warned) == (outcome == "fail")
    assert "ids" not in json.dumps(run.manifest["models"]).replace("n_ids", "")
    (tmp_path / "gates.toml").write_text('[[gate]]\ntest = "no_training_overlap"\n')
    row = run.gate(tmp_path / "gates.toml").iloc[0]
    assert (row.outcome, says in row.message) == (outcome, True), row.message
    report = build(read_runs(run.path))
    assert [text in report.warnings for text in warned] == [True] * len(warned)
    line = next(fact.text for fact in report.overviews[0].facts if fact.label == "Seen in training")
    shown = {"fail": says, "pass": "none of the 12 patients and 12 images of set", "inconclusive": "is not recorded"}
    assert shown[outcome] in line
    assert any("were trained on: no record of box" in text for text in report.coverage.untested) == (split == "box")
