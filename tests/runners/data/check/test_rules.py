"""Rules of `check`: each finds what was planted, says nothing of its sound twin, and no other rule says it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageDraw, ImageFont

from robustness.runners.data.check.attributes import required_subjects
from robustness.runners.data.check.burnt_in_text import line_of_letters
from robustness.runners.data.check.dataset import check_dataset

HEIGHT, WIDTH = 96, 120
PLACES = {"top left": (20, 20), "top right": (20, 100), "bottom left": (78, 20), "bottom right": (78, 100)}


def blob(row: int, column: int, radius: int = 10) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray(np.hypot(rows - row, columns - column) <= radius)


def texture(seed: int) -> np.ndarray:
    """Speckle over a few soft shapes, different for every seed, darker than any letter."""
    rng = np.random.default_rng(seed)
    soft = Image.fromarray(rng.integers(20, 150, (6, 8), dtype=np.uint8)).resize(
        (WIDTH, HEIGHT), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(soft) * rng.rayleigh(0.8, (HEIGHT, WIDTH)), 0, 190).astype(np.uint8)


class Data:
    """A dataset in the making: cases are added, then `check` writes and checks it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[str, list[dict[str, Any]]] = {}
        for folder in ("images", "masks", "anns"):
            (root / folder).mkdir(parents=True)

    def add(
        self,
        name: str,
        *,
        split: str = "test",
        image: np.ndarray | None = None,
        mask: np.ndarray | None = None,
        text: str = "polyp",
        save: dict[str, Any] | None = None,
        **more: Any,
    ) -> None:
        number = sum(len(entries) for entries in self.entries.values())
        pixels = texture(number) if image is None else image
        Image.fromarray(pixels).save(self.root / "images" / name, **(save or {}))
        drawn = blob(48, 60) if mask is None else mask
        Image.fromarray(drawn.astype(np.uint8) * 255).save(self.root / "masks" / f"{number}.png")
        subject = more.pop("subject", f"s{number}")
        entry = {"img_name": name, "mask_name": f"{number}.png", "prompts": {"p1": "polyp", "p6": text}}
        self.entries.setdefault(split, []).append({**entry, "subject": subject, "modality": "endoscopy", **more})

    def check(self, **options: Any) -> pd.DataFrame:
        for split, entries in self.entries.items():
            (self.root / "anns" / f"{split}.json").write_text(json.dumps(entries))
        return check_dataset(self.root, **options)

    def codes(self, **options: Any) -> list[str]:
        return list(self.check(**options).code)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return Data(tmp_path / "data")


