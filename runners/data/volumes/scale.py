"""One decision for a whole dataset: which stored value becomes black, and which white.

A window is stated (``[data] window``), proposed by every header, or taken from quantiles of the set; it follows from
one image alone only where the plan says so, because the same tissue then looks different from case to case.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, counted
from robustness.runners.data.volumes.base import Display, DisplayTable
from robustness.runners.data.volumes.dicom_tables import shades

Floats = npt.NDArray[np.float32]
TWELVE_BITS, SIXTEEN_BITS = 4095.0, 65535.0
QUANTILES = (0.005, 0.995)
# Of a set's values so many lie at or below 4095 where its detector has twelve bits: markers may lie above.
_TWELVE_BIT_SHARE = 0.999
# A set whose highest value lies below this part of its scale is dark: half of it is one bit less.
_DARK_PART = 3.0


@dataclass(frozen=True, slots=True)
class Scale:
    """What becomes 0 and 1; values outside are clipped.

    Attributes:
        low, high: the stored values that become black and white; of a sigmoid, 12 and 88% of white.
        origin: where the decision comes from, for notes.
        inverted: low values are shown bright.
        sigmoid: values become 1 / (1 + exp(-4 (value - centre) / width)) (DICOM PS3.3, C.11.2.1.3.1).
        table: of shades for each of the values from `low` to `high`, which goes first.
    """

    low: float
    high: float
    origin: str
    inverted: bool = False
    sigmoid: bool = False
    table: DisplayTable | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.high > self.low):
            raise InputError(f"window: expected a low value below a high one, got {self.low:g} and {self.high:g}")

    def unit(self, values: npt.NDArray[Any]) -> Floats:
        """Return values as float32 in [0, 1]; NaN becomes 0."""
        if self.table is not None:
            shown = shades(self.table, values)
            return np.asarray(1 - shown if self.inverted else shown, dtype=np.float32)
        if self.sigmoid:
            from scipy import special

            curve = special.expit(4 * (values.astype(np.float64) - (self.low + self.high) / 2) / (self.high - self.low))
            shown = np.nan_to_num(curve, nan=0.0)
            return np.asarray(1 - shown if self.inverted else shown, dtype=np.float32)
        scaled = (values.astype(np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        clipped = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=1.0, neginf=0.0), 0, 1)
        return np.asarray(1 - clipped if self.inverted else clipped, dtype=np.float32)

    def note(self) -> str:
        """Return the decision in a sentence."""
        turned = ", low values bright" if self.inverted else ""
        become = "12 to 88% of white along a sigmoid" if self.sigmoid else "black to white"
        if self.table is not None:
            become = f"the shades of a table of {self.table.bits} bits"
        return f"stored values {self.low:g} to {self.high:g} become {become}{turned} ({self.origin})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``[data] window`` as a plan states it.

    Attributes:
        interval: (low, high), where stated as such or by centre and width.
        header: take what the files' headers propose, all the same or (`per_volume`) each its own.
        quantiles: take these quantiles, of the set or (`per_volume`) of each volume.
        per_volume: each volume has its own, for modalities whose values have no unit (MRI, radiographs).
    """

    interval: tuple[float, float] | None = None
    header: bool = False
    quantiles: tuple[float, float] | None = None
    per_volume: bool = False


_FIELDS = ("center", "width", "low", "high", "quantiles", "of")


def parse_window(value: Any) -> Window | None:
    """Return a stated window; None where the plan states none.

    Args:
        value: "header" or "each header"; [low, high]; or a table with `center` and `width`, with `low` and `high`, or
            with `quantiles` and `of` ("set" or "volume").

    Raises:
        InputError: none of these.
    """
    if value is None or isinstance(value, Window):
        return value
    if value in ("header", "each header"):
        return Window(header=True, per_volume=value == "each header")
    if isinstance(value, list | tuple) and len(value) == 2:
        return Window(interval=_interval(value[0], value[1]))
    if isinstance(value, Mapping) and set(value) <= set(_FIELDS):
        if {"center", "width"} == set(value):
            center, width = _number(value["center"], "center"), _number(value["width"], "width")
            return Window(interval=_interval(center - width / 2, center + width / 2))
        if {"low", "high"} == set(value):
            return Window(interval=_interval(value["low"], value["high"]))
        if "quantiles" in value and set(value) <= {"quantiles", "of"}:
            return _of_quantiles(value)
    raise InputError(
        'window: expected "header", "each header", [low, high], {center, width}, {low, high} or {quantiles = '
        f'[0.005, 0.995], of = "set"}}, got {value!r}'
    )


