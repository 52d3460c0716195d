"""Validation of TOML trees by pydantic models, with one-line errors that name the near key."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from robustness.errors import InputError, suggest

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], tree: Mapping[str, Any], *, source: str) -> M:
    """Return `tree` as `model`.

    Raises:
        InputError: one line with the first problem: where, what was expected, what came, the near key.
    """
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        raise InputError(f"{source}: {first_problem(model, error)}") from None


def first_problem(model: type[BaseModel], error: ValidationError) -> str:
    """Return the first problem of a validation in words, and how many more there are."""
    # An unknown key is the likelier mistake: a misspelt key also makes the right one "missing".
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{_describe(model, problems[0])}{more}"


def _describe(model: type[BaseModel], problem: Mapping[str, Any]) -> str:
    location: Sequence[str | int] = problem["loc"]
    where = _where(location)
    if problem["type"] == "extra_forbidden":
        fields = sorted(_fields_at(model, location[:-1]))
        return f"unknown key {where!r}{suggest(str(location[-1]), fields)} (known here: {', '.join(fields)})"
    if problem["type"] == "missing":
        return f"{where}: required, but it is missing"
    message = str(problem["msg"])
    return f"{where}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def _where(location: Sequence[str | int]) -> str:
    text = ""
    for part in location:
        if isinstance(part, int):
            # The first element of a list is also what a single table becomes; its index would only confuse.
            text += f"[{part}]" if part else ""
        elif not _is_branch(part):
            text += f".{part}" if text else part
    return text


def _is_branch(part: str | int) -> bool:
    # pydantic puts the name of the union branch or validator into the location; a user never wrote it.
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "float", "bool"})


def _fields_at(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    current = model
    for part in location:
        if isinstance(part, str) and part in current.model_fields:
            nested = next(_models_in(current.model_fields[part].annotation), None)
            current = nested or current
    return set(current.model_fields)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
