"""Contact sheets: every change of a modality at every severity beside the clean image, to be judged by eye."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from robustness.errors import InputError
from robustness.files import write_atomic
from robustness.perturb.base import applied, proposed
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.severity.calibration import shrunk
from robustness.perturb.severity.similarity import content_similarity
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, Image, NotApplicable, Prompt

if TYPE_CHECKING:
    from PIL.Image import Image as Sheet

_GAP, _LINE, _HEAD = 6, 15, 46
_ROWS_OF_ONE_BLOCK = 12
_PAPER, _INK, _FAINT = (255, 255, 255), (20, 20, 20), (110, 110, 110)


class Tile(NamedTuple):
    """One image of a sheet and what is written under it."""

    image: Image
    caption: str


class Row(NamedTuple):
    """One change: what stands above it, the clean image and the severities."""

    title: str
    tiles: tuple[Tile, ...]


def sheet_rows(
    kinds: Sequence[str], cases: Sequence[Case], *, stand_ins: Sequence[str] = (), seed: int = 0
) -> list[Row]:
    """Apply every kind at every severity to the first case that it applies to.

    Args:
        kinds: names of image changes.
        cases: images of one modality; they are shrunk to a shorter side of 256 pixels.
        stand_ins: `case_id` of cases that were drawn in code; rows on them say so.
        seed: of the draws.

    Raises:
        UnknownNameError: a kind that is not registered.
    """
    small = [shrunk(case) for case in cases]
    return [_row(cast("ImagePerturbation", PERTURBATIONS.get(kind)()), small, stand_ins, seed) for kind in kinds]


def _row(change: ImagePerturbation, cases: Sequence[Case], stand_ins: Sequence[str], seed: int) -> Row:
    tiles: list[Tile] = []
    title = f"{change.name}: {_first_line(change)}"
    for case in cases:
        tiles = [Tile(case.image, "clean")]
        for severity in change.severities:
            rng = generator(seed, case.case_id, change.name, severity)
            params = proposed(change, case, severity, rng)
            if isinstance(params, NotApplicable):
                tiles = [Tile(case.image, f"not applicable: {params.reason}")]
                break
            (changed,) = applied(change, [case], [params])
            # SSIM compares what stands at the same place: of an image that moved it says nothing.
            caption = "moved" if change.target == "both" else f"SSIM {content_similarity(case, changed):.2f}"
            tiles.append(Tile(changed.image, f"{severity}   {caption}"))
        if len(tiles) > 1:
            return Row(title + (" [stand-in]" if case.case_id in stand_ins else ""), tuple(tiles))
    return Row(title, tuple(tiles))


def draw_sheet(rows: Sequence[Row], *, title: str, note: str, tile: int = 160) -> Sheet:
    """Return the sheet as a Pillow image: rows of tiles in one block, or in two side by side where there are many.

    Args:
        rows: what `sheet_rows` returned.
        title: the heading.
        note: what the images are.
        tile: height of an image on the sheet, in pixels.

    Raises:
        InputError: no rows, or tiles of less than 48 pixels.
    """
    if not rows or tile < 48:
        raise InputError(f"sheet: expected rows and tiles of 48 pixels or more, got {len(rows)} rows and {tile}")
    from PIL import Image as Pillow
    from PIL import ImageDraw

    blocks = 1 if len(rows) <= _ROWS_OF_ONE_BLOCK else 2
    deep = -(-len(rows) // blocks)
    width = round(tile * max(t.image.shape[1] / t.image.shape[0] for row in rows for t in row.tiles))
    columns = max(len(row.tiles) for row in rows)
    block = columns * (width + _GAP) + 2 * _GAP
    high = tile + 2 * _LINE + _GAP
    sheet = Pillow.new("RGB", (blocks * block + _GAP, _HEAD + deep * high + _GAP), _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((2 * _GAP, _GAP), title, fill=_INK, font=_font(18))
    pen.text((2 * _GAP, _GAP + 22), note, fill=_FAINT, font=_font(12))
    for number, row in enumerate(rows):
        left, top = 2 * _GAP + number // deep * block, _HEAD + number % deep * high
        pen.text((left, top), _fitted(row.title, block - 3 * _GAP), fill=_INK, font=_font(12))
        for k, one in enumerate(row.tiles):
            _paste(sheet, pen, one, (left + k * (width + _GAP), top + _LINE + 1), (width, tile))
    return sheet


def save_sheet(sheet: Sheet, path: Path) -> Path:
    """Write the sheet, PNG or JPEG by the name's suffix, atomically.

    Raises:
        InputError: another suffix.
    """
    kind = sheet_format(path)
    options = {"quality": 80, "optimize": True} if kind == "JPEG" else {"optimize": True}
    write_atomic(path, lambda temporary: sheet.save(temporary, format=kind, **options))
    return path


def sheet_format(path: Path) -> str:
    """Return Pillow's name of the format that a sheet's name asks for.

    Raises:
        InputError: another suffix.
    """
    kind = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}.get(path.suffix.lower())
    if kind is None:
        raise InputError(f"--sheet: expected a name that ends in .png or .jpg, got {path}")
    return kind


def _paste(sheet: Sheet, pen: Any, tile: Tile, corner: tuple[int, int], size: tuple[int, int]) -> None:
    from PIL import Image as Pillow

    height, width = tile.image.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    shown = (max(1, round(width * scale)), max(1, round(height * scale)))
    sheet.paste(Pillow.fromarray(tile.image).resize(shown, Pillow.Resampling.LANCZOS), corner)
    lines = textwrap.wrap(tile.caption, 60)[:2] if tile.caption.startswith("not") else [tile.caption]
    at = (corner[0] + size[0] + _GAP, corner[1]) if len(lines) > 1 else (corner[0], corner[1] + size[1] + 1)
    for number, line in enumerate(lines):
        pen.text((at[0], at[1] + number * _LINE), line, fill=_FAINT, font=_font(11))


def _fitted(text: str, width: int) -> str:
    font = _font(12)
    if font.getlength(text) <= width:
        return text
    while font.getlength(text + " ...") > width:
        text = text.rsplit(" ", 1)[0]
    return text + " ..."


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size=size)


def _first_line(change: ImagePerturbation) -> str:
    return (change.__doc__ or "").strip().splitlines()[0].rstrip(".").replace("``", "")


def image_case(image: Image, case_id: str, modality: str) -> Case:
    """Return an image without target or prompt as a case, for showing changes on it."""
    mask = np.zeros(image.shape[:2], dtype=np.bool_)
    return Case(case_id, case_id, image, mask, Prompt(""), metadata={"modality": modality})
