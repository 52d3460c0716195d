"""Arguments of the public functions, checked at the door: a wrong one is one line that says how to mend it.

What is expected is what a function's annotations say. Only calls through the package's own names (``rb.audit``) and
methods of a run are checked; modules of the package call each other directly.
"""

from __future__ import annotations

import collections.abc
import functools
import importlib
import inspect
import numbers
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal, ParamSpec, TypeVar, Union

import numpy as np
from numpy.typing import ArrayLike

from robustness.errors import CallError, InputError, counted, cut, shown, suggest
from robustness.types import Segmenter

P = ParamSpec("P")
R = TypeVar("R")

# Names that only type checkers import in the modules of the public functions, and where they are.
_LATE: Final = {
    "Baseline": "robustness.gates.baselines",
    "Dataset": "robustness.runners.data.dataset",
    "FinetuneOptions": "robustness.plans.finetune_options",
    "Gates": "robustness.gates.spec",
    "Inspected": "robustness.runners.exchange.model",
    "ReferenceEdge": "robustness.metrics.scores.boundary_distances",
    "RequiredSubjects": "robustness.runners.data.check.attributes",
    "Run": "robustness.workflows.run",
    "Segmenter": "robustness.types",
    "pd": "pandas",
}
_ASKED_OF: Final = {Segmenter: ("name", "threshold", "encode_image", "encode_text", "probabilities")}
# What an object is to a user, and how a text that names it is opened.
_NOUNS: Final = {
    "Segmenter": ("a model as load_model, segmenter or load_predictions return it", "rb.load_model({!r})"),
    "Dataset": ("a dataset as load_dataset returns it", "rb.load_dataset({!r})"),
    "Plan": ("a plan as load_plan returns it", "rb.load_plan({!r})"),
    "Run": ("a run as open_run returns it", "rb.open_run({!r})"),
    "DataFrame": ("a table (pandas.DataFrame) as run.results() returns it", "rb.open_run({!r}).results()"),
    "Gates": ("the gates of a file (robustness.gates.judge.load_gates)", "load_gates({!r})"),
}
_WORDS: Final[Mapping[Any, str]] = {
    str: "a text",
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    types.NoneType: "None",
}
_NONE = inspect.Parameter.empty


def checks_arguments(function: Callable[P, R], package: str) -> Callable[P, R]:
    """Return `function` with a check of each call against its signature and annotations, as a name of `package`.

    The check raises InputError (`CallError` where the signature does not fit) before anything is done.
    """
    signature = inspect.signature(function)
    options = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = _bound(function.__name__, signature, args, kwargs)
        hints = _hints(function)
        for name, value in (bound.arguments | bound.arguments.get(options, {})).items():
            default = signature.parameters[name].default if name in signature.parameters else _NONE
            if value is None and default == "":
                # Nothing stated, in the way of callers that pass on what they may have.
                bound.arguments[name] = ""
            elif name in hints and not _fits(value, hints[name]):
                raise InputError(_message(name, value, hints[name], default))
        return function(*bound.args, **bound.kwargs)

    # Pickled by the name under which it is found.
    checked.__module__ = package
    return checked


def checks_methods(kind: type[R]) -> type[R]:
    """Return a class whose own public methods check their arguments."""
    for name, method in list(vars(kind).items()):
        if inspect.isfunction(method) and not name.startswith("_"):
            setattr(kind, name, checks_arguments(method, method.__module__))
    return kind


