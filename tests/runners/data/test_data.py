"""`load_dataset` on the reference benchmark's layout."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage

import robustness as rb
from robustness.errors import CaseError, InputError
from robustness.runners.data.load import load_dataset


def entry(number: int, **more: Any) -> dict[str, Any]:
    """One annotation: image and mask of one number, prompts p0, p1 and p6."""
    prompts = {"p0": "", "p1": "polyp", "p6": f"one small polyp, located in top left of the image {number}"}
    return {"img_name": f"im{number}.png", "mask_name": f"im{number}_polyp.png", "prompts": prompts, **more}


def write(
    root: Path, entries: list[dict[str, Any]], *, split: str = "test", card: dict[str, Any] | None = None
) -> Path:
    """Write a folder in the benchmark's layout with a picture and a mask for each entry."""
    for folder in ("images", "masks", "anns"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for place, item in enumerate(entries):
        rng = np.random.default_rng(place)
        for folder, name in (("images", item["img_name"]), ("masks", item["mask_name"])):
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
            mask = np.zeros((20, 30), np.uint8)
            mask[2:8, 3 : 9 + place] = 255
            PILImage.fromarray(pixels if folder == "images" else mask).save(path)
    (root / "anns" / f"{split}.json").write_text(json.dumps(entries))
    if card:
        (root / "dataset_card.json").write_text(json.dumps(card))
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "kvasir_polyp", [entry(n) for n in (3, 1, 2)])


class TestReading:
    def test_cases_come_in_the_order_of_the_annotations(self, folder: Path) -> None:
        assert [case.case_id for case in load_dataset(folder)] == ["im3_polyp", "im1_polyp", "im2_polyp"]

    def test_a_case_holds_the_pixels_of_its_files(self, folder: Path) -> None:
        case = load_dataset(folder)[0]
        with PILImage.open(folder / "images" / "im3.png") as picture:
            np.testing.assert_array_equal(case.image, np.asarray(picture))
        assert case.image.dtype == np.uint8
        assert case.mask.dtype == np.bool_
        assert case.mask.sum() == 6 * 6

    def test_the_case_carries_what_the_contract_names(self, folder: Path) -> None:
        data = load_dataset(folder)
        metadata = data[0].metadata
        assert metadata["image_id"] == "im3"
        assert metadata["modality"] == "endoscopy"
        assert metadata["siblings"]["p1"] == "polyp"
        assert metadata["split"] == "test"
        assert metadata["dataset"] == data.name == "kvasir_polyp"
        assert Path(metadata["image_path"]).is_file()
        assert Path(metadata["mask_path"]).is_file()
        assert metadata["attributes"] == {}

    def test_the_prompt_is_parsed_with_spans(self, folder: Path) -> None:
        prompt = load_dataset(folder)[0].prompt
        assert {(a.kind, a.value) for a in prompt.attributes} >= {("size", "small"), ("location", "top left")}

    def test_the_first_listed_text_is_the_case_and_every_text_is_in_the_infos(self, tmp_path: Path) -> None:
        item = entry(1)
        item["prompts"]["p6"] = ["a small polyp", "a tiny polyp", "a small polyp"]
        data = load_dataset(write(tmp_path / "d", [item]))
        assert [prompt.text for prompt in data.infos[0].prompts] == ["a small polyp", "a tiny polyp"]
        assert data[0].prompt == data.infos[0].prompts[0]
        assert data[0].prompt.paraphrases == ("a tiny polyp",)

    def test_the_empty_prompt_p0_is_a_prompt(self, folder: Path) -> None:
        assert load_dataset(folder, prompt="p0")[0].prompt.text == ""

    def test_a_mask_in_a_subfolder_names_the_case_with_two_underscores(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, mask_name="mask_1/a.b_gt.png")]))
        assert data[0].case_id == "mask_1__a.b_gt"

    def test_images_that_differ_in_their_suffix_only_keep_apart(self, tmp_path: Path) -> None:
        items = [entry(1, img_name="a.png", mask_name="x.png"), entry(2, img_name="a.bmp", mask_name="y.png")]
        data = load_dataset(write(tmp_path / "d", items))
        assert len({info.image_id for info in data.infos}) == 2

    def test_the_target_is_stated_or_read_from_p1(self, tmp_path: Path) -> None:
        items = [entry(1, target="stated"), entry(2, attributes={"structure": "adenoma"}), entry(3)]
        assert [info.target for info in load_dataset(write(tmp_path / "d", items)).infos] == [
            "stated",
            "adenoma",
            "polyp",
        ]

    def test_a_class_has_one_spelling(self, tmp_path: Path) -> None:
        items = [entry(1), entry(2)]
        items[0]["prompts"]["p1"] = "Tumor in the breast ultrasound image."
        items[1]["prompts"]["p1"] = "No tumor in the breast ultrasound image."
        assert [info.target for info in load_dataset(write(tmp_path / "d", items)).infos] == ["tumor", "tumor"]

    def test_spacing_comes_from_the_entry(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, attributes={"spacing_mm": [0.5, 0.7]}), entry(2)]))
        assert data[0].spacing_mm == (0.5, 0.7)
        assert data[1].spacing_mm is None

    def test_a_spacing_of_zero_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"spacing_mm in anns/test\.json entry 0"):
            load_dataset(write(tmp_path / "d", [entry(1, spacing_mm=[0, 1])]))

    def test_public_name_is_this_function(self, folder: Path) -> None:
        assert len(rb.load_dataset(folder, "test", "p6")) == 3


