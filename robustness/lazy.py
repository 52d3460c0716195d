"""Names that a package offers and that are imported at first use (PEP 562)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def load(package: str, modules: Mapping[str, str], name: str) -> Any:
    """Return what `package` offers as `name`, imported from its module in `modules` (name to module).

    Raises:
        AttributeError: the package offers no such name.
    """
    if name not in modules:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(importlib.import_module(modules[name]), name)
