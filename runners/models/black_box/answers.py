"""Answers of models that are not ours, decoded into levels: images of any mode, arrays of any type.

A level is not yet a probability: 1 is the whole of a 0/1 mask and nothing of a grey image. What levels mean is
decided by `robustness.runners.models.black_box.answer_reader`, which sees more than one answer.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.array_files import array_of
from robustness.errors import AnswerError, counted
from robustness.image_files import is_contradicted, is_unfilled, refuse_damaged
from robustness.regular_files import read_bytes
from robustness.types import masked_pixels

Size = tuple[int, int]
Kind = Literal["mask", "grey", "integers", "floats"]

_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I")
_UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, PILImage.DecompressionBombError)
# Colours of an image that are worth counting: a mask has two.
_FEW = 2
# Byte 24 of a PNG is the bit depth, byte 25 the colour type; type 0 is grey, 3 a palette.
_DEPTH_AT, _GREY_TYPES = 24, (0, 3)


class Levels(NamedTuple):
    """One decoded answer.

    Attributes:
        values: float32 (H, W), as the source wrote them; of a mask 0 and 1.
        kind: "mask" where the source itself has but two states (1 bit, bool, black and one colour); "grey" for
            images; "integers" and "floats" for arrays.
        full: the level that stands for a probability of 1: 255 or 65535 of grey images, else 1.
        source: what it was, for messages.
    """

    values: npt.NDArray[np.float32]
    kind: Kind
    full: float
    source: str


def decode_image(content: bytes | Path | PILImage.Image, sizes: Collection[Size] | None, where: str) -> Levels:
    """Return the levels of a PNG (or of a PIL image).

    Args:
        content: the file, its bytes, or an image.
        sizes: the (H, W) that it may have; an image of another size is not decoded. None: any.
        where: the pair, for messages.

    Raises:
        AnswerError: no PNG, another size, or colours of which nothing says which are inside.
    """
    if isinstance(content, PILImage.Image):
        if sizes is not None:
            check_size((content.height, content.width), sizes, where)
        return _of_image(content, "image", where)
    try:
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            with PILImage.open(file, formats=("PNG",)) as opened:
                if sizes is not None:
                    check_size((opened.height, opened.width), sizes, where)
                _refuse_deep_colours(content, where)
                levels = _of_image(opened, "PNG", where)
            refuse_damaged(file)
        return levels
    except AnswerError:
        raise
    except UnidentifiedImageError as error:
        # Pillow's own words name an object in memory.
        raise AnswerError(f"{where} is not a readable PNG (it does not begin as one)") from error
    except _UNREADABLE as error:
        raise AnswerError(f"{where} is not a readable PNG ({error})") from error


def decode_array(value: Any, sizes: Collection[Size], where: str) -> Levels:
    """Return the levels of an array or tensor (H, W); axes of length 1 around it are dropped.

    Raises:
        AnswerError: another shape, no numbers, masked pixels, or NaN.
    """
    if value is None:
        raise AnswerError(f"{where}: expected an array (H, W), got None; send zeros where nothing is found")
    try:
        array = value.detach().float().cpu().numpy() if _is_low_precision(value) else _as_array(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AnswerError(f"{where}: expected an array (H, W), got {type(value).__name__} ({error})") from error
    if hidden := masked_pixels(value):
        # What lies below the mask would count.
        raise AnswerError(
            f"{where}: expected a number in every pixel, got {counted(hidden, 'masked pixel')}; send array.filled(0)"
        )
    if array.dtype.kind not in "bfiu":
        raise AnswerError(f"{where}: expected numbers or booleans, got {array.dtype}")
    array = _of_one_channel(array, sizes)
    check_size(array.shape, sizes, where)
    kind: Kind = "mask" if array.dtype.kind == "b" else "floats" if array.dtype.kind == "f" else "integers"
    values = array.astype(np.float32)
    if np.isnan(values).any():
        count = int(np.isnan(values).sum())
        raise AnswerError(
            f"{where}: expected probabilities in [0, 1], got NaN in {count} of {counted(values.size, 'pixel')}"
        )
    return Levels(values, kind, 1.0, f"{array.dtype} array")


def decode_npy(path: Path, where: str, *, max_bytes: int) -> npt.NDArray[Any]:
    """Return the array in a ``.npy`` file of at most `max_bytes`, not yet judged; pickles in it are not read.

    Raises:
        AnswerError: larger, or no such array.
    """
    try:
        return array_of(read_bytes(path, max_bytes=max_bytes))
    except (OSError, ValueError, EOFError) as error:
        raise AnswerError(f"{where}: {path.name} is no readable array ({error})") from error


def check_size(shape: tuple[int, ...], sizes: Collection[Size], where: str) -> None:
    """Check that an answer has one of `sizes`.

    Raises:
        AnswerError: it has not; the likely cause is named.
    """
    if tuple(shape) in sizes:
        return
    height, width = next(iter(sizes))
    hint = ""
    if tuple(shape) == (width, height):
        hint = "; rows and columns are exchanged"
    elif len(shape) == 3 and (tuple(shape[1:]) in sizes or tuple(shape[:2]) in sizes):
        count = shape[0] if tuple(shape[1:]) in sizes else shape[2]
        hint = f"; it has {count} channels, send the one of the target (for instances state returns='instances')"
    elif len(shape) == 2 and len(sizes) == 1:
        hint = "; send maps of the image's size, or state image_size=N for square maps of the network's own"
    raise AnswerError(f"{where}: expected a map of its image's size {(height, width)}, got shape {tuple(shape)}{hint}")


def scale_hint(low: float, *, integers: bool, returns: bool = True) -> str:
    """Return what to do about numbers beyond [0, 1] of which `low` is the smallest.

    Args:
        low: the smallest number.
        integers: the array is one of integers.
        returns: the user may state what a model returns instead.
    """
    if low < 0:
        cure, stated = "apply a sigmoid to logits", "returns='logits' or 'mask'"
    elif integers:
        cure, stated = "divide integers by their full scale, of labels send the target's alone", "returns='mask'"
    else:
        # A sigmoid would lift all of them to one half and above: no number below 0 is no logit.
        cure, stated = (
            "divide percentages or levels of grey by their full scale",
            "returns='mask' (of logits, 'logits')",
        )
    return f"{cure}, or state {stated}" if returns else cure


def _is_low_precision(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16)


def _as_array(value: Any) -> npt.NDArray[Any]:
    return value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)


def _of_one_channel(array: npt.NDArray[Any], sizes: Collection[Size]) -> npt.NDArray[Any]:
    """Return (1, H, W) and (H, W, 1) as (H, W); everything else as it is."""
    shape = array.shape
    if shape in sizes or array.ndim < 3:
        return array
    for axes in (tuple(range(array.ndim - 2)), (array.ndim - 1, *range(array.ndim - 3))):
        if all(shape[axis] == 1 for axis in axes) and array.squeeze(axes).shape in sizes:
            return array.squeeze(axes)
    return array


def _refuse_deep_colours(content: bytes | Path, where: str) -> None:
    # Pillow keeps the upper byte of 16-bit colours, so that 0/1 masks would vanish.
    head = content[: _DEPTH_AT + 2] if isinstance(content, bytes) else _first_bytes(content)
    if len(head) > _DEPTH_AT + 1 and head[_DEPTH_AT] == 16 and head[_DEPTH_AT + 1] not in _GREY_TYPES:
        raise AnswerError(f"{where}: a colour PNG of 16 bits a channel cannot be read; send grey, or 8 bits a channel")


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as handle:
        return handle.read(_DEPTH_AT + 2)


def _of_image(image: PILImage.Image, what: str, where: str) -> Levels:
    mode = image.mode
    if mode == "1":
        return Levels(np.asarray(image).astype(np.float32), "mask", 1.0, f"1-bit {what}")
    if mode == "L" and "transparency" not in image.info:
        return Levels(np.asarray(image).astype(np.float32), "grey", 255.0, f"8-bit {what}")
    if mode in _DEEP:
        return Levels(np.asarray(image).astype(np.float32), "grey", 65535.0, f"16-bit {what}")
    if mode == "F":
        return Levels(np.asarray(image, dtype=np.float32), "floats", 1.0, f"float {what}")
    pixels = np.asarray(image.convert("RGBA"))
    if mode != "P":
        return _of_colours(pixels, f"{mode} {what}", where)
    indices = np.asarray(image)
    if is_unfilled(image):
        return Levels(indices.astype(np.float32), "grey", 255.0, f"palette {what}")
    if is_contradicted(indices, np.where(pixels[..., 3:] > 0, pixels[..., :3], 0)):
        raise AnswerError(
            f"{where}: indices and colours of the palette {what} say two different things of what is inside; send "
            "index 0 as black and one colour"
        )
    return _of_colours(pixels, f"palette {what}", where)


def _of_colours(pixels: npt.NDArray[np.uint8], source: str, where: str) -> Levels:
    """Return the levels of RGBA pixels (H, W, 4).

    Where alpha varies and the colours are those of an image, or all the same, alpha is the map.
    """
    colour, alpha = pixels[..., :3], pixels[..., 3]
    if alpha.min() == alpha.max():
        return _of_rgb(colour, source, where)
    transparent = alpha == 0
    visible = np.where(transparent[..., None], 0, colour)
    distinct = _colours(visible, limit=_FEW)
    as_alpha = _grey(alpha, f"alpha of {source}")
    if distinct is None or len(_colours(colour, limit=_FEW) or ()) == 1:
        return as_alpha
    inside = visible.any(axis=-1)
    if (inside == ~transparent).all() or not inside.any():
        return as_alpha
    raise AnswerError(
        f"{where}: the alpha channel and the colours of the {source} show two different masks; send one of them, grey"
    )


def _of_rgb(colour: npt.NDArray[np.uint8], source: str, where: str) -> Levels:
    red, green, blue = (colour[..., channel] for channel in range(3))
    if (red == green).all() and (green == blue).all():
        return _grey(red, source)
    distinct = _colours(colour, limit=_FEW)
    if distinct is not None:
        return _of_two_colours(colour, distinct, source, where)
    # Shades of one primary colour: the other channels are black throughout.
    lit = [channel for channel in range(3) if colour[..., channel].any()]
    if len(lit) == 1:
        return _grey(colour[..., lit[0]], f"{('red', 'green', 'blue')[lit[0]]} of {source}")
    raise AnswerError(
        f"{where}: the {source} has more than two colours, and nothing says which are inside; send a mask of black and "
        "one colour, or a grey map"
    )


def _of_two_colours(colour: npt.NDArray[np.uint8], distinct: set[tuple[int, ...]], source: str, where: str) -> Levels:
    black = (0, 0, 0)
    if len(distinct) == _FEW and black not in distinct:
        shown = " and ".join(str(one) for one in sorted(distinct))
        raise AnswerError(
            f"{where}: the {source} has the colours {shown} and no black, so that nothing says which is inside; "
            "send black and one colour"
        )
    painted: npt.NDArray[np.float32] = np.asarray(colour.any(axis=-1), np.float32)
    return Levels(painted, "mask", 1.0, source)


def _grey(values: npt.NDArray[np.uint8], source: str) -> Levels:
    return Levels(values.astype(np.float32), "grey", 255.0, source)


def _colours(colour: npt.NDArray[np.uint8], *, limit: int) -> set[tuple[int, ...]] | None:
    """Return the distinct colours (R, G, B); None where there are more than `limit`."""
    packed = colour.astype(np.uint32)
    codes = np.unique((packed[..., 0] << 16) | (packed[..., 1] << 8) | packed[..., 2])
    if len(codes) > limit:
        return None
    return {(int(code) >> 16, (int(code) >> 8) & 255, int(code) & 255) for code in codes}
