"""Full, read-only and failing disks: what a write's error means, as one line that says how to go on."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from robustness.errors import InputError
from robustness.regular_files import shown_path

_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_ACCESS: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
_NO_DISK: Final = {errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE}
# Libraries written in other languages keep the system's sentence and drop its number.
_SENTENCES: Final = {
    errno.ENOSPC: "No space left on device",
    errno.EDQUOT: "Disk quota exceeded",
    errno.EFBIG: "File too large",
    errno.EROFS: "Read-only file system",
    errno.EIO: "Input/output error",
}
_NUMBERED: Final = re.compile(r"os error (\d+)|errno (\d+)", re.IGNORECASE)


class DiskError(InputError):
    """A file could not be written; what was there before is unchanged."""


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a disk's error in a block that writes `path` into `DiskError`; others pass.

    Raises:
        DiskError: no room, no permission, no disk.
    """
    try:
        yield
    except DiskError:
        raise
    except Exception as error:
        if isinstance(error, FileNotFoundError) and not os.path.isdir(path.parent):
            raise DiskError(gone(path.parent)) from error
        reason = disk_reason(error)
        if reason is None:
            raise
        raise DiskError(message(path, reason)) from error


def disk_reason(error: BaseException) -> str | None:
    """Return what a disk's error says, or None for an error of another kind."""
    number = error.errno if isinstance(error, OSError) else None
    text = str(error)
    if number is None:
        stated = _NUMBERED.search(text)
        number = int(stated[1] or stated[2]) if stated else None
    if number is None:
        number = next((code for code, sentence in _SENTENCES.items() if sentence.lower() in text.lower()), None)
    if number not in _NO_ROOM | _NO_ACCESS | _NO_DISK:
        return None
    return _SENTENCES.get(number) or str(getattr(error, "strerror", None) or "it cannot be written")


def identity(folder: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one at its place: its disk and number; None where there is none."""
    try:
        facts = os.stat(folder)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def check_same_folder(folder: Path, before: tuple[int, int] | None) -> None:
    """See that a folder is the one that work began in, and no new one at its place.

    Raises:
        DiskError: it was removed or replaced, or its disk was taken away.
    """
    if identity(folder) != before:
        raise DiskError(gone(folder))


def gone(folder: Path) -> str:
    """Return the line for a folder that vanished while it was written to."""
    return (
        f"disk: the folder {shown_path(folder)} was removed or replaced while it was written to, or its disk was taken "
        "away; bring it back and run the same command again, else that starts anew"
    )


def message(path: Path | None, reason: str) -> str:
    """Return the line for a write that failed."""
    where = "a file" if path is None else shown_path(path)
    fix = "free space there" if reason in {_SENTENCES[code] for code in _NO_ROOM} else "make the folder writable"
    return f"disk: {where} could not be written ({reason}); {fix} and run the same command again: it goes on from there"