class TestModality:
    def test_the_entry_wins_over_the_card(self, tmp_path: Path) -> None:
        items = [entry(1, attributes={"modality": "T1 MRI"}), entry(2)]
        data = load_dataset(write(tmp_path / "d", items, card={"what": "one head CT"}))
        assert [info.metadata["modality"] for info in data.infos] == ["MRI", "CT"]

    def test_the_argument_wins_over_all(self, folder: Path) -> None:
        assert load_dataset(folder, modality="dermoscopy")[0].metadata["modality"] == "dermoscopy"

    def test_an_unknown_argument_is_refused(self, folder: Path) -> None:
        with pytest.raises(InputError, match="modality: expected one of CT"):
            load_dataset(folder, modality="smell")


class TestSubjects:
    def test_without_a_key_each_image_is_its_own_subject(self, folder: Path) -> None:
        data = load_dataset(folder)
        assert data.subject_is_image
        assert [case.subject_id for case in data] == ["im3", "im1", "im2"]

    def test_the_subject_key_is_used_where_the_data_has_it(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, subject="a"), entry(2, subject=7)]))
        assert not data.subject_is_image
        assert [info.subject_id for info in data.infos] == ["a", "7"]

    def test_image_overrides_the_key_and_the_facts_still_name_the_origin(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, subject="a"), entry(2, subject="a")]), subject="image")
        assert data.subject_is_image
        assert data.facts()["n_subjects"] == 2
        assert data.facts()["origin_subjects"] == ["a"]

    def test_a_pattern_takes_its_group_from_the_image_name(self, tmp_path: Path) -> None:
        items = [entry(n, img_name=f"patient{n // 2}_v{n}.png") for n in (2, 3, 4)]
        data = load_dataset(write(tmp_path / "d", items), subject="regex:^(patient[0-9]+)_")
        assert [info.subject_id for info in data.infos] == ["patient1", "patient1", "patient2"]

    def test_any_key_of_the_entries_will_do(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, attributes={"patient": "p"})]), subject="patient")
        assert data.infos[0].subject_id == "p"

    @pytest.mark.parametrize(
        ("subject", "message"),
        [
            ("patint", "did you mean 'patient'"),
            ("regex:^nobody", "finds nothing in 'im1.png'"),
            ("regex:(", "expected a regular expression"),
        ],
    )
    def test_what_cannot_be_found_is_one_clear_line(self, tmp_path: Path, subject: str, message: str) -> None:
        root = write(tmp_path / "d", [entry(1, attributes={"patient": "p"})])
        with pytest.raises(InputError, match="subject: ") as caught:
            load_dataset(root, subject=subject)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_key_that_some_entries_lack_is_refused(self, tmp_path: Path) -> None:
        root = write(tmp_path / "d", [entry(1, subject="a"), entry(2)])
        with pytest.raises(InputError, match="1 of 2 lack it"):
            load_dataset(root)

    @pytest.mark.parametrize("text", ["NA", "nan", "Unknown", "#N/A", " ? "])
    def test_what_says_that_nobody_is_known_is_no_patient(self, tmp_path: Path, text: str) -> None:
        root = write(tmp_path / "d", [entry(1, subject="a"), entry(2, subject=text), entry(3, subject="Nan Li")])
        with pytest.raises(InputError, match=r"1 of 3 say that it is not known \(.*; first: .*entry 1"):
            load_dataset(root)
        assert len(load_dataset(root, subject="image")) == 3

    @pytest.mark.parametrize("text", ["unknown", "NA", ""])
    def test_where_nobody_is_named_at_all_each_image_counts_as_without_the_key(self, tmp_path: Path, text: str) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(n, subject=text) for n in (1, 2)]))
        assert data.subject_is_image
        assert data.facts()["origin_subjects"] == []
        other = load_dataset(write(tmp_path / "e", [entry(n, subject=text, patient_id=f"p{n}") for n in (1, 2)]))
        assert [info.subject_id for info in other.infos] == ["p1", "p2"]
        with pytest.raises(InputError, match="subject: expected"):
            load_dataset(tmp_path / "d", subject="subject")


