"""Run-length codes of the COCO format, compressed or as a list of runs, decoded by pycocotools.

Reference: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, arXiv:1405.0312.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.volumes.base import needs
from robustness.types import Mask

Size = tuple[int, int]


def decode_runs(item: Mapping[str, Any], size: Size | None, where: str) -> Mask:
    """Return the mask of ``{"size": [height, width], "counts": ...}``.

    Args:
        item: the code; `counts` is a compressed text or a list of runs, background first, down the columns.
        size: (H, W) of the image, where known.
        where: its place, for messages.

    Raises:
        CaseError: it is no such code, its runs do not fill its size, or its size is not that of the image.
    """
    stated, counts = item["size"], item["counts"]
    if not isinstance(stated, list | tuple) or len(stated) != 2 or not all(_is_count(value) for value in stated):
        raise CaseError(f"mask {where}: expected size = [height, width] beside run lengths, got {stated!r}")
    height, width = int(stated[0]), int(stated[1])
    runs = counts if isinstance(counts, list) else uncompressed(counts, where)
    if not all(_is_count(run) for run in runs):
        raise CaseError(f"mask {where}: expected runs of 0 pixels or more, got {_shown(runs)}")
    if sum(runs) != height * width:
        raise CaseError(
            f"mask {where}: expected runs that fill {height} x {width} = {height * width} pixels (size is [height, "
            f"width]), got {sum(runs)} pixels in {len(runs)} runs; the code is cut off, or belongs to another image"
        )
    if size is not None and (height, width) != size:
        turned = " (height and width are exchanged)" if (width, height) == size else ""
        raise CaseError(
            f"mask {where}: expected the size of its image, [height, width] = {list(size)}, got [{height}, {width}]"
            f"{turned}"
        )
    code = pycocotools(where).frPyObjects({"size": [height, width], "counts": runs}, height, width)
    return decoded(code, where)


def uncompressed(counts: Any, where: str) -> list[int]:
    """Return the runs of a compressed text.

    Each run takes characters of five bits above 48 with a sixth bit that says "more follows"; from the third run on it
    is stored as the difference from the run two before. pycocotools itself does not see that a code is cut off and
    then returns whatever lies in memory, so the runs are counted here first.

    Raises:
        CaseError: it is no such text.
    """
    text = counts.encode("latin-1", "replace") if isinstance(counts, str) else counts
    if not isinstance(text, bytes):
        raise CaseError(f"mask {where}: expected counts as a text or a list of runs, got {type(counts).__name__}")
    runs: list[int] = []
    value = shift = 0
    for byte in text:
        digit = byte - 48
        if not 0 <= digit < 64 or shift > 60:
            raise CaseError(f"mask {where}: expected a compressed run-length code, got {_shown(counts)}")
        value |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            value -= (1 << shift) if digit & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise CaseError(f"mask {where}: expected a whole run-length code, got one that is cut off")
    return runs


def decoded(code: Any, where: str) -> Mask:
    """Return the array of a code of pycocotools, whose own array type warns under numpy 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return np.asarray(pycocotools(where).decode(code), dtype=np.bool_)


def pycocotools(where: str) -> Any:
    """Return the module `pycocotools.mask`.

    Raises:
        InputError: it is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError:
        raise needs("pycocotools", "a run-length or polygon mask", Path(where)) from None
    return mask


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: Sequence[Any]) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}..."
