"""The mask of one annotation: files, label, key in a JSON file, or run lengths written inline."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from robustness.errors import InputError
from robustness.results import case_id_of
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.label_map import pick
from robustness.runners.data.masks.source import MaskSource
from robustness.runners.data.volumes import dicom_seg
from robustness.runners.data.volumes.open import is_volume

# Keys of an annotation that speak about its mask; they are no metadata.
MASK_KEYS = frozenset({"mask_name", "mask_label", "mask_key", "mask", "case_id"})
# What spreadsheets and pandas make of a whole number in a column that has gaps.
_WHOLE = re.compile(r"\s*([+-]?\d+)\.0*\s*")


class EntryMask(NamedTuple):
    """The mask of one annotation.

    Attributes:
        case_id: stated, or the mask's name without suffix with its label, '/' written '__'.
        name: as the data write it, for messages.
        path: the (first) file.
        source: where the mask lies and what its pixels mean.
    """

    case_id: str
    name: str
    path: Path
    source: MaskSource


def entry_mask(folder: Path, entry: Mapping[str, Any], convention: MaskConvention, where: str) -> EntryMask:
    """Return what an annotation says about its mask.

    Args:
        folder: that mask names are relative to.
        entry: with `mask_name` (one name or a list, whose masks count together) or `mask` (run lengths or polygons),
            and optionally `mask_label`, `mask_key` and `case_id`.
        convention: of the dataset.
        where: the place of the annotation, for messages.

    Raises:
        InputError: there is no mask, or its label is not known.
    """
    names = _names(entry, where)
    label = _label(entry, convention)
    keys = _keys(entry.get("mask_key"), where)
    # A volume without a label is cut into slices of every label; see `volume_records`.
    whole = label is None and bool(names) and is_volume(folder / names[0])
    declaration = (
        MaskDeclaration() if whole else _declaration(label, [folder / name for name in names], convention, where)
    )
    source = MaskSource(
        paths=tuple(folder / name for name in names), declaration=declaration, key=keys, inline=entry.get("mask")
    )
    return EntryMask(
        case_id=_case_id(entry, names, keys, convention.case_suffix(label), where),
        name=", ".join(names) or "inline mask",
        path=folder / names[0] if names else folder,
        source=source,
    )


def _declaration(label: Any, paths: list[Path], convention: MaskConvention, where: str) -> MaskDeclaration:
    """Return what a label is: an entry of the dataset's tables, or what a DICOM segmentation itself calls a segment."""
    text = str(label).strip() if isinstance(label, str | int) and label not in convention.names() else ""
    number = text.lstrip("+-").isdigit()
    named = {str(value) for values in convention.labels.values() for value in values}
    foreign = bool(text) and (not number or (bool(named) and text not in named))
    if foreign and paths and all(dicom_seg.is_segmentation(path) for path in paths):
        segment = pick(label, {}, where) if number else MaskDeclaration(kind="segment", name=text)
        return replace(segment, threshold=convention.threshold)
    return convention.declaration(label, where)


def stated_case_id(value: Any) -> str:
    """Return a case id as the data state it, with no character that a file name cannot hold."""
    return re.sub(r"[/\\]", "__", str(value).strip())


def _names(entry: Mapping[str, Any], where: str) -> list[str]:
    value = entry.get("mask_name")
    names = value if isinstance(value, list) else [value]
    if all(isinstance(name, str) and name for name in names):
        return [str(name) for name in names]
    if entry.get("mask") is not None and value is None:
        return []
    raise InputError(f"data: expected a mask name, or a list of them, under 'mask_name' in {where}, got {value!r}")


def _keys(value: Any, where: str) -> tuple[str, ...]:
    """Return where a mask stands in a JSON file; a table's cell may hold the list as JSON."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise InputError(f"mask_key in {where}: expected a key or a JSON list of keys, got {value!r}") from None
    if not value:
        return ()
    return tuple(str(part) for part in (value if isinstance(value, list | tuple) else [value]))


def _label(entry: Mapping[str, Any], convention: MaskConvention) -> Any:
    """Return the label that an annotation asks for; its target's name where a table of labels holds it."""
    if entry.get("mask_label") not in (None, "", []):
        return _as_json(entry["mask_label"])
    names = convention.names()
    target = entry.get("target")
    return target if len(names) > 1 and isinstance(target, str) and target in names else None


def _as_json(label: Any) -> Any:
    """Return a label as a JSON file states it; a table's cell may hold a list as JSON, and a value as 1.0."""
    if isinstance(label, str) and label.lstrip().startswith("["):
        with contextlib.suppress(ValueError):
            label = json.loads(label)
    if isinstance(label, list):
        return [_as_json(part) for part in label]
    whole = _WHOLE.fullmatch(str(label)) if isinstance(label, str | float) else None
    return whole[1] if whole else label


def _case_id(entry: Mapping[str, Any], names: list[str], keys: tuple[str, ...], suffix: str, where: str) -> str:
    stated = entry.get("case_id")
    if stated not in (None, ""):
        return stated_case_id(stated)
    if not names:
        raise InputError(f"data: expected 'case_id' beside an inline mask in {where}, found none")
    parts = [case_id_of(names[0]), *(re.sub(r"[^\w.+-]+", "-", key) for key in keys)]
    return "_".join(parts) + suffix


def mask_id(folder: Path, mask: str) -> str:
    """Name a case after its mask; an absolute path counts from the table's folder, or by its last part outside."""
    path = Path(mask)
    if path.is_absolute():
        mask = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name
    return case_id_of(mask)
