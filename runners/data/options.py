"""Options of reading that a plan's ``[data]`` states: labels, masks, window, slices and EXIF orientation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from robustness.errors import InputError
from robustness.runners.data.benchmark_folder import card_convention
from robustness.runners.data.masks.convention import MaskConvention
from robustness.runners.data.volumes.cache import VolumeCache
from robustness.runners.data.volumes.scale import Window, parse_window
from robustness.runners.data.volumes.slices import SliceRule, slice_rule

Exif = Literal["upright", "stored"]


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """What a plan states about the files of a dataset; nothing of it is needed for ordinary images and binary masks.

    Attributes:
        labels, masks: tables of `robustness.runners.data.masks.convention`; None: those of the dataset's card.
        window: which stored values become black and white; None: decided from the set.
        slices: which slices of volumes are used; None: those that show a target.
        exif: whether masks lie on images turned as their EXIF orientation asks, or as stored; None: as sizes tell.
        modality: as the plan states it, for prompts of slices; "" where it does not.
        cache: the volumes that are open.
    """

    labels: Mapping[Any, Any] | None = None
    masks: Mapping[str, Any] | None = None
    window: Window | None = None
    slices: SliceRule | None = None
    exif: Exif | None = None
    modality: str = ""
    cache: VolumeCache = field(default_factory=VolumeCache, compare=False)

    def convention(self, source: Path) -> MaskConvention:
        """Return what the masks of a dataset mean: as stated, else as its card says."""
        return card_convention(source if source.is_dir() else source.parent, self.labels, self.masks)


def reading_options(
    *,
    labels: Mapping[Any, Any] | None = None,
    masks: Mapping[str, Any] | None = None,
    window: Any = None,
    slices: Mapping[str, Any] | SliceRule | None = None,
    exif: str | None = None,
    modality: str | None = None,
) -> ReadingOptions:
    """Return the options of a plan's fields.

    Raises:
        InputError: a field is not as described in `ReadingOptions`.
    """
    if exif not in (None, "upright", "stored"):
        raise InputError(f"exif: expected 'upright' or 'stored', got {exif!r}")
    chosen: Exif | None = "upright" if exif == "upright" else "stored" if exif == "stored" else None
    return ReadingOptions(
        labels=labels,
        masks=masks,
        window=parse_window(window),
        slices=None if slices is None else slice_rule(slices),
        exif=chosen,
        modality=modality or "",
    )
