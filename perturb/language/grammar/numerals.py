"""Numbers as words: `seventy-three` and 73."""

from __future__ import annotations

from functools import cache

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spell(number: int) -> str:
    """Return a number from 0 to 199 in words.

    Raises:
        ValueError: the number is outside of that range.

    Example:
        >>> spell(73), spell(104)
        ('seventy-three', 'one-hundred-four')
    """
    if not 0 <= number < 200:
        raise ValueError(f"number: expected 0 to 199, got {number}")
    if number >= 100:
        rest = number - 100
        return "one-hundred" + (f"-{spell(rest)}" if rest else "")
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


@cache
def _table() -> dict[str, int]:
    return {spell(n): n for n in range(200)}


def unspell(word: str) -> int | None:
    """Return the number that `word` spells (words or digits, any case), or None.

    Example:
        >>> unspell("Seventy-three"), unspell("12"), unspell("polyp")
        (73, 12, None)
    """
    # str.isdigit also holds for superscripts, which int() refuses.
    if word.isascii() and word.isdigit() and len(word) < 4:
        return int(word)
    return _table().get(word.lower())
