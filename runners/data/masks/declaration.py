"""Declared meaning of a mask file: stated by a plan, a dataset's card or one annotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from robustness.errors import InputError

MaskKind = Literal["auto", "labels", "colors", "channel", "soft", "segment"]
KINDS: tuple[str, ...] = MaskKind.__args__  # type: ignore[attr-defined]

Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskDeclaration:
    """How the pixels of a mask file become foreground.

    Attributes:
        kind: "auto" (what the pixels themselves leave no doubt about), "labels" (a label map), "colors" (one colour
            for each class), "channel" (one channel for each class), "soft" (a share, compared with `threshold`) or
            "segment" (what the file itself calls `name`: a segment of a DICOM segmentation).
        values: the label values that are foreground together; of "labels".
        colors: the (red, green, blue) values that are foreground together; of "colors".
        table_values, table_colors: all that the dataset's table names; a file with none of them is of another kind.
        channel: which channel, counted from 0; of "channel".
        threshold: foreground is at or above this share of the full scale; of "soft" and "channel", and of
            segments that hold shares.
        full_scale: what a share of 1 is stored as; None: the type's highest value, 1 for floats.
        name: what the data calls this foreground; for messages.

    Raises:
        InputError: a field that the kind needs is missing or out of range.
    """

    kind: MaskKind = "auto"
    values: tuple[int, ...] = ()
    colors: tuple[Rgb, ...] = ()
    table_values: tuple[int, ...] = ()
    table_colors: tuple[Rgb, ...] = ()
    channel: int | None = None
    threshold: float = 0.5
    full_scale: float | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"masks.kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if not 0 < self.threshold <= 1:
            raise InputError(f"masks.threshold: expected a share above 0 and up to 1, got {self.threshold}")
        if self.full_scale is not None and not self.full_scale > 0:
            raise InputError(f"masks.full_scale: expected a value above 0, got {self.full_scale}")
        if self.kind == "labels" and (not self.values or any(value <= 0 for value in self.values)):
            raise InputError(f"mask_label: expected label values above 0 (0 is background), got {list(self.values)}")
        if self.kind == "colors" and not self.colors:
            raise InputError("masks.colors: expected a colour for each label, such as polyp = [255, 0, 0], got none")
        if self.kind == "channel" and (self.channel is None or self.channel < 0):
            raise InputError(f"masks.channel: expected a channel counted from 0, got {self.channel}")
        if self.kind == "segment" and not self.name:
            raise InputError("mask_label: expected the label of a segment, got an empty text")

    def shown(self) -> str:
        """Return the declaration in a few words, for notes ("label 2 (posterior)")."""
        called = f" ({self.name})" if self.name else ""
        if self.kind == "labels":
            return f"{'label' if len(self.values) == 1 else 'labels'} {', '.join(map(str, self.values))}{called}"
        if self.kind == "colors":
            return f"colour {' or '.join('#{:02x}{:02x}{:02x}'.format(*color) for color in self.colors)}{called}"
        if self.kind == "channel":
            return f"channel {self.channel} at or above {self.threshold:g}{called}"
        if self.kind == "segment":
            return f"segment {self.name!r}"
        if self.kind == "soft":
            return f"at or above {self.threshold:g} of the full scale{called}"
        return "as the pixels tell"
