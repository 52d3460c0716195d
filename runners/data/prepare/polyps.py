"""Colonoscopy sets: Kvasir-SEG, CVC-ClinicDB, CVC-300, CVC-ColonDB, ETIS-Larib and BKAI-IGH NeoPolyp."""

from __future__ import annotations

import csv
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError, InputError
from robustness.image_files import UNREADABLE, open_image
from robustness.runners.data.masks.mask_values import read_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target, by_stem, find_folder, first_folder, image_files
from robustness.types import Mask

Options = Mapping[str, Any]
_BRIGHT = 128
# The first frame of each sequence, as the README of the CVC-ClinicDB archive lists them.
_CLINICDB_FIRST = [1, 26, 51, 68, 79, 104, 127, 152, 178, 200, 206, 228, 253, 278, 298, 318]
_CLINICDB_FIRST += [343, 364, 384, 409, 429, 448, 467, 479, 504, 529, 547, 572, 592]
_CLINICDB_FRAMES = 612


def _binary(path: Path) -> Mask:
    return read_mask(path).mask


def paired(
    images: Path, masks: Path, *, mask_stem: Callable[[str], str] = str, subject: Callable[[str], str] = lambda stem: ""
) -> Iterator[Sample]:
    """Yield polyp images with the masks of their names.

    Raises:
        InputError: an image without a mask.
    """
    masks_by_stem = by_stem(masks)
    files = image_files(images)
    if not files:
        raise InputError(f"source: expected images in {images}, found none")
    for image in files:
        mask = masks_by_stem.get(mask_stem(image.stem))
        if mask is None:
            raise InputError(
                f"source: expected the mask {mask_stem(image.stem)!r} of {image.name} in {masks}, found none"
            )
        target = Target(name="polyp", mask_stem=image.stem, read=partial(_binary, mask))
        yield Sample(stem=image.stem, image=image, targets=(target,), subject=subject(image.stem))


def _kvasir(source: Path, options: Options) -> Iterator[Sample]:
    root = find_folder(source, ["Kvasir-SEG/images", "images"], "kvasir-seg").parent
    yield from paired(root / "images", find_folder(root, ["masks"], "kvasir-seg"))


def _clinicdb(source: Path, options: Options) -> Iterator[Sample]:
    root = find_folder(source, ["PNG/Original", "TIF/Original", "Original"], "cvc-clinicdb").parent
    sequences = _clinicdb_sequences(source) or sequences_of_archive(by_stem(root / "Original"))
    yield from paired(
        root / "Original", find_folder(root, ["Ground Truth"], "cvc-clinicdb"), subject=lambda s: sequences.get(s, "")
    )


def _clinicdb_sequences(source: Path) -> dict[str, str]:
    """Return the video sequence of each frame, from the table `metadata.csv` where it lies beside the images."""
    tables = [table for folder in (source, source.parent, *source.glob("*/")) for table in folder.glob("metadata.csv")]
    if not tables:
        return {}
    with tables[0].open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"frame_id", "sequence_id"} <= set(rows[0]):
        return {}
    return {row["frame_id"].strip(): f"sequence{int(row['sequence_id']):02d}" for row in rows}


def sequences_of_archive(stems: Iterable[str]) -> dict[str, str]:
    """Return the video sequence of each frame of the whole CVC-ClinicDB archive, {} for a part of it.

    The archive's README lists the frames of each of its 29 sequences, which come from 25 studies; it does not say which
    sequences are of one study. A part is not told apart from frames that somebody numbered anew.
    """
    frames = sorted(int(stem) for stem in stems if stem.isdigit())
    if frames != list(range(1, _CLINICDB_FRAMES + 1)):
        return {}
    return {str(frame): f"sequence{bisect_right(_CLINICDB_FIRST, frame):02d}" for frame in frames}


def _colondb(source: Path, options: Options) -> Iterator[Sample]:
    folder = first_folder(source, ["CVC-ColonDB/images", "CVC-ColonDB", "images"])
    if folder is not None and (folder.parent / "masks").is_dir() and folder.name == "images":
        yield from paired(folder, folder.parent / "masks")
        return
    yield from _bitmaps(folder or source)


def _bitmaps(folder: Path) -> Iterator[Sample]:
    """Read the publisher's own archive: N.bmp, its mask pN.bmp, and sN.bmp and cN.bmp, which are not used."""
    files = by_stem(folder)
    numbers = [stem for stem in files if stem.isdigit() and f"p{stem}" in files]
    if not numbers:
        find_folder(folder, ["CVC-ColonDB/images", "images"], "cvc-colondb")
    for stem in numbers:
        target = Target(name="polyp", mask_stem=stem, read=partial(_binary, files[f"p{stem}"]))
        yield Sample(stem=stem, image=files[stem], targets=(target,))


def _cvc300(source: Path, options: Options) -> Iterator[Sample]:
    root = find_folder(source, ["CVC-300/images", "images"], "cvc-300").parent
    yield from paired(root / "images", find_folder(root, ["masks"], "cvc-300"))


def _etis(source: Path, options: Options) -> Iterator[Sample]:
    truths = first_folder(source, ["Ground Truth"])
    beside = [] if truths is None else [truths.parent / "ETIS-LaribPolypDB", truths.parent]
    originals = next((folder for folder in beside if folder.is_dir() and image_files(folder)), None)
    if truths is not None and originals is not None:
        yield from paired(originals, truths, mask_stem=lambda stem: f"p{stem}")
        return
    root = find_folder(source, ["ETIS-LaribPolypDB/images", "images"], "etis").parent
    yield from paired(root / "images", find_folder(root, ["masks"], "etis"))


