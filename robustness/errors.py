"""Errors that a user can fix.

::

    RobustnessError
    ├── InputError (ValueError)        a bad argument, file, plan or prompt: exit code 2
    │   ├── UnknownNameError (KeyError)    a name that no registry holds; near names are suggested
    │   ├── OtherRunError                  a folder with the run of another plan, version or machine
    │   └── CallError (TypeError)          a public function called with arguments that it does not have
    └── CaseError                      one unreadable case inside a dataset: recorded in its row, the rest goes on
        └── AnswerError (InputError)       an answer of a model that is no map; an audit records it too

Every message is one line: the argument, what was expected, what came, and how to fix it.
"""

from __future__ import annotations

import difflib
import numbers
import os
import re
import types
from collections.abc import Iterable, Sequence

# Longer messages are cut in the middle: what is wrong stands first and how to go on last.
_LONGEST = 1_600
# Of a value that came as an argument so much is shown.
_VALUE = 80
# So many names are all told.
_FEW = 12


class RobustnessError(Exception):
    """Base of every error that this package raises on purpose; whatever a name holds, its message is one line."""

    def __init__(self, message: str = "", *more: object) -> None:
        super().__init__(printable(str(message)), *more)


class InputError(RobustnessError, ValueError):
    """Bad usage or bad input; the command line prints it on one line and exits with 2."""


class UnknownNameError(InputError, KeyError):
    """A name that is not registered."""

    # KeyError.__str__ shows the repr of the message, which would put quotes around the sentence.
    __str__ = Exception.__str__


class OtherRunError(InputError):
    """The folder of an audit holds a run that another plan, version or machine began."""


class CallError(InputError, TypeError):
    """A public function was called without an argument that it needs, or with one that it does not know."""


class CaseError(RobustnessError):
    """One case could not be read or perturbed; an audit records it and goes on unless `--strict` is set."""


class AnswerError(CaseError, InputError):
    """One answer of a model is no map that can be read; the pair is named."""


class DoubtWarning(UserWarning):
    """What this package doubts and goes on with; the command line says each on one line, once."""


def escaped(text: str) -> str:
    """Return `text` on one line that can be printed anywhere: line breaks and other controls are shown as such.

    So are those that turn the direction of what comes after them: a name with one would show the line backwards.
    """
    line = "".join(_ESCAPED.get(c, c) for c in text)
    return line.encode("utf-8", "backslashreplace").decode("utf-8")


def printable(text: str) -> str:
    """Return `text` on one line that can be printed anywhere, of a bounded length."""
    line = escaped(text)
    if len(line) <= _LONGEST:
        return line
    half = _LONGEST // 2
    return f"{line[:half]} [...] {line[-half:]}"


# Text of other libraries comes in lines; other controls are shown as what they are.
_ESCAPED = {chr(n): f"\\x{n:02x}" for n in (*range(32), *range(127, 160))}
_ESCAPED |= {"\n": "\\n", "\r": "\\r", "\t": " ", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED |= {chr(n): f"\\u{n:04x}" for n in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def suggest(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def suggest_column(name: str, columns: Iterable[str]) -> str:
    """Return what to write for a column that is not there: the column alone of ``column=value``, else the near name.

    Example:
        >>> suggest_column("scanner=A", ["scanner", "sex"])
        "; write 'scanner' alone: each of its values is a group"
    """
    names = list(columns)
    alone = re.split(r"[=:]", name, maxsplit=1)[0].strip()
    return f"; write {alone!r} alone: each of its values is a group" if alone in names else suggest(name, names)


def unknown_name(kind: str, name: str, names: Sequence[str]) -> str:
    """Return the message for a name that none of `names` is: all of a few, the near ones of many.

    Example:
        >>> unknown_name("metric", "dise", ["dice", "iou"])
        "metric: expected one of dice, iou, got 'dise'; did you mean 'dice'?"
    """
    if len(names) <= _FEW:
        return f"{kind}: expected one of {', '.join(names)}, got {name!r}{suggest(name, names)}"
    near = difflib.get_close_matches(name, list(names), n=5, cutoff=0.5)
    others = f" Near it: {', '.join(near[1:])}" if near[1:] else ""
    listed = f"one of {len(names)} names (robustness list {kind}s)"
    return f"{kind}: expected {listed}, got {name!r}{suggest(name, names)}{others}"


def one_line(error: BaseException, *, most: int | None = None) -> str:
    """Return an error's whole message on one line, cut to `most` characters; its type where it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, cut to 160 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def counted(n: int, noun: str) -> str:
    """Write a number with its noun: ``1 subject``, ``20 subjects``; the plural ends in s, or in ies for a y.

    Example:
        >>> counted(1, "case"), counted(0, "case"), counted(2, "entry")
        ('1 case', '0 cases', '2 entries')
    """
    return f"{n} {plural(n, noun)}"


_ONE = {"are": "is", "were": "was", "have": "has", "do": "does"}


def verb(n: float, many: str) -> str:
    """Return a verb as it stands behind a counted noun, from its form behind many.

    Example:
        >>> verb(1, "are"), verb(1, "look"), verb(2, "look")
        ('is', 'looks', 'look')
    """
    return _ONE.get(many, f"{many}s") if n == 1 else many


def plural(n: float, noun: str) -> str:
    """Return a noun as it stands behind a number; every count of the house, however it is written, asks here."""
    if n == 1:
        return noun
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeiou" else f"{noun}s"


def shown(value: object) -> str:
    """Say what came as an argument, shortly: ``the text 'no'``, ``the class Run``, ``an object of type map``."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str):
        return f"the text {cut(value)}"
    if isinstance(value, list | tuple | dict | set | frozenset | bytes):
        return f"the {type(value).__name__} {cut(value)}"
    # A scalar of NumPy has no axes.
    if value is None or isinstance(value, numbers.Number) or getattr(value, "ndim", None) == 0:
        return cut(value)
    if isinstance(value, os.PathLike):
        return f"the path {cut(os.fspath(value))}"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType | types.MethodType):
        return f"the function {value.__name__}"
    return f"an object of type {type(value).__name__}"


def cut(value: object) -> str:
    """Return a value as Python writes it, cut to a length that a line can hold."""
    text = repr(value)
    return text if len(text) <= _VALUE else f"{text[: _VALUE - 4]} ..."
