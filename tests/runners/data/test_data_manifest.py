"""CSV and Parquet manifests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image as PILImage
from typer.testing import CliRunner

from robustness.cli.main import app
from robustness.errors import CaseError, InputError
from robustness.runners.data.check.dataset import check_dataset
from robustness.runners.data.check.opened import check_opened
from robustness.runners.data.load import load_dataset
from robustness.workflows.init_plan import look


def row(number: int, prompt: str = "a small polyp", **more: Any) -> dict[str, Any]:
    return {"image": f"img/{number}.png", "mask": f"msk/{number}.png", "prompt": prompt, **more}


def write(folder: Path, rows: list[dict[str, Any]], name: str = "cases.csv") -> Path:
    for part, value in (("img", 90), ("msk", 255)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for item in rows:
            key = "image" if part == "img" else "mask"
            PILImage.fromarray(np.full((8, 9), value, np.uint8)).save(folder / part / Path(item[key]).name)
    table = pd.DataFrame(rows)
    path = folder / name
    table.to_parquet(path) if name.endswith(".parquet") else table.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["cases.csv", "cases.parquet"])
class TestBothFormats:
    def test_all_columns_find_their_place(self, tmp_path: Path, name: str) -> None:
        known = {"case_id": "c/1", "subject_id": "007", "target": "polyp", "modality": "colonoscopy"}
        rows = [row(1, **known, spacing_mm_y=0.5, spacing_mm_x=0.25, hospital="north")]
        data = load_dataset(write(tmp_path, rows, name))
        case = data[0]
        assert (case.case_id, case.subject_id, case.target) == ("c__1", "007", "polyp")
        assert case.spacing_mm == (0.5, 0.25)
        assert case.metadata["modality"] == "endoscopy"
        assert case.metadata["hospital"] == "north"
        assert case.metadata["dataset"] == "cases"
        assert not data.subject_is_image

    def test_three_columns_are_enough(self, tmp_path: Path, name: str) -> None:
        data = load_dataset(write(tmp_path, [row(2), row(1)], name))
        # The prompt that is read by default is p6, which this table lacks.
        assert (data.prompt, data.facts()["prompt"], data[0].metadata["prompt_key"]) == ("prompt",) * 3
        keyed = load_dataset(write(tmp_path, [{**row(n), "p6": "one polyp"} for n in (1, 2)], f"keyed-{name}"))
        assert (keyed.prompt, keyed[0].prompt.text) == ("p6", "one polyp")
        assert [case.case_id for case in data] == ["msk__2", "msk__1"]
        assert data.subject_is_image
        assert data[0].target == "polyp"
        assert data[0].spacing_mm is None
        assert set(data.fingerprint()) == {name, "img/1.png", "img/2.png", "msk/1.png", "msk/2.png"}

    def test_absent_values_of_optional_columns_are_absent(self, tmp_path: Path, name: str) -> None:
        rows = [row(1, spacing_mm_y=None, spacing_mm_x=None, hospital=None), row(2, spacing_mm_y=1.0, spacing_mm_x=2.0)]
        data = load_dataset(write(tmp_path, rows, name))
        assert data[0].spacing_mm is None
        assert "hospital" not in data[0].metadata
        assert data[1].spacing_mm == (1.0, 2.0)

    def test_the_column_split_picks_rows(self, tmp_path: Path, name: str) -> None:
        path = write(tmp_path, [row(1, split="train"), row(2, split="test")], name)
        assert [info.case_id for info in load_dataset(path, split="train").infos] == ["msk__1"]
        with pytest.raises(InputError, match=r"split: expected one of train, test .*did you mean 'train'"):
            load_dataset(path, split="trian")

    def test_rows_without_a_split_are_counted_by_the_check_and_before_an_audit(self, tmp_path: Path, name: str) -> None:
        rows = [row(n, split=split) for n, split in enumerate(["test", None, "train", "", " "], start=1)]
        path = write(tmp_path, rows, name)
        found = check_dataset(path, pixels=False)
        message = dict(zip(found.code, found.message, strict=True))["row_without_split"]
        assert message.startswith(
            f"3 of 5 rows name no split (first: {name} row 2), so they are in none; write a split"
        )
        opened = {finding.code: finding for finding in check_opened(load_dataset(path))}["row_without_split"]
        assert (opened.level, opened.message) == ("warning", message)
        said = CliRunner().invoke(app, ["init", str(path), "--out", str(tmp_path / "plan.toml")])
        assert message in said.stderr

    def test_rows_that_all_name_one_or_hold_nothing_are_no_finding(self, tmp_path: Path, name: str) -> None:
        path = write(tmp_path, [row(1, split="test"), row(2, split="train")], name)
        if name.endswith(".csv"):
            path.write_text(path.read_text() + ",,,\n")
        assert "row_without_split" not in set(check_dataset(path, pixels=False).code)

    def test_splits_may_be_numbers_from_0(self, tmp_path: Path, name: str) -> None:
        path = write(tmp_path, [row(n, split=n % 3) for n in range(6)], name)
        assert [len(load_dataset(path, split=split)) for split in ("0", "1", "2")] == [2, 2, 2]
        assert "row_without_split" not in set(check_dataset(path, pixels=False).code)

    def test_a_column_split_without_any_value_is_refused(self, tmp_path: Path, name: str) -> None:
        path = write(tmp_path, [row(1, split=""), row(2, split="")], name)
        for read in (check_dataset, load_dataset, look):
            with pytest.raises(InputError, match="the column 'split', all rows are empty; fill or remove the column"):
                read(path)


class TestTexts:
    def test_rows_of_one_case_are_its_listed_texts(self, tmp_path: Path) -> None:
        rows = [row(1, "a small polyp"), row(2), row(1, "a tiny polyp"), row(1, "a small polyp")]
        data = load_dataset(write(tmp_path, rows))
        assert [prompt.text for prompt in data.infos[0].prompts] == ["a small polyp", "a tiny polyp"]
        assert [info.case_id for info in data.infos] == ["msk__1", "msk__2"]
        assert "exact repeats of entries that were left out: 1" in data.notes

    def test_rows_of_one_case_must_agree_on_its_files(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1, case_id="a"), row(2, case_id="a")])
        with pytest.raises(InputError, match=r"'a' for cases.csv row 1 \(msk/1.png\) and cases.csv row 2"):
            load_dataset(path)

    def test_rows_of_one_case_must_agree_on_who_the_patient_is(self, tmp_path: Path) -> None:
        rows = [row(1, patient="1"), row(1, patient="2")]
        with pytest.raises(InputError, match=r"row 1.*row 2|row 2.*row 1"):
            load_dataset(write(tmp_path, rows), subject="patient")

    def test_text_that_looks_like_nothing_stays_text(self, tmp_path: Path) -> None:
        assert load_dataset(write(tmp_path, [row(1, "None")]))[0].prompt.text == "None"

    def test_an_empty_prompt_is_a_case_error(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path, [row(1, ""), row(2)]))
        assert data[1].prompt.text == "a small polyp"
        with pytest.raises(CaseError, match="row 1: expected a text under 'prompt'"):
            data[0]

    def test_prompt_keys_become_siblings_and_can_be_asked_for(self, tmp_path: Path) -> None:
        rows = [{**row(1), "p1": "polyp", "p2": "small polyp"}]
        data = load_dataset(write(tmp_path, rows), prompt="p2")
        assert data[0].prompt.text == "small polyp"
        assert data[0].metadata["siblings"] == {"p1": "polyp", "p2": "small polyp"}

    def test_another_column_can_hold_the_prompts(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1, caption="a pink polyp")])
        assert load_dataset(path, prompt="caption")[0].prompt.text == "a pink polyp"
        with pytest.raises(InputError, match="did you mean 'caption'"):
            load_dataset(path, prompt="captoin")


class TestPatientColumns:
    @pytest.mark.parametrize("column", ["subject", "subject_id", "patient_id", "participant_id", "PatientID"])
    def test_two_images_of_one_patient_are_one_unit(self, tmp_path: Path, column: str) -> None:
        rows = [row(number, **{column: "p1" if number < 3 else "p2"}) for number in (1, 2, 3)]
        data = load_dataset(write(tmp_path, rows))
        assert [info.subject_id for info in data.infos] == ["p1", "p1", "p2"]
        assert not data.subject_is_image

    def test_the_first_of_two_columns_counts(self, tmp_path: Path) -> None:
        rows = [row(1, patient_id="hospital-7", subject_id="007")]
        assert load_dataset(write(tmp_path, rows)).infos[0].subject_id == "007"


class TestFiles:
    def test_a_semicolon_table_is_understood(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1, "a polyp, left")])
        table = pd.read_csv(path)
        table.to_csv(path, index=False, sep=";")
        assert load_dataset(path)[0].prompt.text == "a polyp, left"

    def test_absolute_paths_inside_the_folder_count_from_it(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1)])
        absolute = {key: str(tmp_path / value) for key, value in row(1).items() if key != "prompt"}
        pd.DataFrame([{**absolute, "prompt": "x"}]).to_csv(path, index=False)
        assert load_dataset(path)[0].case_id == "msk__1"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("image,prompt\na,b\n", "'mask' is missing: give these names to the columns"),
            ("image,mask,prompt\n", "expected at least one row"),
            ("image,mask,prompt\n,m.png,x\n", "expected a path under 'image' in cases.csv row 1"),
            (
                "image,mask,prompt\nhttps://e.org/a.png,m.png,x\n",
                "a path under 'image' in cases.csv row 1, got the address https://e.org/a.png; download it",
            ),
            ("image,mask\na,b\n", "data: expected a column prompt"),
            ("", "expected a readable table"),
            ("image,mask,prompt,spacing_mm_y\na,b,c,0.5\n", "spacing_mm in cases.csv row 1"),
            ("image,mask,prompt,spacing_mm\na,b,c,0.5\n", "the columns spacing_mm_y and spacing_mm_x"),
            ("prompt,image,mask\na polyp, red,i,m\nb, red,i,m\n", "expected 3 fields in row 1 of .*, got 4; a text"),
            (
                "image,mask,prompt\ni,m,a\ni,m,b, red\n",
                "expected 3 fields in row 2 of .*, got 4; a text that holds ','",
            ),
            (
                "image,mask,prompt\ni,m,\"['a polyp', 'b']\"\n",
                "got a list written as text .* write a row for each text",
            ),
            ('image,mask,prompt\ni,m,"[""a\'s"", \'b\']"\n', "got a list written as text"),
            ("image,mask,prompt,split\ni,m,a,test\nj,n,b,Test \n", "one spelling of 'test' in .*, found 'Test ' as"),
            ("image,mask,prompt,prompt\ni,m,a,b\n", "expected each column once in .*, found 'prompt' twice"),
        ],
    )
    def test_a_broken_table_is_one_clear_line(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "cases.csv").write_text(text)
        with pytest.raises(InputError, match=message) as caught:
            load_dataset(tmp_path / "cases.csv")
        assert "\n" not in str(caught.value)

    def test_a_text_that_only_begins_with_a_bracket_is_a_text(self, tmp_path: Path) -> None:
        texts = ["[polyp]", 'polyp ["small"]', "['x'] polyp"]
        data = load_dataset(write(tmp_path, [row(n, text) for n, text in enumerate(texts)]))
        assert [info.prompts[0].text for info in data.infos] == texts

    def test_separators_at_the_end_of_rows_move_no_column(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1), row(2)])
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, *(f"{line}," for line in rows)]) + "\n")
        assert [case.prompt.text for case in load_dataset(path)] == ["a small polyp"] * 2

    def test_a_prompt_of_blanks_is_none(self, tmp_path: Path) -> None:
        data = load_dataset(write(tmp_path, [row(1, "  "), row(2)]))
        with pytest.raises(CaseError, match="expected a text under 'prompt', found none"):
            data[0]
        assert data[1].prompt.text == "a small polyp"

    def test_a_broken_parquet_file_is_one_clear_line(self, tmp_path: Path) -> None:
        (tmp_path / "cases.parquet").write_bytes(b"PAR1 no")
        with pytest.raises(InputError, match="expected a readable table"):
            load_dataset(tmp_path / "cases.parquet")

    def test_training_rows_are_never_made_up(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="expected a column 'split'"):
            load_dataset(write(tmp_path, [row(1)]), split="train")


class TestTablesOfSpreadsheets:
    def rewritten(self, folder: Path, change: Callable[[str], bytes]) -> Path:
        rows = [row(1, subject_id="007", date="03.04.2020", spacing_mm_y="0.5", spacing_mm_x="0.25")]
        path = write(folder, rows)
        path.write_bytes(change(path.read_text()))
        return path

    @pytest.mark.parametrize(
        "change",
        [
            lambda text: text.encode("utf-8-sig"),
            lambda text: text.replace(",", ";").encode("utf-8-sig"),
            lambda text: text.replace(",", ";").replace("0.5", "0,5").replace("0.25", "0,25").encode(),
            lambda text: b"sep=;\r\n" + text.replace(",", ";").encode(),
            lambda text: text.replace(",", "\t").encode("utf-16"),
        ],
        ids=["byte order mark", "semicolons", "decimal commas", "a line that names the separator", "UTF-16"],
    )
    def test_they_are_read(self, tmp_path: Path, change: Callable[[str], bytes]) -> None:
        data = load_dataset(self.rewritten(tmp_path, change), groups=["date"])
        assert (data.infos[0].subject_id, data[0].spacing_mm) == ("007", (0.5, 0.25))
        assert data.infos[0].metadata["groups"] == {"date": "03.04.2020"}

    def test_another_encoding_is_one_line_with_the_cure(self, tmp_path: Path) -> None:
        path = self.rewritten(tmp_path, lambda text: text.replace("polyp", "Läsion").encode("cp1252"))
        with pytest.raises(InputError, match="save the table as UTF-8"):
            load_dataset(path)


class TestNestedColumns:
    """Each list was a patient of its own, named by its brackets."""

    @pytest.mark.parametrize("value", [["s1"], {"id": "s1"}])
    @pytest.mark.parametrize("column", ["image", "subject", "patient_id", "target", "split", "case_id"])
    def test_one_where_a_name_stands_is_refused_by_its_column(self, tmp_path: Path, column: str, value: Any) -> None:
        path = write(tmp_path, [row(1)], "cases.parquet")
        pd.read_parquet(path).assign(**{column: [value]}).to_parquet(path)
        with pytest.raises(
            InputError, match=rf"one value under '{column}', got a list or structure in row 1 of .*alone"
        ):
            load_dataset(path)

    def test_so_is_any_column_that_names_the_subject_and_no_other(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1), row(2)], "cases.parquet")
        pd.read_parquet(path).assign(scans=[["a"], ["b"]], prompt=[["a polyp", "a small polyp"]] * 2).to_parquet(path)
        assert [len(info.prompts) for info in load_dataset(path).infos] == [2, 2]
        with pytest.raises(
            InputError, match=r"one value under 'scans', got a list or structure in cases.parquet row 1"
        ):
            load_dataset(path, subject="scans")


class TestBytes:
    """Writers that mark no column as text: a subject was called "b'p1'", and no image was found."""

    def test_bytes_are_the_text_that_they_are(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1), row(2)], "cases.parquet")
        plain = load_dataset(path, subject="image").infos
        stored = pd.read_parquet(path).assign(subject=["Åsa", "p2"])
        named = ("image", "mask", "prompt", "subject")
        encoded = {name: [str(cell).encode() for cell in stored[name]] for name in named}
        stored.assign(**encoded).to_parquet(path)
        infos = load_dataset(path).infos
        assert [info.subject_id for info in infos] == ["Åsa", "p2"]
        assert [(i.case_id, i.prompts) for i in infos] == [(i.case_id, i.prompts) for i in plain]

    def test_files_inside_of_the_table_are_refused_by_their_column(self, tmp_path: Path) -> None:
        path = write(tmp_path, [row(1)], "cases.parquet")
        pd.read_parquet(path).assign(image=[b"\x89PNG\r\n"]).to_parquet(path)
        with pytest.raises(InputError, match="no UTF-8 text in the column 'image'; write images and masks as files"):
            load_dataset(path)


@pytest.mark.parametrize("label", [[1, 3], ["one", "three"]])
def test_lists_of_parquet_name_a_mask_as_those_of_json_do(tmp_path: Path, label: list[Any]) -> None:
    labels = np.array([[0, 1], [2, 3]], np.uint8).repeat(5, 0).repeat(5, 1)
    PILImage.fromarray(labels).save(tmp_path / "labels.png")
    square = [[0, 0, 0, 4, 4, 4, 4, 0]]
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": 10, "width": 10}],
        "categories": [{"id": 1, "name": "polyp"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "segmentation": square}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    common = {"image": "labels.png", "prompt": ["a polyp", "the polyp"]}
    table = {"labels": {"one": 1, "two": 2, "three": 3}}
    for own, options, area in (
        ({"mask": "labels.png", "mask_label": label}, table, 50),
        ({"mask": "coco.json", "mask_key": ["a.png", "polyp"]}, {}, 16),
    ):
        pd.DataFrame([{**common, **own}]).to_parquet(tmp_path / "cases.parquet")
        (case,) = load_dataset(tmp_path / "cases.parquet", **options)
        assert case.mask.sum() == area


@pytest.mark.parametrize("label", ["2.0", "2", " 2.", "[2]", '["two"]', "two"])
@pytest.mark.parametrize("labels", [{"one": 1, "two": 2}, None])
def test_a_label_is_read_as_spreadsheets_write_it(tmp_path: Path, label: str, labels: dict[str, int] | None) -> None:
    """pandas writes 2 as 2.0 where a column has gaps."""
    PILImage.fromarray(np.array([[0, 1], [2, 2]], np.uint8)).save(tmp_path / "labels.png")
    cases = {"image": ["labels.png"], "mask": ["labels.png"], "prompt": ["a polyp"], "mask_label": [label]}
    pd.DataFrame(cases).to_csv(tmp_path / "cases.csv", index=False)
    if "two" in label and labels is None:
        with pytest.raises(InputError, match="expected a label value, as no labels are named"):
            load_dataset(tmp_path / "cases.csv")
        return
    (case,) = load_dataset(tmp_path / "cases.csv", **({"labels": labels} if labels else {}))
    assert case.mask.tolist() == [[False, False], [True, True]]
    assert case.case_id == ("labels_two" if labels else "labels_2")


def test_a_file_that_is_no_table_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "coco.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(InputError, match=r"file ending in .*, got .*coco\.json; a COCO file is named in the rows"):
        look(tmp_path / "coco.json")
