"""Contact sheets of a modality: which images they show, and where they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import InputError, counted
from robustness.files import IMAGE_SUFFIXES
from robustness.types import Case

# Embedded real images; a drawn one stands beside them for the kinds that need colour.
# Pixels: below them nothing is seen, above them a sheet of a hundred images outgrows the memory.
_TILE = (48, 1024)
_EMBEDDED = {"MRI": "brain", "microscopy": "nuclei"}


def write_sheets(
    out: Path, *, modality: str = "", data: Path | None = None, tile: int = 160, **opened: Any
) -> list[Path]:
    """Write a contact sheet of one modality, or one of each where neither a modality nor data are named.

    Args:
        out: the image to write; for several modalities the name gets each one's ending ("sheet-MRI.png").
        modality: which list of changes; "" takes the one that `data` states.
        data: a dataset, a manifest or a single image; None shows an embedded image or, where there is none of that
            modality, a phantom drawn in code, which the sheet says.
        tile: height of an image on the sheet in pixels.
        opened: `split` and `prompt` with which the dataset is opened.

    Raises:
        InputError: no such data, data without a modality and none named, or a sheet of another format or size.
        UnknownNameError: a modality that is not known.
    """
    from robustness.perturb.modality import MODALITIES, known_modality
    from robustness.perturb.severity.contact_sheet import sheet_format

    sheet_format(out)
    if not _TILE[0] <= tile <= _TILE[1]:
        raise InputError(f"--tile: expected {_TILE[0]} to {_TILE[1]} pixels, got {tile}")
    named = known_modality(modality, option="--modality") if modality else ""
    if data is not None:
        case = _data_case(data, named, **opened)
        return [_written(out, named or _stated(case), [case], (), f"the image {case.case_id} of {data.name}", tile)]
    names = [named] if named else list(MODALITIES)
    files = []
    for name in names:
        cases, stand_ins, note = _own_cases(name)
        path = out if named else out.with_name(f"{out.stem}-{name}{out.suffix}")
        files.append(_written(path, name, cases, stand_ins, note, tile))
    return files


def _written(path: Path, modality: str, cases: list[Case], stand_ins: tuple[str, ...], note: str, tile: int) -> Path:
    from robustness.perturb.modality import COMMON_KINDS, KINDS_BY_MODALITY
    from robustness.perturb.severity.contact_sheet import draw_sheet, save_sheet, sheet_rows

    kinds = sorted(KINDS_BY_MODALITY[modality], key=lambda kind: kind in COMMON_KINDS)
    rows = sheet_rows(kinds, cases, stand_ins=stand_ins)
    title = f"{modality}: {counted(len(rows), 'image change')}, severities 1 to 5"
    return save_sheet(draw_sheet(rows, title=title, note=f"Shown on {note}. SSIM over its content.", tile=tile), path)


def _own_cases(modality: str) -> tuple[list[Case], tuple[str, ...], str]:
    from robustness.perturb.severity.contact_sheet import image_case
    from robustness.perturb.severity.phantoms import phantom

    drawn = image_case(phantom(modality), "phantom", modality)
    if modality not in _EMBEDDED:
        return (
            [drawn],
            (),
            "a phantom drawn in code, a stand-in",
        )
    from robustness.workflows.demo_files import demo_data

    real = _data_case(demo_data(_EMBEDDED[modality]), modality)
    return [real, drawn], ("phantom",), f"{real.case_id} ([stand-in]: a phantom drawn in code)"


def _data_case(data: Path, modality: str, **opened: Any) -> Case:
    """Return the middle case of a dataset, or a single image."""
    from robustness.runners.data.load import load_dataset

    if data.is_file() and data.suffix.lower() in IMAGE_SUFFIXES:
        return _image_file_case(data, modality)
    cases = load_dataset(data, **{key: value for key, value in opened.items() if value}, modality=modality or None)
    if len(cases) == 0:
        raise InputError(f"--from: expected a dataset with cases, got none in {data}")
    return cases[len(cases) // 2]


def _image_file_case(path: Path, modality: str) -> Case:
    from PIL import Image

    from robustness.perturb.severity.contact_sheet import image_case

    try:
        with Image.open(path) as opened:
            image = np.array(opened.convert("RGB"))
    except OSError as error:
        raise InputError(f"--from: expected an image that can be read, got {path} ({error})") from None
    return image_case(image, path.stem, modality)


def _stated(case: Case) -> str:
    from robustness.perturb.modality import MODALITIES, canonical_modality

    modality = canonical_modality(str(case.metadata.get("modality", "")))
    if not modality:
        raise InputError(f"--modality: expected one of {', '.join(MODALITIES)}, for the data states none; name it")
    return modality