def padded(values: npt.NDArray[Any], padding: tuple[float, float] | None) -> npt.NDArray[np.bool_] | None:
    """Return where values stand for no measurement, as a header says, or are NaN; None where none is known."""
    missing = np.isnan(values) if np.issubdtype(values.dtype, np.floating) else None
    if padding is None:
        return missing if missing is not None and missing.any() else None
    inside = (values >= padding[0] - 0.5) & (values <= padding[1] + 0.5)
    return np.asarray(inside if missing is None else inside | missing)


def quantile_scale(samples: Iterable[npt.NDArray[Any]], quantiles: tuple[float, float], origin: str) -> Scale:
    """Return the scale between two quantiles of finite values.

    Raises:
        InputError: there is no value, or all are one.
    """
    finite = [sample[np.isfinite(sample)].astype(np.float64).ravel() for sample in samples]
    values = np.concatenate(finite) if finite else np.zeros(0)
    if not values.size:
        raise InputError("window: expected finite values to take quantiles of, found none; state window = [low, high]")
    low, high = np.quantile(values, quantiles)
    if high <= low:
        low, high = float(values.min()), float(values.max())
    if high <= low:
        high = low + 1.0
    return Scale(float(low), float(high), origin)


def unsigned_scale(tops: Sequence[float], shares_within_twelve_bits: Sequence[float]) -> Scale:
    """Return the scale of 16-bit images without a stated window: twelve or sixteen bits, one for the whole set.

    Args:
        tops: the highest value of each sampled image.
        shares_within_twelve_bits: of each sampled image, the share of its values that are 4095 or less.
    """
    within = float(np.mean(shares_within_twelve_bits)) if len(shares_within_twelve_bits) else 1.0
    above = sum(top > TWELVE_BITS for top in tops)
    if within < _TWELVE_BIT_SHARE:
        return Scale(0.0, SIXTEEN_BITS, f"16 bits in the set{_dark(tops, SIXTEEN_BITS)}")
    clipped = f"; values above in {above} of {counted(len(tops), 'image')} are clipped" if above else ""
    return Scale(0.0, TWELVE_BITS, f"12 bits in the set{clipped}{_dark(tops, TWELVE_BITS)}")


def _dark(tops: Sequence[float], white: float) -> str:
    """Return what to say of a set that uses a small part of its scale: 8, 10 or 14 bits in a deeper file."""
    highest = max(tops, default=white)
    if highest > white / _DARK_PART:
        return ""
    return f"; the highest value is {highest:g}, so that images are dark: state window = [0, {highest:g}]"


def header_scale(proposals: Sequence[tuple[Display, ...]]) -> Scale | None:
    """Return the first window or table of the headers where all propose the same one, else None."""
    first = {windows[0] if windows else None for windows in proposals}
    if len(first) != 1 or None in first:
        return None
    most = max(len(windows) for windows in proposals)
    return display_scale(proposals[0][0], "every header" + (f", the first of {most} alternatives" if most > 1 else ""))


def display_scale(display: Display, whose: str) -> Scale:
    """Return the scale of a window or table; `whose` it is goes into the note."""
    if isinstance(display, DisplayTable):
        last = display.first + max(1, len(display.entries) // 2 - 1)
        return Scale(display.first, last, f"the table (VOI LUT) of {whose}", table=display)
    return Scale(display.low, display.high, f"the window of {whose}", sigmoid=display.sigmoid)


def _of_quantiles(value: Mapping[str, Any]) -> Window:
    pair, of = value["quantiles"], value.get("of", "set")
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise InputError(f"window.quantiles: expected two shares such as [0.005, 0.995], got {pair!r}")
    low, high = (_number(item, "quantiles") for item in pair)
    if not 0 <= low < high <= 1:
        raise InputError(f"window.quantiles: expected two shares in [0, 1], the lower one first, got {pair!r}")
    if of not in ("set", "volume"):
        raise InputError(f"window.of: expected 'set' or 'volume', got {of!r}")
    return Window(quantiles=(low, high), per_volume=of == "volume")


def _interval(low: Any, high: Any) -> tuple[float, float]:
    pair = _number(low, "low"), _number(high, "high")
    Scale(*pair, "stated")
    return pair


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"window.{name}: expected a number, got {value!r}")
    return float(value)