class TestNearDuplicates:
    @pytest.mark.parametrize(
        "change",
        [
            lambda image: np.clip(image * 1.08 + 6, 0, 255).astype(np.uint8),
            lambda image: np.asarray(Image.fromarray(image).resize((90, 72)).resize((WIDTH, HEIGHT))),
            lambda image: np.asarray(Image.fromarray(image).crop((1, 1, WIDTH, HEIGHT)).resize((WIDTH, HEIGHT))),
        ],
        ids=["brighter", "resized", "cropped by a pixel"],
    )
    def test_a_changed_copy_in_another_split_is_found_once(
        self, data: Data, change: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        data.add("a.png", split="train", image=texture(1))
        data.add("b.png", image=change(texture(1)))
        found = data.check()
        assert list(found.code) == ["near_duplicate"]
        assert "a.png (train) and b.png (test)" in found.message[0]

    def test_other_images_and_images_of_one_subject_are_none(self, data: Data) -> None:
        data.add("a.png", split="train", image=texture(1), subject="one")
        data.add("b.png", image=texture(2))
        data.add("c.png", image=np.clip(texture(1) + 3, 0, 255).astype(np.uint8), subject="one")
        assert data.codes() == ["subject_in_splits"]

    def test_a_copy_in_one_split_under_another_subject_is_counted(self, data: Data) -> None:
        for name, subject in (("a.png", "one"), ("b.png", "two"), ("c.png", "two")):
            data.add(name, image=texture(1), subject=subject)
        found = data.check()
        assert list(found.code) == ["repeated_image"]
        assert "2 pairs" in found.message[0]


class TestFalsePrompts:
    def planted(self, data: Data, change: Callable[[np.ndarray], np.ndarray]) -> pd.DataFrame:
        for number in range(12):
            place = list(PLACES)[number % 4]
            mask = change(blob(*PLACES[place]))
            height, width = mask.shape
            image = np.asarray(Image.fromarray(texture(number)).resize((width, height)))
            text = f"one small polyp, located in the {place} of the image"
            data.add(f"{number}.png", image=image, mask=mask, text=text, target="polyp")
        return data.check()

    @pytest.mark.parametrize(
        ("change", "cause"),
        [
            (lambda mask: mask.T, "rows for columns"),
            (lambda mask: mask[:, ::-1], "left and right were the patient's"),
            (lambda mask: mask[::-1], "upside down"),
            (lambda mask: mask[::-1, ::-1], "turned by half"),
        ],
    )
    def test_one_cause_of_many_is_named_once(self, data: Data, change: Any, cause: str) -> None:
        found = self.planted(data, change)
        assert list(found.code) == ["false_location_cause"]
        assert found.level[0] == "error"
        assert cause in found.message[0]

    def test_true_prompts_are_none(self, data: Data) -> None:
        assert list(self.planted(data, lambda mask: mask).code) == []

    def test_a_patients_left_that_is_declared_is_none(self, data: Data) -> None:
        self.planted(data, lambda mask: mask[:, ::-1])
        assert data.codes(convention="patient") == []

    @pytest.mark.parametrize(
        ("text", "code"),
        [
            ("one small polyp, located in the bottom right of the image", "false_location"),
            ("two small polyps", "false_number"),
            ("one large polyp", "false_size"),
        ],
    )
    def test_a_single_false_word_is_a_warning_of_that_case(self, data: Data, text: str, code: str) -> None:
        for number in range(6):
            true = "one small polyp, located in the top left of the image"
            data.add(f"{number}.png", mask=blob(20, 20), text=text if number == 3 else true, target="polyp")
        found = data.check()
        assert list(found.code) == [code]
        assert (found.level[0], found.case_id[0]) == ("warning", "3")

    def test_a_side_of_the_data_is_not_said_twice(self, data: Data) -> None:
        data.add("a.png", text="the left kidney", target="left kidney", attributes={"side": "right"})
        assert data.codes() == ["side_disagrees"]


class TestSubjects:
    def test_a_subject_in_two_splits(self, data: Data) -> None:
        data.add("a.png", split="train", subject="one")
        data.add("b.png", subject="one")
        data.add("c.png", subject="two")
        assert data.codes() == ["subject_in_splits"]

    def test_subjects_by_a_pattern_of_the_name(self, data: Data) -> None:
        for split, name in (("train", "p1_a.png"), ("test", "p1_b.png"), ("test", "p2_a.png")):
            data.add(name, split=split)
        assert data.codes() == []
        assert data.codes(subject=r"regex:^(p\d)_") == ["subject_in_splits"]

    def test_subjects_of_groups_are_held_against_the_verdicts(self, data: Data) -> None:
        for number in range(12):
            data.add(f"{number}.png", scanner="A" if number < 11 else "B", site="S")
        found = data.check(groups=["scanner", "site"], required=required_subjects())
        assert dict(zip(found.code, found.level, strict=True)) == {
            "few_subjects": "warning",
            "few_subjects_for_no_effect": "info",
        }
        assert list(found[found.code == "few_subjects"].message) == [
            "scanner = B has 1 subject: nothing is judged below 10"
        ]
        assert "from 29 subjects on for images (ROBUST), from 59 on for words (IGNORES)" in found.message.iloc[-1]
        assert data.codes(groups=["scanner"]) == []

    def test_enough_subjects_are_no_finding_and_a_group_that_nobody_states_is(self, data: Data) -> None:
        for number in range(12):
            data.add(f"{number}.png", scanner="A")
        required = required_subjects(min_subjects=6, margin_dice=0.4, margin_change=0.3)
        assert data.codes(groups=["scanner"], required=required) == []
        found = data.check(groups=["scaner"], required=required)
        assert (list(found.code), found.level[0]) == (["group_missing"], "error")


class TestAttributes:
    def test_one_that_never_varies_is_named_and_one_that_does_is_not(self, data: Data) -> None:
        for number in range(10):
            data.add(f"{number}.png", attributes={"view": "axial", "size": ("small", "large")[number % 2]})
        found = data.check()
        assert list(found.code) == ["constant_attribute"]
        assert "view is 'axial' in all 10 cases" in found.message[0]


def with_text(image: np.ndarray, text: str, size: int = 12) -> np.ndarray:
    drawn = Image.fromarray(image)
    ImageDraw.Draw(drawn).text((8, 6), text, fill=255, font=ImageFont.load_default(size))
    return np.asarray(drawn)


class TestBurntInText:
    @pytest.mark.parametrize("text", ["DOE 12.03.1961", "MI 1.1 TIS 0.4", "LEFT BREAST 3 CM"])
    @pytest.mark.parametrize("size", [10, 14, 20])
    def test_letters_are_found(self, data: Data, text: str, size: int) -> None:
        data.add("a.png", image=with_text(texture(1), text, size))
        data.add("b.png", image=texture(2))
        found = data.check()
        assert list(found.code) == ["burnt_in_text"]
        assert "1 of 2 images" in found.message[0]

    @pytest.mark.parametrize("kind", ["texture", "highlights", "line", "catheter", "white image", "grid of spots"])
    def test_bright_things_that_are_no_letters_are_not(self, data: Data, kind: str) -> None:
        image = texture(3).copy()
        rng = np.random.default_rng(5)
        if kind == "highlights":
            for row, column, radius in zip(
                rng.integers(8, 88, 25), rng.integers(8, 112, 25), rng.integers(1, 6, 25), strict=True
            ):
                image[blob(int(row), int(column), int(radius))] = 255
        elif kind == "line":
            image[40:42, 10:110] = 255
        elif kind == "catheter":
            for step in range(100):
                image[int(50 + 20 * np.sin(step / 15)) : int(53 + 20 * np.sin(step / 15)), 10 + step] = 255
        elif kind == "white image":
            image = np.clip(image.astype(int) + 120, 0, 255).astype(np.uint8)
        elif kind == "grid of spots":
            for row in range(10, 90, 25):
                for column in range(10, 110, 25):
                    image[row : row + 6, column : column + 6] = 255
        assert line_of_letters(np.repeat(image[..., None], 3, axis=2)) is None
        data.add("a.png", image=image)
        assert data.codes() == []


class TestIdentifiers:
    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("scan_2019-03-12.png", "date_in_name"),
            ("20190312_a.png", "date_in_name"),
            ("Doe^Jane.png", "identifier_in_name"),
            ("123-45-6789.png", "identifier_in_name"),
        ],
    )
    def test_names(self, data: Data, name: str, code: str) -> None:
        data.add(name)
        assert data.codes() == [code]

    def test_a_date_in_a_subject(self, data: Data) -> None:
        data.add("a.png", subject="p1961-03-12")
        assert data.codes() == ["date_in_name"]

    @pytest.mark.parametrize(
        "name", ["ISIC_0012345.png", "patient0001_2CH_ED.png", "case_1234567890.png", "v2.0.13.png"]
    )
    def test_ordinary_names_are_none(self, data: Data, name: str) -> None:
        data.add(name)
        assert data.codes() == []

    def test_exif_of_a_camera(self, data: Data) -> None:
        exif = Image.Exif()
        exif[0x013B] = "Made Up"
        exif.get_ifd(0x8825)[1] = "N"
        data.add("a.jpg", save={"exif": exif})
        found = data.check()
        assert list(found.code) == ["identifier_in_header"]
        assert "Artist in 1, GPSInfo in 1 of 1 image" in found.message[0]

    def test_exif_without_a_person_is_none(self, data: Data) -> None:
        exif = Image.Exif()
        exif[0x010F], exif[0x010E] = "Maker", "an ulcer"
        data.add("a.jpg", save={"exif": exif})
        assert data.codes() == []


