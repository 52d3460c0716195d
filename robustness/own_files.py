"""Read the files that this suite writes, JSON and Parquet, checked against what they must hold.

A file that was cut short, edited or replaced is one line that names it and says how to go on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError, one_line
from robustness.limits import limits
from robustness.regular_files import UnusableFileError, check_regular, read_bytes, shown_path

if TYPE_CHECKING:
    import pandas as pd

Kinds = type | tuple[type, ...]

_NAMES = {
    dict: "a table",
    list: "a list",
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


def parse_json(content: bytes | str) -> Any:
    """Return a JSON document.

    Raises:
        ValueError: it is none, is no UTF-8, or is nested deeper than can be read.
    """
    # Left to itself the parser takes bytes for UTF-16 or UTF-32 where they look like it.
    text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(
    path: Path, argument: str, *, needs: Mapping[str, Kinds], optional: Mapping[str, Kinds] | None = None, fix: str
) -> dict[str, Any]:
    """Return a JSON object with at least the keys `needs`, each of one of its types.

    Args:
        path: the file.
        argument: what messages begin with ("run", "out").
        needs: the keys that must be there, and the types of their values.
        optional: the keys that may be missing or null, and the types of their values.
        fix: how to go on, the end of every message.

    Raises:
        InputError: absent, no regular file, no JSON object, a key that is missing or of another type.
    """
    document = _document(path, argument, fix)
    if not isinstance(document, dict):
        raise InputError(f"{argument}: {path.name} is damaged: expected a JSON object, got {named(document)}; {fix}")
    for key in needs:
        if key not in document:
            raise InputError(f"{argument}: {path.name} is damaged: it lacks {key!r}; {fix}")
    stated = {key: kinds for key, kinds in (optional or {}).items() if document.get(key) is not None}
    for key, kinds in {**stated, **needs}.items():
        if not _is(document[key], kinds):
            raise InputError(
                f"{argument}: {path.name} is damaged: expected {_listed(kinds)} under {key!r}, "
                f"got {named(document[key])}; {fix}"
            )
    return document


def read_parquet(path: Path, argument: str, *, columns: Iterable[str] = (), fix: str) -> pd.DataFrame:
    """Return a Parquet table that has at least `columns`.

    Raises:
        InputError: absent, no regular file, no Parquet table, or without a column.
    """
    import pandas as pd
    from pyarrow import ArrowException

    try:
        check_regular(path)
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise InputError(f"{argument}: expected {path.name} in {shown_path(path.parent)}, found none; {fix}") from None
    except UnusableFileError as error:
        raise InputError(f"{argument}: {path.name}: {error}; {fix}") from error
    except (ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{argument}: {path.name} is damaged and cannot be read; {fix}") from error
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise InputError(f"{argument}: {path.name} is damaged: it lacks the column {missing[0]!r}; {fix}")
    return table


def named(value: Any) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "nothing"
    return next((name for kind, name in _NAMES.items() if type(value) is kind), type(value).__name__)


def _document(path: Path, argument: str, fix: str) -> Any:
    try:
        return parse_json(read_bytes(path, max_bytes=limits().document_bytes))
    except FileNotFoundError:
        raise InputError(f"{argument}: expected {path.name} in {shown_path(path.parent)}, found none; {fix}") from None
    except UnusableFileError as error:
        raise InputError(f"{argument}: {path.name}: {error}; {fix}") from error
    except (OSError, ValueError) as error:
        reason = one_line(error)
        raise InputError(f"{argument}: {path.name} is damaged ({reason}); {fix}") from error


def _is(value: Any, kinds: Kinds) -> bool:
    listed = kinds if isinstance(kinds, tuple) else (kinds,)
    # To Python true is a whole number; in these files it never stands for one.
    return isinstance(value, listed) and (bool in listed or not isinstance(value, bool))


def _listed(kinds: Kinds) -> str:
    return " or ".join(_NAMES.get(kind, kind.__name__) for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
