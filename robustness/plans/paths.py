"""Paths that a plan names, relative to the plan's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def resolve(path: str, folder: Path | None) -> str:
    """Return a plan's path: beside the plan where it lies there, else as given (current folder, or a hub name).

    ``path.py:factory`` is looked up by its file.
    """
    file, colon, factory = path.partition(".py:")
    name = f"{file}.py" if colon else path
    if folder is not None and not Path(name).is_absolute() and (folder / name).exists():
        return f"{folder / name}:{factory}" if colon else str(folder / path)
    return path


def beside_plan(value: Any, folder: Path | None) -> Any:
    """Return nested tables and lists with every text that names a file beside the plan as that file's path.

    Only texts that look like a path count, with a separator or a suffix in them: "train" is a word, "./train" a path.
    """
    if isinstance(value, dict):
        return {key: beside_plan(inner, folder) for key, inner in value.items()}
    if isinstance(value, list):
        return [beside_plan(inner, folder) for inner in value]
    if folder is None or not isinstance(value, str) or not _looks_like_path(value):
        return value
    return str(folder / value) if (folder / value).exists() else value


def _looks_like_path(text: str) -> bool:
    path = Path(text)
    return not path.is_absolute() and len(text) < 1024 and ("/" in text or bool(path.suffix)) and "\0" not in text
