"""What was read wrongly and silently once: each case by name, with the right value."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.check.files import check_mask_values
from robustness.runners.data.load import load_dataset

SIZE = 48
TEXT = "one small polyp"


def disc(row: int, column: int, radius: int = 6) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.hypot(rows - row, columns - column) <= radius


def write_set(root: Path, entries: list[dict], images: dict, masks: dict, card: dict | None = None) -> Path:
    for folder in ("images", "masks", "anns"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for folder, files in (("images", images), ("masks", masks)):
        for name, pixels in files.items():
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
            image.save(root / folder / name, **({"exif": image.getexif()} if image.getexif() else {}))
    (root / "anns" / "test.json").write_text(json.dumps(entries))
    if card:
        (root / "dataset_card.json").write_text(json.dumps(card))
    return root


def entry(image: str, mask: str, text: str = TEXT, **more: object) -> dict:
    return {"img_name": image, "mask_name": mask, "prompts": {"p1": "polyp", "p6": text}, "subject": image, **more}


def gray(value: int = 90) -> np.ndarray:
    return np.full((SIZE, SIZE), value, np.uint8)


class TestLabelMaps:
    """Values 0 to 3 gave empty references, 55 ROBUST verdicts and a validation Dice of 1."""

    def masks(self) -> dict[str, np.ndarray]:
        values = (disc(12, 12) * 1 + disc(12, 36) * 2 + disc(36, 24) * 3).astype(np.uint8)
        return {"a.png": values, "b.png": values.T.copy()}

    def test_undeclared_every_case_fails_and_the_check_says_how_to_declare(self, tmp_path: Path) -> None:
        entries = [entry("a.png", "a.png"), entry("b.png", "b.png")]
        root = write_set(tmp_path / "d", entries, {"a.png": gray(), "b.png": gray(99)}, self.masks())
        with pytest.raises(CaseError, match=r"values 0, 1, 2, 3.*labels"):
            load_dataset(root)[0]
        found = check_dataset(root)
        assert set(found[found.level == "error"].code) == {"undeclared_mask"}

    def test_values_0_1_255_are_not_the_ring(self, tmp_path: Path) -> None:
        ring = (disc(24, 24, 14) * 255).astype(np.uint8)
        ring[disc(24, 24, 11)] = 1
        root = write_set(tmp_path / "d", [entry("a.png", "a.png")], {"a.png": gray()}, {"a.png": ring})
        with pytest.raises(CaseError, match="0, 1, 255"):
            load_dataset(root)[0]

    @pytest.mark.parametrize("where", ["card", "argument"])
    def test_declared_each_label_is_a_case(self, tmp_path: Path, where: str) -> None:
        labels = {"1": "tumor", "2": "cyst", "3": "stone", "both": ["tumor", "cyst"]}
        entries = [entry("a.png", "a.png", f"the {label}", mask_label=label) for label in ("tumor", "cyst", "both", 3)]
        card = {"labels": labels} if where == "card" else None
        root = write_set(tmp_path / "d", entries, {"a.png": gray()}, {"a.png": self.masks()["a.png"]}, card)
        data = load_dataset(root, labels=None if where == "card" else labels)
        assert [info.case_id for info in data.infos] == ["a_tumor", "a_cyst", "a_both", "a_stone"]
        expected = [disc(12, 12), disc(12, 36), disc(12, 12) | disc(12, 36), disc(36, 24)]
        assert all(np.array_equal(case.mask, mask) for case, mask in zip(data, expected, strict=True))
        assert any("label maps (tumor = 1" in note for note in data.notes)

    def test_slices_that_show_one_label_each_are_found_by_their_differing_values(self, tmp_path: Path) -> None:
        masks = {f"{n}.png": (disc(20, 20) * n).astype(np.uint8) for n in (1, 2)}
        entries = [entry(f"{n}.png", f"{n}.png") for n in (1, 2)]
        root = write_set(tmp_path / "d", entries, {"1.png": gray(), "2.png": gray(91)}, masks)
        assert "mask_values_vary" in set(check_dataset(root).code)

    @pytest.mark.parametrize("kind", ["values", "palette", "colours"])
    def test_an_audit_refuses_such_slices_too(self, tmp_path: Path, kind: str) -> None:
        """It read them as one structure and judged a model against any of the labels."""
        masks = {}
        for n in (1, 2):
            label = (disc(20, 20) * n).astype(np.uint8)
            masks[f"{n}.png"] = Image.fromarray(label)
            if kind != "values":
                masks[f"{n}.png"] = Image.fromarray(label, mode="P")
                masks[f"{n}.png"].putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
            if kind == "colours":
                masks[f"{n}.png"] = masks[f"{n}.png"].convert("RGB")
        entries = [entry(f"{n}.png", f"{n}.png") for n in (1, 2)]
        root = write_set(tmp_path / "d", entries, {"1.png": gray(), "2.png": gray(91)}, masks)
        model = rb.segmenter(lambda images, prompts: [disc(20, 20).astype(np.float32) for _ in prompts], name="disc")
        with pytest.raises(InputError, match=r"hold different values.*\[data\] labels.*mask_values_vary"):
            rb.audit(model, load_dataset(root), perturbations=["empty"], out=tmp_path / "run", report=False)

    def test_masks_of_two_writers_are_no_label_map(self, tmp_path: Path) -> None:
        masks = {f"{n}.png": (disc(20, 20) * value).astype(np.uint8) for n, value in enumerate((1, 255))}
        entries = [entry(name, name) for name in masks]
        root = write_set(tmp_path / "d", entries, {"0.png": gray(), "1.png": gray(91)}, masks)
        assert [finding.code for finding in check_mask_values("test", load_dataset(root).records)] == []

    def test_single_values_beside_files_of_several_are_warned_of(self, tmp_path: Path) -> None:
        masks = {"1.png": disc(20, 20).astype(np.uint8), **self.masks()}
        entries = [entry(name, name) for name in masks]
        root = write_set(tmp_path / "d", entries, {name: gray(n) for n, name in enumerate(masks)}, masks)
        (found,) = check_mask_values("test", load_dataset(root).records)
        assert (found.level, found.code) == ("warning", "mask_values_vary")
        assert "several values (2 files) or one (1 in 1 file)" in found.message

    def test_an_audit_of_undeclared_label_maps_ends_with_the_cure(self, tmp_path: Path) -> None:
        entries = [entry("a.png", "a.png"), entry("b.png", "b.png")]
        root = write_set(tmp_path / "d", entries, {"a.png": gray(), "b.png": gray(99)}, self.masks())
        model = rb.segmenter(lambda images, prompts: [disc(20, 20).astype(np.float32) for _ in prompts], name="disc")
        with pytest.raises(InputError, match="labels"):
            rb.audit(model, load_dataset(root), perturbations=["empty"], out=tmp_path / "run", report=False)


class TestDeepImages:
    """The divisor of a 16-bit slice followed from its own brightest pixel: 4095 here, 65535 there."""

    def deep_set(self, root: Path, marker: int) -> Path:
        rng = np.random.default_rng(0)
        images = {f"{n}.png": rng.integers(0, 3000, (SIZE, SIZE)).astype(np.uint16) for n in range(4)}
        images["0.png"][0, 0] = marker
        entries = [entry(name, name) for name in images]
        return write_set(root, entries, images, {name: (disc(20, 20) * 255).astype(np.uint8) for name in images})

    def test_a_set_that_uses_a_small_part_of_its_scale_is_called_dark(self, tmp_path: Path) -> None:
        images = {"a.png": np.full((SIZE, SIZE), 199, np.uint16)}
        root = write_set(tmp_path / "d", [entry("a.png", "a.png")], images, {"a.png": disc(20, 20).astype(np.uint8)})
        (note,) = [note for note in load_dataset(root).notes if "deep images" in note]
        assert "the highest value is 199, so that images are dark: state window = [0, 199]" in note
        assert load_dataset(root, window=[0, 199])[0].image.max() == 255

    def test_one_marker_pixel_changes_no_image(self, tmp_path: Path) -> None:
        plain = load_dataset(self.deep_set(tmp_path / "plain", 100))
        marked = load_dataset(self.deep_set(tmp_path / "marked", 5000))
        for one, other in zip(plain, marked, strict=True):
            assert np.array_equal(one.image.reshape(-1)[3:], other.image.reshape(-1)[3:])
            assert one.metadata["full_scale"] == other.metadata["full_scale"] == 4095
        assert any("12 bits in the set; values above in 1 of 4" in note for note in marked.notes)

    def test_a_stated_window_goes_first_and_is_noted(self, tmp_path: Path) -> None:
        data = load_dataset(self.deep_set(tmp_path / "d", 5000), window=[0, 3000])
        assert data[0].metadata["full_scale"] == 3000
        assert any("0 to 3000" in note and "stated" in note for note in data.notes)

    def test_both_splits_get_the_decision_of_the_whole_set(self, tmp_path: Path) -> None:
        root = self.deep_set(tmp_path / "d", 100)
        bright = np.random.default_rng(1).integers(0, 60000, (SIZE, SIZE)).astype(np.uint16)
        Image.fromarray(bright).save(root / "images" / "x.png")
        Image.fromarray((disc(20, 20) * 255).astype(np.uint8)).save(root / "masks" / "x.png")
        (root / "anns" / "train.json").write_text(json.dumps([entry("x.png", "x.png")]))
        scales = {load_dataset(root, split)[0].metadata["full_scale"] for split in ("train", "test")}
        assert scales == {65535}


class TestSeveralMasksOfOneImage:
    """BUSI's second tumour: a model that shows both scored 2/3 against each alone."""

    def tumours(self, root: Path) -> Path:
        masks = {
            "a_mask.png": (disc(12, 12) * 255).astype(np.uint8),
            "a_mask_1.png": (disc(36, 36) * 255).astype(np.uint8),
        }
        return write_set(root, [entry("a.png", name) for name in masks], {"a.png": gray()}, masks)

    def test_the_check_and_the_notes_say_so(self, tmp_path: Path) -> None:
        root = self.tumours(tmp_path / "d")
        assert "several_masks" in set(check_dataset(root).code)
        assert any("several masks for one text" in note for note in load_dataset(root).notes)

    @pytest.mark.parametrize("second", ["One small  polyp ", "one small polyp"])
    def test_blanks_and_capitals_make_no_other_text(self, tmp_path: Path, second: str) -> None:
        entries = [entry("a.png", "a.png"), {**entry("a.png", "b.png", second), "subject": "a.png"}]
        masks = {"a.png": (disc(12, 12) * 255).astype(np.uint8), "b.png": (disc(36, 36) * 255).astype(np.uint8)}
        root = write_set(tmp_path / "d", entries, {"a.png": gray()}, masks)
        assert any("several masks for one text" in note for note in load_dataset(root).notes)
        (case,) = load_dataset(root, masks={"combine": "union"})
        assert np.array_equal(case.mask, disc(12, 12) | disc(36, 36))

    def test_declared_a_union_they_are_one_case(self, tmp_path: Path) -> None:
        data = load_dataset(self.tumours(tmp_path / "d"), masks={"combine": "union"})
        assert len(data) == 1
        assert np.array_equal(data[0].mask, disc(12, 12) | disc(36, 36))

    def test_declared_instances_they_stay_two_and_nothing_is_said(self, tmp_path: Path) -> None:
        data = load_dataset(self.tumours(tmp_path / "d"), masks={"combine": "instances"})
        assert len(data) == 2
        assert not any("several masks for one text" in note for note in data.notes)

    def test_an_entry_may_list_its_files(self, tmp_path: Path) -> None:
        root = self.tumours(tmp_path / "d")
        (root / "anns/test.json").write_text(json.dumps([entry("a.png", ["a_mask.png", "a_mask_1.png"])]))
        assert np.array_equal(load_dataset(root)[0].mask, disc(12, 12) | disc(36, 36))