class TestDuplicates:
    def test_an_exact_repeat_is_used_once_and_noted(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(1, segment_id=1), entry(2), entry(1, segment_id=9)]))
        assert [info.case_id for info in data.infos] == ["im1_polyp", "im2_polyp"]
        assert "exact repeats of entries that were left out: 1" in data.notes

    def test_two_entries_with_one_case_id_are_both_named(self, tmp_path: Path) -> None:
        root = write(tmp_path / "d", [entry(1), entry(2, mask_name="im1_polyp.bmp")])
        with pytest.raises(InputError, match=r"entry 0 \(im1_polyp.png\) and .*entry 1 \(im1_polyp.bmp\)"):
            load_dataset(root)


class TestChoice:
    @pytest.fixture
    def many(self, tmp_path: Path) -> Path:
        items = [entry(n) for n in range(12)]
        for item in items:
            item["prompts"]["p6"] = ["first polyp", "second polyp", "third polyp"]
        return write(tmp_path / "d", items)

    def test_seeded_picks_one_text_for_each_case_and_repeats_itself(self, many: Path) -> None:
        picked = [[i.prompts[0].text for i in load_dataset(many, choose="seeded", seed=4).infos] for _ in range(2)]
        assert picked[0] == picked[1]
        assert len(set(picked[0])) > 1
        assert all(len(info.prompts) == 1 for info in load_dataset(many, choose="seeded").infos)

    def test_a_pick_does_not_depend_on_the_other_cases(self, many: Path) -> None:
        whole = load_dataset(many, choose="seeded", seed=1)
        part = load_dataset(many, choose="seeded", seed=1, limit=3)
        assert [i.prompts for i in part.infos] == [i.prompts for i in whole.infos[:3]]

    def test_limit_keeps_the_first_cases(self, many: Path) -> None:
        assert [c.case_id for c in load_dataset(many, limit=2)] == ["im0_polyp", "im1_polyp"]

    def test_an_unknown_choice_is_refused(self, many: Path) -> None:
        with pytest.raises(InputError, match="choose: expected 'all' or 'seeded', got 'some'"):
            load_dataset(many, choose="some")  # type: ignore[arg-type]


