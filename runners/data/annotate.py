"""Annotations and prompts from images and masks: attributes measured or stated, prompts from templates."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError, InputError
from robustness.files import IMAGE_SUFFIXES, check_output, write_text
from robustness.perturb.language.measured import measure
from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.templates import build_prompts, family_of, named, render, worded
from robustness.perturb.language.vqa import VqaModel
from robustness.perturb.modality import canonical_modality
from robustness.runners.data.benchmark_folder import card_convention, modality_of_set, read_entries, splits_of
from robustness.runners.data.dataset import Dataset
from robustness.runners.data.decode import read_image
from robustness.runners.data.entry_masks import entry_mask
from robustness.runners.data.label_words import label_of
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.masks.source import read_source
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.types import Case, CaseInfo, Image, Mask, Prompt

_KINDS = ("side", "direction", "view", "phase", "sex", "age", "quality", "pathology", "description")


def annotate(
    data: str | Path,
    out: str | Path,
    *,
    split: str | None = None,
    target: str = "",
    modality: str = "",
    family: str = "",
    templates: Mapping[str, str] | None = None,
    vqa: str | None = None,
) -> int:
    """Write an annotation file in the benchmark's layout and return how many entries it holds.

    Number, size, area, location, shape and colour come from mask and image; target, view, phase, side, sex, age,
    quality and pathology from what the entries state (`attributes`, or keys of their own); descriptions from the
    lexicon. A case that cannot be read is an error: an annotation file must be whole.

    Args:
        data: a folder with images/ and masks/; anns/SPLIT.json says which belong together and what is known of them.
            Without anns/, files of one stem belong together.
        out: the JSON file to write.
        split: which annotation file; None: test where there is one, else the first.
        target: the class name where the entries state none.
        modality: overrides what the data says.
        family: of templates; "" chooses by modality and target.
        templates: level -> template instead of a family.
        vqa: a visual question answering model (folder or hub name) for shape and colour.

    Raises:
        InputError: the folder or an argument cannot be used, or no target is known.
        CaseError: an image or a mask cannot be read.
    """
    folder = Path(data).expanduser()
    model = VqaModel(vqa) if vqa else None
    stated = modality or modality_of_set(folder)[0]
    convention, cache = card_convention(folder), VolumeCache()
    entries = []
    for entry in _entries(folder, split):
        image, mask = _pixels(folder, entry, convention, cache)
        name = target or target_of(entry)
        if not name:
            raise InputError(f"target: {entry['mask_name']} states none; give --target NAME")
        seen = model.attributes(image, mask, name) if model else {}
        words = {**measure(mask, image), **seen, **stated_words(entry), "target": name}
        scan = canonical_modality(stated or str(entry.get("modality") or ""))
        chosen = family or family_of(scan, name)
        entries.append(_annotated(entry, words, mask, modality=scan, family=chosen, templates=templates))
    check_output(Path(out), "--out", ".json")
    write_text(Path(out), json.dumps(entries, indent=1, ensure_ascii=False) + "\n")
    return len(entries)


def _pixels(
    folder: Path, entry: Mapping[str, Any], convention: MaskConvention, cache: VolumeCache
) -> tuple[Image, Mask]:
    """Return image and mask of an entry; of two sizes they are a CaseError."""
    image = read_image(folder / "images" / entry["img_name"]).image
    source = entry_mask(folder / "masks", entry, convention, entry["img_name"]).source
    mask = read_source(source, (image.shape[0], image.shape[1]), cache=cache).mask
    if image.shape[:2] != mask.shape:
        raise CaseError(f"{entry['mask_name']}: image is {image.shape[:2]}, mask is {mask.shape}")
    return image, mask


def _annotated(
    entry: Mapping[str, Any],
    words: Mapping[str, Any],
    mask: Mask,
    *,
    modality: str,
    family: str,
    templates: Mapping[str, str] | None,
) -> dict[str, Any]:
    """Return an entry with the prompts that its words make; other fields stay."""
    label = label_of(str(words["target"]), entry.get("attributes"))
    stated = {**({"modality": modality} if modality else {}), **words}
    return {
        **{key: value for key, value in entry.items() if key not in ("prompts", "attributes", "bbox")},
        "bbox": _bbox(mask),
        "prompts": build_prompts(stated, family=family, templates=templates, name=label),
        "attributes": {**words, **({"label": label} if label else {})},
    }


def target_of(entry: Mapping[str, Any]) -> str:
    """Return the class that an entry states: `target`, else what its p1 asks for, else `attributes.structure`."""
    attributes = entry.get("attributes") if isinstance(entry.get("attributes"), dict) else {}
    stated = entry.get("target")
    if isinstance(stated, str) and stated.strip():
        return stated.strip()
    prompts = entry.get("prompts")
    first = prompts.get("p1", "") if isinstance(prompts, dict) else ""
    first = first[0] if isinstance(first, list) and first else first
    target = parse_prompt(first).get("target") if isinstance(first, str) else None
    return target.value if target else str((attributes or {}).get("structure") or "")


def _entries(folder: Path, split: str | None) -> Iterator[dict[str, Any]]:
    for needed in ("images", "masks"):
        if not (folder / needed).is_dir():
            raise InputError(f"data: expected a folder {needed!r} in {folder}, found none")
    if not (folder / "anns").is_dir():
        yield from _by_stem(folder)
        return
    splits = splits_of(folder)
    chosen = split or ("test" if "test" in splits else splits[0])
    if chosen not in splits:
        raise InputError(f"split: expected one of {', '.join(splits)}, got {chosen!r}")
    yield from read_entries(folder / "anns" / f"{chosen}.json")


def _by_stem(folder: Path) -> Iterator[dict[str, Any]]:
    images = {p.stem: p.name for p in sorted((folder / "images").iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    masks = [p for p in sorted((folder / "masks").iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES]
    if not masks:
        raise InputError(f"data: expected masks in {folder / 'masks'}, found none")
    for path in masks:
        if path.stem not in images:
            raise InputError(f"data: the mask {path.name} has no image of the same stem in {folder / 'images'}")
        yield {"img_name": images[path.stem], "mask_name": path.name}


def stated_words(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry itself says; `size`, `number` and `location` are measured again, by one convention."""
    attributes = entry.get("attributes") if isinstance(entry.get("attributes"), dict) else {}
    both = {**entry, **(attributes or {})}
    return {kind: both[kind] for kind in _KINDS if both.get(kind) not in (None, "", [], "none")}


