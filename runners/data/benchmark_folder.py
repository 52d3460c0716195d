"""The reference benchmark's folder: images/, masks/, anns/SPLIT.json.

An entry is ``{"img_name", "mask_name", "prompts": {"p0": str | [str, ...], ...}}`` and may hold `subject`, `target`,
`modality`, `spacing_mm` and `attributes {...}`; of its mask `mask_label`, `mask_key` or `mask`, see `entry_masks`.

Reference: Poudel et al., "Exploring Transfer Learning in Medical Image Segmentation using Vision-Language Models",
MIDL 2024, arXiv:2308.07706.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError, one_line, suggest
from robustness.limits import limits
from robustness.own_files import parse_json
from robustness.perturb.modality import canonical_modality
from robustness.regular_files import read_bytes
from robustness.runners.data.entry_masks import MASK_KEYS, entry_mask, stated_case_id
from robustness.runners.data.masks.convention import MaskConvention, parse_convention
from robustness.runners.data.records import Record, SliceAddress, is_absent, listed_texts, listing, no_such, spacing_of

CARD = "dataset_card.json"

# Kept out of a case: detection bookkeeping of the reference benchmark, which repeats an entry under another number.
_BOOKKEEPING = frozenset({"bbox", "cat", "segment_id", "sentences", "sentences_num"})
_OWN = frozenset({"img_name", "prompts", "attributes", "slice"}) | MASK_KEYS | _BOOKKEEPING

# The reference benchmark's sets state no modality.
_KNOWN_SETS = {
    "bkai_polyp": "endoscopy",
    "busi": "ultrasound",
    "camus": "echocardiography",
    "chexlocalize": "x-ray",
    "clinicdb_polyp": "endoscopy",
    "colondb_polyp": "endoscopy",
    "cvc300_polyp": "endoscopy",
    "dfu": "photograph",
    "etis_polyp": "endoscopy",
    "isic": "dermoscopy",
    "kvasir_polyp": "endoscopy",
}


def splits_of(folder: Path) -> list[str]:
    """Return the names of the splits in a folder, train, val and test first.

    Raises:
        InputError: the folder lacks anns/ or holds no annotation file.
    """
    annotations = folder / "anns"
    if not annotations.is_dir():
        files = sorted(p.name for p in folder.iterdir())
        tables = [name for name in files if name.endswith((".csv", ".tsv", ".parquet", ".pq"))]
        named = f" ({tables[0]})" if tables else ", with the columns image and mask"
        hint = f"; where images lie otherwise pass the path of a table of cases{named}"
        raise InputError(f"data: expected folders images, masks and anns in {folder}, found {listing(files)}{hint}")
    names = sorted(p.stem for p in annotations.glob("*.json"))
    if not names:
        raise InputError(f"data: expected annotation files anns/SPLIT.json in {folder}, found none")
    order = {"train": 0, "val": 1, "test": 2}
    return sorted(names, key=lambda name: (order.get(name, 3), name))


def read_split(folder: Path, *, split: str, prompt: str, convention: MaskConvention | None = None) -> list[Record]:
    """Return one record for each entry of a split, in file order.

    Args:
        folder: the dataset.
        split: which annotation file.
        prompt: the prompt key.
        convention: what its masks mean; None: what its card says.

    Raises:
        InputError: the layout, the split or the prompt key does not exist, or the file is not as described above.
    """
    splits = splits_of(folder)
    if split not in splits:
        raise no_such("split", split, splits, f"{folder}/anns")
    for needed in ("images", "masks"):
        if not (folder / needed).is_dir():
            names = sorted(p.name for p in folder.iterdir())
            raise InputError(
                f"data: expected a folder {needed!r} in {folder}, found {listing(names)}{suggest(needed, names)}"
            )
    entries = read_entries(folder / "anns" / f"{split}.json")
    keys = prompt_keys(entries)
    if prompt not in keys:
        raise no_such("prompt", prompt, keys, f"{folder}/anns/{split}.json")
    declared = card_convention(folder) if convention is None else convention
    return [_record(folder, split, number, entry, prompt, declared) for number, entry in enumerate(entries)]


def card_convention(
    folder: Path, labels: Mapping[Any, Any] | None = None, masks: Mapping[str, Any] | None = None
) -> MaskConvention:
    """Return what a set's masks mean: as stated, else as its card's `labels` and `masks` say.

    Raises:
        InputError: a table is not as described in `robustness.runners.data.masks.convention`.
    """
    card = read_card(folder)
    where = CARD if labels is None and masks is None else "[data]"
    return parse_convention(
        card.get("labels") if labels is None else labels, card.get("masks") if masks is None else masks, where
    )


def read_card(folder: Path) -> dict[str, Any]:
    """Return a set's dataset_card.json; {} where there is none that can be read."""
    try:
        card = parse_json(read_bytes(folder / CARD, max_bytes=limits().document_bytes))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def read_entries(path: Path) -> list[dict[str, Any]]:
    """Return the entries of an annotation file.

    Raises:
        InputError: no JSON list of objects with an image and a mask name, or an empty one.
    """
    try:
        entries = parse_json(read_bytes(path, max_bytes=limits().table_bytes))
    except (OSError, ValueError) as error:
        raise InputError(f"data: expected JSON in {path}, got {one_line(error)}") from None
    if not isinstance(entries, list):
        raise InputError(f"data: expected a JSON list of entries in {path}, got {type(entries).__name__}")
    if not entries:
        raise InputError(f"data: expected at least one entry in {path}, got an empty list")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"data: expected an object as entry {number} of {path}, got {type(entry).__name__}")
        if not isinstance(entry.get("img_name"), str) or not entry["img_name"]:
            raise InputError(f"data: expected 'img_name' in entry {number} of {path}, found {listing(entry)}")
        if not entry.get("mask_name") and entry.get("mask") is None:
            raise InputError(f"data: expected 'mask_name' in entry {number} of {path}, found {listing(entry)}")
    return entries


