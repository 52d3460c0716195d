"""Open files that others made: regular files only, of a bounded size.

A pipe or socket would wait for ever and a device may never end, so all of them are refused before a byte is read. Every
way in which a path cannot be used is an `OSError`, also a name that no file can have.
"""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnusableFileError(OSError):
    """A path that is no regular file, or one that is larger than allowed; `str` is the reason alone."""

    def __str__(self) -> str:
        return str(self.strerror)


def check_regular(path: str | Path, *, max_bytes: int | None = None) -> os.stat_result:
    """Return the facts of a regular file, links followed; nothing is read.

    Args:
        path: the file.
        max_bytes: the largest size that is accepted; None for any.

    Raises:
        FileNotFoundError: there is none.
        UnusableFileError: a folder, pipe, socket or device, a larger file, or a name that no file can have.
        OSError: as the system says.
    """
    try:
        facts = os.stat(path)
    except ValueError as error:
        # A NUL, or a surrogate that stands for no byte.
        raise UnusableFileError(errno.EINVAL, f"no file can have this name ({error})") from error
    return _checked(facts, max_bytes)


def open_regular(path: str | Path, *, max_bytes: int | None = None) -> BufferedReader:
    """Open a regular file for reading bytes; see `check_regular`."""
    check_regular(path, max_bytes=max_bytes)
    # Should a pipe have taken the file's place since, opening it must not wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _checked(os.fstat(descriptor), max_bytes)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_bytes(path: str | Path, *, max_bytes: int) -> bytes:
    """Return what a regular file of at most `max_bytes` holds; see `check_regular`."""
    with open_regular(path, max_bytes=max_bytes) as handle:
        # Files that the system makes up as they are read state no size.
        content = handle.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise _too_large(max_bytes, "more")
    return content


def is_regular(path: str | Path) -> bool:
    """Return whether `path` is a regular file, links followed; False for a name that no file can have."""
    try:
        check_regular(path)
    except OSError:
        return False
    return True


def is_there(path: str | Path) -> bool:
    """Return whether anything lies at `path`, links followed; False for a name that no file can have."""
    try:
        os.stat(path)
    except (OSError, ValueError):
        return False
    return True


def kind_of(mode: int) -> str:
    """Return what a file's mode says it is: "a regular file", "a folder", "a pipe", "a socket" or "a device"."""
    if stat.S_ISREG(mode):
        return "a regular file"
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")


def shown_path(path: str | Path) -> str:
    """Return a path that can be printed anywhere: what has no characters of its own is escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _checked(facts: os.stat_result, max_bytes: int | None) -> os.stat_result:
    if not stat.S_ISREG(facts.st_mode):
        raise UnusableFileError(errno.EINVAL, f"expected a regular file, got {kind_of(facts.st_mode)}")
    if max_bytes is not None and facts.st_size > max_bytes:
        raise _too_large(max_bytes, str(facts.st_size))
    return facts


def _too_large(max_bytes: int, size: str) -> UnusableFileError:
    return UnusableFileError(errno.EFBIG, f"expected at most {max_bytes} bytes, got {size}")
