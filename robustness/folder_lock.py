"""A folder that one process writes at a time: the second is refused by name before it touches anything."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from robustness.disk_errors import disk_errors
from robustness.errors import InputError
from robustness.regular_files import shown_path

LOCK = ".lock"


@contextlib.contextmanager
def folder_lock(folder: Path, argument: str = "out") -> Iterator[None]:
    """Hold `folder`; the system frees it when the process dies.

    Nothing in the folder may be read, removed or written before this lock is held: what looks like a leftover may be
    what the holder is writing.

    Args:
        folder: an existing folder.
        argument: what messages begin with.

    Raises:
        InputError: another process holds it, or the folder cannot hold a lock.
    """
    try:
        import fcntl
    except ImportError:  # pragma: no cover - no flock on this platform; files are still written atomically
        yield
        return
    with _lock_file(folder / LOCK, argument) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"{argument}: another process{_holder(folder / LOCK)} is writing {shown_path(folder)!r}; "
                "wait for it or stop it"
            ) from error
        with disk_errors(folder / LOCK):
            handle.truncate(0)
            handle.write(str(os.getpid()).encode())
        yield


def _lock_file(path: Path, argument: str) -> BinaryIO:
    try:
        # Not a pipe that waits for its other end, nor a link that leads out of the folder.
        flags = os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        raise _no_lock_file(path, argument, error.strerror or str(error)) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise _no_lock_file(path, argument, "it is a pipe or a device")
    return os.fdopen(descriptor, "r+b", buffering=0)


def _no_lock_file(path: Path, argument: str, reason: str) -> InputError:
    return InputError(
        f"{argument}: expected a file {path.name} in {shown_path(path.parent)!r}, cannot open it ({reason}); remove it"
    )


def _holder(path: Path) -> str:
    try:
        number = path.read_bytes()[:20].decode("ascii", "replace").strip()
    except OSError:
        return ""
    return f" ({number})" if number.isdigit() else ""
