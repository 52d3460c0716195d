"""Read and write TOML plans as strict models."""

from __future__ import annotations

import tomllib
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from robustness.errors import CallError, InputError
from robustness.limits import limits
from robustness.plans.validation import first_problem
from robustness.regular_files import is_regular, read_bytes

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _OneLineErrors(ModelMetaclass):
    """Models whose call in Python (``rb.Plan(...)``) fails in one line, as a file does."""

    def __call__(self, *args: Any, **fields: Any) -> Any:
        if args:
            raise CallError(
                f"{self.__name__}: expected fields by name, got {args[0]!r}; write {self.__name__}(NAME=VALUE)"
            )
        try:
            return super().__call__(**fields)
        except ValidationError as error:
            raise InputError(f"{self.__name__}: {first_problem(cast('type[BaseModel]', self), error)}") from None


class StrictModel(BaseModel, metaclass=_OneLineErrors):
    """A part of a plan: unknown keys are errors, values are never coerced from other types."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def as_list(value: Any) -> Any:
    """Return a list as it is and anything else as the only entry of one."""
    return value if isinstance(value, list) else [value]


def read_with_overrides(path: str | Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Read a TOML file and lay ``key.sub=value`` strings over it; see `load_plan`."""
    tree = read_toml(path)
    for override in overrides:
        apply_override(tree, override)
    return tree


def read_toml(path: str | Path, *, what: str = "plan") -> dict[str, Any]:
    """Read a TOML file.

    Args:
        path: the file.
        what: what it is to the user, for messages.

    Raises:
        InputError: no such file, or not TOML (the place is named).
    """
    file = Path(path)
    if not is_regular(file):
        raise InputError(f"{what}: expected a TOML file, found none at {str(path)!r}; check the path")
    try:
        return tomllib.loads(read_bytes(file, max_bytes=limits().document_bytes).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{what}: {file.name} is not valid TOML: {error}") from error


def apply_override(tree: dict[str, Any], override: str) -> None:
    """Set ``key.sub=value`` in `tree`; in repeated tables (``[[model]]``) the value goes into each.

    Raises:
        InputError: no '=' in it, or a key that leads through a value.
    """
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in override):
        raise InputError(f"--set: expected key=value on one line, got {override!r}")
    key, separator, raw = override.partition("=")
    if not separator or not key.strip():
        raise InputError(f"--set: expected key=value, got {override!r}; for example --set data.path=DIR")
    nodes: list[Any] = [tree]
    *parents, last = key.strip().split(".")
    for name in parents:
        nodes = [child for node in nodes for child in as_list(node.setdefault(name, {}))]
        if any(not isinstance(node, dict) for node in nodes):
            raise InputError(f"--set: {key.strip()!r} leads through {name!r}, which is a value and not a table")
    for node in nodes:
        node[last] = _toml_value(raw.strip())


def _toml_value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except (ValueError, RecursionError):
        return raw


def without_none(value: Any) -> Any:
    """Return nested tables without the keys that hold None, which TOML cannot write."""
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [without_none(v) for v in value]
    return value