def prompt_keys(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the prompt keys that any entry has, sorted."""
    keys = {key for entry in entries if isinstance(entry.get("prompts"), dict) for key in entry["prompts"]}
    return sorted(keys, key=lambda key: (len(key), key))


def modality_of_set(folder: Path) -> tuple[str, str]:
    """Return a set's modality and where it is known from: its card, or the benchmark's name for it."""
    card = read_card(folder)
    for key in ("modality", "what"):
        modality = canonical_modality(str(card.get(key, "")))
        if modality:
            return modality, f"{CARD} ({key!r})"
    published = _KNOWN_SETS.get(folder.name, "")
    return published, "the name of the reference benchmark's set" if published else ""


def _record(
    folder: Path, split: str, number: int, entry: Mapping[str, Any], prompt: str, convention: MaskConvention
) -> Record:
    where = f"anns/{split}.json entry {number}"
    siblings, attributes = _mapping(entry.get("prompts")), _mapping(entry.get("attributes"))
    texts = listed_texts(siblings.get(prompt))
    extra = {key: value for key, value in entry.items() if key not in _OWN or (key == "slice" and type(value) is int)}
    mask = entry_mask(folder / "masks", entry, convention, where)
    return Record(
        where=where,
        case_id=mask.case_id,
        image_name=entry["img_name"],
        image_path=folder / "images" / entry["img_name"],
        mask_name=mask.name,
        mask_path=mask.path,
        texts=texts,
        siblings=siblings,
        target=_first_text(extra.get("target"), attributes.get("structure")),
        modality=_first_text(attributes.get("modality"), extra.get("modality")),
        attributes=attributes,
        extra=extra,
        spacing_mm=_spacing({**attributes, **extra}, where),
        problem="" if texts else f"{where}: expected a text under prompt {prompt!r}, found none",
        source=mask.source,
        stated_id=stated_case_id(entry.get("case_id") or ""),
        slice=_slice(entry.get("slice"), where),
    )


def _slice(value: Any, where: str) -> SliceAddress | None:
    """Return the slice of a volume that an entry names; a whole number is metadata of an ordinary image."""
    if not isinstance(value, Mapping):
        return None
    fields = tuple(SliceAddress.__dataclass_fields__)
    if not {"plane", "index"} <= set(value) <= set(fields):
        raise InputError(f"slice in {where}: expected {', '.join(fields)}, plane and index at least, got {dict(value)}")
    return SliceAddress(**value)


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _first_text(*values: Any) -> str:
    return next((str(value).strip() for value in values if not is_absent(value)), "")


def _spacing(fields: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    pair = fields.get("spacing_mm")
    if is_absent(pair):
        return spacing_of(fields.get("spacing_mm_y"), fields.get("spacing_mm_x"), where)
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InputError(f"spacing_mm in {where}: expected two numbers [row, column] in mm, got {pair!r}")
    return spacing_of(pair[0], pair[1], where)
