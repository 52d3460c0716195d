"""Settings that an assertion on a run takes from its test; the pytest plugin provides them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Policy = Literal["fail", "skip", "warn"]


@dataclass(frozen=True)
class AssertionSettings:
    """What holds where an assertion itself says nothing.

    Attributes:
        inconclusive: what an inconclusive outcome does.
        baseline: what to compare with.
        root: where relative paths of baselines start; None: the current folder.
        update: save the run as the baseline instead of comparing.
        updated: baselines saved in this session, and the run that each holds.
        record: called with what each assertion found.
    """

    inconclusive: Policy = "fail"
    baseline: Path | None = None
    root: Path | None = None
    update: bool = False
    updated: dict[Path, Path] = field(default_factory=dict)
    record: Callable[[dict[str, Any]], None] | None = None


Provider = Callable[[], AssertionSettings]
_provider: Provider = AssertionSettings


def current() -> AssertionSettings:
    """Return the settings of the test that runs; the defaults outside of pytest."""
    return _provider()


def provide(provider: Provider) -> Provider:
    """Let `provider` answer from now on; return the one before."""
    global _provider
    before, _provider = _provider, provider
    return before
