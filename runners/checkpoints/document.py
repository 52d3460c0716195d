"""Facts next to weights: the configuration of a folder, the threshold of a Lightning file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.limits import limits
from robustness.own_files import named, parse_json
from robustness.regular_files import read_bytes

CONFIG = "config.json"


def read_document(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a folder, {} where there is none.

    Raises:
        InputError: it is no JSON object.
    """
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        document = parse_json(read_bytes(path, max_bytes=limits().document_bytes))
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {path} is not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise InputError(f"checkpoint: expected a JSON object in {path}, got {named(document)}; remove or restore it")
    return document


def is_own(document: Mapping[str, Any]) -> bool:
    """Return whether a config is of this package's form, of whatever model."""
    return isinstance(document.get("model"), str) and isinstance(document.get("config"), dict)


def stated_threshold(content: Any) -> float | None:
    """Return the mask threshold that a Lightning file states; None where it states none."""
    hyper = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    value = hyper.get("threshold") if isinstance(hyper, Mapping) else None
    return float(value) if isinstance(value, int | float) and 0 < value < 1 else None
