"""Failures in a row: a model that fails for every case has stopped working, which is no property of the cases."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from robustness.errors import CaseError, InputError

# So many different cases in a row are no quirk of one image or one prompt.
_MOST = 8


@dataclass
class FailureStreak:
    """The cases that failed since a model last gave a map."""

    model: str
    cases: set[Hashable] = field(default_factory=set)

    def note(self, case: Hashable, outcome: object) -> None:
        """Take one outcome, a map or an error, into account.

        Raises:
            InputError: too many different cases failed in a row.
        """
        if not isinstance(outcome, CaseError):
            self.cases.clear()
            return
        self.cases.add(case)
        if len(self.cases) >= _MOST:
            raise InputError(
                f"model: {self.model} failed for {len(self.cases)} cases in a row; the last: {outcome}; fix it and "
                "run again, finished parts are kept"
            )
