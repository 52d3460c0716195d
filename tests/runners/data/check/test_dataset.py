"""`check_dataset`: one planted fault, one finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage

import robustness as rb
from robustness.errors import InputError
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.check.files import InvertedMasks
from robustness.runners.data.check.findings import COLUMNS
from robustness.runners.data.check.opened import check_opened

Entries = dict[str, list[dict[str, Any]]]


def entry(name: str, subject: str) -> dict[str, Any]:
    prompts = {"p0": "", "p1": "polyp", "p6": f"one polyp {name}"}
    return {"img_name": f"{name}.png", "mask_name": f"{name}.png", "subject": subject, "prompts": prompts}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound dataset: two splits, two subjects each."""
    root = tmp_path / "clinicdb_polyp"
    for part in ("images", "masks", "anns"):
        (root / part).mkdir(parents=True)
    for split, names in (("train", "abc"), ("test", "xyz")):
        for place, name in enumerate(names):
            rng = np.random.default_rng(ord(name))
            PILImage.fromarray(rng.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(root / "images" / f"{name}.png")
            mask = np.zeros((10, 12), np.uint8)
            mask[2 : 4 + place, 3:7] = 255
            PILImage.fromarray(mask).save(root / "masks" / f"{name}.png")
        entries = [entry(name, f"{split}{place // 2}") for place, name in enumerate(names)]
        (root / "anns" / f"{split}.json").write_text(json.dumps(entries))
    return root


def edit(folder: Path, change: Callable[[Entries], object]) -> None:
    """Change the annotations of a folder in place."""
    splits = {path.stem: json.loads(path.read_text()) for path in (folder / "anns").glob("*.json")}
    change(splits)
    for name, entries in splits.items():
        (folder / "anns" / f"{name}.json").write_text(json.dumps(entries))


def ramp() -> PILImage.Image:
    return PILImage.linear_gradient("L").resize((12, 10))


def codes(table: pd.DataFrame) -> set[str]:
    return set(table["code"])


def test_a_sound_dataset_has_no_finding(folder: Path) -> None:
    table = rb.check_dataset(folder)
    assert table.empty
    assert tuple(table.columns) == COLUMNS


class TestFiles:
    @pytest.mark.parametrize(
        ("damage", "code", "level"),
        [
            (lambda root: (root / "images/x.png").unlink(), "missing_image", "error"),
            (lambda root: (root / "masks/x.png").unlink(), "missing_mask", "error"),
            (lambda root: (root / "images/x.png").write_bytes(b"x"), "unreadable_image", "error"),
            (lambda root: (root / "masks/x.png").write_bytes(b"x"), "unreadable_mask", "error"),
            (lambda root: PILImage.new("L", (9, 9), 255).save(root / "masks/x.png"), "size_mismatch", "error"),
            (lambda root: PILImage.new("L", (12, 10)).save(root / "masks/x.png"), "empty_mask", "warning"),
            (lambda root: PILImage.new("L", (12, 10), 255).save(root / "masks/x.png"), "full_mask", "warning"),
            (lambda root: ramp().save(root / "masks/x.png"), "undeclared_mask", "error"),
        ],
    )
    def test_a_damaged_file_is_found_with_its_case(
        self, folder: Path, damage: Callable[[Path], object], code: str, level: str
    ) -> None:
        damage(folder)
        found = check_dataset(folder)
        row = found[found.code == code].iloc[0]
        assert (row.level, row.split, row.case_id, row.file) == (level, "test", "x", "x.png")

    def test_without_pixels_only_missing_files_are_found(self, folder: Path) -> None:
        (folder / "images/x.png").write_bytes(b"x")
        (folder / "masks/y.png").unlink()
        assert codes(check_dataset(folder, pixels=False)) == {"missing_mask"}

    def test_jpeg_masks_are_counted(self, folder: Path) -> None:
        PILImage.open(folder / "masks/x.png").save(folder / "masks/x.jpg")
        edit(folder, lambda splits: splits["test"][0].update(mask_name="x.jpg"))
        found = check_dataset(folder)
        assert codes(found) == {"jpeg_masks"}
        assert "JPEG: 1" in found.message[0]

    def test_an_exif_turned_image_fits_a_mask_of_either_frame(self, folder: Path) -> None:
        exif = PILImage.Exif()
        exif[0x0112] = 6
        PILImage.open(folder / "images/x.png").save(folder / "images/x.png", exif=exif)
        assert check_dataset(folder).empty


class TestEntries:
    def test_a_repeat_is_an_error(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"].append(splits["test"][0]))
        found = check_dataset(folder)
        assert codes(found) == {"duplicate_entry"}
        assert found.level[0] == "error"

    def test_two_entries_with_one_case_id_are_an_error(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"].append({**splits["test"][0], "img_name": "y.png"}))
        assert "case_id_conflict" in codes(check_dataset(folder))

    def test_an_empty_text_is_a_warning(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"][1]["prompts"].update(p6=" "))
        assert codes(check_dataset(folder)) == {"empty_prompt"}

    def test_a_missing_prompt_is_an_error(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"][1]["prompts"].pop("p6"))
        assert codes(check_dataset(folder)) == {"no_prompt", "prompt_key_missing"}

    def test_a_split_without_the_key_is_an_error(self, folder: Path) -> None:
        edit(folder, lambda splits: [item["prompts"].pop("p6") for item in splits["train"]])
        found = check_dataset(folder)
        assert (found.code[0], found.split[0]) == ("prompt_key_missing", "train")

    def test_no_subject_and_some_subjects_are_told_apart(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"][0].pop("subject"))
        assert codes(check_dataset(folder)) == {"subject_missing"}
        edit(folder, lambda splits: [item.pop("subject", None) for group in splits.values() for item in group])
        assert codes(check_dataset(folder)) == {"no_subject"}

    @pytest.mark.parametrize("text", ["NA", "nan", "N/A", "unknown", "-"])
    def test_what_says_that_nobody_is_known_is_no_subject(self, folder: Path, text: str) -> None:
        edit(folder, lambda splits: splits["test"][0].update(subject=text))
        assert codes(check_dataset(folder)) == {"subject_missing"}
        edit(folder, lambda splits: [item.update(subject=text) for group in splits.values() for item in group])
        assert codes(check_dataset(folder)) == {"no_subject"}

    @pytest.mark.parametrize("text", ["", "NA"])
    def test_a_key_that_the_plan_does_not_choose_may_lack_names(self, folder: Path, text: str) -> None:
        edit(folder, lambda splits: [i.update(pid=i["subject"]) for items in splits.values() for i in items])
        edit(folder, lambda splits: splits["test"][0].update(subject=text))
        assert codes(check_dataset(folder, subject="pid")) == set()
        assert codes(check_dataset(folder, subject="subject")) == {"subject_missing"}


class TestSplits:
    @pytest.mark.parametrize(("first", "second"), [("P07", "p7"), ("7", "007"), ("Case  A", "case A")])
    def test_a_subject_in_two_spellings_is_found(self, folder: Path, first: str, second: str) -> None:
        edit(folder, lambda splits: splits["train"][0].update(subject=first))
        edit(folder, lambda splits: splits["train"][2].update(subject=second))
        found = check_dataset(folder)
        assert (codes(found), found.split[0]) == ({"subject_spellings"}, "train")
        assert "count as two subjects" in found.message[0]

    @pytest.mark.parametrize(("first", "second"), [("P07", "p7"), ("7", "007"), ("Case  A", "case A")])
    def test_so_is_one_that_two_splits_spell_otherwise(self, folder: Path, first: str, second: str) -> None:
        edit(folder, lambda splits: splits["train"][0].update(subject=first))
        edit(folder, lambda splits: splits["test"][2].update(subject=second))
        found = check_dataset(folder)
        assert list(found.code) == ["subject_in_splits"]
        assert f"{first!r} (train)" in found.message[0]
        assert f"{second!r} (test)" in found.message[0]

    def test_names_that_differ_in_more_than_their_spelling_are_none(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["train"][0].update(subject="p70"))
        edit(folder, lambda splits: splits["test"][2].update(subject="p7"))
        assert check_dataset(folder).empty

    def test_a_subject_in_two_splits_is_found(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"][0].update(subject="train0"))
        found = check_dataset(folder)
        assert codes(found) == {"subject_in_splits"}
        assert "'train0' is in the splits train, test" in found.message[0]

    def test_one_split_alone_shares_nothing(self, folder: Path) -> None:
        edit(folder, lambda splits: splits["test"][0].update(subject="train0"))
        assert check_dataset(folder, split="test").empty

    def test_an_image_in_two_splits_is_found_under_one_name_and_under_two(self, folder: Path) -> None:
        (folder / "images/x.png").write_bytes((folder / "images/a.png").read_bytes())
        assert codes(check_dataset(folder)) == {"same_image"}
        edit(folder, lambda splits: splits["test"][0].update(img_name="a.png"))
        assert codes(check_dataset(folder)) == {"image_in_splits"}

    def test_identical_annotation_files_are_an_error(self, folder: Path) -> None:
        (folder / "anns/val.json").write_bytes((folder / "anns/test.json").read_bytes())
        found = check_dataset(folder)
        assert found.code[0] == "identical_splits"
        assert {"image_in_splits", "subject_in_splits"} <= codes(found)

    def test_a_single_subject_is_a_warning(self, folder: Path) -> None:
        edit(folder, lambda splits: [item.update(subject="one") for item in splits["test"]])
        assert codes(check_dataset(folder)) == {"one_subject"}


class TestManifest:
    def test_a_manifest_is_checked_over_its_splits(self, folder: Path) -> None:
        rows = [
            {"image": f"images/{n}.png", "mask": f"masks/{n}.png", "prompt": f"polyp {n}", "subject_id": s, "split": p}
            for n, s, p in (("a", "1", "train"), ("x", "1", "test"), ("y", "2", "test"), ("y", "2", "test"))
        ]
        pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
        found = check_dataset(folder / "cases.csv")
        assert codes(found) == {"duplicate_entry", "subject_in_splits", "no_modality"}
        assert list(found.level) == ["error", "warning", "info"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"split": "tset"}, "did you mean 'test'"), ({"prompt": "q"}, "expected one of p0, p1, p6")],
)
def test_wrong_arguments_list_what_exists(folder: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_dataset(folder, **options)


def test_no_dataset_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a dataset folder or a \.csv"):
        check_dataset(tmp_path / "no")


@pytest.mark.slow
def test_the_development_data_has_no_error(shared: Path) -> None:
    assert "error" not in set(check_dataset(shared / "data" / "head_ct").level)


class TestInvertedMasks:
    def rewrite(self, folder: Path, change: Callable[[np.ndarray], np.ndarray], *, but: str = "") -> None:
        for path in (folder / "masks").glob("*.png"):
            if path.stem not in but:
                PILImage.fromarray(change(np.asarray(PILImage.open(path)))).save(path)

    @pytest.fixture
    def larger(self, folder: Path) -> Path:
        """Three cases a split say little: these have six in one."""

        def all_in_test(splits: Entries) -> None:
            splits["test"] += splits["train"]

        edit(folder, all_in_test)
        (folder / "anns" / "train.json").unlink()
        return folder

    def test_they_are_found_by_the_check_and_before_an_audit(self, larger: Path) -> None:
        assert "inverted_masks" not in codes(check_dataset(larger))
        self.rewrite(larger, lambda mask: 255 - mask)
        found = check_dataset(larger).set_index("code").loc["inverted_masks"]
        assert (found.level, found.split) == ("warning", "test")
        assert found.message.startswith("6 of 6 masks of this split cover most of the image and of its edge")
        opened = [f for f in check_opened(rb.load_dataset(larger)) if f.code == "inverted_masks"]
        assert [f.message for f in opened] == [found.message]

    def test_some_large_objects_and_few_masks_are_no_finding(self, larger: Path) -> None:
        self.rewrite(larger, lambda mask: 255 - mask, but="a")
        assert "inverted_masks" not in codes(check_dataset(larger))
        self.rewrite(larger, lambda mask: mask * 0, but="bcxy")
        assert "inverted_masks" not in codes(check_dataset(larger))

    def test_large_objects_inside_the_image_and_whole_images_are_no_finding(self, larger: Path) -> None:
        self.rewrite(larger, lambda mask: np.pad(np.full((8, 10), 255, np.uint8), 1))
        assert "inverted_masks" not in codes(check_dataset(larger))
        self.rewrite(larger, lambda mask: np.full((10, 12), 255, np.uint8))
        assert codes(check_dataset(larger)) >= {"full_mask"}
        assert "inverted_masks" not in codes(check_dataset(larger))

    @pytest.mark.parametrize(("name", "prompt"), [("nuclei_dsb", "p1"), ("head_ct", "p1"), ("hippocampus_msd", "p1")])
    def test_of_real_data_only_inverted_masks_are(self, shared: Path, name: str, prompt: str) -> None:
        right, inverted = InvertedMasks(), InvertedMasks()
        for case in rb.load_dataset(shared / "data" / name, prompt=prompt, limit=40):
            right.add("test", case.mask, case_id=case.case_id, name="")
            inverted.add("test", ~case.mask, case_id=case.case_id, name="")
        assert list(right.findings()) == []
        assert [finding.code for finding in inverted.findings()] == ["inverted_masks"]