def _bound(
    name: str, signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return which argument is which; a call that fits no signature says what it should have been."""
    try:
        return signature.bind(*args, **kwargs)
    except TypeError as error:
        wrong = str(error)
    parameters = signature.parameters
    by_place = [p.name for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    unknown = [key for key in kwargs if key not in parameters]
    if unknown and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        accepted = ", ".join(parameters)
        raise CallError(f"{name}: unknown argument {unknown[0]!r}{suggest(unknown[0], parameters)} (known: {accepted})")
    if len(args) > len(by_place):
        others = ", ".join(p.name for p in parameters.values() if p.kind is p.KEYWORD_ONLY)
        raise CallError(
            f"{name}: expected at most {counted(len(by_place), 'argument')} without a name ({', '.join(by_place)}), "
            f"got {len(args)}; write the others as NAME=VALUE{others and f' ({others})'}"
        )
    if missing := re.search(r"missing a required (?:keyword-only )?argument: '(\w+)'", wrong):
        raise CallError(f"{name}: the argument {missing[1]!r} is required, but it is missing; add {missing[1]}=...")
    raise CallError(f"{name}: {wrong}")


@functools.cache
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return what each argument is expected to be; names that only type checkers import are imported here."""
    stated = {name: text for name, text in function.__annotations__.items() if name != "return"}
    used = {word for text in stated.values() for word in re.findall(r"\w+", str(text))}
    late = {name: importlib.import_module(_LATE[name]) for name in used & set(_LATE)}
    names = {name: module if name == "pd" else getattr(module, name) for name, module in late.items()}
    unpacked = types.SimpleNamespace(__annotations__=stated)
    hints = typing.get_type_hints(unpacked, globalns={**vars(inspect.getmodule(function)), **names})
    keywords = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD]
    packed = [hint for hint in map(hints.pop, keywords) if typing.get_origin(hint) is typing.Unpack]
    return hints | {
        name: each for hint in packed for name, each in typing.get_type_hints(*typing.get_args(hint)).items()
    }


def _fits(value: Any, hint: Any) -> bool:
    """Return whether a value is what an annotation asks for; what cannot be told passes."""
    hint = getattr(hint, "__value__", hint)  # NumPy's `ArrayLike` is a name of a type from Python 3.12 on.
    origin = typing.get_origin(hint) or hint
    if hint is None or hint is types.NoneType:
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, choice) for choice in typing.get_args(hint))
    if origin is Literal:
        # A list is equal to no text, but an array would compare element by element.
        return isinstance(value, str | int) and value in typing.get_args(hint)
    if hint in _SIMPLE:
        return _SIMPLE[hint](value)
    if origin is Callable:
        return callable(value)
    if not isinstance(origin, type):
        return True
    if _is_table_hint(hint):
        return isinstance(value, Mapping) and _misfit(value, hint) is None
    if origin is tuple:
        hints = typing.get_args(hint)
        return _is_list(value) and len(value) == len(hints) and all(map(_fits, value, hints))
    if _is_list_hint(hint):
        return _is_list(value) and _misfit(value, hint) is None
    if getattr(origin, "_is_protocol", False) and not getattr(origin, "_is_runtime_protocol", False):
        return True
    # A model of the user's own may leave out what an audit never asks for.
    return all(hasattr(value, name) for name in _ASKED_OF[origin]) if origin in _ASKED_OF else isinstance(value, origin)


def _is_list_hint(hint: Any) -> bool:
    return typing.get_origin(hint) in (list, collections.abc.Sequence)


def _is_table_hint(hint: Any) -> bool:
    return typing.get_origin(hint) in (dict, collections.abc.Mapping)


def _misfit(value: Any, hint: Any) -> tuple[Any, Any, Any] | None:
    """Return the first entry of a list or table that is not what it should be: its place, itself, what was expected."""
    if _is_list_hint(hint):
        (each,) = typing.get_args(hint)
        return next(((place, one, each) for place, one in enumerate(value) if not _fits(one, each)), None)
    key_hint, each = typing.get_args(hint)
    wrong_key = next(((key, key, key_hint) for key in value if not _fits(key, key_hint)), None)
    return wrong_key or next(((key, one, each) for key, one in value.items() if not _fits(one, each)), None)


def _is_list(value: Any) -> bool:
    """Return whether a value is several of something: not a text, not a table of names, not used up by one look."""
    # A Dataset holds cases, and a DataFrame columns; neither stands for a list of models or names.
    own = type(value).__module__.split(".")[0] in ("robustness", "pandas") and not hasattr(value, "tolist")
    return isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping) and not own


