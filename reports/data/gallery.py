"""Images of single cases: re-encoded, stripped of metadata, shared where they are the same."""

from __future__ import annotations

import base64
import difflib
import hashlib
import io
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from robustness.reports.words import condition_words, text
from robustness.results import CLEAN

SIDE = 256
REFERENCE_COLOUR = (255, 232, 120)
CLEAN_COLOUR = (86, 180, 233)
CHANGED_COLOUR = (245, 140, 30)
_FILL_ALPHA = 120

Segment = tuple[bool, str]


@dataclass(frozen=True)
class Picture:
    """One case under one condition; image fields are keys of `Gallery.images`, empty where there is none.

    `dice` is the score against the first target, `dice_other` against the second one, whose outline is drawn; None
    where the prompt asks for no second target.
    """

    id: str
    series: str
    condition: str
    words: str
    case_id: str
    subject_id: str
    rank: str
    clean_prompt: tuple[Segment, ...]
    prompt: tuple[Segment, ...]
    dice: float | None
    dice_other: float | None
    dice_clean: float | None
    mask_change: float | None
    image: str
    image_changed: str
    reference: str
    reference_changed: str
    clean: str
    changed: str
    params: str


@dataclass
class Gallery:
    """Thumbnails and the distinct images they use, as data URIs.

    Attributes:
        budget: bytes of data URIs after which further cases are left out and counted.
        encoded: images of earlier galleries, by their keys, which are not encoded again.
    """

    budget: int = 2_600_000
    encoded: Mapping[str, str] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    left_out: int = 0
    unreadable: int = 0
    used: int = 0


def make_gallery(table: pd.DataFrame, *, budget: int = 2_600_000, encoded: Mapping[str, str] | None = None) -> Gallery:
    """Re-encode the images of gallery.parquet (column `series` added); the first of every condition come first.

    `encoded` are images of the same table that `encoded_pictures` made.
    """
    gallery = Gallery(budget=budget, encoded=encoded or {})
    if table.empty:
        return gallery
    turn = table.groupby(["series", "condition", table["rank"].map(text)], sort=False).cumcount()
    worst_first = table["rank"].map(text) != "worst"
    order = pd.DataFrame({"random": worst_first, "turn": turn}).sort_values(["turn", "random"], kind="stable").index
    rows = dict(zip(table.index, table.to_dict("records"), strict=True))
    for position in order:
        _add_picture(gallery, rows[position], f"p{position}")
    gallery.pictures.sort(key=lambda p: int(p.id[1:]))
    return gallery


def encoded_pictures(file: Path) -> dict[str, str]:
    """Return the images of one run's page by their keys, from its gallery.parquet alone."""
    table = pd.read_parquet(file)
    if table.empty:
        return {}
    return make_gallery(table.assign(series=table["model"] + "\n" + table["dataset"])).images


