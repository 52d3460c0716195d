"""Records of one split, whatever the layout: annotations or table rows, volumes cut into slices, masks joined."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from robustness.runners.data import benchmark_folder
from robustness.runners.data import manifest as manifest_data
from robustness.runners.data.options import ReadingOptions
from robustness.runners.data.records import Record, is_absent
from robustness.runners.data.volume_records import expand_volumes


def read_records(source: Path, *, split: str, prompt: str, options: ReadingOptions | None = None) -> list[Record]:
    """Return the records of a split.

    Args:
        source: a dataset folder or a manifest.
        split: its name.
        prompt: the prompt key or column.
        options: what the plan states about the files.

    Raises:
        InputError: the layout, split or prompt does not exist, or an option does not fit the data.
    """
    chosen = options or ReadingOptions()
    convention = chosen.convention(source)
    if source.is_dir():
        records = benchmark_folder.read_split(source, split=split, prompt=prompt, convention=convention)
    else:
        records = manifest_data.read_manifest(source, split=split, prompt=prompt, convention=convention)
    # Before volumes are cut: slices and their prompts follow from all masks of an image together.
    joined = united(records) if convention.combine == "union" else records
    return expand_volumes(joined, convention, chosen, prompt=prompt)


def united(records: Sequence[Record]) -> list[Record]:
    """Join the records of one image with the same texts and label: one case, whose masks count together."""
    joined: dict[tuple[object, ...], Record] = {}
    for record in records:
        key = _question(record)
        first = joined.get(key)
        if first is None:
            joined[key] = record
            continue
        joined[key] = dataclasses.replace(first, source=first.mask_source.joined(record.mask_source))
    return list(joined.values())


def several_of_one(records: Sequence[Record]) -> list[list[Record]]:
    """Return the groups of records that ask for the same on the same image with different masks."""
    groups: dict[tuple[object, ...], list[Record]] = {}
    for record in records:
        if any(record.texts):
            groups.setdefault(_question(record), []).append(record)
    return [group for group in groups.values() if any(r.mask_source != group[0].mask_source for r in group[1:])]


def pool_of(source: Path, records: Sequence[Record]) -> list[Path]:
    """Return the image files of all splits of a dataset, so that one decision holds for each of them."""
    own = [record.image_path for record in records]
    try:
        if source.is_dir():
            names = [
                source / "images" / entry["img_name"]
                for split in benchmark_folder.splits_of(source)
                for entry in benchmark_folder.read_entries(source / "anns" / f"{split}.json")
            ]
        else:
            names = [
                source.parent / str(name) for name in manifest_data.read_table(source)["image"] if not is_absent(name)
            ]
    except ValueError:
        names = []
    return sorted(dict.fromkeys([*names, *own]))


def _question(record: Record) -> tuple[object, ...]:
    declaration = record.mask_source.declaration
    foreground = declaration.values, declaration.colors, declaration.channel, declaration.name
    # Blanks, capitals and the order of texts make no other question.
    texts = frozenset(" ".join(text.split()).casefold() for text in record.texts)
    return record.image_name, record.slice, texts, *foreground