class TestSequence:
    def test_subset_and_slice_keep_order_and_infos(self, folder: Path) -> None:
        data = load_dataset(folder)
        assert [case.case_id for case in data.subset([2, 0])] == ["im2_polyp", "im3_polyp"]
        assert [info.case_id for info in data[1:].infos] == ["im1_polyp", "im2_polyp"]

    def test_negative_and_wrong_indices_behave_as_in_a_list(self, folder: Path) -> None:
        data = load_dataset(folder)
        assert data[-1].case_id == "im2_polyp"
        with pytest.raises(IndexError):
            data[3]

    def test_the_kept_images_stay_few_and_cannot_be_changed(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path / "d", [entry(n) for n in range(9)]))
        with pytest.raises(ValueError, match="read-only"):
            data[0].image[:] = 0
        assert [case.case_id for case in data] == [info.case_id for info in data.infos]
        assert len(data._reader._recent) <= 4

    def test_cases_on_one_image_decode_it_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from robustness.runners.data import pixels

        items = [entry(n, img_name="one.png") for n in range(5)]
        data = load_dataset(write(tmp_path / "d", items))
        reads = []
        original = pixels.read_image
        monkeypatch.setattr(pixels, "read_image", lambda path, **k: reads.append(path) or original(path, **k))
        assert len(list(data)) == 5
        assert len(reads) == 1

    def test_it_can_be_sent_to_another_process(self, folder: Path) -> None:
        data = load_dataset(folder)
        assert pickle.loads(pickle.dumps(data))[1].case_id == data[1].case_id

    def test_the_context_holds_the_infos_and_the_seed(self, folder: Path) -> None:
        data = load_dataset(folder)
        assert data.context(5).seed == 5
        assert data.context(5).infos == data.infos

    def test_its_plan_table_opens_it_again(self, folder: Path) -> None:
        data = load_dataset(folder, prompt="p1", limit=2)
        again = load_dataset(**data.spec())
        assert again.infos == data.infos


class TestFingerprint:
    def test_it_is_the_sha256_of_every_file_by_relative_name(self, folder: Path) -> None:
        files = load_dataset(folder).fingerprint()
        assert list(files) == sorted(files)
        assert set(files) == {"anns/test.json"} | {f"images/im{n}.png" for n in (1, 2, 3)} | {
            f"masks/im{n}_polyp.png" for n in (1, 2, 3)
        }
        assert files["images/im1.png"] == hashlib.sha256((folder / "images/im1.png").read_bytes()).hexdigest()

    def test_a_changed_mask_changes_it_and_a_missing_one_is_said(self, folder: Path) -> None:
        data = load_dataset(folder)
        before = data.fingerprint()
        (folder / "masks/im1_polyp.png").unlink()
        (folder / "masks/im2_polyp.png").write_bytes(b"other")
        after = data.fingerprint()
        assert after["masks/im1_polyp.png"] == "missing"
        assert {key for key in before if before[key] != after[key]} == {"masks/im1_polyp.png", "masks/im2_polyp.png"}


class TestBadCases:
    def test_a_missing_image_is_a_case_error_that_names_it_and_the_near_file(self, folder: Path) -> None:
        (folder / "images/im1.png").rename(folder / "images/im1.jpg")
        data = load_dataset(folder)
        assert data[0].case_id == "im3_polyp"
        with pytest.raises(CaseError, match=r"im1\.png: no such file; did you mean 'im1\.jpg'"):
            data[1]

    def test_a_truncated_picture_is_a_case_error_on_one_line(self, folder: Path) -> None:
        path = folder / "images/im3.png"
        path.write_bytes(path.read_bytes()[:200])
        with pytest.raises(CaseError, match=r"im3\.png: expected a readable image file") as caught:
            load_dataset(folder)[0]
        assert "\n" not in str(caught.value)

    def test_a_mask_of_another_size_is_a_case_error_with_both_sizes(self, folder: Path) -> None:
        PILImage.new("L", (31, 20)).save(folder / "masks/im3_polyp.png")
        with pytest.raises(CaseError, match=r"im3_polyp\.png: .*im3\.png, 30 x 20, got 31 x 20"):
            load_dataset(folder)[0]

    def test_an_entry_without_the_prompt_is_a_case_error_and_the_rest_is_fine(self, tmp_path: Path) -> None:
        bad = entry(2)
        del bad["prompts"]["p6"]
        data = load_dataset(write(tmp_path / "d", [entry(1), bad]))
        assert data[0].prompt.text
        with pytest.raises(CaseError, match=r"im2_polyp: anns/test\.json entry 1: expected a text under prompt 'p6'"):
            data[1]
        assert any(note.startswith("cases that cannot be used: 1;") for note in data.notes)


