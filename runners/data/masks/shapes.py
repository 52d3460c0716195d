"""Masks written as numbers: run-length codes and polygons of the COCO format, in JSON or in the annotation itself.

Forms: ``{"size": [height, width], "counts": ...}`` (compressed text or a list of runs), a polygon ``[x0, y0, x1, y1,
...]``, a contour ``[[x, y], ...]``, a list of either, whose areas count together, and a whole COCO file with `images`,
`annotations` and `categories`. Coordinates are in pixels. Rasterised by pycocotools, the format's own implementation.

Reference: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, arXiv:1405.0312.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from robustness.errors import CaseError
from robustness.regular_files import is_regular, open_regular
from robustness.runners.data.masks.run_lengths import Size, decode_runs, decoded, pycocotools
from robustness.types import Mask

# How far, in pixels, a contour may leave its image: tools round, and draw along the outer edge.
_MARGIN = 1.0


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
    document = _load(path, path.stat().st_mtime_ns if is_regular(path) else 0)
    where = f"{path} {'/'.join(key)}".rstrip()
    if isinstance(document, Mapping) and {"images", "annotations"} <= set(document):
        return _of_coco(document, key, where)
    item: Any = document
    for step in key:
        size = _stated_size(item, size, where)
        if not isinstance(item, Mapping) or step not in item:
            keys = ", ".join(list(item)[:8]) if isinstance(item, Mapping) else type(item).__name__
            raise CaseError(f"mask {path}: expected the key {step!r}, found {keys}")
        item = item[step]
    return rasterize(item, size, where)


def _stated_size(item: Any, size: Size | None, where: str) -> Size | None:
    """Return the size that a JSON file states for its contours, which must be that of the image."""
    stated = item.get("img_size") if isinstance(item, Mapping) else None
    if not isinstance(stated, list) or len(stated) != 2:
        return size
    height, width = int(stated[0]), int(stated[1])
    if size is not None and (height, width) != size:
        raise CaseError(
            f"mask {where}: expected the size of its image, [height, width] = {list(size)}, got img_size = {stated}"
        )
    return height, width


def rasterize(item: Any, size: Size | None, where: str) -> Mask:
    """Return the mask of one run-length code, of polygons, or of a list of them.

    Raises:
        CaseError: it is none of these, or a polygon comes without a size.
    """
    if isinstance(item, Mapping) and {"size", "counts"} <= set(item):
        return decode_runs(item, size, where)
    if isinstance(item, list) and item and all(isinstance(part, Mapping) for part in item):
        masks = [rasterize(part, size, where) for part in item]
        return np.asarray(np.logical_or.reduce(masks))
    polygons = _polygons(item, where)
    if size is None:
        raise CaseError(f"mask {where}: expected the image's size beside polygons, found none")
    _refuse_outside(polygons, size, where)
    runs = pycocotools(where).frPyObjects(polygons, *size) if polygons else []
    mask = np.zeros(size, dtype=np.bool_)
    for run in runs:
        mask |= decoded(run, where)
    return mask


def _of_coco(document: Mapping[str, Any], key: Sequence[str], where: str) -> Mask:
    if not key:
        raise CaseError(f"mask {where}: expected an image's file name as mask_key, got none")
    try:
        image = next((i for i in document["images"] if key[0] in (i.get("file_name"), str(i.get("id")))), None)
        if image is None:
            raise CaseError(f"mask {where}: expected an image {key[0]!r} in the file, found none")
        own = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        chosen = _of_category(own, {c["id"]: str(c["name"]) for c in document.get("categories", [])}, key[1:], where)
        size = int(image["height"]), int(image["width"])
        _refuse_boxes(chosen, where)
        masks = [rasterize(annotation["segmentation"], size, where) for annotation in chosen]
    except (KeyError, TypeError, AttributeError) as error:
        raise CaseError(f"mask {where}: expected the fields of a COCO file, got {error!r}") from None
    return np.asarray(np.logical_or.reduce([np.zeros(size, dtype=np.bool_), *masks]))


def _refuse_boxes(annotations: list[Any], where: str) -> None:
    """Refuse annotations that draw a box and no outline: their mask would be empty.

    Raises:
        CaseError: there is one.
    """
    for annotation in annotations:
        box = annotation.get("bbox") or [0, 0, 0, 0]
        area = float(annotation.get("area") or 0) or float(box[-1]) * float(box[-2])
        if not annotation["segmentation"] and area > 0:
            raise CaseError(
                f"mask {where}: expected the outline of annotation {annotation.get('id')}, got a box alone "
                "(segmentation is empty); leave it out of the file, or draw its outline"
            )


def _of_category(own: list[Any], names: Mapping[Any, str], key: Sequence[str], where: str) -> list[Any]:
    """Return the annotations of one category; without a name all, which must be of one."""
    if key and key[0] not in names.values():
        raise CaseError(
            f"mask {where}: expected a category among {', '.join(names.values()) or 'none'}, got {key[0]!r}"
        )
    used = sorted({names.get(annotation["category_id"], str(annotation["category_id"])) for annotation in own})
    if not key and len(used) > 1:
        raise CaseError(
            f"mask {where}: expected mask_key = [FILE NAME, CATEGORY], got the file name alone, and the image shows "
            f"several categories ({', '.join(used)})"
        )
    return own if not key else [a for a in own if names.get(a["category_id"]) == key[0]]


def _polygons(item: Any, where: str) -> list[list[float]]:
    """Return polygons as flat lists x0, y0, x1, y1, ..."""
    if isinstance(item, Mapping) and "polygons" in item:
        item = item["polygons"]
    if not isinstance(item, list):
        got = f"the keys {', '.join(map(str, list(item)[:6]))}" if isinstance(item, Mapping) else repr(item)[:40]
        raise CaseError(
            f'mask {where}: expected {{"size": [height, width], "counts": ...}} or polygons [x0, y0, x1, y1, ...], got '
            f"{got}; mask_key names where a mask stands in a JSON file"
        )
    numbers = all(isinstance(value, int | float) for value in item)
    if item and (numbers or all(_is_point(point) for point in item)):
        item = [item]
    polygons = []
    for contour in item:
        try:
            flat = [float(v) for p in contour for v in (p if isinstance(p, list) else [p])]
        except (TypeError, ValueError):
            raise CaseError(f"mask {where}: expected contours of numbers, got {repr(contour)[:40]}") from None
        if len(flat) < 6 or len(flat) % 2:
            raise CaseError(f"mask {where}: expected contours of at least three points, got {len(flat)} numbers")
        polygons.append(flat)
    return polygons


def _refuse_outside(polygons: list[list[float]], size: Size, where: str) -> None:
    """Refuse contours that are written as (row, column) or as shares of the image: they would be drawn elsewhere."""
    xs, ys = ([v for polygon in polygons for v in polygon[start::2]] for start in (0, 1))
    if not xs:
        return
    height, width = size
    if not all(math.isfinite(v) for v in (*xs, *ys)):
        raise CaseError(f"mask {where}: expected finite coordinates, got NaN or infinity")
    if max(*xs, *ys) <= 1 < min(height, width) and min(*xs, *ys) >= 0:
        raise CaseError(
            f"mask {where}: expected contours in pixels (x, y), got coordinates of {min(*xs, *ys):g} to "
            f"{max(*xs, *ys):g}; multiply shares of the image by its width and height"
        )
    if min(*xs, *ys) < -_MARGIN or max(xs) > width + _MARGIN or max(ys) > height + _MARGIN:
        raise CaseError(
            f"mask {where}: expected contours as x, y inside of the image ({width} x {height}), got x up to "
            f"{max(xs):g} and y up to {max(ys):g}, from {min(xs):g} and {min(ys):g}; are rows and columns exchanged?"
        )


def _is_point(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and all(isinstance(value, int | float) for value in item)


@lru_cache(maxsize=2)
def _load(path: Path, version: int) -> Any:
    try:
        with open_regular(path) as file:
            return json.loads(file.read().decode("utf-8-sig"))
    except FileNotFoundError:
        raise CaseError(f"mask {path}: no such file") from None
    except (OSError, ValueError) as error:
        raise CaseError(f"mask {path}: expected JSON, got {' '.join(str(error).split())}") from None
