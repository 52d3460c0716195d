"""The documents keep to the word list of docs/words.md."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIST = ROOT / "docs" / "words.md"
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)


def avoided():
    """Return the words of the list's last column."""
    rows = [line.strip("| \n").split("|") for line in LIST.read_text(encoding="utf-8").splitlines() if line[:1] == "|"]
    return [word.strip() for row in rows[2:] if len(row) == 3 for word in row[2].split(",") if word.strip()]


def uses(text, words):
    """Return the words of a list that a text uses outside of code."""
    plain = CODE.sub(" ", text)
    return [word for word in words if re.search(rf"\b{re.escape(word)}s?\b", plain, re.IGNORECASE)]


def test_the_list_has_words_and_finds_them():
    words = avoided()
    assert len(words) > 5
    assert uses("A picture of `slack`; two second referents.", words) == ["picture", "second referent"]


def test_no_document_uses_a_word_that_the_list_avoids():
    words = avoided()
    texts = {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in DOCUMENTS if path != LIST}
    assert {path: used for path, text in texts.items() if (used := uses(text, words))} == {}
