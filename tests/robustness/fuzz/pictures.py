"""Images and masks: cut short, bit-flipped, of other formats, of every mode, and things that are no files."""

from __future__ import annotations

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as PILImage

import robustness as rb
from tests.robustness.fuzz.annotations import look_at
from tests.robustness.fuzz.trial import Trial
from tests.synthetic import SIZE, write_dataset

_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16")
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "PCX", "TGA", "SGI", "ICO", "EPS", "DDS", "PDF")


def trials() -> Iterator[Trial]:
    """Yield each kind once as an image and once as a mask."""
    for role in ("image", "mask"):
        for name, make in _kinds().items():
            yield Trial(role, name, partial(_with, role, make))


def _kinds() -> Mapping[str, Callable[[Path], None]]:
    png = encoded("PNG")
    kinds: dict[str, Callable[[Path], None]] = {
        "absent": lambda path: path.unlink(),
        "empty": partial(_write, b""),
        "text": partial(_write, b"this is no image"),
        "html": partial(_write, b"<html><script>window.marker = 1</script></html>"),
        "one_byte": partial(_write, b"\x89"),
        "lfs_pointer": partial(_write, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "pickle": partial(_write, b"\x80\x04N."),
        "zip": partial(_write, b"PK\x03\x04" + b"\0" * 50),
        "svg": partial(_write, b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "huge_header": partial(_write, header(100_000, 100_000)),
        "wide_header": partial(_write, header(2**31 - 1, 1)),
        "zero_header": partial(_write, header(0, 0)),
        "over_the_limit": partial(_write, header(10_000, 9_000)),
        "another_size": partial(_write, encoded("PNG", size=7)),
        "one_pixel": partial(_write, encoded("PNG", size=1)),
        "folder": _folder,
        "pipe": _pipe,
        "socket": _socket,
        "device": partial(_link, "/dev/zero"),
        "null_device": partial(_link, "/dev/null"),
        "dangling": partial(_link, "/nonexistent"),
        "loop": lambda path: _link(str(path), path),
        "nan_tiff": partial(_tiff, np.full((SIZE, SIZE), np.nan, np.float32)),
        "inf_tiff": partial(_tiff, np.full((SIZE, SIZE), np.inf, np.float32)),
        "negative_tiff": partial(_tiff, np.full((SIZE, SIZE), -5, np.float32)),
        "constant_tiff": partial(_tiff, np.full((SIZE, SIZE), 7e30, np.float32)),
        "black": partial(_tiff, np.zeros((SIZE, SIZE), np.uint8)),
        "white": partial(_tiff, np.full((SIZE, SIZE), 255, np.uint8)),
        "bad_exif": partial(_write, _with_exif()),
        "text_bomb": partial(_write, _text_bomb()),
        "animated": partial(_write, _animated()),
    }
    for mode in _MODES:
        kinds[f"mode_{mode.replace(';', '_')}"] = partial(_write, _of_mode(mode))
    for form in _FORMATS:
        kinds[f"format_{form}"] = partial(_write, encoded(form))
    for part in range(1, 10):
        kinds[f"cut_{part}0_percent"] = partial(_write, png[: len(png) * part // 10])
    for seed in range(20):
        kinds[f"flipped_{seed}"] = partial(_write, flipped(png, seed))
    for form in ("JPEG", "TIFF", "GIF", "BMP"):
        for seed in range(4):
            kinds[f"flipped_{form}_{seed}"] = partial(_write, flipped(encoded(form), seed))
    return kinds


def encoded(form: str, *, size: int = SIZE) -> bytes:
    """Return a small image in a format."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), dtype=np.uint8)
    PILImage.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def flipped(content: bytes, seed: int) -> bytes:
    """Return `content` with some bits turned."""
    rng, data = random.Random(seed), bytearray(content)
    for _ in range(1 + seed % 8):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def header(width: int, height: int) -> bytes:
    """Return a PNG that states a size and holds nothing of it."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return one chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _text_bomb() -> bytes:
    png, packed = encoded("PNG"), zlib.compress(b"a" * 4_000_000)
    return png[:33] + chunk(b"zTXt", b"Comment\0\0" + packed) + png[33:]


def _with_exif() -> bytes:
    stream = io.BytesIO()
    PILImage.new("RGB", (SIZE, SIZE)).save(stream, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    return stream.getvalue()


def _animated() -> bytes:
    stream = io.BytesIO()
    frames = [PILImage.new("L", (SIZE, SIZE), value) for value in (0, 255, 128)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    return stream.getvalue()


def _of_mode(mode: str) -> bytes:
    stream = io.BytesIO()
    picture = PILImage.new(mode, (SIZE, SIZE))
    for form in ("PNG", "TIFF"):
        try:
            picture.save(stream, form)
        except (OSError, ValueError):
            stream = io.BytesIO()
        else:
            return stream.getvalue()
    return b"no format holds this mode"


def _with(role: str, make: Callable[[Path], None], folder: Path) -> str:
    write_dataset(folder, images=2)
    path = folder / ("images/s00.png" if role == "image" else "masks/s00_left.png")
    make(path)
    return look_at(rb.load_dataset(folder), 4)


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _tiff(values: np.ndarray, path: Path) -> None:
    PILImage.fromarray(values).save(path, "TIFF")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    try:
        # The path of a socket is limited to about a hundred characters.
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _link(target: str, path: Path) -> None:
    path.unlink()
    path.symlink_to(target)
