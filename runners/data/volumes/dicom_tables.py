"""Lookup tables of DICOM headers: of the modality (PS3.3, C.11.1) and of display (VOI LUT, C.11.2)."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from robustness.runners.data.volumes.base import Display, DisplayTable, Voxels
from robustness.runners.data.volumes.dicom_header import frame_display_groups, windows_of

_SIXTEEN_BITS = 16
# Of 16 bits a table for display uses at least a quarter; some devices state 16 for entries of 12 bits.
_LEAST_OF_SIXTEEN = 1 << 14


class Encoding(NamedTuple):
    """How the numbers of a file are written."""

    little_endian: bool = True
    explicit: bool = True


class Tables(NamedTuple):
    """The tables that a header proposes for display, and what a reader of the results should know of them."""

    tables: tuple[DisplayTable, ...] = ()
    remarks: tuple[str, ...] = ()


class Shown(NamedTuple):
    """What a header proposes for the display of a frame, and remarks about it."""

    windows: tuple[Display, ...]
    remarks: tuple[str, ...]


def encoding_of(dataset: Any) -> Encoding:
    """Return how a file's numbers are written, as its transfer syntax says."""
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None or not syntax.is_transfer_syntax:
        return Encoding()
    return Encoding(bool(syntax.is_little_endian), not syntax.is_implicit_VR)


def proposed_display(dataset: Any, number: int, rescale: tuple[float, float] | None) -> Shown:
    """Return what a header proposes for a frame: tables, then windows; its own groups count where it has neither."""
    remarks: list[str] = []
    for holder in (dataset, *frame_display_groups(dataset, number)):
        tables = display_tables(holder, signed=_signed(dataset, rescale), encoding=encoding_of(dataset))
        remarks.extend(tables.remarks)
        windows: tuple[Display, ...] = (*tables.tables, *windows_of(holder))
        if windows:
            return Shown(windows, tuple(remarks))
    return Shown((), tuple(remarks))


def _signed(dataset: Any, rescale: tuple[float, float] | None) -> bool:
    """Tell whether values may be negative once they are rescaled; those of a modality table never are."""
    if rescale is None:
        return False
    bits = int(getattr(dataset, "BitsStored", 16) or 16)
    low = -(1 << (bits - 1)) if int(getattr(dataset, "PixelRepresentation", 0) or 0) else 0
    slope, intercept = rescale
    return min(bound * slope + intercept for bound in (low, low + (1 << bits) - 1)) < 0


def display_tables(holder: Any, *, signed: bool, encoding: Encoding) -> Tables:
    """Return the tables of a header, or of a frame's group of it; those that cannot be read are remarked.

    Args:
        holder: what may hold a VOI LUT Sequence.
        signed: values that come to the table may be negative.
        encoding: of the file.
    """
    tables, remarks = [], []
    for item in getattr(holder, "VOILUTSequence", None) or []:
        try:
            table = table_of(item, signed=signed, encoding=encoding)
        except ValueError as error:
            remarks.append(f"proposes a table (VOI LUT Sequence) that cannot be read, and is not applied: {error}")
            continue
        top = int(_entries(table).max())
        if table.bits == _SIXTEEN_BITS and 0 < top < _LEAST_OF_SIXTEEN:
            table = table._replace(bits=max(8, top.bit_length()))
            remarks.append(
                f"its table (VOI LUT Sequence) states 16 bits, but fills {table.bits}: {top} is near white, as "
                "otherwise images would be nearly black"
            )
        tables.append(_shared(table))
    return Tables(tuple(tables), tuple(remarks))


def modality_values(values: Voxels, dataset: Any) -> Voxels:
    """Return stored values as the header's modality table maps them.

    Raises:
        ValueError: the table cannot be read.
    """
    signed = int(getattr(dataset, "PixelRepresentation", 0) or 0) == 1
    table = table_of(dataset.ModalityLUTSequence[0], signed=signed, encoding=encoding_of(dataset))
    return mapped(table, values)


