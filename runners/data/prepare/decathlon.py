"""Tasks of the Medical Segmentation Decathlon: volumes with label maps, cut into slices by rule."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import InputError
from robustness.perturb.modality import canonical_modality
from robustness.runners.data.label_words import qualifies_only
from robustness.runners.data.masks.declaration import MaskDeclaration
from robustness.runners.data.masks.label_map import label_slug, parse_labels, pick
from robustness.runners.data.masks.labelled_slices import Labels, SliceOfVolume, slices_of_volume
from robustness.runners.data.masks.volume_mask import Place, read_volume_mask
from robustness.runners.data.prepare.base import Layout, Sample, Target
from robustness.runners.data.volumes.base import Header
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.open import stem_of
from robustness.runners.data.volumes.orientation import View
from robustness.runners.data.volumes.scale import QUANTILES, Scale, Window, parse_window, quantile_scale
from robustness.runners.data.volumes.slices import SliceRule, slice_rule
from robustness.types import Image, Mask

Options = Mapping[str, Any]

# (task, label) of dataset.json -> the structure's name in full, where the label is short or says too little.
_FULL_NAMES = {
    ("prostate", "pz"): "peripheral zone",
    ("prostate", "tz"): "transition zone",
    ("liver", "cancer"): "liver tumor",
    ("lung", "cancer"): "lung tumor",
    ("pancreas", "cancer"): "pancreatic tumor",
    ("hepaticvessel", "vessel"): "hepatic vessel",
    ("hepaticvessel", "tumour"): "liver tumor",
    ("colon", "colon cancer primaries"): "colon tumor",
}
_MRI_SEQUENCES = ("t1gd", "adc")


def _decathlon(source: Path, options: Options) -> Iterator[Sample]:
    root, card = _card(source)
    table = parse_labels(options.get("labels") or _own_labels(card), "dataset.json")
    modality, task = _modality(card), str(card.get("name", "")).lower()
    declared = {name: pick(name, table, "dataset.json") for name in table}
    rule, window = slice_rule(options.get("slices")), parse_window(options.get("window"))
    cache = VolumeCache()
    for pair in card["training"]:
        image, mask = (root / str(pair[key]) for key in ("image", "label"))
        scale: dict[str, Scale] = {}
        for chosen in slices_of_volume(image, [mask], declared, rule, cache):
            sample = _sample(image, mask, chosen, declared, _Reader(cache, window, rule, scale))
            yield replace(sample, modality=modality, subject=_subject(stem_of(image), task))


class _Reader:
    """Reads slices of one volume with one scale: the stated window, or quantiles of the volume."""

    def __init__(self, cache: VolumeCache, window: Window | None, rule: SliceRule, scale: dict[str, Scale]) -> None:
        self._cache, self._window, self._rule, self._scale = cache, window, rule, scale

    def header(self, path: Path) -> Header:
        return self._cache.volume(path).header

    def image(self, path: Path, view: View, index: int) -> Image:
        plane = self._channel(self._cache.plane(path, view.axis, index), path)
        unit = self._of(path).unit(view.image(plane))
        return np.rint(unit * 255).astype(np.uint8)

    def mask(self, path: Path, declaration: MaskDeclaration, place: Place) -> Mask:
        return read_volume_mask(path, declaration, place, self._cache)

    def _of(self, path: Path) -> Scale:
        if "volume" not in self._scale:
            window = self._window or Window(quantiles=QUANTILES, per_volume=True)
            if window.interval:
                self._scale["volume"] = Scale(*window.interval, "stated")
            else:
                voxels = self._channel(self._cache.voxels(path), path)
                self._scale["volume"] = quantile_scale(
                    [voxels], window.quantiles or QUANTILES, "quantiles of the volume"
                )
        return self._scale["volume"]

    def _channel(self, voxels: Any, path: Path) -> Any:
        channels = self._cache.volume(path).header.channels
        if channels == 1:
            return voxels
        if self._rule.channel is None or self._rule.channel >= channels:
            raise InputError(f"slices.channel: {path.name} has {channels} sequences; state one, counted from 0")
        return voxels[..., self._rule.channel]


def _sample(image: Path, mask: Path, chosen: SliceOfVolume, declared: Labels, reader: _Reader) -> Sample:
    stem, view = stem_of(image), chosen.view
    name = f"{stem}_{view.plane}{chosen.index:03d}"
    targets = tuple(
        Target(
            name=label,
            mask_stem=f"{name}_{label_slug(label, {})}",
            read=partial(reader.mask, mask, declared[label], Place(reader.header(image), view, chosen.index)),
            attributes={"view": view.plane},
        )
        for label in chosen.labels
    )
    return Sample(
        stem=name,
        pixels=partial(reader.image, image, view, chosen.index),
        targets=targets,
        facts={"volume": stem, "slice": chosen.index, "plane": view.plane},
        spacing_mm=view.spacing_mm,
    )


def _subject(stem: str, task: str) -> str:
    """Return whom a volume shows: its own name, or in the hippocampus task the pair of numbers that are one scan.

    That task numbers 394 volumes of 195 people. In each of 40 pairs 2k - 1 and 2k that were compared, the stored values
    lie on the same steps; unrelated volumes share them in one of 20 pairs.
    """
    name, _, number = stem.rpartition("_")
    if task != "hippocampus" or not number.isdigit():
        return stem
    first = int(number) - 1 + int(number) % 2
    return f"{name}_{first:03d}-{first + 1:03d}"


def _card(source: Path) -> tuple[Path, dict[str, Any]]:
    file = next(iter(sorted([*source.glob("dataset.json"), *source.glob("*/dataset.json")])), None)
    if file is None:
        raise InputError(f"source: expected dataset.json, imagesTr and labelsTr in {source}, found no dataset.json")
    try:
        card = json.loads(file.read_text(encoding="utf-8"))
        pairs = [(pair["image"], pair["label"]) for pair in card["training"]]
        _ = card["labels"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"source: expected `labels` and `training` in {file}, got {error}") from None
    if not pairs:
        raise InputError(f"source: expected training pairs in {file}, found none")
    return file.parent, card


def _own_labels(card: Mapping[str, Any]) -> dict[Any, str]:
    """Return the names that dataset.json gives to values, as prompts call them.

    A name that is only a direction ("Anterior") needs the structure, which is the task's own name ("Hippocampus").
    """
    labels: dict[Any, str] = {}
    for value, stated in card["labels"].items():
        if str(value) == "0":
            continue
        name = _FULL_NAMES.get((str(card.get("name", "")).lower(), str(stated).lower()), str(stated).lower())
        labels[value] = f"{name} {str(card.get('name', '')).lower()}".strip() if qualifies_only(name) else name
    return labels


def _modality(card: Mapping[str, Any]) -> str:
    """Return the modality that all of a task's sequences belong to ("FLAIR" and "T1w" are MRI), or ""."""
    stated = card.get("modality")
    sequences = stated.values() if isinstance(stated, Mapping) else [stated]
    names = {
        canonical_modality(str(name)) or ("MRI" if str(name).lower() in _MRI_SEQUENCES else "") for name in sequences
    }
    return names.pop() if len(names) == 1 else ""


LAYOUTS = (
    Layout(
        name="msd",
        title="Medical Segmentation Decathlon (any task)",
        modality="",
        tree="TaskNN_NAME/dataset.json, imagesTr/ID.nii.gz, labelsTr/ID.nii.gz",
        licence="CC BY-SA 4.0",
        source="Antonelli et al., Nature Communications 13, 2022, doi:10.1038/s41467-022-30695-9",
        subjects="patients, by their files; in the hippocampus task volumes 2k - 1 and 2k are one patient",
        traps=(
            "the hippocampus task cuts two volumes from the scan of one patient, and no file says so: a split by file "
            "puts halves of one brain on both sides",
            "several sequences in one 4D file (brain tumours, prostate): state slices.channel",
            "MRI values have no unit: each volume is scaled between its own quantiles unless a window is stated",
        ),
        samples=_decathlon,
        options=("slices", "window", "labels"),
    ),
)
