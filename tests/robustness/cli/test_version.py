"""What the program says of itself."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from robustness import __version__
from robustness.cli.main import app


def test_the_version_is_that_of_the_package() -> None:
    done = CliRunner().invoke(app, ["--version"])
    assert (done.exit_code, done.output) == (0, f"robustness {__version__}\n")


@pytest.mark.parametrize("option", ["--install-completion", "--show-completion"])
def test_the_shell_can_complete_commands(option: str) -> None:
    assert option in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
