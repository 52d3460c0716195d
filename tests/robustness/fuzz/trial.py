"""One odd or hostile input, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from robustness.errors import CaseError, InputError

USED, FLAGGED, REFUSED = "used", "flagged", "refused"
_LONGEST_MESSAGE = 2_000


class Trial(NamedTuple):
    """An input that is made when it is tried.

    Attributes:
        category: what kind of input it is.
        name: tells it apart within its category.
        call: makes the input in an empty folder and hands it to the library; returns `USED` or `FLAGGED` (counts of
            which are checked inside), or raises.
    """

    category: str
    name: str
    call: Callable[[Path], str]


def outcome(trial: Trial, folder: Path) -> str:
    """Return what came of an input: used, flagged or refused by one line; anything else is a fault of the suite.

    Raises:
        AssertionError: the message is not one line that a person can read.
        BaseException: what the library must not raise.
    """
    try:
        return trial.call(folder)
    except (InputError, CaseError) as error:
        check_message(error)
        return REFUSED


def check_message(error: Exception) -> None:
    """Fail unless an error's message is one line that can be printed."""
    message = str(error)
    assert message.strip(), "a refusal without a word"
    assert len(message) <= _LONGEST_MESSAGE, f"a refusal of {len(message)} characters"
    assert len(message.splitlines()) == 1, f"a refusal of several lines: {message!r}"
    # What cannot be written as UTF-8 would end the program that prints it.
    message.encode()
