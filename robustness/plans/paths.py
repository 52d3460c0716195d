"""Paths that a plan names, relative to the plan's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustness.errors import InputError

# Options of models that are paths, and such as may hold paths among other values.
PATH_OPTIONS = ("decoder_from", "sam_from", "tokenizer", "base")
TREE_OPTIONS = ("arguments", "command", "files")
# What stands beside `options`, so that a model would be given it twice.
_KEYS_OF_MODEL = frozenset({"name", "checkpoint", "device", "threshold", "config"})


def resolve(path: str, folder: Path | None) -> str:
    """Return a plan's path: beside the plan where it lies there, else as given (current folder, or a hub name).

    ``path.py:factory`` is looked up by its file.
    """
    file, colon, factory = path.partition(".py:")
    name = f"{file}.py" if colon else path
    if folder is not None and not Path(name).is_absolute() and (folder / name).exists():
        return f"{folder / name}:{factory}" if colon else str(folder / path)
    return path


def resolved_options(options: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """Return a model's options with every path in them looked up beside the plan, those of members too.

    Raises:
        InputError: an option is a key of ``[model]`` itself.
    """
    own = next((name for name in options if name in _KEYS_OF_MODEL), None)
    if own is not None:
        raise InputError(f"model.options: {own!r} is a key of [model] and no option; write {own} = ... beside options")
    resolved = dict(options)
    for name in PATH_OPTIONS:
        if isinstance(resolved.get(name), str):
            resolved[name] = str(resolve(resolved[name], folder))
    for name in TREE_OPTIONS:
        if name in resolved:
            resolved[name] = beside_plan(resolved[name], folder)
    if isinstance(resolved.get("members"), list):
        resolved["members"] = [_member(one, folder) for one in resolved["members"]]
    return resolved


def _member(member: Any, folder: Path | None) -> Any:
    if not isinstance(member, dict):
        return member
    found = dict(member)
    if isinstance(found.get("checkpoint"), str):
        found["checkpoint"] = str(resolve(found["checkpoint"], folder))
    if isinstance(found.get("options"), dict):
        found["options"] = resolved_options(found["options"], folder)
    return found


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
