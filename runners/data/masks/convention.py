"""Mask convention of a whole dataset: ``[data] labels`` and ``[data] masks`` of a plan, or a dataset's card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from robustness.errors import InputError, suggest
from robustness.runners.data.masks.declaration import KINDS, MaskDeclaration, MaskKind, Rgb
from robustness.runners.data.masks.label_map import LabelTable, label_slug, parse_labels, pick

Combine = Literal["union", "instances"]
_FIELDS = ("kind", "threshold", "full_scale", "colors", "channels", "combine")


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskConvention:
    """One decision for all masks of a dataset.

    Attributes:
        kind: of masks without a label; "auto" as the pixels tell.
        threshold: of soft masks, channels and fractional segmentations.
        full_scale: of soft masks and channels.
        labels: name -> values of label maps.
        colors: name -> (red, green, blue) of colour-coded masks.
        channels: name -> channel of one-hot masks.
        combine: several entries of one image with the same text are one case with their union, or cases of their own.
    """

    kind: MaskKind = "auto"
    threshold: float = 0.5
    full_scale: float | None = None
    labels: LabelTable = field(default_factory=dict)
    colors: Mapping[str, Rgb] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)
    combine: Combine | None = None

    def names(self) -> list[str]:
        """Return the names that an annotation may ask for."""
        return [*self.labels, *self.colors, *self.channels]

    def declaration(self, label: Any, where: str) -> MaskDeclaration:
        """Return what the foreground of one annotation is.

        Args:
            label: its `mask_label`: a name, a value, or a list of them; None where it states none.
            where: its place, for messages.

        Raises:
            InputError: a name that no table has, or a label is needed and none is stated.
        """
        if label is None:
            return self._unlabelled(where)
        items = label if isinstance(label, list | tuple) else [label]
        if self.colors and all(item in self.colors for item in items):
            return MaskDeclaration(
                kind="colors",
                colors=tuple(self.colors[i] for i in items),
                table_colors=tuple(self.colors.values()),
                name="+".join(items),
            )
        if self.channels and label in self.channels:
            return MaskDeclaration(
                kind="channel",
                channel=self.channels[label],
                threshold=self.threshold,
                full_scale=self.full_scale,
                name=str(label),
            )
        if (self.colors or self.channels) and not self.labels:
            names = ", ".join(self.names())
            raise InputError(
                f"mask_label in {where}: expected one of {names}, got {label!r}{suggest(str(label), self.names())}"
            )
        return replace(pick(label, self.labels, where), threshold=self.threshold)

    def case_suffix(self, label: Any) -> str:
        """Return what a label adds to the mask's name in a case id; "" for a mask without one."""
        return "" if label is None else f"_{label_slug(label, self.labels)}"

    def note(self) -> str:
        """Return the decision in a sentence, or "" where nothing is declared."""
        parts = []
        if self.labels:
            named = ", ".join(f"{name} = {_shown(values)}" for name, values in list(self.labels.items())[:8])
            parts.append(f"label maps ({named}{', ...' if len(self.labels) > 8 else ''})")
        if self.colors:
            parts.append(
                "colours " + ", ".join(f"{n} = #{r:02x}{g:02x}{b:02x}" for n, (r, g, b) in self.colors.items())
            )
        if self.channels:
            parts.append("channels " + ", ".join(f"{name} = {number}" for name, number in self.channels.items()))
        if self.kind == "soft":
            parts.append(f"soft masks, foreground at or above {self.threshold:g}")
        if self.combine:
            parts.append(
                f"several masks of one image and text are {'one case' if self.combine == 'union' else 'cases'}"
            )
        return f"masks are declared: {'; '.join(parts)}" if parts else ""

    def _unlabelled(self, where: str) -> MaskDeclaration:
        names = self.names()
        if not names or self.kind != "auto":
            return MaskDeclaration(kind=self.kind, threshold=self.threshold, full_scale=self.full_scale)
        if len(names) == 1:
            return self.declaration(names[0], where)
        raise InputError(
            f"mask_label in {where}: expected one of {', '.join(names)} (the masks are labelled), found none"
        )


def parse_convention(labels: Mapping[Any, Any] | None, masks: Mapping[str, Any] | None, where: str) -> MaskConvention:
    """Return the convention of a plan's or card's tables.

    Args:
        labels: value -> name or name -> values; see `robustness.runners.data.masks.label_map`.
        masks: fields among kind, threshold, full_scale, colors, channels, combine.
        where: the place of the tables, for messages.

    Raises:
        InputError: an unknown field, or one that is not as described.
    """
    fields = dict(masks or {})
    unknown = next((name for name in fields if name not in _FIELDS), None)
    if unknown is not None:
        cure = "; labels stand beside masks, not in it" if unknown == "labels" else suggest(unknown, _FIELDS)
        raise InputError(f"masks in {where}: expected {', '.join(_FIELDS)}, got {unknown!r}{cure}")
    kind = fields.get("kind", "auto")
    if kind not in ("auto", "soft"):
        hint = "; labels, colours and channels are declared by their tables" if kind in KINDS else ""
        raise InputError(f"masks.kind in {where}: expected 'auto' or 'soft', got {kind!r}{hint}")
    combine = fields.get("combine")
    if combine not in (None, "union", "instances"):
        raise InputError(f"masks.combine in {where}: expected 'union' or 'instances', got {combine!r}")
    convention = MaskConvention(
        kind=kind,
        threshold=_number(fields.get("threshold", 0.5), "threshold", where),
        full_scale=None if fields.get("full_scale") is None else _number(fields["full_scale"], "full_scale", where),
        labels=parse_labels(labels, where) if labels else {},
        colors={str(n): _color(color, n, where) for n, color in _table(fields, "colors", where).items()},
        channels={str(n): _channel(number, n, where) for n, number in _table(fields, "channels", where).items()},
        combine=combine,
    )
    MaskDeclaration(kind="soft", threshold=convention.threshold, full_scale=convention.full_scale)
    return convention


def _shown(values: tuple[int, ...]) -> str:
    return str(values[0]) if len(values) == 1 else str(list(values))


def _table(fields: Mapping[str, Any], name: str, where: str) -> Mapping[Any, Any]:
    table = fields.get(name) or {}
    if not isinstance(table, Mapping):
        raise InputError(f"masks.{name} in {where}: expected a table of names, got {table!r}")
    return table


def _number(value: Any, name: str, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"masks.{name} in {where}: expected a number, got {value!r}")
    return float(value)


def _color(value: Any, name: str, where: str) -> Rgb:
    if isinstance(value, str) and len(value) == 7 and value.startswith("#"):
        try:
            value = [int(value[i : i + 2], 16) for i in (1, 3, 5)]
        except ValueError:
            value = None
    if isinstance(value, list | tuple) and len(value) == 3 and all(type(v) is int and 0 <= v <= 255 for v in value):
        return value[0], value[1], value[2]
    raise InputError(f"masks.colors in {where}: expected [red, green, blue] of 0 to 255 for {name!r}, got {value!r}")


def _channel(value: Any, name: str, where: str) -> int:
    if type(value) is int and value >= 0:
        return value
    raise InputError(f"masks.channels in {where}: expected a channel counted from 0 for {name!r}, got {value!r}")