def changed_words(before: str, after: str) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Cut two prompts into segments and mark those that differ.

    Example:
        >>> changed_words("the left lobe", "the right lobe")[1]
        ((False, 'the '), (True, 'right'), (False, ' lobe'))
    """
    old, new = (re.findall(r"\s+|\w+|[^\w\s]", t) for t in (before, after))
    left: list[Segment] = []
    right: list[Segment] = []
    for kind, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left.append((kind != "equal", "".join(old[i1:i2])))
        right.append((kind != "equal", "".join(new[j1:j2])))
    return tuple(s for s in left if s[1]), tuple(s for s in right if s[1])


def _add_picture(gallery: Gallery, row: Mapping[Any, Any], name: str) -> None:
    if gallery.used > gallery.budget:
        gallery.left_out += 1
        return
    clean = text(row["condition"]) == CLEAN
    before = text(row["prompt" if clean else "clean_prompt"])
    clean_prompt, prompt = changed_words(before, text(row["prompt"]))
    try:
        keys = _encode_all(gallery, row)
    except (OSError, ValueError, SyntaxError):
        # An image that cannot be decoded is counted and reported, the numbers of its row stand in the tables.
        gallery.unreadable += 1
        return
    gallery.pictures.append(
        Picture(
            id=name,
            series=text(row["series"]),
            condition=text(row["condition"]),
            words=condition_words(text(row["condition"])),
            case_id=text(row["case_id"]),
            subject_id=text(row["subject_id"]),
            rank=text(row["rank"]),
            clean_prompt=clean_prompt,
            prompt=prompt,
            dice=_score(row["dice"]),
            dice_other=_score(row.get("dice_other")),
            dice_clean=_score(row["dice" if clean else "dice_clean"]),
            mask_change=_score(row["mask_change"]),
            params=text(row["params"]),
            **keys,
        )
    )


def _encode_all(gallery: Gallery, row: Mapping[Any, Any]) -> dict[str, str]:
    image = _blob(row["image"])
    reference = _blob(row["reference"])
    return {
        "image": _store(gallery, image, "photo"),
        "image_changed": _store(gallery, _blob(row["image_perturbed"]) or image, "photo"),
        "reference": _store(gallery, reference, "contour"),
        "reference_changed": _store(gallery, _blob(row["reference_perturbed"]) or reference, "contour"),
        "clean": _store(gallery, _blob(row["clean"]), "clean"),
        "changed": _store(gallery, _blob(row["perturbed"]), "changed"),
    }


def _store(gallery: Gallery, data: bytes, use: str) -> str:
    if not data:
        return ""
    key = hashlib.sha256(use.encode() + data).hexdigest()[:16]
    if key not in gallery.images:
        made = gallery.encoded.get(key)
        gallery.images[key] = made or (_photo(data) if use == "photo" else _overlay(data, use))
        gallery.used += len(gallery.images[key])
    return key


# The page of one run and the page that compares it with others show the same pictures.
@lru_cache(maxsize=2048)
def _photo(data: bytes) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    # Only the pixels are copied, so no metadata chunk of the source survives. Less search for the last 3% of size.
    Image.fromarray(np.asarray(image)).save(buffer, format="WEBP", quality=80, method=2)
    return _data_uri(buffer.getvalue(), "webp")


@lru_cache(maxsize=2048)
def _overlay(data: bytes, use: str) -> str:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        mask = opened.convert("L")
    scale = max(1, round(SIDE / max(mask.size)))
    mask = mask.resize((mask.width * scale, mask.height * scale), Image.Resampling.NEAREST)
    inside = np.asarray(mask) > 127
    # Palette: 0 clear, 1 fill or line, 2 dark rim that keeps a bright line visible on bright tissue.
    colour = {"contour": REFERENCE_COLOUR, "clean": CLEAN_COLOUR, "changed": CHANGED_COLOUR}[use]
    levels = _contour(inside) if use == "contour" else inside.astype(np.uint8)
    alpha = bytes([0, 255, 190, 0]) if use == "contour" else bytes([0, _FILL_ALPHA, 0, 0])
    return _data_uri(_palette_png(levels, bytes([0, 0, 0, *colour, 15, 18, 22, 0, 0, 0]), alpha), "png")


def _palette_png(levels: npt.NDArray[np.uint8], palette: bytes, alpha: bytes) -> bytes:
    """Return levels 0 to 3 (H, W) as a PNG of 2 bits a pixel; hundreds lie in a page, and PIL takes ten times as long.

    Source: W3C, Portable Network Graphics, third edition, 2025.
    """
    height, width = levels.shape
    quads = np.pad(levels, ((0, 0), (0, -width % 4))).reshape(height, -1, 4)
    # Each row begins with the number of its filter, 0 for none.
    rows = np.pad(quads @ np.array([64, 16, 4, 1], dtype=np.uint8), ((0, 0), (1, 0)))
    header = struct.pack(">IIBBBBB", width, height, 2, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"tRNS", alpha), (b"IDAT", zlib.compress(rows.tobytes())))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in (*chunks, (b"IEND", b""))
    )


def _contour(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    line = inside & ~_eroded(_eroded(inside))
    rim = ~inside & ~_eroded(~inside)
    return (line + 2 * rim).astype(np.uint8)


def _eroded(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    padded = np.pad(mask, 1, constant_values=True)
    centre, up, down = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1]
    shrunk: npt.NDArray[np.bool_] = centre & up & down & padded[1:-1, :-2] & padded[1:-1, 2:]
    return shrunk


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def _blob(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else b""


def _score(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
