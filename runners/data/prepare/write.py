"""Write a published dataset as a folder of the benchmark's layout: images/, masks/, anns/, dataset_card.json."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from robustness.errors import CaseError, InputError, counted, verb
from robustness.files import write_text
from robustness.perturb.language.measured import measure
from robustness.perturb.language.templates import build_prompts, family_of
from robustness.runners.data.decode import read_image
from robustness.runners.data.label_words import label_words
from robustness.runners.data.prepare.base import Layout, Sample, Target, shared_out
from robustness.runners.data.prepare.layouts import layout_named
from robustness.runners.data.prepare.reference import matched, read_reference
from robustness.types import Image, Mask

# Copied byte for byte; anything else becomes PNG.
_COPIED = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Prepared:
    """What was written.

    Attributes:
        folder: the dataset.
        cases: entries by split.
        subjects: subjects by split; empty where they are not known.
        notes: what a reader should know, one sentence each.
    """

    folder: Path
    cases: Mapping[str, int]
    subjects: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def prepare(
    name: str,
    source: str | Path,
    out: str | Path,
    *,
    annotations: str | Path | None = None,
    val: float = 0.15,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Prepared:
    """Turn a download into a dataset folder that `load_dataset` opens.

    Splits are, in this order: those of the annotation files (with their prompts), the publisher's own, shares of whole
    subjects, or of images where no subject is known. Prompts are measured from masks and filled with what is known.

    Args:
        name: of a layout; see `robustness prepare --list`.
        source: the folder of the download, unpacked.
        out: the folder to write; must not exist or be empty.
        annotations: a folder with the reference benchmark's train.json, val.json and test.json for this set.
        val, test: shares, where splits are made.
        seed: of that draw.
        limit: the first images only, for a trial.
        options: of the layout (`target`, `labels`, `slices`, `window`).

    Raises:
        InputError: unknown name or option, a download of another layout, or a folder that holds something.
        CaseError: an image or mask cannot be read.
    """
    layout, download, folder = layout_named(name), Path(source).expanduser(), Path(out).expanduser()
    chosen = {key: value for key, value in (options or {}).items() if value is not None}
    unknown = next((key for key in chosen if key not in layout.options), None)
    if unknown is not None:
        raise InputError(f"{unknown}: the layout {name!r} takes {', '.join(layout.options) or 'no options'}")
    if not download.is_dir():
        raise InputError(f"source: expected a folder, {download} is none; unpack the download first")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"out: expected a new or empty folder, {folder} holds files; choose another")
    if limit is not None and limit < 1:
        raise InputError(f"limit: expected a number of images of at least 1, got {limit}")
    samples = list(layout.samples(download, chosen))[:limit]
    if not samples:
        raise InputError(f"source: expected images of the layout {name!r} in {download}, found none")
    entries = _by_reference(layout, samples, annotations, folder) if annotations else {}
    shared = {} if entries else _by_shares(layout, samples, folder, val=val, test=test, seed=seed)
    left_out = list(_split_notes(samples)) if shared else []
    return _finish(layout, folder, entries or shared, samples, left_out)


def _by_reference(
    layout: Layout, samples: Sequence[Sample], annotations: str | Path, folder: Path
) -> dict[str, list[dict[str, Any]]]:
    splits: dict[str, list[dict[str, Any]]] = {}
    for split, entry, (sample, target) in matched(read_reference(annotations), samples):
        built = _entry(layout, sample, target, folder, image=entry["img_name"], mask=entry["mask_name"])
        splits.setdefault(split, []).append({**built, **entry, "prompts": entry["prompts"]})
    return splits


def _by_shares(
    layout: Layout, samples: Sequence[Sample], folder: Path, *, val: float, test: float, seed: int
) -> dict[str, list[dict[str, Any]]]:
    split_of = shared_out(samples, val=val, test=test, seed=seed)
    splits: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        for target in sample.targets:
            image = f"{sample.stem}{_suffix(sample)}"
            entry = _entry(layout, sample, target, folder, image=image, mask=f"{target.mask_stem}.png")
            splits.setdefault(split_of[sample.stem], []).append(entry)
    order = {"train": 0, "val": 1, "test": 2}
    return dict(sorted(splits.items(), key=lambda item: (order.get(item[0], 3), item[0])))


def _suffix(sample: Sample) -> str:
    suffix = sample.image.suffix if sample.image else ".png"
    return suffix if suffix.lower() in _COPIED else ".png"


def _entry(layout: Layout, sample: Sample, target: Target, folder: Path, *, image: str, mask: str) -> dict[str, Any]:
    """Write an image and a mask, and return their annotation."""
    pixels = _write_image(sample, folder / "images" / image)
    reference = target.read()
    if pixels.shape[:2] != reference.shape:
        (height, width), (mask_height, mask_width) = pixels.shape[:2], reference.shape
        raise CaseError(f"{mask}: the image is {width} x {height}, the mask {mask_width} x {mask_height}")
    mask_name = mask if mask.lower().endswith(".png") else f"{mask.rpartition('.')[0]}.png"
    _write_mask(reference, folder / "masks" / mask_name)
    modality = sample.modality or layout.modality
    words = {
        **measure(reference, pixels),
        **target.attributes,
        **({"modality": modality} if modality else {}),
        **label_words(target.name),
    }
    stated = {**sample.facts, **({"modality": modality} if modality else {})}
    return {
        "img_name": image,
        "mask_name": mask_name,
        **({"subject": sample.subject} if sample.subject else {}),
        "target": words["target"],
        **({"spacing_mm": list(sample.spacing_mm)} if sample.spacing_mm else {}),
        **{key: value for key, value in stated.items() if key not in ("img_name", "mask_name", "prompts")},
        "prompts": build_prompts(words, family=family_of(modality, words["target"]), name=str(words.get("label", ""))),
        "attributes": {key: value for key, value in words.items() if key not in ("target", "modality")},
    }


def _write_image(sample: Sample, path: Path) -> Image:
    """Write an image once and return it as RGB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        if sample.pixels is not None:
            PILImage.fromarray(sample.pixels()).save(path)
        elif sample.image is not None and path.suffix.lower() == sample.image.suffix.lower():
            shutil.copyfile(sample.image, path)
        elif sample.image is not None:
            PILImage.fromarray(read_image(sample.image).image).save(path)
    return read_image(path).image


