"""The embedded demo data says only what its pixels show."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from robustness.errors import InputError, UnknownNameError
from robustness.workflows.demo_files import demo_checkpoint, demo_data

ROOT = Path(__file__).resolve().parents[3]
SETS = ("brain", "nuclei")
SPLITS = ("train", "val", "test")
NUMBERS = {1: "one", 2: "two", 3: "three"}
SOURCES = ("nibabel", "nilearn", "stardist")


@cache
def folder(name: str) -> Path:
    return demo_data(name)


@cache
def entries(name: str, split: str) -> list[dict]:
    return json.loads((folder(name) / "anns" / f"{split}.json").read_text("utf-8"))


def everything(name: str) -> list[dict]:
    return [entry for split in SPLITS for entry in entries(name, split)]


@cache
def label_map(name: str, file: str) -> np.ndarray:
    return np.asarray(Image.open(folder(name) / "masks" / file))


@cache
def card(name: str) -> dict:
    return json.loads((folder(name) / "dataset_card.json").read_text("utf-8"))


def mask_of(name: str, entry: dict, label: str = "") -> np.ndarray:
    values = card(name)["labels"][label or entry["mask_label"]]
    return np.isin(label_map(name, entry["mask_name"]), values)


def regions(mask: np.ndarray) -> int:
    return ndimage.label(mask, np.ones((3, 3)))[1]


def cell(mask: np.ndarray) -> str:
    row, column = (np.asarray(ndimage.center_of_mass(mask)) + 0.5) / mask.shape
    words = [
        ("top", "", "bottom")[np.digitize(row, (0.4, 0.6))],
        ("left", "", "right")[np.digitize(column, (0.4, 0.6))],
    ]
    return " ".join(filter(None, words)) or "center"


@pytest.mark.parametrize("name", SETS)
class TestFiles:
    def test_counts_are_those_of_the_card(self, name):
        assert card(name)["counts"] == {split: len(entries(name, split)) for split in SPLITS}
        assert card(name)["images"] == {split: len({e["img_name"] for e in entries(name, split)}) for split in SPLITS}

    def test_every_file_is_listed_and_every_listed_file_exists(self, name):
        for kind, key in (("images", "img_name"), ("masks", "mask_name")):
            files = {path.name for path in (folder(name) / kind).iterdir()}
            assert files == {entry[key] for entry in everything(name)}

    def test_masks_are_label_maps_with_named_values_not_empty_and_of_the_images_size(self, name):
        named = {v for values in card(name)["labels"].values() for v in ([values] if type(values) is int else values)}
        for entry in everything(name):
            mask = mask_of(name, entry)
            assert mask.any(), entry["mask_label"]
            assert set(np.unique(label_map(name, entry["mask_name"]))) <= {0, *named}
            with Image.open(folder(name) / "images" / entry["img_name"]) as image:
                assert (image.mode, image.size) == ("L", mask.shape[::-1])

    def test_notice_and_card_say_that_there_is_one_subject(self, name):
        notice = (folder(name) / "NOTICE.txt").read_text("utf-8")
        wanted = {"brain": ("THIS IS ONE BRAIN", "One brain"), "nuclei": ("THIS IS ONE PICTURE", "One picture")}[name]
        assert wanted[0] in notice
        assert wanted[1] in card(name)["warning"]
        assert len({entry["subject"] for entry in everything(name)}) == 1

    def test_no_image_is_in_two_splits(self, name):
        images = [{entry["img_name"] for entry in entries(name, split)} for split in SPLITS]
        assert len(set.union(*images)) == sum(map(len, images))


def test_terms_travel_with_the_data():
    brain = " ".join((folder("brain") / "NOTICE.txt").read_text("utf-8").split())
    assert "Copyright (C) 1993-2009 Louis Collins, McConnell Brain Imaging Centre" in brain
    assert "provided that the above copyright notice appear in all copies" in brain
    nuclei = (folder("nuclei") / "NOTICE.txt").read_text("utf-8")
    assert "CC0 1.0" in nuclei
    assert "BSD 3-Clause License" in nuclei


def test_images_masks_and_annotations_stay_below_three_megabytes():
    assert (
        sum(path.stat().st_size for name in SETS for path in folder(name).rglob("*.*") if path.name != "pixels.zip")
        < 3e6
    )


@pytest.mark.parametrize("name", SETS)
class TestWords:
    def test_size_and_location_are_true_of_the_mask(self, name):
        for entry in everything(name):
            words, mask = entry["attributes"], mask_of(name, entry)
            share = mask.mean()
            assert words["size"] == ("small" if share < 0.01 else "medium" if share <= 0.05 else "large")
            assert words["area_fraction"] == pytest.approx(share, abs=1e-5)
            assert words["location"] == cell(mask), entry["mask_label"]
            assert entry["prompts"]["p6"].endswith(f", located in the {words['location']} of the image")

    def test_components_are_counted(self, name):
        for entry in everything(name):
            mask = mask_of(name, entry)
            assert entry["attributes"]["components"] == regions(mask)

    def test_the_prompt_keys_are_those_of_the_benchmark(self, name):
        for entry in everything(name):
            assert list(entry["prompts"]) == [f"p{number}" for number in range(8)]
            assert entry["prompts"]["p0"] == ""

    def test_the_datasets_open_and_their_targets_are_recognised(self, name):
        from robustness.runners.data.load import load_dataset

        for split in SPLITS:
            data = load_dataset(folder(name), split, "p6", subject="image")
            assert len(data) == len(entries(name, split))
            assert {info.target for info in data.infos} == {e["attributes"]["structure"] for e in entries(name, split)}
        case = data[0]
        assert case.image.shape == (128, 128, 3)
        assert case.mask.any()


class TestBrain:
    def test_number_words_are_true_of_the_mask(self):
        for entry in everything("brain"):
            words = entry["attributes"]
            expected = NUMBERS.get(regions(mask_of("brain", entry)), "several")
            assert words["number"] == expected
            assert expected in entry["prompts"]["p5"].split()

    def test_no_region_is_a_speck(self):
        for entry in everything("brain"):
            labels, _ = ndimage.label(mask_of("brain", entry), np.ones((3, 3)))
            assert np.bincount(labels.ravel())[1:].min() >= 10

    def test_the_patients_left_is_on_the_pictures_right(self):
        for entry in everything("brain"):
            side, mask = entry["attributes"]["side"], mask_of("brain", entry)
            columns = np.nonzero(mask)[1]
            if side == "left":
                assert columns.min() >= mask.shape[1] // 2
            elif side == "right":
                assert columns.max() < mask.shape[1] // 2
            else:
                assert columns.min() < mask.shape[1] // 2 <= columns.max()

    def test_side_and_structure_words_are_in_the_prompts(self):
        for entry in everything("brain"):
            words, prompts = entry["attributes"], entry["prompts"]
            side = "left and right" if words["side"] == "both" else words["side"]
            for key in ("p2", "p3", "p4", "p5", "p6"):
                assert f"{side} {words['structure']}" in prompts[key]
            assert words["size"] in prompts["p4"].split()

    def test_both_is_the_union_of_left_and_right(self):
        for entry in (entry for entry in everything("brain") if entry["mask_label"].endswith("_both")):
            sides = (entry["mask_label"].replace("_both", f"_{side}") for side in ("left", "right"))
            left, right = (mask_of("brain", entry, label) for label in sides)
            assert np.array_equal(mask_of("brain", entry), left | right)

    def test_every_image_has_several_structures_and_all_sides_so_that_the_prompt_is_needed(self):
        by_image: dict[str, set] = {}
        for entry in everything("brain"):
            words = entry["attributes"]
            by_image.setdefault(entry["img_name"], set()).add((words["structure"], words["side"]))
        for name, targets in by_image.items():
            structures = {structure for structure, _ in targets}
            assert len(structures) >= 2, name
            assert len(targets) == 3 * len(structures), name

    def test_white_matter_is_brighter_than_gray_matter_and_ventricles_are_darkest(self):
        sums: dict[str, list[float]] = {}
        for entry in everything("brain"):
            image = np.asarray(Image.open(folder("brain") / "images" / entry["img_name"]))
            mask = mask_of("brain", entry)
            sums.setdefault(entry["attributes"]["structure"], []).append(float(image[mask].mean()))
        assert max(sums["lateral ventricle"]) < min(sums["gray matter"])
        assert max(sums["gray matter"]) < min(sums["white matter"])

    def test_ventricles_lie_inside_the_brain_apart_from_white_matter(self):
        train = entries("brain", "train")
        for entry in (e for e in train if e["attributes"]["structure"] == "lateral ventricle"):
            label = entry["mask_label"]
            ventricle = mask_of("brain", entry)
            brain = mask_of("brain", entry, label.replace("lateral-ventricle", "brain-hemisphere"))
            white = mask_of("brain", entry, label.replace("lateral-ventricle", "white-matter"))
            assert not (ventricle & ~brain).any(), entry["mask_name"]
            assert not (ventricle & white).any(), entry["mask_name"]

    @pytest.mark.parametrize("view", ["axial", "coronal"])
    def test_splits_are_slabs_at_least_six_millimetres_apart(self, view):
        at = {
            split: {e["attributes"]["slice_mm"] for e in entries("brain", split) if e["attributes"]["view"] == view}
            for split in SPLITS
        }
        for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
            assert at[one]
            assert min(abs(a - b) for a in at[one] for b in at[other]) >= 6

    def test_the_test_split_has_enough_slices_to_certify_that_nothing_reacts(self):
        # With no reaction among n units the upper 95% bound of the share that reacts is 1 - 0.05 ** (1 / n).
        units = len({entry["img_name"] for entry in entries("brain", "test")})
        assert 1 - 0.05 ** (1 / units) <= 0.05


class TestNuclei:
    def test_targets_are_parts_of_all_nuclei(self):
        for entry in everything("nuclei"):
            assert not (mask_of("nuclei", entry) & ~mask_of("nuclei", entry, "all")).any()

    def test_whole_nuclei_do_not_touch_the_border(self):
        for entry in everything("nuclei"):
            if entry["attributes"]["target"] == "whole":
                mask = mask_of("nuclei", entry)
                assert not np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]]).any()

    def test_one_nucleus_is_asked_for_in_the_singular(self):
        for entry in everything("nuclei"):
            single = entry["attributes"]["target"] in ("largest", "smallest")
            assert entry["prompts"]["p1"] == ("nucleus" if single else "nuclei")
            assert (entry["attributes"]["number"] == "one") == single


class TestLookUp:
    def test_an_unknown_dataset_names_the_near_one(self):
        with pytest.raises(UnknownNameError, match="did you mean 'brain'"):
            demo_data("brian")

    def test_an_unknown_checkpoint_names_the_known_ones(self):
        with pytest.raises(UnknownNameError, match="text-conditioned, image-only"):
            demo_checkpoint("clipseg")

    def test_a_missing_folder_is_said_on_one_line(self, tmp_path, monkeypatch):
        monkeypatch.setattr("robustness.workflows.demo_files._HOME", tmp_path)
        with pytest.raises(InputError, match="install the package again") as caught:
            demo_checkpoint("image-only")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in SOURCES),
    reason=f"needs {', '.join(SOURCES)}, from which the data is made and which the product does not depend on",
)
def test_the_script_makes_the_same_data_again(tmp_path):
    script = ROOT / "examples" / "make_demo_data.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, capture_output=True)
    for name in SETS:
        made = {path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*") if path.is_file()}
        assert made == {
            path.relative_to(folder(name))
            for path in folder(name).rglob("*.*")
            if path.name != "NOTICE.txt" and path.suffix != ".png"
        }
        for path in made - {Path("pixels.zip")}:
            assert (tmp_path / name / path).read_text("utf-8") == (folder(name) / path).read_text("utf-8"), path
        with zipfile.ZipFile(tmp_path / name / "pixels.zip") as archive:
            for member in archive.namelist():
                # Pixels, not bytes: another zlib may pack them otherwise.
                again = np.asarray(Image.open(io.BytesIO(archive.read(member))))
                assert np.array_equal(again, np.asarray(Image.open(folder(name) / member))), member
