"""Errors that a user can fix.

::

    RobustnessError
    ├── InputError (ValueError)        a bad argument, file, plan or prompt: exit code 2
    │   └── UnknownNameError (KeyError)    a name that no registry holds; near names are suggested
    └── CaseError                      one unreadable case inside a dataset: recorded in its row, the rest goes on
        └── AnswerError (InputError)       an answer of a model that is no map; an audit records it too

Every message is one line: the argument, what was expected, what came, and how to fix it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class RobustnessError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(RobustnessError, ValueError):
    """Bad usage or bad input; the command line prints it on one line and exits with 2."""


class UnknownNameError(InputError, KeyError):
    """A name that is not registered."""

    # KeyError.__str__ shows the repr of the message, which would put quotes around the sentence.
    __str__ = Exception.__str__


class CaseError(RobustnessError):
    """One case could not be read or perturbed; an audit records it and goes on unless `--strict` is set."""


class AnswerError(CaseError, InputError):
    """One answer of a model is no map that can be read; the pair is named."""


def suggest(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
