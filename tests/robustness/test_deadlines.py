"""One deadline for a piece of work, whatever it waits for."""

from __future__ import annotations

import threading

import pytest

from robustness.deadlines import within


def test_what_the_work_returns_or_raises_is_passed_on():
    assert within(30, lambda: "done", abort=lambda: None) == "done"
    with pytest.raises(KeyError, match="missing"):
        within(30, lambda: {}["missing"], abort=lambda: None)


def test_work_that_waits_for_ever_is_aborted():
    released = threading.Event()
    with pytest.raises(TimeoutError, match=r"longer than 0\.05 s"):
        within(0.05, lambda: released.wait(60), abort=released.set)
    assert released.is_set()
