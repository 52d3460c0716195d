"""The page in a real browser: nothing breaks, nothing leaves, everything can be reached."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.html.pdf import find_browser, write_pdf
from tests.reports.chromium import Browser


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Browser]:
    browser.errors.clear()
    browser.requests.clear()
    browser.stopped.clear()
    browser.resize(1280, 900)
    browser.emulate(dark=False)
    yield browser
    assert browser.errors == []


def left(browser: Browser) -> list[str]:
    return [url for url in browser.requests if not url.startswith(("file:", "data:", "blob:"))]


def test_the_page_opens_draws_its_figures_and_asks_nothing_of_the_network(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate("document.querySelector('.figs-reliance').scrollIntoView()")
    fresh.wait("document.querySelectorAll('.fig-reliance .plot .main-svg').length >= 2")
    fresh.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    assert left(fresh) == fresh.stopped == []
    assert [url for url in fresh.requests if url.startswith("file:")] == [page.resolve().as_uri()]


def test_a_request_would_have_been_stopped_and_seen(fresh: Browser, tmp_path: Path) -> None:
    """The control of the test above: a page that does ask for something."""
    asking = tmp_path / "asking.html"
    asking.write_text('<html data-ready="yes"><img src="https://example.invalid/pixel.png"></html>', encoding="utf-8")
    fresh.open(asking)
    assert fresh.stopped == ["https://example.invalid/pixel.png"]
    fresh.errors.clear()


@pytest.mark.slow
def test_every_figure_can_be_drawn(fresh: Browser, page: Path) -> None:
    fresh.resize(1280, 20000)
    fresh.open(page)
    fresh.wait("[...document.querySelectorAll('[data-figure]')].every((n) => n.querySelector('.main-svg'))")


@pytest.mark.slow
def test_markup_in_prompts_and_names_stays_text(fresh: Browser, hostile_page: Path) -> None:
    fresh.resize(1280, 20000)
    fresh.open(hostile_page)
    fresh.wait("[...document.querySelectorAll('[data-figure]')].every((n) => n.querySelector('.main-svg'))")
    assert "<script>alert(1)</script>" in fresh.evaluate("document.querySelector('.card .prompt').textContent")
    assert fresh.evaluate("document.title").startswith("<b onclick=x>net</b>")
    assert fresh.evaluate("document.querySelectorAll('[onerror], [onclick], main script, main b[onclick]').length") == 0
    assert left(fresh) == []


def test_an_injected_script_would_not_run(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:,\" onerror=\"document.title=1\">')")
    fresh.wait("document.querySelector('img[onerror]').complete")
    assert fresh.evaluate("document.title") != "1"
    # The policy's refusal is what was wanted here.
    assert any("Content Security Policy" in error for error in fresh.errors)
    fresh.errors.clear()


def test_a_claim_leads_to_its_row(fresh: Browser, page: Path, run_folders: list[Path]) -> None:
    fresh.open(page)
    fresh.evaluate("document.querySelector('#prompt .evidence a').click()")
    fresh.wait("document.activeElement.tagName === 'TR'")
    shown = fresh.evaluate("document.activeElement.querySelector('td.condition').dataset.v")
    verdicts = pd.read_parquet(run_folders[0] / "verdicts.parquet")
    assert shown == "other:side"
    assert (verdicts["condition"] == shown).any()


@pytest.mark.slow
def test_pictures_of_a_claim_are_found_by_its_button(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate("document.querySelector('[data-show=\"antonym:size\"]').click()")
    titles = fresh.evaluate("[...new Set([...document.querySelectorAll('.card h3')].map((n) => n.textContent))]")
    assert titles == ["size words swapped for their opposite"]
    assert fresh.evaluate("document.querySelectorAll('.card img.layer-image').length") > 0
    assert fresh.evaluate("[...document.querySelectorAll('.card mark')].map((n) => n.textContent)")[:2] == [
        "large",
        "small",
    ]


@pytest.mark.slow
def test_tables_sort_filter_and_export_full_precision(fresh: Browser, page: Path, run_folders: list[Path]) -> None:
    fresh.open(page)
    sort = "document.querySelector('#verdicts-table th[data-name=estimate] button').click()"
    fresh.evaluate(f"{sort}; {sort}")
    column = "[...document.querySelectorAll('#verdicts-table tbody td:nth-child(8)')].map((n) => n.dataset.v ?? '')"
    values = [float(v) for v in fresh.evaluate(column) if v]
    stored = pd.concat([pd.read_parquet(f / "verdicts.parquet") for f in run_folders])["estimate"].dropna()
    assert values == sorted(stored, reverse=True)
    fresh.evaluate(
        "(() => { const f = document.querySelector('[data-filter=\"verdicts-table\"]');"
        " f.value = 'ignores* size'; f.dispatchEvent(new Event('input')); })()"
    )
    rows = "[...document.querySelectorAll('#verdicts-table tbody tr')].filter((r) => !r.hidden).length"
    assert fresh.evaluate(rows) == 4


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1600, False), (1280, True)])
def test_no_width_or_theme_overflows_or_breaks(fresh: Browser, page: Path, width: int, dark: bool) -> None:
    fresh.resize(width, 900)
    fresh.emulate(dark=dark)
    fresh.open(page)
    assert fresh.evaluate("document.documentElement.scrollWidth") <= width
    assert fresh.evaluate("document.documentElement.dataset.theme") == ("dark" if dark else "light")


@pytest.mark.slow
def test_tables_fit_a_page_of_1280_px_and_axes_a_phone(fresh: Browser, page: Path) -> None:
    """The rule that decided and the units needed lay outside the frame; an axis' title was cut at both ends."""
    fresh.open(page)
    fresh.evaluate("document.querySelectorAll('details.sheet').forEach((d) => { d.open = true; })")
    frames = "[...document.querySelectorAll('.sheet .scroll')].filter((s) => s.scrollWidth > s.clientWidth)"
    assert fresh.evaluate(f"{frames}.map((s) => s.firstElementChild.id)") == []
    fresh.resize(390, 844)
    fresh.open(page)
    plots = "[...document.querySelectorAll('[data-figure]')]"
    for i in range(fresh.evaluate(f"{plots}.length")):
        fresh.evaluate(f"{plots}[{i}].scrollIntoView()")
        fresh.wait(f"{plots}[{i}].querySelector('.main-svg')")
        cut = (
            f"[...{plots}[{i}].querySelectorAll('.xtitle')].filter((t) => t.getBoundingClientRect().left < 0 ||"
            " t.getBoundingClientRect().right > innerWidth).map((t) => t.textContent)"
        )
        assert fresh.evaluate(cut) == []


