"""The data are made, not stored."""

from pathlib import Path

import pytest

import pictures

HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def data() -> Path:
    """Write the images where the plan looks for them: 30 patients, two images each, both lesions asked for."""
    return pictures.write(HERE / "data", images=2, both=True)