def _is_number(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


_SIMPLE: Final[Mapping[Any, Callable[[Any], bool]]] = {
    Any: lambda value: True,
    object: lambda value: True,
    str: lambda value: isinstance(value, str),
    # 0 and 1 are what other languages call so.
    bool: lambda value: isinstance(value, bool | np.bool_) or (_is_number(value, int) and value in (0, 1)),
    int: lambda value: _is_number(value, numbers.Integral),
    float: lambda value: _is_number(value, numbers.Real),
    Path: lambda value: isinstance(value, str | os.PathLike),
}


def _message(name: str, value: Any, hint: Any, default: Any) -> str:
    """Say what was expected and what came; of a list or table with a wrong entry, which."""
    of_kind = _is_table_hint if isinstance(value, Mapping) else _is_list_hint
    if isinstance(value, list | tuple | Mapping):
        for choice in filter(of_kind, _choices(hint)):
            if (misfit := _misfit(value, choice)) is not None:
                place, entry, each = misfit
                return _message(f"{name}[{place!r}]", entry, each, _NONE)
    return f"{name}: expected {_expected(hint)}, got {shown(value)}{_cure(name, value, hint, default)}"


def _choices(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the hint alone."""
    hint = getattr(hint, "__value__", hint)
    return typing.get_args(hint) if typing.get_origin(hint) in (Union, types.UnionType) else (hint,)


def _expected(hint: Any, *, several: bool = False) -> str:
    """Say in words what an annotation asks for."""
    if hint == ArrayLike:
        return "an array"
    choices = [choice for choice in _choices(hint) if not (choice is str and Path in _choices(hint))]
    words = dict.fromkeys(_word(choice, several=several) for choice in choices)
    return " or ".join(words)


def _word(hint: Any, *, several: bool) -> str:
    origin = typing.get_origin(hint) or hint
    if origin is Literal:
        return f"one of {', '.join(map(str, typing.get_args(hint)))}"
    if origin is Callable:
        return "a function"
    if hint in _WORDS:
        word = _WORDS[hint]
        return word.removeprefix("a ") + "s" if several and word.startswith("a ") else word
    if _is_table_hint(hint):
        return "a table (dict)"
    if origin is tuple:
        return f"{len(typing.get_args(hint))} {_expected(typing.get_args(hint)[0], several=True)}"
    if _is_list_hint(hint):
        entry = typing.get_args(hint)[0]
        return f"a list of {'them' if _name(entry) in _NOUNS else _expected(entry, several=True)}"
    return _NOUNS[_name(hint)][0] if _name(hint) in _NOUNS else f"an object of type {_name(hint)}"


def _name(hint: Any) -> str:
    return str(getattr(hint, "__name__", hint))


def _cure(name: str, value: Any, hint: Any, default: Any) -> str:
    """Return how to go on: the call that was meant, where it can be told."""
    plain = name.partition("[")[0]
    choices = _choices(hint)
    if isinstance(value, str | os.PathLike):
        opening = next((_NOUNS[_name(choice)][1] for choice in choices if _name(choice) in _NOUNS), None)
        if opening:
            return f"; write {opening.format(os.fspath(value))}"
    if inspect.isroutine(value) and any(_name(choice) == "Segmenter" for choice in choices):
        return f"; write rb.segmenter({value.__name__}, name='...')"
    several = hint == ArrayLike or any(_is_list_hint(c) or typing.get_origin(c) is tuple for c in choices)
    if several and hasattr(value, "__next__"):
        return f"; write {plain}=list(...)"
    if value is None and default is not _NONE:
        return f"; leave it out for the default, {default!r}"
    if value is not None and _fits([value], hint):
        return f"; write {plain}=[{cut(value)}]"
    if isinstance(value, list | tuple) and len(value) and _WORDS.keys() & set(choices) and _fits(value[0], hint):
        return f"; write one of them, {plain}={cut(value[0])}"
    if (number := _as_number(value, hint)) is not None:
        return f"; write {plain}={number!r}"
    if any(typing.get_origin(choice) is Callable for choice in choices) and not isinstance(value, bool):
        return f"; give the function itself, {plain}=NAME"
    if any(map(_is_table_hint, choices)):
        return f"; write {plain}={{KEY: VALUE}}"
    named = [name for choice in choices if typing.get_origin(choice) is Literal for name in typing.get_args(choice)]
    near = suggest(value, named) if isinstance(value, str) else ""
    return near or ("" if default is _NONE else f"; leave it out for the default, {default!r}")


def _as_number(value: Any, hint: Any) -> int | float | None:
    """Return the number that a text, or a whole number that a float stands for, where one is expected."""
    for kind in (int, float):
        if kind in _choices(hint) and isinstance(value, str | float | np.floating):
            try:
                number = kind(value)
            except (ValueError, OverflowError):
                continue
            if isinstance(value, str) or number == value:
                return number
    return None