class TestHeaders:
    def checked(self, tmp_path: Path, **fields: object) -> pd.DataFrame:
        pytest.importorskip("pydicom")
        from tests.runners.data.volumes import phantom

        dataset = phantom.slice_dataset(texture(1).astype(np.int16), phantom.affine_ras(), 0, Modality="DX", **fields)
        dataset.save_as(tmp_path / "chest.dcm", enforce_file_format=True)
        Image.fromarray(blob(48, 60).astype(np.uint8) * 255).save(tmp_path / "m.png")
        row = {"image": "chest.dcm", "mask": "m.png", "prompt": "the heart", "subject_id": "p1"}
        pd.DataFrame([row]).to_csv(tmp_path / "cases.csv", index=False)
        found = check_dataset(tmp_path / "cases.csv", window=[0, 255])
        return found[found.level != "info"].reset_index(drop=True)

    def test_fields_that_name_a_person(self, tmp_path: Path) -> None:
        found = self.checked(tmp_path, PatientName="Made^Up", PatientBirthDate="19000101", AccessionNumber="77")
        assert list(found.code) == ["identifier_in_header"]
        assert "AccessionNumber in 1, PatientBirthDate in 1, PatientName in 1 of 1 image" in found.message[0]

    def test_a_header_that_says_that_pixels_name_a_person(self, tmp_path: Path) -> None:
        assert list(self.checked(tmp_path, BurnedInAnnotation="YES").code) == ["burnt_in_annotation"]

    def test_a_header_without_a_person_is_none(self, tmp_path: Path) -> None:
        assert list(self.checked(tmp_path, PatientName="", BurnedInAnnotation="NO").code) == []

    @pytest.mark.parametrize(("text", "codes"), [(b"Doe^Jane 19610312", ["identifier_in_header"]), (b"FSL5.0", [])])
    def test_free_text_of_nifti(self, tmp_path: Path, text: bytes, codes: list[str]) -> None:
        nibabel = pytest.importorskip("nibabel")
        image = nibabel.Nifti1Image(texture(1)[..., None].astype(np.int16), np.eye(4))
        image.header["descrip"] = text
        nibabel.save(image, tmp_path / "a.nii")
        nibabel.save(nibabel.Nifti1Image(blob(48, 60)[..., None].astype(np.uint8), np.eye(4)), tmp_path / "m.nii")
        pd.DataFrame([{"image": "a.nii", "mask": "m.nii", "subject_id": "p1", "modality": "MRI"}]).to_csv(
            tmp_path / "cases.csv", index=False
        )
        found = check_dataset(tmp_path / "cases.csv", labels={"1": "heart"})
        assert list(found[found.level == "warning"].code) == codes


