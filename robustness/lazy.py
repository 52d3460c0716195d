"""A process and its start: whose it is, names that are imported at first use (PEP 562), few searches for garbage."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Mapping
from typing import Any, Final

_process: Final = {"is_command": False}


def be_command() -> None:
    """Say that this process is a command's own and no caller has anything open in it: it may be forked."""
    _process["is_command"] = True


def is_command() -> bool:
    """Return whether this process is a command's own."""
    return _process["is_command"]


def load(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Return what `package` offers as `name`, imported from its module in `modules` (name to module).

    Raises:
        AttributeError: the package offers no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)


def collect_rarely() -> None:
    """Let the interpreter look for unreachable objects after 10,000 new ones instead of 700.

    An audit makes hundreds of thousands of rows and imports that stay: each search finds nothing and costs up to 0.1 s,
    a second in all. Arrays are not kept longer by much, since nearly all are freed without a search.
    """
    gc.set_threshold(10_000, 100, 20)
