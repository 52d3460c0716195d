"""Prompts, names and metadata that try to be more than text, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from robustness.reports.html.page import write_report
from tests.gate_runs import seal
from tests.reports.chromium import Browser
from tests.reports.make_run import make_run

LONG = "pneumonoultramicroscopicsilicovolcanoconiosis" * 40
TEXTS = {
    "braces": "large {{ 7 * 7 }} {% raw %} ${7 * 7} <%= 7 * 7 %> #{7*7} left",
    "links": "large javascript:document.title='owned' [left](javascript:x) data:text/html,<script>1</script> left",
    "endings": "large --> ]]> </style></script></title></textarea><svg onload=document.title='owned'> left",
    "entities": "large &lt;img src=x onerror=document.title='owned'&gt; &#60;b&#62; left",
    "plotly": 'large <a href="javascript:document.title=1">x</a> <br><sub>y</sub> %{x} %{customdata[0]} left',
    "controls": "large \u202e\u2066\u200b\ufeff left \u2028 right",
    "long": f"large {LONG} left",
}


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Browser]:
    browser.errors.clear()
    browser.requests.clear()
    browser.resize(1280, 20000)
    yield browser
    assert browser.errors == []


def page_of(folder: Path, text: str) -> Path:
    """Return the page of a run whose prompt, model and metadata are `text`."""
    run = make_run(folder / "run", n_images=4, severities=(1, 5), pictures=1, prompt=text, model=text[:60])
    facts = json.loads((run / "manifest.json").read_text())
    facts |= {"title": text, "device": text, "warnings": [text], text: text}
    seal(run, facts)
    return write_report(run, folder / "report.html")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path]]:
    """The text and the page of the long word, and of all others in one prompt."""
    texts = {"long": TEXTS["long"], "others": " ".join(text for name, text in TEXTS.items() if name != "long")}
    return {name: (text, page_of(tmp_path_factory.mktemp(name), text)) for name, text in texts.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long", "others"])
def test_texts_stay_texts(name: str, fresh: Browser, pages: dict[str, tuple[str, Path]]) -> None:
    text, page = pages[name]
    fresh.open(page)
    fresh.wait("[...document.querySelectorAll('[data-figure]')].every((n) => n.querySelector('.main-svg'))")
    shown = fresh.evaluate("document.querySelector('.card .prompt').textContent")
    # Words for those who hear the page come before the text.
    assert " ".join(shown.split()).endswith(" ".join(text.split()))
    assert fresh.evaluate("document.title") != "owned"
    # The page's own links lead to places on the page, to data or to nothing.
    assert fresh.evaluate("[...document.links].filter((a) => /^(javascript|data):/i.test(a.href)).length") == 0
    inserted = "document.querySelectorAll('main script, [onload], [onerror], [onclick], iframe, object, embed').length"
    assert fresh.evaluate(inserted) == 0
    assert [url for url in fresh.requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_a_very_long_word_does_not_widen_the_page(
    width: int, fresh: Browser, pages: dict[str, tuple[str, Path]]
) -> None:
    fresh.resize(width, 900)
    fresh.open(pages["long"][1])
    assert fresh.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_the_policy_forbids_all_but_the_pages_own_scripts(fresh: Browser, pages: dict[str, tuple[str, Path]]) -> None:
    fresh.open(pages["others"][1])
    policy = fresh.evaluate("document.querySelector('meta[http-equiv=\"Content-Security-Policy\"]').content")
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    fresh.evaluate(
        "(() => { const s = document.createElement('script'); s.text = 'document.title = \"owned\"';"
        " document.body.append(s); })()"
    )
    assert fresh.evaluate("document.title") != "owned"
    assert any("Content Security Policy" in error for error in fresh.errors)
    fresh.errors.clear()
