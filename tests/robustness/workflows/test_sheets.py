"""`robustness list perturbations --sheet`: what is drawn, from where, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from robustness.errors import InputError, UnknownNameError
from robustness.perturb.modality import MODALITIES
from robustness.workflows import contact_sheets as sheets
from robustness.workflows.demo_files import demo_data


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """Note what would be drawn; drawing itself is tested beside `contact_sheet`."""
    found: list[dict] = []

    def written(path, modality, cases, stand_ins, note, tile):
        found.append({"path": path, "modality": modality, "cases": cases, "stand_ins": stand_ins, "note": note})
        return path

    monkeypatch.setattr(sheets, "_written", written)
    return found


def test_without_a_modality_each_gets_its_own_sheet(drawn: list[dict], tmp_path: Path) -> None:
    paths = sheets.write_sheets(tmp_path / "s.png")
    assert [path.name for path in paths] == [f"s-{modality}.png" for modality in MODALITIES]


def test_a_phantom_is_called_one(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", modality="fundus")
    assert "drawn in code" in drawn[0]["note"]
    assert drawn[0]["path"] == tmp_path / "s.png"


def test_embedded_pictures_are_real_and_the_phantom_beside_them_is_marked(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", modality="MRI")
    assert [case.case_id for case in drawn[0]["cases"]][1:] == ["phantom"]
    assert drawn[0]["stand_ins"] == ("phantom",)


def test_data_are_shown_in_their_own_modality(drawn: list[dict], tmp_path: Path) -> None:
    sheets.write_sheets(tmp_path / "s.png", data=demo_data("brain"))
    assert drawn[0]["modality"] == "MRI"
    assert len(drawn[0]["cases"]) == 1


def test_a_single_picture_needs_a_modality(drawn: list[dict], tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40, 3), 90, np.uint8)).save(tmp_path / "scan.png")
    sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "scan.png", modality="chest x-ray")
    assert drawn[0]["modality"] == "x-ray"
    with pytest.raises(InputError, match="--modality: expected one of"):
        sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "scan.png")


def test_what_cannot_be_shown_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    with pytest.raises(InputError, match="--from: expected an image that can be read"):
        sheets.write_sheets(tmp_path / "s.png", data=tmp_path / "broken.png", modality="MRI")
    with pytest.raises(UnknownNameError, match="--modality: expected one of"):
        sheets.write_sheets(tmp_path / "s.png", modality="sonar")


@pytest.mark.slow
def test_a_sheet_holds_a_row_for_each_kind_of_the_modality(tmp_path: Path) -> None:
    (path,) = sheets.write_sheets(tmp_path / "s.png", modality="OCT", tile=64)
    with Image.open(path) as sheet:
        assert sheet.height > 64 * 8
