"""What tests of several rooms share."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
import typer.testing

# A look-up on a hub must fail at once instead of waiting for a network. Read at import, so set before any import.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

# Imports and collection make hundreds of thousands of objects that stay: looking for garbage among them, then and
# whenever a test has made many, would find nothing.
gc.disable()

ROOT = Path(__file__).resolve().parents[1]
WORDNET = Path("/usr/share/wordnet")

# WordNet's lexicographer files in the order of their numbers (lexnames(5WN)), and the digit of their part of speech.
# Debian's package leaves the file out, and nltk refuses to read the rest without it.
LEXNAMES = {
    "adj.all": 3,
    "adj.pert": 3,
    "adv.all": 4,
    "noun.Tops": 1,
    "noun.act": 1,
    "noun.animal": 1,
    "noun.artifact": 1,
    "noun.attribute": 1,
    "noun.body": 1,
    "noun.cognition": 1,
    "noun.communication": 1,
    "noun.event": 1,
    "noun.feeling": 1,
    "noun.food": 1,
    "noun.group": 1,
    "noun.location": 1,
    "noun.motive": 1,
    "noun.object": 1,
    "noun.person": 1,
    "noun.phenomenon": 1,
    "noun.plant": 1,
    "noun.possession": 1,
    "noun.process": 1,
    "noun.quantity": 1,
    "noun.relation": 1,
    "noun.shape": 1,
    "noun.state": 1,
    "noun.substance": 1,
    "noun.time": 1,
    "verb.body": 2,
    "verb.change": 2,
    "verb.cognition": 2,
    "verb.communication": 2,
    "verb.competition": 2,
    "verb.consumption": 2,
    "verb.contact": 2,
    "verb.creation": 2,
    "verb.emotion": 2,
    "verb.motion": 2,
    "verb.perception": 2,
    "verb.possession": 2,
    "verb.social": 2,
    "verb.stative": 2,
    "verb.weather": 2,
    "adj.ppl": 3,
}

# A test that hangs fails after pyproject's `timeout`; whole audits and pages of documents on a busy machine need more.
SLOW_LIMIT_S = 1_500


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each slow test that states no limit of its own the long one."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT_S))


def pytest_collection_finish() -> None:
    """Search for garbage again, but not among what was imported and collected."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _commands() -> Iterator[None]:
    """Build the tree of commands once, not anew for each call of the command line in this process."""
    with pytest.MonkeyPatch.context() as patch:
        build = cache(typer.main.get_command)
        patch.setattr(typer.main, "get_command", build)
        patch.setattr(typer.testing, "_get_command", build)
        yield


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the development data, beside the checkout."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the development data in ../shared, which is not part of the repository")
    return folder


@pytest.fixture(scope="session")
def wordnet_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with Princeton WordNet 3.0 as nltk wants it, put together from Debian's files."""
    if not (WORDNET / "data.noun").is_file() or not (WORDNET / "index.sense").is_file():
        pytest.skip("needs Debian's packages wordnet-base and wordnet-sense-index")
    data = tmp_path_factory.mktemp("nltk_data")
    folder = data / "corpora" / "wordnet"
    folder.mkdir(parents=True)
    for file in WORDNET.iterdir():
        if file.is_file():
            # A copy: nltk refuses links that lead out of its data folder.
            shutil.copyfile(file, folder / file.name)
    lines = (f"{number:02d}\t{name}\t{pos}\n" for number, (name, pos) in enumerate(LEXNAMES.items()))
    (folder / "lexnames").write_text("".join(lines), "ascii")
    return data


@pytest.fixture
def wordnet_folder(wordnet_data: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """WordNet's folder, on nltk's data path while the test runs."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(wordnet_data)])
    return wordnet_data / "corpora" / "wordnet"


@pytest.fixture
def no_wordnet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty data path of nltk while the test runs, whatever this machine has."""
    import nltk

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
