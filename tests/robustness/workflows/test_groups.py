"""`[data] groups`, end to end: columns and header fields reach rows, subgroup tables, gates and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import robustness as rb
from robustness.errors import InputError
from robustness.workflows.run import Run

SIZE = 32
PATIENTS = 24


def disc() -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.asarray(np.hypot(rows - 16, columns - 16) <= 7)


def needs_words_on_bright_images(images: list[np.ndarray], prompts: list[str]) -> list[np.ndarray]:
    """Find the disc, but nothing on a bright image (scanner B) without a prompt."""
    return [
        disc().astype(np.float32) * float(bool(prompt) or image.mean() < 128)
        for image, prompt in zip(images, prompts, strict=True)
    ]


def write_dicom(path: Path, image: np.ndarray, *, patient: str, scanner: str, sex: str) -> None:
    """Write a radiograph whose header alone says who was imaged where."""
    from tests.runners.data.volumes import phantom

    dataset = phantom.slice_dataset(image.astype(np.int16), phantom.affine_ras(), 0, Modality="DX")
    dataset.PatientID, dataset.PatientSex, dataset.ManufacturerModelName = patient, sex, scanner
    del dataset.ImageOrientationPatient, dataset.ImagePositionPatient
    dataset.save_as(path, enforce_file_format=True)


@pytest.fixture(
    scope="module",
    params=["columns of the table", pytest.param("fields of DICOM headers", marks=pytest.mark.slow)],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Patients with scanner and sex, named by a table or by headers, audited."""
    in_headers = request.param == "fields of DICOM headers"
    if in_headers:
        pytest.importorskip("pydicom")
    folder = tmp_path_factory.mktemp("groups")
    Image.fromarray(disc().astype(np.uint8) * 255).save(folder / "mask.png")
    rows = []
    for number in range(PATIENTS):
        scanner = "AB"[number % 2]
        rng = np.random.default_rng(number)
        image = rng.normal(60 if scanner == "A" else 190, 10, (SIZE, SIZE)).clip(0, 255).astype(np.uint8)
        patient, sex = f"p{number}", "FM"[number // 12]
        name = f"{number}.dcm" if in_headers else f"{number}.png"
        row = {"image": name, "mask": "mask.png", "case_id": f"c{number}", "prompt": "one polyp"}
        if in_headers:
            write_dicom(folder / name, image, patient=patient, scanner=scanner, sex=sex)
            rows.append(row)
        else:
            Image.fromarray(image).save(folder / name)
            rows.append({**row, "subject_id": patient, "scanner": scanner, "sex": sex})
    pd.DataFrame(rows).to_csv(folder / "cases.csv", index=False)
    data = rb.load_dataset(
        folder / "cases.csv", groups=["scanner", "sex"], modality="endoscopy", window=[0, 255] if in_headers else None
    )
    model = rb.segmenter(needs_words_on_bright_images, name="reader")
    made: Run = rb.audit(model, data, perturbations=["empty"], out=folder / "run")
    return made


def gated(run: Run, folder: Path, subgroup: str) -> pd.Series:
    (folder / "gates.toml").write_text(
        f'[[gate]]\ntest = "drop_below"\ncondition = "empty"\nmargin = 0.1\nsubgroup = "{subgroup}"\n'
    )
    return run.gate(folder / "gates.toml").iloc[0]


@pytest.mark.slow
def test_they_are_columns_of_the_results(run: Run) -> None:
    table = run.results()
    assert table.groupby("scanner").subject_id.nunique().to_dict() == {"A": 12, "B": 12}
    assert table.groupby("sex").subject_id.nunique().to_dict() == {"F": 12, "M": 12}


def test_a_gate_judges_each_value_and_takes_the_worst(run: Run, tmp_path: Path) -> None:
    assert gated(run, tmp_path, "scanner=A").outcome == "pass"
    assert gated(run, tmp_path, "scanner=B").outcome == "fail"
    worst = gated(run, tmp_path, "scanner=*")
    assert (worst.outcome, worst.subgroup, worst.n_subjects) == ("fail", "B", 12)
    assert gated(run, tmp_path, "sex=*").outcome == "fail"


def test_a_subgroup_that_does_not_exist_is_one_line(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="scaner"):
        gated(run, tmp_path, "scaner=*")
    with pytest.raises(InputError, match="scanner=C"):
        gated(run, tmp_path, "scanner=C")


def test_the_page_and_its_subgroup_table_show_them(run: Run) -> None:
    from robustness.metrics.analyses.subgroups import subgroups
    from robustness.reports.data.subgroups import subgroup_table

    results = run.results()
    found = subgroups(results, "scanner")
    effect = found[found.condition == "empty"].set_index("group").effect
    assert effect["A"] == pytest.approx(0.0, abs=1e-9)
    assert abs(effect["B"]) == pytest.approx(1.0)
    table = subgroup_table(results.assign(series=results["model"]))
    assert {(row.grouping, row.group) for row in table.itertuples()} >= {
        ("scanner", "A"),
        ("scanner", "B"),
        ("sex", "F"),
        ("sex", "M"),
    }
    assert "scanner" in (run.path / "report.html").read_text()


def test_a_group_of_one_value_is_told_to_be_the_column(tmp_path):
    rows = [f"i{n}.png,i{n}.png,one polyp,A" for n in range(2)]
    (tmp_path / "cases.csv").write_text("\n".join(["image,mask,prompt,scanner", *rows]) + "\n")
    with pytest.raises(InputError, match="got 'scanner=A'; write 'scanner' alone: each of its values is a group"):
        rb.load_dataset(tmp_path / "cases.csv", groups=["scanner=A"])
