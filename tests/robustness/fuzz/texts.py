"""Prompts: very long, unbalanced, of every script, with characters that no keyboard has."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import robustness as rb
from tests.robustness.fuzz.trial import USED, Trial

_ODD = {
    "nul": "small\0polyp",
    "lone_surrogate": "small \ud800 polyp",
    "bidi": "small \u202epolyp\u202c on the left",
    "zero_width": "sm\u200ball pol\u200dyp",
    "combining": "small polyp" + "\u0301" * 200,
    "emoji": "one small 🩺 pink polyp 🫁",
    "arabic": "ورم صغير في الثدي الأيسر",
    "chinese": "左侧乳腺的小肿块",
    "hindi": "बाएं स्तन में छोटी गांठ",
    "greek": "μικρός όγκος στον αριστερό μαστό",
    "turkish_i": "SMALL \u0130NC\u0130S\u0130ON \u0131ncision",
    "sharp_s": "GROSSE MAẞE straße",
    "ligature": "ﬁne ﬂat polyp",
    "fullwidth": "".join(chr(ord(c) + 0xFEE0) for c in "smallpolyp"),
    "line_breaks": "one small\npolyp\r\nlocated\u2028left",
    "tabs": "one\tsmall\t\tpolyp",
    "controls": "".join(map(chr, range(1, 32))) + "polyp",
    "markup": "<script>window.marker = 1</script> small polyp",
    "template": "{{ 7 * 7 }} {% raw %} small polyp ${7*7} #{7*7}",
    "formula": '=HYPERLINK("#marker") small polyp',
    "shell": "$(true) `true` ; true && true | true > polyp",
    "path": "../../../../polyp",
    "percent": "%s %d %n %x polyp %(name)s",
    "regex": "(a+)+$ [polyp] {1,} ^$ \\d+ .* polyp",
    "json": '{"target": "polyp", "size": null}',
    "numbers": "2 3.5 1e308 -0 0x10 ½ ¼ \uff12 Ⅳ ²",
    "huge_number": f"{'9' * 400} polyps",
    "negative_size": "-5 mm polyp measuring -3 x -2 cm",
    "quotes": "'small' \"pink\" «round» “polyp” \u2018left\u2019",
    "dashes": "small - – — − \u2010 polyp",
    "only_spaces": " " * 50,
    "only_commas": "," * 50,
    "only_dots": "." * 50,
    "only_stops": "the of in on at a an",
    "separators": "a;b/c|d\\e:f_g polyp",
    "repeated_word": "left " * 300,
    "repeated_and": "left and right and " * 100,
    "negations": "no not without non " * 40 + "polyp",
    "parentheses": "(" * 500 + "polyp" + ")" * 500,
    "open_parentheses": "(" * 2_000,
    "closed_parentheses": ")" * 2_000,
    "brackets": "[{(<" * 200,
    "long_word": "x" * 5_000,
    "many_digits": "1" * 3_000,
    "alternating": "a,b " * 1_000,
    "hyphens": "-".join(["small"] * 500),
    "slashes": "/".join(["left"] * 500),
    "sentences": "One small polyp. " * 200,
    "at_the_limit": "polyp " * 1_600,
    "beyond_the_limit": "polyp " * 10_000,
    "commas": "," * 50_000,
    "deep": "(" * 100_000,
    "a_million": "x" * 1_000_000,
    "a_million_words": "left " * 200_000,
}
_WORDS = (
    "one two small large pink round irregular polyp polyps left right upper lower located in the of image and , . ( )"
)


def trials() -> Iterator[Trial]:
    """Yield every text, read and changed in every way; then random ones."""
    for name, text in _ODD.items():
        yield Trial("prompt", name, partial(_read, text))
    for seed in range(40):
        yield Trial("prompt", f"random_words_{seed}", partial(_read_and_change, _random_words(seed)))
    for seed in range(20):
        yield Trial("prompt", f"random_characters_{seed}", partial(_read, _random_characters(seed)))


def _read(text: str, folder: Path) -> str:
    prompt = rb.parse_prompt(text, modality="endoscopy")
    assert prompt.text == text
    assert all(text[a.start : a.stop] for a in prompt.attributes)
    return USED


def _read_and_change(text: str, folder: Path) -> str:
    _read(text, folder)
    assert len(rb.perturb_prompt(text))
    return USED


def _random_words(seed: int) -> str:
    rng = random.Random(seed)
    return " ".join(rng.choices(_WORDS.split(), k=rng.randint(1, 25)))


def _random_characters(seed: int) -> str:
    rng = random.Random(seed)
    ranges = [(32, 126), (160, 0x24F), (0x370, 0x5FF), (0x2000, 0x206F), (0x4E00, 0x4EFF), (0x1F300, 0x1F5FF)]
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 200)))
