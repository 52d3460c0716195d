"""Columns of the data that a plan names as groups (scanner, site, sex): they reach rows, subgroup tables and gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from robustness.errors import InputError, suggest
from robustness.results import COLUMNS
from robustness.runners.data.records import is_absent, listing
from robustness.types import CaseInfo

UNKNOWN = "unknown"


def with_groups(infos: Sequence[CaseInfo], groups: Sequence[str] | None) -> list[CaseInfo]:
    """Return the cases with ``metadata["groups"]``: for each named group its value as text, "unknown" where absent.

    Raises:
        InputError: a group that no case states, or whose name is a column of the results.
    """
    if not groups:
        return list(infos)
    for name in groups:
        if name in COLUMNS:
            raise InputError(f"groups: {name!r} is a column of the results already; rename the data's column")
        if not any(_value(info, name) for info in infos):
            names = sorted({key for info in infos for key in _named(info)})
            raise InputError(
                f"groups: expected columns or keys of the data ({listing(names)}), got {name!r}{suggest(name, names)}"
            )
    return [
        replace(info, metadata={**info.metadata, "groups": {name: _value(info, name) or UNKNOWN for name in groups}})
        for info in infos
    ]


def _value(info: CaseInfo, name: str) -> str:
    attributes: Any = info.metadata.get("attributes") or {}
    value = info.metadata.get(name, attributes.get(name))
    return "" if is_absent(value) or isinstance(value, dict | list) else str(value).strip()


def _named(info: CaseInfo) -> list[str]:
    own = {"attributes", "siblings", "image_path", "mask_path", "image_id", "prompt_key", "dataset", "split"}
    return [*(key for key in info.metadata if key not in own), *(info.metadata.get("attributes") or {})]
