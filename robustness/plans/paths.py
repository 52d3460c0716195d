"""Paths that a plan names, relative to the plan's folder."""

from __future__ import annotations

from pathlib import Path


def resolve(path: str, folder: Path | None) -> str:
    """Return a plan's path: beside the plan where it lies there, else as given (current folder, or a hub name).

    ``path.py:factory`` is looked up by its file.
    """
    file, colon, factory = path.partition(".py:")
    name = f"{file}.py" if colon else path
    if folder is not None and not Path(name).is_absolute() and (folder / name).exists():
        return f"{folder / name}:{factory}" if colon else str(folder / path)
    return path