def _bbox(mask: Mask) -> list[int]:
    """Return [x0, y0, x1, y1] in pixels; an empty mask has an empty box."""
    if not mask.any():
        return [0, 0, 0, 0]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return [int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])]


def with_template(dataset: Dataset, template: str) -> Dataset:
    """Return `dataset` with one prompt per case, made by `template` ("[{number} ]{size} {target}").

    Number, size, location, shape and colour are measured, by the conventions of `robustness prompts --from`; the rest
    is what the data state. Every mask is read. A case that cannot be read keeps its prompt and fails when it is looked
    at, as it would have without a template.

    Raises:
        InputError: the template names a kind that does not exist, or one outside of brackets that a case lacks.
    """
    infos = [_with_prompt(dataset, index, info, template) for index, info in enumerate(dataset.infos)]
    return dataset.with_infos(infos, note=f"prompts are made by the template {template!r}")


def _with_prompt(dataset: Dataset, index: int, info: CaseInfo, template: str) -> CaseInfo:
    try:
        case = dataset.decode(index)
    except CaseError:
        return info
    return dataclasses.replace(info, prompts=(templated_prompt(case, template),))


def templated_prompt(case: Case, template: str) -> Prompt:
    """Return the prompt that `template` makes of a case."""
    stated = stated_words({"attributes": dict(case.metadata.get("attributes") or {})})
    words = {**measure(case.mask, case.image), **stated, "target": case.target}
    text = render(template, named(worded(words), template, label_of(case.target, case.metadata.get("attributes"))))
    return parse_prompt(text, modality=str(case.metadata.get("modality") or ""), attributes=words, target=case.target)