def _write_mask(mask: Mask, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PILImage.fromarray(mask.astype(np.uint8) * np.uint8(255)).save(path)


def _finish(
    layout: Layout,
    folder: Path,
    splits: Mapping[str, list[dict[str, Any]]],
    samples: Sequence[Sample],
    split_notes: Sequence[str],
) -> Prepared:
    for split, entries in splits.items():
        write_text(folder / "anns" / f"{split}.json", json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    identified = all(sample.subject for sample in samples)
    notes = (*split_notes, *_notes(layout, splits, identified))
    card = {
        "name": layout.name,
        "what": layout.title,
        "modality": layout.modality or _common(sample.modality for sample in samples),
        "licence": layout.licence,
        "source": layout.source,
        "subjects": layout.subjects if identified else "not known",
        "notes": list(notes),
        "counts": {split: len(entries) for split, entries in splits.items()},
    }
    write_text(folder / "dataset_card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n")
    subjects = {split: len({e["subject"] for e in entries}) for split, entries in splits.items()} if identified else {}
    return Prepared(folder, {split: len(entries) for split, entries in splits.items()}, subjects, notes)


def _split_notes(samples: Sequence[Sample]) -> Iterator[str]:
    """Yield that the splits of the source are not used, where some of its images have none."""
    without = [sample for sample in samples if not sample.split]
    if 0 < len(without) < len(samples):
        yield (
            f"{len(without)} of {counted(len(samples), 'image')} {verb(len(without), 'have')} no split in the source "
            f"(first: {without[0].stem}), so all were drawn anew; write a split for each to keep those of the source"
        )


def _common(values: Iterable[str]) -> str:
    """Return the one value that all samples share, else ""."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else ""


def _notes(layout: Layout, splits: Mapping[str, list[dict[str, Any]]], identified: bool) -> Iterator[str]:
    if not identified:
        yield f"subjects are not known ({layout.subjects}); audits speak about images, not about patients"
    empty = sum(not e["attributes"].get("area", 1) for entries in splits.values() for e in entries)
    if empty:
        yield f"empty masks: {empty}"
    yield from layout.traps
