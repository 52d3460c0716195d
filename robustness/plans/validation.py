"""Validation of TOML trees by pydantic models, with one-line errors that name the near key."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from robustness.errors import InputError, suggest

M = TypeVar("M", bound=BaseModel)
_TYPES = {"str", "int", "float", "bool"}


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
    first = _path(problems[0]["loc"])
    here = [problem for problem in problems if _path(problem["loc"])[: len(first)] == first]
    others = len({_path(problem["loc"]) for problem in problems if problem not in here})
    # Of a union each branch has a problem of its own; the one that looked deepest is the one that was meant.
    deepest = max(len(_path(problem["loc"])) for problem in here)
    meant = [problem for problem in here if len(_path(problem["loc"])) == deepest]
    return f"{_describe(model, meant)}{f' (and {others} more)' if others else ''}"


def _describe(model: type[BaseModel], problems: Sequence[Mapping[str, Any]]) -> str:
    """Say what is wrong with one value, by each branch of what it may be."""
    problem = problems[0]
    location: Sequence[str | int] = problem["loc"]
    where = _where(location)
    if problem["type"] == "extra_forbidden":
        fields = sorted(_fields_at(model, location[:-1]))
        return f"unknown key {where!r}{suggest(str(location[-1]), fields)} (known here: {', '.join(fields)})"
    if problem["type"] == "missing":
        return f"{where}: required, but it is missing"
    messages = dict.fromkeys(str(one["msg"]) for one in problems if _path(one["loc"]) == _path(location))
    message = ", or ".join([*messages][:1] + [one.removeprefix("Input should be ") for one in [*messages][1:]])
    return f"{where}: {message[0].lower()}{message[1:]}, got {problem['input']!r}"


def _path(location: Sequence[str | int]) -> tuple[str | int, ...]:
    return tuple(part for part in location if not _is_branch(part))


def _where(location: Sequence[str | int]) -> str:
    text = ""
    for part in _path(location):
        if isinstance(part, int):
            # The first element of a list is also what a single table becomes; its index would only confuse.
            text += f"[{part}]" if part else ""
        else:
            text += f".{part}" if text else part
    return text


def _is_branch(part: str | int) -> bool:
    # pydantic puts the name of the union branch or validator into the location; a user never wrote it.
    return isinstance(part, str) and (
        part.startswith("constrained-") or part.endswith("Spec") or "[" in part or part in _TYPES
    )


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
