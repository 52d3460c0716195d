"""Predictions as their maker sent them back: a folder or a zip archive of files named by request ids."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.array_files import array_of
from robustness.errors import AnswerError, CaseError, InputError
from robustness.runners.exchange.package import SUMS
from robustness.runners.models.black_box.answer_reader import MASKS, AnswerReader
from robustness.runners.models.black_box.answers import Levels, decode_image, scale_hint
from robustness.types import Probability

SUFFIXES = (".png", ".npy")
# The full scale of images with 16 bits; byte 24 of a PNG is the bit depth.
_DEEP, _DEPTH_AT = 65535.0, 24
# Rounding may carry a probability this far beyond [0, 1]; it is then clipped.
_SLACK = 1e-5
_SUMS_BYTES = 1 << 26


class Map(NamedTuple):
    """One prediction (H, W): probabilities, or a mask as 0 and 1; `sha256` is the hash of its file."""

    values: Probability
    is_mask: bool
    sha256: str = ""


class ReturnedError(Exception):
    """A prediction that cannot be used; `kind` is "wrong size", "unreadable" or "changed"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


class Returned:
    """The files of a folder or archive, read when they are asked for and never before their size is known.

    Attributes:
        files: the file of each id.
        extra: files that are no prediction.
        twice: ids with more than one file.

    Raises:
        InputError: no such folder or archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive = _open_archive(path)
        self.files: dict[str, str] = {}
        self.extra: list[str] = []
        self.twice: dict[str, list[str]] = {}
        self._sums: dict[str, str] = {}
        for name in self._names():
            self._sort(name)

    def read(self, name: str, size: tuple[int, int]) -> Map:
        """Return the prediction of a request.

        Args:
            name: an id of `files`.
            size: (height, width) of its image.

        Raises:
            ReturnedError: another size, not readable, or not what the sender's SHA256SUMS says.
        """
        file = self.files[name]
        # 16 bytes a pixel hold any map that is wanted here; the rest is for headers.
        content = self._content(file, limit=16 * size[0] * size[1] + (1 << 16))
        sha256 = hashlib.sha256(content).hexdigest()
        if self._sums.get(PurePosixPath(file).name, sha256) != sha256:
            raise ReturnedError("changed", f"its hash is not the one in {SUMS}")
        prediction = _from_npy(content, size) if file.endswith(".npy") else _from_png(content, size, self.reader)
        return prediction._replace(sha256=sha256)

    @cached_property
    def reader(self) -> AnswerReader:
        """What 16-bit images mean, settled over all of them."""
        reader = AnswerReader(self.path.name)
        reader.settle(self._deep_images())
        return reader

    def _deep_images(self) -> Iterator[Levels]:
        for file in self.files.values():
            if not file.endswith(".png"):
                continue
            with contextlib.suppress(AnswerError, ReturnedError):
                content = self._content(file, limit=_SUMS_BYTES)
                if content[_DEPTH_AT : _DEPTH_AT + 1] == b"\x10":
                    yield decode_image(content, None, file)

    def _names(self) -> Iterator[str]:
        if self._archive is not None:
            yield from sorted(info.filename for info in self._archive.infolist() if not info.is_dir())
        else:
            yield from sorted(p.relative_to(self.path).as_posix() for p in self.path.rglob("*") if p.is_file())

    def _sort(self, file: str) -> None:
        name = PurePosixPath(file)
        if any(part.startswith((".", "__MACOSX")) for part in name.parts):
            return
        if name.name == SUMS:
            self._sums = _read_sums(self._listed_hashes(file))
        elif name.suffix not in SUFFIXES:
            self.extra.append(file)
        elif name.stem in self.files:
            self.twice.setdefault(name.stem, [self.files[name.stem]]).append(file)
        else:
            self.files[name.stem] = file

    def _listed_hashes(self, file: str) -> bytes:
        try:
            return self._content(file, limit=_SUMS_BYTES)
        except ReturnedError as error:
            raise InputError(
                f"predictions: {file} cannot be read or is larger than {_SUMS_BYTES} bytes; remove it, or write one "
                "line for each file"
            ) from error

    def _content(self, file: str, *, limit: int) -> bytes:
        size = (self.path / file).stat().st_size if self._archive is None else self._archive.getinfo(file).file_size
        if size > limit:
            raise ReturnedError("wrong size", f"{size} bytes are more than a map of its image can need")
        try:
            if self._archive is None:
                return (self.path / file).read_bytes()
            # Opened for each file: what an archive says of a length does not bound what it unpacks to.
            with self._archive.open(file) as stream:
                return stream.read(size + 1)[:size]
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise ReturnedError("unreadable", str(error)) from error


def _open_archive(path: Path) -> zipfile.ZipFile | None:
    if path.is_dir():
        return None
    with contextlib.suppress(zipfile.BadZipFile, OSError):
        return zipfile.ZipFile(path)
    raise InputError(f"predictions: expected a folder or a zip archive, found none at {str(path)!r}; check the path")


def _read_sums(content: bytes) -> dict[str, str]:
    lines = (line.split(maxsplit=1) for line in content.decode("utf-8", "replace").splitlines())
    return {PurePosixPath(parts[1].lstrip("*")).name: parts[0].lower() for parts in lines if len(parts) == 2}


def _from_png(content: bytes, size: tuple[int, int], reader: AnswerReader) -> Map:
    try:
        with PILImage.open(io.BytesIO(content), formats=("PNG",)) as opened:
            _check_size((opened.height, opened.width), size)
        levels = decode_image(content, None, "the file")
    except AnswerError as error:
        raise ReturnedError("unreadable", str(error)) from error
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, PILImage.DecompressionBombError) as error:
        raise ReturnedError("unreadable", f"no PNG ({error})") from error
    if levels.kind == "mask" or levels.full < _DEEP:
        return _mask(levels.values, f"an {levels.source}" if levels.source[0] in "8a" else f"a {levels.source}")
    outcome = reader.read([levels], [[size]], ["the file"])[0]
    if isinstance(outcome, CaseError):
        raise ReturnedError("unreadable", str(outcome))
    return Map(outcome, reader.meaning == MASKS)


def _from_npy(content: bytes, size: tuple[int, int]) -> Map:
    try:
        values = array_of(content)
    except (OSError, ValueError, EOFError) as error:
        raise ReturnedError("unreadable", f"no numpy array ({error})") from error
    _check_size(values.shape, size)
    if values.dtype.kind in "bui":
        return _mask(values, "an array of integers")
    if values.dtype.kind != "f":
        raise ReturnedError("unreadable", f"an array of {values.dtype}")
    if not np.isfinite(values).all():
        raise ReturnedError("unreadable", "probabilities that are not finite")
    low, high = float(values.min()), float(values.max())
    if low < -_SLACK or high > 1 + _SLACK:
        hint = scale_hint(low, integers=False, returns=False)
        raise ReturnedError("unreadable", f"probabilities beyond [0, 1]: {low:g} to {high:g}; {hint}")
    return Map(np.clip(values.astype(np.float32), 0.0, 1.0), False)


def _mask(values: np.ndarray[Any, Any], what: str) -> Map:
    """Return a mask; grey values between its two are refused, since nobody said what they mean."""
    levels = [int(v) for v in np.unique(values)]
    inside = [v for v in levels if v != 0]
    if len(inside) > 1:
        raise ReturnedError(
            "unreadable",
            f"{what} with {len(levels)} values: a mask has 0 and one other; send probabilities as .npy or 16-bit PNG",
        )
    return Map((values != 0).astype(np.float32), True)


def _check_size(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    if tuple(shape) != size:
        raise ReturnedError(
            "wrong size", f"expected {size[0]} x {size[1]}, got {' x '.join(map(str, shape)) or 'none'}"
        )
