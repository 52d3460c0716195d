"""Writing calibrated parameters into a plan's text: one table is added or replaced, the rest stays as it was."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.files import write_text
from robustness.plans.toml import read_toml

TABLE = "perturbations.image.parameters"

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_IMAGE = re.compile(r"\s*(?:perturbations\s*\.\s*)?image\s*=")
_PERTURBATIONS = re.compile(r"\s*perturbations\s*=")

Parameters = Mapping[str, Sequence[Any]]


def write_parameters(plan: Path, parameters: Parameters) -> None:
    """Set ``[perturbations.image.parameters]`` in a plan; kinds that it holds and `parameters` lacks stay.

    ``image = ...`` or ``perturbations = {...}`` written on one line cannot be extended in TOML: it becomes a table
    below, and a comment inside it is lost. Every other character stays.

    Raises:
        InputError: no such file, not TOML, or written in a way that cannot be extended safely; nothing is written then.
    """
    read_toml(plan, what="--plan")
    write_text(plan, with_parameters(plan.read_text("utf-8"), parameters, name=plan.name))


def with_parameters(text: str, parameters: Parameters, *, name: str = "plan") -> str:
    """Return the text of a plan with the parameters in it; see `write_parameters`."""
    before = _parsed(text, name)
    perturbations = before.setdefault("perturbations", {})
    image = perturbations.get("image", {})
    image = dict(image) if isinstance(image, dict) else {"kinds": image}
    existing = image.pop("parameters", None) or {}
    merged = {**existing, **{kind: list(values) for kind, values in parameters.items()}}
    lines = _without_table(text.splitlines(), TABLE)
    lines, whole = _without_inline(lines, _PERTURBATIONS)
    lines, inline = _without_inline(lines, _IMAGE)
    others = {key: value for key, value in perturbations.items() if key != "image"}
    tables = _table("perturbations", others) if whole else []
    tables += _table("perturbations.image", image) if whole or inline else []
    changed = "\n".join([*_stripped(lines), "", *tables, *_table(TABLE, merged)]).lstrip("\n")
    perturbations["image"] = {**image, "parameters": merged}
    if _parsed_or_none(changed) != _plain(before):
        raise InputError(f"--plan: {name} is written in a way that cannot be extended safely; add the printed table")
    return changed


def table_text(parameters: Parameters) -> str:
    """Return the table as it stands in a plan."""
    return "\n".join(_table(TABLE, parameters)).rstrip() + "\n"


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    return [f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in values.items()), ""]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    import tomli_w

    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one) for one in value)}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items()) + " }"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")


def _without_table(lines: Sequence[str], name: str) -> list[str]:
    """Drop a table from its header to the next one, comments before the next header kept."""
    rest: list[str] = []
    inside = False
    for line in lines:
        header = _HEADER.match(line)
        if header:
            inside = _dotted(header[1]) == name
        if not inside or (line.lstrip().startswith("#") and not header):
            rest.append(line)
    return rest


def _without_inline(lines: Sequence[str], key: re.Pattern[str]) -> tuple[list[str], bool]:
    """Drop ``perturbations = ...``, or ``image = ...`` of that table, over as many lines as it takes."""
    table = ""
    for start, line in enumerate(lines):
        header = _HEADER.match(line)
        table = _dotted(header[1]) if header else table
        if header or not key.match(line) or table != ("" if "perturbations" in line.split("=")[0] else "perturbations"):
            continue
        for stop in range(start + 1, len(lines) + 1):
            if _parsed_or_none("\n".join(lines[start:stop])) is not None:
                return [*lines[:start], *lines[stop:]], True
    return list(lines), False


def _dotted(header: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in header.split("."))


def _stripped(lines: Sequence[str]) -> list[str]:
    rest = list(lines)
    while rest and not rest[-1].strip():
        rest.pop()
    return rest


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--plan: {name} is not valid TOML: {error}") from error


def _parsed_or_none(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _plain(tree: Any) -> Any:
    """Return a tree with tuples as lists, as a TOML file gives them back."""
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list | tuple) else tree