def _bkai(source: Path, options: Options) -> Iterator[Sample]:
    images = find_folder(source, ["train/train", "train"], "bkai-igh")
    masks = by_stem(find_folder(source, ["train_gt/train_gt", "train_gt"], "bkai-igh"))
    for image in image_files(images):
        if image.stem not in masks:
            raise InputError(f"source: expected the mask {image.stem!r} in train_gt, found none")
        target = Target(name="polyp", mask_stem=image.stem, read=partial(_neoplasm, masks[image.stem]))
        yield Sample(stem=image.stem, image=image, targets=(target,))


def _neoplasm(path: Path) -> Mask:
    """Return where a NeoPolyp mask is red (neoplastic) or green (not neoplastic); both are polyps.

    The masks are JPEG, so colours are blurred: a pixel counts where red or green is at least half of full.
    """
    try:
        colors = np.asarray(open_image(path).convert("RGB"))
    except UNREADABLE as error:
        raise CaseError(f"mask {path}: expected a readable image file, got {error}") from None
    return np.asarray((colors[..., :2] >= _BRIGHT).any(axis=2))


_PRANET = "the test sets that PraNet distributes (Fan et al., MICCAI 2020, arXiv:2006.11392)"

LAYOUTS = (
    Layout(
        name="kvasir-seg",
        title="Kvasir-SEG",
        modality="endoscopy",
        tree="Kvasir-SEG/images/ID.jpg, Kvasir-SEG/masks/ID.jpg, kavsir_bboxes.json (not used)",
        licence="research and education, citation; commercial use by written permission; some lists say CC BY 4.0",
        source="Jha et al., MultiMedia Modeling 2020, arXiv:1911.07069, doi:10.1007/978-3-030-37734-2_37",
        subjects="not known: names are random ids; images of one patient may lie in several splits",
        traps=("masks are JPEG: gray edges, cut at half", "sizes differ from image to image"),
        samples=_kvasir,
    ),
    Layout(
        name="cvc-clinicdb",
        title="CVC-ClinicDB",
        modality="endoscopy",
        tree="Original/N.tif, Ground Truth/N.tif; or PNG/Original/N.png, PNG/Ground Truth/N.png with metadata.csv",
        licence="research and education, no commercial use, citation required",
        source="Bernal et al., Comput. Med. Imaging Graph. 43, 2015, doi:10.1016/j.compmedimag.2015.02.007",
        subjects="video sequences (29), by metadata.csv (frame_id, sequence_id) or by the numbers of all 612 frames",
        traps=(
            "neighbouring numbers are frames of one video: a split by image leaks",
            "29 sequences come from 25 studies: some sequences show one patient, and nothing says which",
        ),
        samples=_clinicdb,
    ),
    Layout(
        name="cvc-300",
        title="CVC-300 (60 frames of EndoScene)",
        modality="endoscopy",
        tree="CVC-300/images/N.png, CVC-300/masks/N.png",
        licence="not found",
        source=f"Vázquez et al., Journal of Healthcare Engineering 2017, doi:10.1155/2017/4037190; here {_PRANET}",
        subjects="not known in this distribution (the 60 frames come from few videos)",
        traps=("a test set only: it shares its origin with CVC-ColonDB", "60 frames of few videos are few subjects"),
        samples=_cvc300,
    ),
    Layout(
        name="cvc-colondb",
        title="CVC-ColonDB",
        modality="endoscopy",
        tree="CVC-ColonDB/images/N.png, CVC-ColonDB/masks/N.png; or the archive's N.bmp with pN.bmp",
        licence="not found; lists of datasets call it academic use",
        source=f"Bernal et al., Pattern Recognition 45(9), 2012, doi:10.1016/j.patcog.2012.03.002; PNG: {_PRANET}",
        subjects="not known: 15 videos, whose frame numbers the downloads do not list",
        traps=("in the archive p is the polyp's mask, s marks uninformative regions and c contours",),
        samples=_colondb,
    ),
    Layout(
        name="etis",
        title="ETIS-LaribPolypDB",
        modality="endoscopy",
        tree="ETIS-LaribPolypDB/N.tif with Ground Truth/pN.tif (beside or inside); or ETIS-LaribPolypDB/images, masks",
        licence="not found; images and masks are property of the hospital and the laboratory",
        source=f"Silva et al., IJCARS 9, 2014, doi:10.1007/s11548-013-0926-3; images/masks: {_PRANET}",
        subjects="not known: 34 sequences, whose frame numbers the downloads do not list",
        traps=("masks of the archive are called pN",),
        samples=_etis,
    ),
    Layout(
        name="bkai-igh",
        title="BKAI-IGH NeoPolyp",
        modality="endoscopy",
        tree="train/train/ID.jpeg, train_gt/train_gt/ID.jpeg (test/test has no masks)",
        licence="the competition's rules, not read here",
        source="Ngoc Lan et al., NeoUNet, ISVC 2021, arXiv:2107.05023, doi:10.1007/978-3-030-90436-4_2",
        subjects="not known: names are random ids",
        traps=("masks are JPEG in colour: red neoplastic, green not neoplastic; a gray threshold loses one of them",),
        samples=_bkai,
    ),
)
