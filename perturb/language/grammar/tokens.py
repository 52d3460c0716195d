"""Tokens of a prompt: words (hyphens and apostrophes inside), figures and single signs, each with its characters."""

from __future__ import annotations

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?:[LlRr]t\.)(?=\s)|[^\W_]+(?:(?:[-'\u2019/&+]|(?<=\d)[.,](?=\d))[^\W_]+)*(?:\(e?s\))?|\S",
)


class Token(NamedTuple):
    """A word or a sign; `lower` is its text in small letters with straight apostrophes."""

    lower: str
    start: int
    stop: int
    text: str

    @property
    def is_word(self) -> bool:
        """Tell whether the token begins with a letter or a figure."""
        return self.lower[0].isalnum()


def tokenize(text: str) -> list[Token]:
    """Return the tokens of `text` in order.

    Example:
        >>> [t.text for t in tokenize("A 1.3 x 2 cm node, left-sided.")]
        ['A', '1.3', 'x', '2', 'cm', 'node', ',', 'left-sided', '.']
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        word = match.group()
        lower = word.lower().replace("\u2019", "'").rstrip("." if len(word) == 3 else "")
        # A letter that grows when made small would shift nothing: spans are the text's own.
        tokens.append(Token(lower, match.start(), match.end(), word))
    return tokens
