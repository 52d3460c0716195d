"""The English of every paraphrase, denial and drop, by properties that hold for any prompt."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from robustness.perturb.language.edit import takes_an
from robustness.perturb.prompt.drop import Drop
from robustness.perturb.prompt.negation import Negation
from robustness.perturb.prompt.paraphrase import Paraphrase
from robustness.types import NotApplicable
from tests.perturb.language import own_prompts
from tests.perturb.prompt_cases import FAMILIES, context_of, make_case

OWN = Path(__file__).with_name("english_prompts.txt")
SHARED = Path(__file__).resolve().parents[4] / "shared" / "clinical_prompts" / "prompts.jsonl"
_DOUBLED = re.compile(r"\b(\w+) \1\b", re.IGNORECASE)
_DANGLING = re.compile(
    r"\b(?:of|in|at|on|with|to|by|and|or|nor|from|for|the|an?|no|any|than|about|between|within|near|both|either|neither"
    r"|is|are|which|that|located|measuring)\s*(?:[.,;:?!)]|$)|[,;(]\s*(?:[.,;:?!)]|$)|^\W*[,;:.)]|\(\s*\)|  +",
    re.IGNORECASE,
)
_ARTICLES = re.compile(r"\b(an?) ([A-Za-z][\w-]+)")
# Odd on purpose: labels of files, dashes, an upper-case shout. What they do is read by eye.
_ODD = re.compile(r"--|=|_|!!|  |[\u201c\"]|/")


def prompts() -> list[str]:
    """Return the prompts of the committed lists and, where it lies beside the checkout, of the shared one."""
    texts = [line.partition("|")[2] for line in OWN.read_text(encoding="utf8").splitlines()]
    texts += [str(item["text"]) for item in own_prompts.items()]
    texts += FAMILIES.values()
    if SHARED.is_file():
        texts += [str(json.loads(line)["text"]) for line in SHARED.read_text(encoding="utf8").splitlines()]
    return [text for text in texts if not _ODD.search(text)]


@functools.cache
def changed() -> tuple[tuple[str, str, str], ...]:
    """Return (perturbation, prompt, new text) of every change that applies."""
    return tuple(_changes())


def _changes() -> Iterator[tuple[str, str, str]]:
    for text in prompts():
        case = make_case(text)
        for change in (Paraphrase(), Negation(), *Drop.expand(context_of([case]))):
            params = change.propose(case, 0, np.random.default_rng(0))
            if not isinstance(params, NotApplicable):
                for new in params.get("texts") or [params["text"]]:
                    yield change.name.partition(":")[0], text, str(new)


def faults(pattern: re.Pattern[str]) -> list[tuple[str, str, str]]:
    """Return the changes in which a pattern stands that does not stand in the prompt."""
    return [
        (kind, text, new)
        for kind, text, new in changed()
        # "Show me where the kidneys are." ends in its verb.
        if not re.search(r"\bme where\b", new)
        and {m.group().lower() for m in pattern.finditer(new)} - {m.group().lower() for m in pattern.finditer(text)}
    ]


@pytest.mark.slow
def test_there_are_many_of_each_kind() -> None:
    count = {kind: sum(k == kind for k, _, _ in changed()) for kind in ("paraphrase", "negation", "drop")}
    assert count["paraphrase"] > 1000
    assert count["negation"] > 350
    assert count["drop"] > 700


@pytest.mark.parametrize("pattern", [_DOUBLED, _DANGLING], ids=["doubled", "dangling"])
def test_no_word_is_doubled_and_none_left_dangling(pattern: re.Pattern[str]) -> None:
    assert faults(pattern) == []


def test_parentheses_and_quotes_stay_balanced() -> None:
    for _, text, new in changed():
        if text.count("(") == text.count(")"):
            assert new.count("(") == new.count(")"), (text, new)


def test_articles_agree_with_the_word_behind_them() -> None:
    for _, text, new in changed():
        for article, word in _ARTICLES.findall(new):
            if f"{article} {word}" in text or (word.isupper() and len(word) < 6) or re.match(r"[A-Z]{2}", word):
                continue
            assert (article.lower() == "an") == takes_an(word), (text, new)


def test_a_change_ends_and_begins_as_its_prompt_does() -> None:
    for kind, text, new in changed():
        if kind == "paraphrase" or "?" in text[:-1]:
            # "Apical thrombus? poor windows" is two sentences, of which one may go.
            continue
        assert (new[-1] in ".?!") == (text[-1] in ".?!"), (text, new)
        if text[0].isalpha() and new[0].isalpha() and not re.match(r"[A-Z]{2}|[A-Z]\d", new):
            assert new[0].isupper() == text[0].isupper() or re.match(r"[a-z]*[A-Z]{2}", text), (text, new)


def test_no_denial_is_a_phrase_of_without_alone() -> None:
    texts = [new for kind, _, new in changed() if kind == "negation"]
    assert not [new for new in texts if re.match(r"without\b", new, re.IGNORECASE)]
    assert all(re.search(r"\b(?:no|neither|without any|negative for)\b", new, re.IGNORECASE) for new in texts)
