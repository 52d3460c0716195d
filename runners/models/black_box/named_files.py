"""Origin of a black box: hashes of the files that its arguments name, and what it tells of itself."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.files import sha256_file
from robustness.runners.data.membership import without_names
from robustness.runners.inference.segmenter import NetworkSegmenter

# Folders of weights hold few files; of one with more than these, the files at its top count.
_MOST_FILES = 64


def file_hashes(arguments: Any, files: Sequence[str] = (), *, base_dir: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of every existing file and folder that `arguments` name, and of `files`.

    Args:
        arguments: nested tables and lists; each text that names a file or folder counts.
        files: further paths, all of which must exist.
        base_dir: where relative paths are looked up before the current folder.

    Returns:
        path as it was written to hash; of a folder, one hash over names and contents.

    Raises:
        InputError: one of `files` does not exist.
    """
    hashes: dict[str, str] = {}
    for text in _texts(arguments):
        path = existing(text, base_dir)
        if path is not None:
            hashes[text] = _digest(path)
    for text in files:
        path = existing(text, base_dir)
        if path is None:
            raise InputError(f"files: expected existing files, found none at {text!r}; check the path")
        hashes[text] = _digest(path)
    return dict(sorted(hashes.items()))


def checked_files(files: Any) -> list[str]:
    """Return the option `files`.

    Raises:
        InputError: it is no list of paths.
    """
    if not isinstance(files, list | tuple) or not all(isinstance(one, str) for one in files):
        raise InputError(f"files: expected a list of paths, got {files!r}")
    return list(files)


def existing(text: str, base_dir: Path | None) -> Path | None:
    """Return the file or folder that a text names, beside `beside` first; None where it names none."""
    if not text or len(text) > 4096 or "\n" in text or "\0" in text:
        return None
    path = Path(text).expanduser()
    if path.name in ("", "..", "."):
        return None
    candidates = [path] if path.is_absolute() or base_dir is None else [base_dir / path, path]
    try:
        return next((candidate for candidate in candidates if candidate.exists()), None)
    except OSError:
        return None


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        # --weights=w.pt
        head, equals, tail = node.partition("=")
        if equals and head.startswith("-"):
            yield tail
    elif isinstance(node, Path):
        yield str(node)
    elif isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _texts(value)


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    members = list(itertools.islice((m for m in path.rglob("*") if m.is_file()), _MOST_FILES + 1))
    if len(members) > _MOST_FILES:
        members = [m for m in path.iterdir() if m.is_file()]
    for member in sorted(members):
        digest.update(f"{member.relative_to(path).as_posix()} {sha256_file(member)}\n".encode())
    return digest.hexdigest()


class SourcedSegmenter:
    """A segmenter that says where it comes from; everything else is the segmenter's own.

    Args:
        segmenter: any object with the methods of `robustness.types.Segmenter`.
        source: what its `describe` adds under "source", as JSON values.
    """

    def __init__(self, segmenter: Any, source: Mapping[str, Any]) -> None:
        self._segmenter, self._source = segmenter, dict(source)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or "_segmenter" not in self.__dict__:
            raise AttributeError(name)
        return getattr(self._segmenter, name)

    def describe(self) -> dict[str, Any]:
        """Return what the segmenter tells of itself, its provenance and its source."""
        describe = getattr(self._segmenter, "describe", None)
        facts = dict(describe()) if callable(describe) else {"name": self._segmenter.name}
        return {**facts, **own_provenance(self._segmenter), "source": self._source}


def with_source(segmenter: Any, source: Mapping[str, Any]) -> Any:
    """Return `segmenter` so that its `describe` names `source`; a network stays the object that it is."""
    if isinstance(segmenter, NetworkSegmenter):
        segmenter.provenance = {**segmenter.provenance, "source": dict(source)}
        return segmenter
    return SourcedSegmenter(segmenter, source)


def own_provenance(thing: Any) -> dict[str, Any]:
    """Return what an object's `provenance`, a method or a mapping, tells, under that name; {} where it has none."""
    provenance = getattr(thing, "provenance", None)
    facts = provenance() if callable(provenance) else provenance
    return {"provenance": without_names(facts)} if isinstance(facts, Mapping) and facts else {}