@pytest.mark.slow
def test_the_theme_button_switches(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate("document.getElementById('theme').click()")
    assert fresh.evaluate("document.documentElement.dataset.theme") == "dark"


def outline(pdf: bytes) -> list[str]:
    """Return the titles of a PDF's bookmarks, in stored order."""
    found = pdf
    for stream in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL):
        with contextlib.suppress(zlib.error):
            found += zlib.decompress(stream.group(1))
    titles = re.findall(rb"/Title\s*(?:\(((?:[^()\\]|\\.)*)\)|<([0-9A-F]+)>)", found)
    read = [bytes.fromhex(h.decode()).decode("utf-16") if h else t.decode("latin-1") for t, h in titles]
    return [re.sub(r"\\(.)", r"\1", title) for title in read]


@pytest.mark.slow
def test_it_prints_to_pdf_with_every_section_opened(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    headings = fresh.evaluate("[...document.querySelectorAll('main h2')].map((n) => n.textContent.trim())")
    pdf = fresh.pdf()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 5
    assert len(headings) >= 8
    assert set(headings) <= set(outline(pdf))


@pytest.mark.slow
@pytest.mark.skipif(find_browser() is None, reason="prints with an installed Chromium")
def test_the_regulatory_pdf_of_the_demo_is_short_numbered_and_leaves_hashes_to_its_annex(tmp_path: Path) -> None:
    """Twenty minutes of reading for a submission, by the demo's own audit: at most 25 pages."""
    from robustness.workflows.audit import audit_plan
    from robustness.workflows.demo import demo_plan

    run = audit_plan(demo_plan("text-conditioned"), out=tmp_path / "run")
    pdf = write_pdf(run.report(tmp_path / "reg.html", edition="regulatory"))
    pages = len(re.findall(rb"/Type\s*/Page\b", pdf.read_bytes()))
    assert 10 <= pages <= 25
    annex = (tmp_path / "reg-annex.json").read_text(encoding="utf-8")
    data_files = json.loads(annex)["runs"]["run"]["datasets"][0]["files"]
    assert len(set(data_files.values())) > 50
    if shutil.which("pdftotext") is None:
        return
    done = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True)
    texts = done.stdout.split("\f")[:pages]
    for number, text in enumerate(texts, start=1):
        assert text.rstrip().endswith(f"{number} / {pages}")
    # A table that goes on over a page names its columns again, and a figure's axis stands on the page of its rows.
    assert sum("rule that decided" in text for text in texts) >= 2
    assert sum(bool(re.search(r"verdict +severity +estimate", text)) for text in texts) >= 2
    (axis,) = (text for text in texts if "excess mask change, 1" in text)
    assert "side: opposite" in axis
    printed = set(re.findall(r"\b[0-9a-f]{64}\b", re.sub(r"\s", " ", done.stdout)))
    assert not printed & set(data_files.values())
