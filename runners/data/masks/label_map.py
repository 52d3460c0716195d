"""Named labels of a label map: a table of names and values, and which of them one annotation asks for.

A table is written in a plan (``[data] labels``) or in a dataset's card (``"labels"``), in either direction::

    labels = { 1 = "anterior", 2 = "posterior" }                       value -> name
    labels = { anterior = 1, posterior = 2, hippocampus = [1, 2] }     name -> value, or values that count together

A list may also hold names: ``hippocampus = ["anterior", "posterior"]``. One pixel holds one value, so structures that
overlap get one value for each combination, and each name lists all the values in which it takes part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from robustness.errors import InputError, suggest
from robustness.runners.data.masks.declaration import MaskDeclaration

LabelTable = Mapping[str, tuple[int, ...]]


def parse_labels(table: Mapping[Any, Any], where: str) -> dict[str, tuple[int, ...]]:
    """Return the values of each name, in the order of the table.

    Args:
        table: as described above; keys of JSON and TOML are texts, so "1" is the value 1.
        where: the place of the table, for messages.

    Raises:
        InputError: an entry is neither direction, a name is there twice, or a list names what the table lacks.
    """
    if not isinstance(table, Mapping) or not table:
        raise InputError(f'labels in {where}: expected a table such as {{"1": "anterior"}}, got {table!r}')
    raw: dict[str, Any] = {}
    for key, entry in table.items():
        name, value = (entry, _value_of(key)) if isinstance(entry, str) and _is_value(key) else (str(key), entry)
        if not name.strip():
            raise InputError(f"labels in {where}: expected a name for {key!r}, got an empty text")
        if name in raw:
            raise InputError(f"labels in {where}: expected each name once, {name!r} is there twice; list its values")
        raw[name] = value
    return {name: tuple(dict.fromkeys(_resolve(name, raw, where, ()))) for name in raw}


def pick(label: Any, table: LabelTable, where: str) -> MaskDeclaration:
    """Return the declaration for what one annotation asks for.

    Args:
        label: a name of the table, a value, or a list of either, which count together.
        table: of `parse_labels`; may be empty where labels are values.
        where: the place of the annotation, for messages.

    Raises:
        InputError: a name or a value that the table lacks, or no label value.
    """
    items = label if isinstance(label, list | tuple) else [label]
    if not items:
        raise InputError(f"mask_label in {where}: expected a label, got an empty list")
    values = tuple(dict.fromkeys(value for item in items for value in _values(item, table, where)))
    named = tuple(dict.fromkeys(value for numbers in table.values() for value in numbers))
    strange = [value for value in values if named and value > 0 and value not in named]
    if strange:
        # An image may lack a structure: only a name in the table tells that from a wrong value.
        raise InputError(
            f"mask_label in {where}: expected a label that is named ({', '.join(names_of(named, table))}), got "
            f'{strange[0]}; correct it, or name it in labels ({strange[0]} = "NAME")'
        )
    return MaskDeclaration(kind="labels", values=values, table_values=named, name=label_name(label, table))


def label_name(label: Any, table: LabelTable) -> str:
    """Return what a label is called: its name, the table's name for a value, parts joined by '+'."""
    if isinstance(label, list | tuple):
        return "+".join(label_name(item, table) for item in label)
    if isinstance(label, str) and label in table:
        return label
    if _is_value(label):
        value = _value_of(label)
        return next((name for name, values in table.items() if values == (value,)), str(value))
    return str(label)


def label_slug(label: Any, table: LabelTable) -> str:
    """Return a label's name as a part of a case id: blanks as '-', no character that a file name cannot hold.

    Example:
        >>> label_slug("left ventricle", {"left ventricle": (1,)})
        'left-ventricle'
    """
    return re.sub(r"[^\w.+-]+", "-", label_name(label, table)).strip("-")


def names_of(values: Iterable[int], table: LabelTable) -> list[str]:
    """Return each value as a text, with its name where the table has one ("2 posterior")."""
    own = {numbers[0]: name for name, numbers in reversed(list(table.items())) if len(numbers) == 1}
    return [f"{value} {own[value]}" if value in own else str(value) for value in values]


def _values(item: Any, table: LabelTable, where: str) -> tuple[int, ...]:
    if isinstance(item, str) and item in table:
        return table[item]
    if _is_value(item):
        return (_value_of(item),)
    if not table:
        raise InputError(
            f"mask_label in {where}: expected a label value, as no labels are named, got {item!r}; name them in [data] "
            f"labels or dataset_card.json, such as labels = {{ 1 = {str(item)!r} }}"
        )
    raise InputError(
        f"mask_label in {where}: expected a label value or one of {', '.join(table)}, got {item!r}"
        f"{suggest(str(item), table)}"
    )


def _resolve(name: str, raw: Mapping[str, Any], where: str, through: tuple[str, ...]) -> Iterable[int]:
    if name in through:
        raise InputError(f"labels in {where}: expected values, {name!r} is made of itself")
    entry = raw[name]
    for item in entry if isinstance(entry, list | tuple) else [entry]:
        if isinstance(item, str) and item in raw:
            yield from _resolve(item, raw, where, (*through, name))
        elif _is_value(item):
            yield _value_of(item)
        else:
            raise InputError(
                f"labels in {where}: expected a value, or names of the table, for {name!r}, got {item!r}"
                f"{suggest(str(item), raw)}"
            )


def _is_value(item: Any) -> bool:
    if isinstance(item, bool):
        return False
    return isinstance(item, int) or (isinstance(item, str) and re.fullmatch(r"[+-]?\d+", item.strip()) is not None)


def _value_of(item: Any) -> int:
    return int(item)
