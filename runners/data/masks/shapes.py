"""Masks written as numbers: run-length codes and polygons of the COCO format, in JSON or in the annotation itself.

Forms: ``{"size": [height, width], "counts": ...}`` (compressed text or a list of runs), a polygon ``[x0, y0, x1, y1,
...]``, a contour ``[[x, y], ...]``, a list of either, whose areas count together, and a whole COCO file with `images`,
`annotations` and `categories`. Rasterised by pycocotools, the format's own implementation.

Reference: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, arXiv:1405.0312.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.runners.data.volumes.base import needs
from robustness.types import Mask

Size = tuple[int, int]


def read_json_mask(path: Path, key: Sequence[str], size: Size | None) -> Mask:
    """Return a mask of a JSON file.

    Args:
        path: the file.
        key: where the mask stands in it: keys from the outside in ("patient1_study1_view1_frontal", "Edema"); of a
            COCO file the image's file name and, where only one class is meant, the category's name.
        size: (H, W) of the image, for polygons in files that do not state it.

    Raises:
        CaseError: no such file or key, or what stands there is no mask.
    """
    document = _load(path, path.stat().st_mtime_ns if path.is_file() else 0)
    where = f"{path} {'/'.join(key)}".rstrip()
    if isinstance(document, Mapping) and {"images", "annotations"} <= set(document):
        return _of_coco(document, key, where)
    item: Any = document
    for step in key:
        if isinstance(item, Mapping) and "img_size" in item and size is None:
            size = (int(item["img_size"][0]), int(item["img_size"][1]))
        if not isinstance(item, Mapping) or step not in item:
            keys = ", ".join(list(item)[:8]) if isinstance(item, Mapping) else type(item).__name__
            raise CaseError(f"mask {path}: expected the key {step!r}, found {keys}")
        item = item[step]
    return rasterize(item, size, where)


def rasterize(item: Any, size: Size | None, where: str) -> Mask:
    """Return the mask of one run-length code, of polygons, or of a list of them.

    Raises:
        CaseError: it is none of these, or a polygon comes without a size.
    """
    if isinstance(item, Mapping) and {"size", "counts"} <= set(item):
        return _of_runs(item, size, where)
    if isinstance(item, list) and item and all(isinstance(part, Mapping) for part in item):
        masks = [rasterize(part, size, where) for part in item]
        return np.asarray(np.logical_or.reduce(masks))
    polygons = _polygons(item, where)
    if size is None:
        raise CaseError(f"mask {where}: expected the image's size beside polygons, found none")
    runs = _pycocotools(where).frPyObjects(polygons, *size) if polygons else []
    mask = np.zeros(size, dtype=np.bool_)
    for run in runs:
        mask |= _decode(run, where).astype(np.bool_)
    return mask


def _of_runs(item: Mapping[str, Any], size: Size | None, where: str) -> Mask:
    height, width = (int(value) for value in item["size"])
    counts = item["counts"]
    try:
        tools = _pycocotools(where)
        if isinstance(counts, list):
            if sum(counts) != height * width:
                raise ValueError(f"runs of {sum(counts)} pixels for {height} x {width}")
            code = tools.frPyObjects({"size": [height, width], "counts": counts}, height, width)
        else:
            code = {"size": [height, width], "counts": counts.encode() if isinstance(counts, str) else counts}
        mask = np.asarray(_decode(code, where), dtype=np.bool_)
    except (ValueError, TypeError, AttributeError) as error:
        raise CaseError(f"mask {where}: expected a run-length code, got {error}") from None
    if size is not None and mask.shape != size:
        raise CaseError(f"mask {where}: expected the size {size[1]} x {size[0]}, got {width} x {height}")
    return mask


def _of_coco(document: Mapping[str, Any], key: Sequence[str], where: str) -> Mask:
    if not key:
        raise CaseError(f"mask {where}: expected an image's file name as mask_key, got none")
    image = next((i for i in document["images"] if i.get("file_name") == key[0] or str(i.get("id")) == key[0]), None)
    if image is None:
        raise CaseError(f"mask {where}: expected an image {key[0]!r} in the file, found none")
    categories = {str(c["name"]): c["id"] for c in document.get("categories", [])}
    if len(key) > 1 and key[1] not in categories:
        raise CaseError(f"mask {where}: expected a category among {', '.join(categories) or 'none'}, got {key[1]!r}")
    size = int(image["height"]), int(image["width"])
    mask = np.zeros(size, dtype=np.bool_)
    for annotation in document["annotations"]:
        own = annotation["image_id"] == image["id"]
        if own and (len(key) == 1 or annotation["category_id"] == categories[key[1]]):
            mask |= rasterize(annotation["segmentation"], size, where)
    return mask


def _polygons(item: Any, where: str) -> list[list[float]]:
    """Return polygons as flat lists x0, y0, x1, y1, ..."""
    if isinstance(item, Mapping) and "polygons" in item:
        item = item["polygons"]
    if not isinstance(item, list):
        raise CaseError(f"mask {where}: expected a run-length code or polygons, got {type(item).__name__}")
    numbers = all(isinstance(value, int | float) for value in item)
    if item and (numbers or all(_is_point(point) for point in item)):
        item = [item]
    polygons = []
    for contour in item:
        flat = [float(v) for p in contour for v in (p if isinstance(p, list) else [p])]
        if len(flat) < 6 or len(flat) % 2:
            raise CaseError(f"mask {where}: expected contours of at least three points, got {len(flat)} numbers")
        polygons.append(flat)
    return polygons


def _is_point(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and all(isinstance(value, int | float) for value in item)


def _decode(code: Any, where: str) -> Any:
    """Return the array of a code; pycocotools' own array type warns under numpy 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _pycocotools(where).decode(code)


def _pycocotools(where: str) -> Any:
    try:
        from pycocotools import mask
    except ImportError:
        raise needs("pycocotools", "a run-length or polygon mask", Path(where)) from None
    return mask


@lru_cache(maxsize=2)
def _load(path: Path, version: int) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise CaseError(f"mask {path}: no such file") from None
    except (OSError, ValueError) as error:
        raise CaseError(f"mask {path}: expected JSON, got {' '.join(str(error).split())}") from None
