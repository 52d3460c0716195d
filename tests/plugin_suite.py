"""What tests of the pytest plugin share."""

from __future__ import annotations

import pytest

GOOD = """
def test_it(robustness_run):
    robustness_run.{assertion}
"""


def text(result: pytest.RunResult) -> str:
    """Return what a session printed."""
    return "\n".join(result.outlines)