class TestBadFolders:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"split": "tset"}, "split: expected one of test in .*; did you mean 'test'"),
            ({"prompt": "p66"}, "prompt: expected one of p0, p1, p6 in .*; did you mean 'p6'"),
            ({"limit": 0}, "limit: expected a number of cases of at least 1, got 0"),
        ],
    )
    def test_a_wrong_argument_lists_what_exists(self, folder: Path, options: dict[str, Any], message: str) -> None:
        with pytest.raises(InputError, match=message):
            load_dataset(folder, **options)

    def test_a_folder_that_does_not_exist(self, tmp_path: Path) -> None:
        (tmp_path / "kvasir").mkdir()
        with pytest.raises(InputError, match=r"kvazir does not exist; .* holds kvasir"):
            load_dataset(tmp_path / "kvazir")

    def test_a_folder_without_annotations_points_at_its_manifest(self, tmp_path: Path) -> None:
        (tmp_path / "cases.csv").write_text("image,mask,prompt\n")
        with pytest.raises(
            InputError,
            match=r"found cases.csv; where images lie otherwise pass the path of a table of cases .cases.csv",
        ):
            load_dataset(tmp_path)

    def test_a_folder_without_images(self, folder: Path) -> None:
        (folder / "images").rename(folder / "imgs")
        with pytest.raises(InputError, match=r"expected a folder 'images' .*did you mean 'imgs'"):
            load_dataset(folder)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[]", "expected at least one entry"),
            ("{}", "expected a JSON list"),
            ("[{", "expected JSON in"),
            ('[{"img_name": "a.png"}]', "expected 'mask_name' in entry 0"),
        ],
    )
    def test_a_broken_annotation_file(self, folder: Path, text: str, message: str) -> None:
        (folder / "anns/test.json").write_text(text)
        with pytest.raises(InputError, match=message):
            load_dataset(folder)

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "a.xlsx").write_text("")
        with pytest.raises(InputError, match=r"expected a folder or a file ending in \.csv"):
            load_dataset(tmp_path / "a.xlsx")


class TestRealData:
    @pytest.mark.parametrize(
        ("name", "cases", "images", "modality"),
        [("brain_mni_aal", 110, 20, "MRI"), ("nuclei_dsb", 28, 4, "microscopy"), ("head_ct", 23, 9, "CT")],
    )
    def test_counts_and_modality_are_those_of_the_card(
        self, shared: Path, name: str, cases: int, images: int, modality: str
    ) -> None:
        data = load_dataset(shared / "data" / name, subject="image")
        facts = data.facts()
        assert (facts["n_cases"], facts["n_images"], facts["modalities"]) == (cases, images, [modality])
        assert all(case.mask.any() and case.image.shape[:2] == case.mask.shape for case in data[::7])

    @pytest.mark.slow
    def test_area_of_the_mask_is_the_one_that_the_annotation_states(self, shared: Path) -> None:
        for case in load_dataset(shared / "data" / "brain_colin_bet")[::11]:
            assert case.mask.mean() == pytest.approx(case.metadata["attributes"]["area_fraction"], abs=1e-5)