def word_codes(folder: Path, prompts: list[str], **columns: list[str]) -> dict[str, str]:
    """Return code -> message of the findings of a manifest with these prompts, those on words only."""
    lines = [",".join(["image", "mask", "p6", "split", "modality", *columns])]
    for n, prompt in enumerate(prompts):
        pixels = np.random.default_rng(n).integers(0, 200, (32, 32, 3), dtype=np.uint8)
        mask = np.zeros((32, 32), dtype=np.uint8)
        mask[8:20, 8:20] = 255
        Image.fromarray(pixels).save(folder / f"i{n}.png")
        Image.fromarray(mask).save(folder / f"m{n}.png")
        lines.append(
            ",".join([f"i{n}.png", f"m{n}.png", f'"{prompt}"', "test", "CT", *(c[n] for c in columns.values())])
        )
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    found = check_dataset(folder / "data.csv", prompt="p6")
    words = found[found.code.isin(["unread_prompt", "partly_read_prompt", "side_disagrees", "target_disagrees"])]
    assert set(words.level) <= {"warning"}
    return dict(zip(words.code, words.message, strict=True))


def test_texts_without_a_target_are_counted_with_examples(tmp_path: Path) -> None:
    found = word_codes(tmp_path, ["left", "round and red", "a cyst in the left kidney"])
    assert list(found) == ["unread_prompt"]
    assert found["unread_prompt"].startswith("2 of the prompts name no target that can be read")
    assert "'left'; 'round and red'" in found["unread_prompt"]


def test_names_of_findings_that_no_rule_read_are_told_with_their_text(tmp_path: Path) -> None:
    strange = "Bubbles and debris, concealing somewhere a tiny whitish polyp"
    found = word_codes(tmp_path, [strange, "kidney without a cyst", "a cyst in the left kidney"])
    assert list(found) == ["partly_read_prompt"]
    assert found["partly_read_prompt"].startswith("1 prompt text holds a name that was not read")
    assert f"'polyp' in {strange!r}" in found["partly_read_prompt"]


@pytest.mark.parametrize(
    ("prompt", "target", "disagrees"),
    [
        ("left kidney", "spleen", True),
        ("left kidney", "kidney", False),
        ("a glioma", "brain tumor", False),
        ("upper left lung", "pulmonary infection", True),
        ("Unilateral pulmonary infection, upper left lung.", "pulmonary infection", False),
    ],
)
def test_a_target_that_the_text_does_not_ask_for_is_said(
    tmp_path: Path, prompt: str, target: str, disagrees: bool
) -> None:
    found = word_codes(tmp_path, [prompt], target=[target])
    assert ("target_disagrees" in found) is disagrees
    if disagrees:
        assert found["target_disagrees"].startswith("1 prompt disagrees with the target of the data")
        assert repr(prompt) in found["target_disagrees"]
        assert repr(target) in found["target_disagrees"]


@pytest.mark.parametrize(
    ("prompt", "side", "disagrees"),
    [
        ("the left kidney", "right", True),
        ("the left kidney", "left", False),
        ("both kidneys", "left", False),
        ("cyst in the left kidney", "right", False),
    ],
)
def test_a_side_that_the_data_deny_is_said(tmp_path: Path, prompt: str, side: str, disagrees: bool) -> None:
    assert ("side_disagrees" in word_codes(tmp_path, [prompt], **{"attributes.side": [side]})) is disagrees
