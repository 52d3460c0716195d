"""Files that are written atomically, and their hashes."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from robustness.disk_errors import disk_errors, disk_reason
from robustness.errors import InputError
from robustness.regular_files import is_regular, kind_of, open_regular, shown_path

# Images that the suite takes where a folder is looked through.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_TEMPORARY = ".tmp"
# What an audit recorded: never an output of another command.
_SIGNS_OF_A_RUN = ("manifest.json", "state.json")
_OF_A_RUN = frozenset(
    {"plan.toml", "manifest.json", "state.json", "effects.parquet", "verdicts.parquet", "gallery.parquet"}
    | {"certificate.json", "log.jsonl"}
)


def sha256_file(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in blocks."""
    with open_regular(path) as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_atomic(path: Path, write: Callable[[Path], None], *, mode: int | None = None) -> None:
    """Let `write` fill a temporary file beside `path`, sync it and rename it over `path`.

    A process killed at any moment leaves either the old file or the new one, never a half. A link is followed.

    Args:
        path: the file.
        write: fills the file that it is given.
        mode: who may read it; None: as any other file that the user makes.

    Raises:
        DiskError: no room, no permission.
        InputError: a folder, pipe, socket or device is in the way, a part of the path is a file, a name is too long.
    """
    with disk_errors(path):
        _write_atomic(_target(path), write, 0o666 & ~_umask() if mode is None else mode)


def _target(path: Path) -> Path:
    """Return where a file is written: a link is followed, and nothing but a file is replaced."""
    try:
        # Not Path.is_symlink, which raises for names that are too long.
        target = path.resolve() if os.path.islink(path) else path
    except (OSError, RuntimeError) as error:
        raise InputError(f"{shown_path(path)!r}: expected a file, got a link that leads nowhere; remove it") from error
    if os.path.lexists(target) and not target.is_file():
        kind = kind_of(target.stat().st_mode)
        raise InputError(f"{shown_path(path)!r}: expected a file that can be replaced, got {kind}; choose another name")
    return target


@contextlib.contextmanager
def _place_of(path: Path) -> Iterator[None]:
    """Say of a path that cannot be: a part of it is a file, or a name is too long.

    Raises:
        InputError: an error of the system that is none of the disk.
    """
    try:
        yield
    except OSError as error:
        if disk_reason(error) is not None:
            raise
        raise InputError(
            f"{shown_path(path)!r}: expected a place where a file can be ({error.strerror}); choose another name"
        ) from error


def _write_atomic(path: Path, write: Callable[[Path], None], mode: int) -> None:
    with _place_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_TEMPORARY, dir=path.parent)
    temporary = Path(name)
    try:
        # Who writes holds the file, so that `remove_stale` tells it from what a killed process left.
        _try_lock(handle)
        write(temporary)
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes the file private.
        temporary.chmod(mode)
        with _place_of(path):
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)
    _sync_folder(path.parent)


def write_text(path: Path, text: str, *, mode: int | None = None) -> None:
    """Write `text` as UTF-8 with its line ends as they are, atomically; see `write_atomic`."""
    write_atomic(path, lambda temporary: _write_utf8(temporary, text), mode=mode)


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files that a killed process left in `folder`."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def remove_stale(path: Path) -> None:
    """Remove temporary files of `path` that killed processes left beside it; those that are being written stay."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f"{glob.escape(_prefix(path))}*{_TEMPORARY}"):
            _remove_unless_locked(leftover)


def _remove_unless_locked(leftover: Path) -> None:
    descriptor = os.open(leftover, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        if _try_lock(descriptor):
            leftover.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _prefix(path: Path) -> str:
    # A name of 255 bytes is the longest there is; the temporary one must not be longer.
    return f".{path.name[:40]}."


def _try_lock(descriptor: int) -> bool:
    """Hold a file until it is closed; False where another process does, or where the platform has no such locks."""
    try:
        import fcntl
    except ImportError:  # pragma: no cover - Windows
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def check_writable(path: Path, argument: str) -> None:
    """See that a file can be written at `path`, and remove what killed processes left beside it.

    Raises:
        InputError: its folder cannot be made or written to, or something that is no file is in the way.
    """
    make_folder(path.parent, argument)
    _target(path)
    remove_stale(path)


def check_output(path: Path, argument: str, *suffixes: str) -> None:
    """Refuse to write over a record of a run, or over a file that is none of the kind that is written.

    Args:
        path: what a user names for an output.
        argument: how the option is called.
        suffixes: of files that may be replaced; none: any.

    Raises:
        InputError: the file is there and is something else; it would be lost.
    """
    if not is_regular(path):
        return
    there = path.resolve()
    folder = there.parent.parent if there.parent.name == "results" else there.parent
    own = there.name in _OF_A_RUN or there.parent.name == "results"
    if own and is_regular(folder / "plan.toml") and any(is_regular(folder / name) for name in _SIGNS_OF_A_RUN):
        raise InputError(
            f"{argument}: expected another file than {str(path)!r}, which is a run's record; choose another name"
        )
    if suffixes and there.suffix.lower() not in suffixes:
        raise InputError(
            f"{argument}: expected a new file or one that ends in {' or '.join(suffixes)}, but {str(path)!r} exists; "
            "choose another name"
        )


def make_folder(path: Path, argument: str) -> Path:
    """Create `path` and prove that it can be written to.

    Raises:
        InputError: it cannot.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(
            f"{argument}: expected a folder that can be written to, got {str(path)!r} ({error.strerror}); choose one"
        ) from error
    return path


def is_writable(folder: Path) -> bool:
    """Tell whether files can be made in a folder, and its lock be held; no error where they cannot.

    A disk that is read-only, a folder of another user, and one whose lock file is another user's are none.
    """
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        lock = folder / ".lock"
        if is_regular(lock):
            os.close(os.open(lock, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)))
    except OSError:
        return False
    return True


def _write_utf8(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="")


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _sync_folder(folder: Path) -> None:
    # Not every platform can open a folder; the rename itself is atomic regardless.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