def palette_colors(values: Voxels, dataset: Any) -> Voxels:
    """Return colours of 8 bits (rows, columns, 3) for the numbers of a palette.

    Reference: DICOM PS3.3, C.7.6.3.1.5 and C.7.6.3.1.6; entries of 8 bits lie in a byte or in a word each.

    Raises:
        ValueError: a table cannot be read.
    """
    from pydicom.dataset import Dataset
    from pydicom.pixels.processing import apply_color_lut

    if "SegmentedRedPaletteColorLookupTableData" in dataset:
        return eight_bits(apply_color_lut(values, dataset), _SIXTEEN_BITS)
    signed = int(getattr(dataset, "PixelRepresentation", 0) or 0) == 1
    channels = []
    for color in ("Red", "Green", "Blue"):
        item = Dataset()
        for own, name in (("LUTDescriptor", "Descriptor"), ("LUTData", "Data")):
            element = dataset[f"{color}PaletteColorLookupTable{name}"]
            item.add_new(own, element.VR, element.value)
        table = table_of(item, signed=signed, encoding=encoding_of(dataset))
        channels.append(eight_bits(mapped(table, values), table.bits))
    return np.stack(channels, axis=-1)


def eight_bits(values: Voxels, bits: int) -> Voxels:
    """Return unsigned values of so many bits as such of 8."""
    if values.dtype == np.uint8:
        return values
    return np.rint(np.clip(values / float((1 << bits) - 1), 0, 1) * 255).astype(np.uint8)


def table_of(item: Any, *, signed: bool, encoding: Encoding) -> DisplayTable:
    """Return one table. Reference: DICOM PS3.3, C.11.1.1.1 and C.11.2.1.1.

    The first value that it maps is signed where values may be; the two other numbers of its descriptor never are.
    Entries of 8 bits lie in a byte or in a word each.

    Raises:
        ValueError: it has no descriptor, fewer entries than that states, or entries of more bits.
    """
    descriptor, data = list(getattr(item, "LUTDescriptor", None) or []), getattr(item, "LUTData", None)
    if len(descriptor) != 3:
        raise ValueError(f"expected the three numbers of LUT Descriptor, got {len(descriptor)}")
    count, first, bits = (int(value) & 0xFFFF for value in descriptor)
    count = count or 1 << _SIXTEEN_BITS
    if not 8 <= bits <= _SIXTEEN_BITS:
        raise ValueError(f"expected entries of 8 to 16 bits, got {bits}")
    # Without explicit types a library can only guess this one.
    written_signed = encoding.explicit and str(item["LUTDescriptor"].VR) == "SS"
    if first >= 1 << 15 and (signed or written_signed):
        first -= 1 << _SIXTEEN_BITS
    entries = _stored_entries(data, count, bits, encoding)
    if int(entries.max()) >= 1 << bits:
        raise ValueError(f"expected entries below {1 << bits}, as its {bits} bits hold, got {int(entries.max())}")
    return DisplayTable(first, bits, entries.astype("<u2").tobytes())


def mapped(table: DisplayTable, values: Voxels) -> Voxels:
    """Return the entries that stand for values: the first for all lower ones, the last for all higher ones."""
    entries = _entries(table)
    whole = values if np.issubdtype(values.dtype, np.integer) else np.rint(np.nan_to_num(values.astype(np.float64)))
    numbers = np.clip(whole.astype(np.int64) - table.first, 0, len(entries) - 1)
    return np.asarray(entries[numbers])


def shades(table: DisplayTable, values: Voxels) -> npt.NDArray[np.float64]:
    """Return what a table shows values as, from black (0) to white (1); NaN is black."""
    shown = mapped(table, values) / float((1 << table.bits) - 1)
    return np.where(np.isnan(values), 0.0, shown) if np.issubdtype(values.dtype, np.floating) else shown


def _stored_entries(data: Any, count: int, bits: int, encoding: Encoding) -> npt.NDArray[np.uint16]:
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], "<u2" if encoding.little_endian else ">u2")
    else:
        numbers = [data] if isinstance(data, int) else list(data or [])
        words = np.asarray([int(number) & 0xFFFF for number in numbers], dtype=np.uint16)
    if len(words) < count and bits == 8 and 2 * len(words) >= count:
        # Two entries lie in a word, the earlier one in its lower byte.
        words = np.frombuffer(words.astype("<u2").tobytes(), np.uint8)
    if len(words) < count:
        raise ValueError(f"expected {count} entries, as LUT Descriptor states, got {len(words)}")
    return np.asarray(words[:count], dtype=np.uint16)


def _entries(table: DisplayTable) -> npt.NDArray[np.uint16]:
    return np.frombuffer(table.entries, "<u2")


@lru_cache(maxsize=64)
def _shared(table: DisplayTable) -> DisplayTable:
    """Return one object for equal tables: each slice of a series brings its own copy."""
    return table
