"""Data and runs at URLs (``s3://``, ``gs://``, ``memory://``, ...): mirrored in a local folder, by fsspec.

Every reader and writer works on plain files, so locks, atomic writes and hashes hold as they do for a folder. A file
system's own package (s3fs, gcsfs, adlfs) brings its protocol. Two machines that write one run at a URL are not kept
apart: the lock lies in the mirror.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial, wraps
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

from robustness.errors import InputError, one_line
from robustness.files import make_folder, write_atomic, write_text
from robustness.folder_lock import LOCK
from robustness.run_folder import MANIFEST

# One letter would be a drive.
_URL: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):/+(.+)")
_LOCAL: Final = ("file", "local")
# What changes with a file's content, as far as a file system tells it.
_SIGNS: Final = ("ETag", "etag", "md5Hash", "checksum", "mtime", "LastModified", "updated", "last_modified", "created")
_INTERVAL_S: Final = 5.0

F = TypeVar("F", bound=Callable[..., Any])


def url_of(path: str | Path) -> str | None:
    """Return `path` as a URL; None where it is a plain path. A `Path` has lost one slash of it, which comes back."""
    match = _URL.fullmatch(str(path).replace("\\", "/"))
    return None if match is None else f"{match[1].lower()}://{match[2]}"


def local_copy(path: str | Path, argument: str) -> Path:
    """Return where the files of `path` lie on this machine; those of a URL are fetched where they are new or changed.

    Of a file's URL the folder around it is fetched, whose other files it may name. Worker processes use what the
    process that started them has fetched.

    Raises:
        InputError: nothing lies there, the protocol is unknown, or the file system refuses.
    """
    url = url_of(path)
    if url is None:
        return Path(path)
    if url.partition("://")[0] in _LOCAL:
        return Path("/" + url.partition("://")[2])
    with _named_errors(url, argument):
        system, root = _open(url)
        if multiprocessing.parent_process() is not None:
            inside = _mirror(url)
            return inside if inside.exists() else _mirror(url.rpartition("/")[0]) / PurePosixPath(root).name
        if not system.exists(root):
            raise InputError(f"{argument}: nothing lies at {url}; check the address")
        if system.isdir(root):
            return _fetched(system, root, _mirror(url))
        return _fetched(system, system._parent(root), _mirror(url.rpartition("/")[0])) / PurePosixPath(root).name


@contextlib.contextmanager
def run_folder_at(out: str | Path) -> Iterator[Path]:
    """Yield the local folder of a run; one at a URL is fetched first and stored while and after the block runs.

    What the block has written when it fails is stored as well, so that the same call goes on from there.
    """
    url = url_of(out)
    if url is None or url.partition("://")[0] in _LOCAL:
        yield local_copy(out, "out")
        return
    with _named_errors(url, "out"):
        system, root = _open(url)
        folder = _mirror(url)
        if system.exists(root):
            _fetched(system, root, folder)
        else:
            _clear(folder, keep=set())
    store = _Store(system, root, make_folder(folder, "out"))
    try:
        yield folder
    finally:
        with _named_errors(url, "out"):
            store.finish()


def writes_run(function: F) -> F:
    """Let a function that writes a run into its keyword `out` take a URL there; see `run_folder_at`."""

    @wraps(function)
    def wrapper(*arguments: Any, out: str | Path, **options: Any) -> Any:
        with run_folder_at(out) as folder:
            return function(*arguments, out=folder, **options)

    return wrapper  # type: ignore[return-value]


class _Store(threading.Thread):
    """Copies new and changed files of a run to its URL, every few seconds and at the end."""

    def __init__(self, system: Any, root: str, folder: Path) -> None:
        super().__init__(daemon=True)
        self._system, self._root, self._folder = system, root, folder
        self._end = threading.Event()
        self._stored = {name: _state(folder / name) for name in _names(folder)}
        self.start()

    def run(self) -> None:
        """Copy until the end; what cannot be copied now is tried again then, where its error is raised."""
        while not self._end.wait(_INTERVAL_S):
            with contextlib.suppress(Exception):
                self._copy()

    def finish(self) -> None:
        """Copy the rest, and remove what the run has removed."""
        self._end.set()
        self.join()
        self._copy()
        present = set(_names(self._folder))
        for name in set(self._stored) - present:
            with contextlib.suppress(FileNotFoundError):
                self._system.rm_file(f"{self._root}/{name}")

    def _copy(self) -> None:
        # Bookkeeping first and the manifest last: a run that is cut off in between resumes, or has no manifest.
        names = sorted(_names(self._folder), key=lambda name: (name == MANIFEST, not name.startswith("."), name))
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                state = _state(self._folder / name)
                if self._stored.get(name) != state:
                    target = f"{self._root}/{name}"
                    self._system.makedirs(self._system._parent(target), exist_ok=True)
                    self._system.put_file(str(self._folder / name), target)
                    self._stored[name] = state


def _open(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    system, root = url_to_fs(url)
    return system, str(root).rstrip("/")


def _mirror(url: str) -> Path:
    import platformdirs

    digest = hashlib.sha256(url.encode()).hexdigest()[:16]
    name = re.sub(r"[^\w.\-]", "_", PurePosixPath(url.partition("://")[2]).name) or "data"
    return platformdirs.user_cache_path("vlsm-robustness") / "remote" / digest / name


def _fetched(system: Any, root: str, folder: Path) -> Path:
    """Make `folder` hold what lies under `root`; files whose signs are those of the last time are not fetched again."""
    record = folder.parent / f"{folder.name}.json"
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    system.invalidate_cache()
    signs: dict[str, str] = {}
    for path, facts in sorted(system.find(root, detail=True).items()):
        name = str(path)[len(root) :].lstrip("/")
        if ".." in PurePosixPath(name).parts:
            raise InputError(f"{path}: expected a file below {root}, got a name that leads out of it")
        signs[name] = json.dumps([facts.get("size"), *(str(facts.get(sign)) for sign in _SIGNS)])
        if before.get(name) != signs[name] or not (folder / name).is_file():
            write_atomic(folder / name, partial(_get, system, str(path)))
    _clear(folder, keep=set(signs))
    write_text(record, json.dumps(signs))
    return folder


def _get(system: Any, path: str, temporary: Path) -> None:
    system.get_file(path, str(temporary))


def _clear(folder: Path, *, keep: set[str]) -> None:
    for name in set(_names(folder)) - keep:
        (folder / name).unlink(missing_ok=True)


def _names(folder: Path) -> list[str]:
    """Return the files below a folder that belong to it, by their names inside it."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != LOCK and path.suffix != ".tmp"]
    return [path.relative_to(folder).as_posix() for path in files]


def _state(path: Path) -> tuple[int, int]:
    facts = path.stat()
    return facts.st_mtime_ns, facts.st_size


@contextlib.contextmanager
def _named_errors(url: str, argument: str) -> Iterator[None]:
    """Turn what fsspec and its file systems raise into one line that names the URL."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise InputError(
            f"{argument}: {url} could not be used ({one_line(error)}); check address and rights"
        ) from error