class TestTurnedImages:
    """Square pictures with an EXIF orientation were read upright although masks lay on stored pixels."""

    def turned(self, width: int) -> Image.Image:
        image = Image.fromarray(np.tile(np.arange(SIZE, dtype=np.uint8)[:, None], (1, width)))
        image.getexif()[0x0112] = 6
        return image

    def test_a_square_picture_alone_is_refused_with_the_cure(self, tmp_path: Path) -> None:
        mask = (disc(10, 30) * 255).astype(np.uint8)
        root = write_set(tmp_path / "d", [entry("a.png", "a.png")], {"a.png": self.turned(SIZE)}, {"a.png": mask})
        with pytest.raises(CaseError, match="exif"):
            load_dataset(root)[0]
        for exif, expected in (("stored", 10), ("upright", None)):
            case = load_dataset(root, exif=exif)[0]
            assert np.array_equal(case.mask, mask > 0)
            rows = case.image[..., 0]
            assert (rows[10] == 10).all() if expected else (rows[:, 0] == SIZE - 1).all()

    def test_it_is_read_as_the_sets_other_pictures_tell(self, tmp_path: Path) -> None:
        images = {"a.png": self.turned(SIZE), "b.png": self.turned(SIZE // 2)}
        masks = {"a.png": (disc(10, 30) * 255).astype(np.uint8), "b.png": np.zeros((SIZE, SIZE // 2), np.uint8)}
        entries = [entry("a.png", "a.png"), entry("b.png", "b.png")]
        case = load_dataset(write_set(tmp_path / "d", entries, images, masks))[0]
        assert (case.image[10] == 10).all()


class TestGroups:
    """Columns of the data never reached the rows: subgroups by scanner ended with exit 2."""

    def audited(self, tmp_path: Path) -> pd.DataFrame:
        names = [f"{n}.png" for n in range(4)]
        entries = [entry(n, n, scanner="A" if i < 2 else "B", attributes={"sex": "F"}) for i, n in enumerate(names)]
        masks = {n: (disc(20, 20 + i) * 255).astype(np.uint8) for i, n in enumerate(names)}
        root = write_set(tmp_path / "d", entries, {n: gray(60 + i) for i, n in enumerate(names)}, masks)
        (root / "masks" / "3.png").unlink()
        data = load_dataset(root, groups=["scanner", "sex"])
        model = rb.segmenter(
            lambda images, prompts: [disc(20, 20 + len(p)).astype(np.float32) for p in prompts], name="disc"
        )
        return rb.audit(model, data, perturbations=["empty"], out=tmp_path / "run", report=False).results()

    def test_they_reach_every_row_also_of_a_case_that_failed(self, tmp_path: Path) -> None:
        table = self.audited(tmp_path)
        assert table.groupby("case_id").scanner.first().to_dict() == {"0": "A", "1": "A", "2": "B", "3": "B"}
        assert set(table.sex) == {"F"}

    def test_a_group_that_no_case_states_is_refused_with_the_near_one(self, tmp_path: Path) -> None:
        root = write_set(tmp_path / "d", [entry("a.png", "a.png", scanner="A")], {"a.png": gray()}, {"a.png": gray(0)})
        with pytest.raises(InputError, match="did you mean 'scanner'"):
            load_dataset(root, groups=["scaner"])


class TestPaths:
    def test_equal_file_names_in_patient_folders_name_case_id(self, tmp_path: Path) -> None:
        rows = []
        for patient in ("p1", "p2"):
            folder = tmp_path / "elsewhere" / patient
            folder.mkdir(parents=True)
            Image.fromarray(gray()).save(folder / "image.png")
            Image.fromarray((disc(20, 20) * 255).astype(np.uint8)).save(folder / "mask.png")
            rows.append({"image": str(folder / "image.png"), "mask": str(folder / "mask.png"), "prompt": TEXT})
        (tmp_path / "here").mkdir()
        table = tmp_path / "here" / "cases.csv"
        pd.DataFrame(rows).to_csv(table, index=False)
        with pytest.raises(InputError, match=r"differ in 'image', 'mask'; state a `case_id`"):
            load_dataset(table)
        pd.DataFrame(rows).assign(case_id=["p1", "p2"]).to_csv(table, index=False)
        assert [info.case_id for info in load_dataset(table).infos] == ["p1", "p2"]

    def test_an_index_column_of_pandas_is_named(self, tmp_path: Path) -> None:
        Image.fromarray(gray()).save(tmp_path / "a.png")
        Image.fromarray((disc(20, 20) * 255).astype(np.uint8)).save(tmp_path / "m.png")
        rows = [{"image": "a.png", "mask": "m.png", "prompt": text} for text in (TEXT, "a polyp")]
        pd.DataFrame(rows).to_csv(tmp_path / "cases.csv")
        with pytest.raises(InputError, match=r"differ in 'Unnamed: 0'; texts of one case .* remove that column"):
            load_dataset(tmp_path / "cases.csv")


def test_stored_predictions_of_two_cases_never_share_a_file(tmp_path: Path) -> None:
    names = {"img7/1.png": disc(10, 10), "img7.png": disc(30, 30)}
    masks = {name: (mask * 255).astype(np.uint8) for name, mask in names.items()}
    entries = [{**entry(name, name), "prompts": {"p1": "polyp", "p6": ["polyp", "a small polyp"]}} for name in names]
    data = load_dataset(write_set(tmp_path / "d", entries, {name: gray() for name in names}, masks))
    model = rb.segmenter(
        lambda images, prompts: [disc(20, 20 + len(p)).astype(np.float32) for p in prompts], name="disc"
    )
    rb.audit(
        model, data, perturbations=["empty"], out=tmp_path / "run", report=False, engine={"save_predictions": True}
    )
    files = sorted(path.name for path in (tmp_path / "run/predictions").rglob("clean/*.png"))
    assert files == ["img7.png", "img7__1.png", "img7__1__1.png", "img7__text1.png"]
