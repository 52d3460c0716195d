"""From a number to its rows and pictures, by mouse, by keyboard, and as a file."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from robustness.reports.html.page import write_report
from tests.reports.chromium import Browser


@pytest.fixture
def fresh(browser: Browser) -> Iterator[Browser]:
    browser.errors.clear()
    browser.requests.clear()
    browser.resize(1280, 900)
    browser.emulate(dark=False)
    yield browser
    assert browser.errors == []


def rows_of(run: Path, condition: str) -> pd.DataFrame:
    table = pd.concat([pd.read_parquet(p) for p in sorted((run / "results").glob("*.parquet"))], ignore_index=True)
    return table[table["condition"] == condition]


def cells(browser: Browser, column: str) -> list[str]:
    script = (
        "(() => { const t = document.getElementById('rows-table');"
        f" const at = [...t.tHead.rows[0].cells].findIndex((c) => c.dataset.name === '{column}');"
        " return [...t.tBodies[0].rows].map((r) => r.cells[at].dataset.v ?? r.cells[at].textContent); })()"
    )
    return list(browser.evaluate(script))


def first_link(table: str, condition: str) -> str:
    cell = f"[...document.querySelectorAll('#{table} td.condition')].find((c) => c.dataset.v === '{condition}')"
    return f"{cell}.closest('tr').querySelector('a.to-rows')"


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["antonym:side", "image:gaussian_noise@5"])
@pytest.mark.parametrize("table", ["verdicts-table", "effects-table", "t-drop-0-table"])
def test_a_number_opens_the_rows_behind_it(
    fresh: Browser, page: Path, run_folders: list[Path], table: str, condition: str
) -> None:
    fresh.open(page)
    fresh.evaluate(f"{first_link(table, condition)}.click()")
    fresh.wait("document.getElementById('rows').open")
    stored = rows_of(run_folders[0], condition)
    shown = dict(zip(cells(fresh, "case"), map(float, cells(fresh, "dice")), strict=True))
    assert shown == {c: round(d, 5) for c, d in zip(stored["case_id"], stored["dice"], strict=True)}
    losses = [float(v) for v in cells(fresh, "loss")]
    assert losses == sorted(losses, reverse=True)
    assert sum(losses) / len(losses) == pytest.approx(
        pd.read_parquet(run_folders[0] / "effects.parquet")
        .query("metric == 'dice' and condition == @condition")["effect"]
        .item(),
        abs=1e-4,
    )
    fresh.evaluate("document.getElementById('rows').close()")


@pytest.mark.slow
def test_rows_open_from_the_address_and_say_what_was_not_applicable(
    fresh: Browser, page: Path, run_folders: list[Path]
) -> None:
    fresh.open(page)
    anchor = fresh.evaluate(f"{first_link('effects-table', 'antonym:number')}.getAttribute('href')")
    fresh.open(page, fragment=anchor)
    fresh.wait("document.getElementById('rows').open")
    notes = [n for n in cells(fresh, "note") if n]
    stored = rows_of(run_folders[0], "antonym:number")
    assert notes == ["the prompt states no number"] * int((~stored["applicable"]).sum())
    fresh.evaluate("document.getElementById('rows').close()")


@pytest.mark.slow
def test_a_row_leads_to_the_picture_of_its_own_case(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate(f"{first_link('effects-table', 'antonym:size')}.click()")
    fresh.wait("document.querySelector('#rows-table tbody button.link')")
    case = fresh.evaluate("document.querySelector('#rows-table button.link').closest('tr').cells[0].textContent")
    fresh.evaluate("document.querySelector('#rows-table tbody button.link').click()")
    fresh.wait("!document.getElementById('rows').open")
    shown = fresh.evaluate("[...document.querySelectorAll('.card .who')].map((n) => n.textContent)")
    assert len(shown) == 1
    assert case in shown[0]


@pytest.mark.slow
def test_a_point_of_a_figure_leads_to_its_rows(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.evaluate("document.getElementById('fig-reliance-0').scrollIntoView()")
    fresh.wait("document.querySelector('#fig-reliance-0 .main-svg')")
    fresh.evaluate(
        "(() => { const n = document.getElementById('fig-reliance-0');"
        " n.emit('plotly_click', { points: [{ curveNumber: 0, pointNumber: 0, data: n.data[0] }] }); })()"
    )
    fresh.wait("document.getElementById('rows').open")
    drawn = fresh.evaluate("document.getElementById('fig-reliance-0').data[0].customdata[0]")
    assert f"condition {drawn}" in fresh.evaluate("document.getElementById('rows-note').textContent")
    fresh.evaluate("document.getElementById('rows').close()")


@pytest.mark.slow
def test_the_keyboard_alone_reaches_a_number_its_rows_and_back(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.press("Tab")
    assert fresh.evaluate("document.activeElement.className") == "skip"
    for _ in range(400):
        fresh.press("Tab")
        if fresh.evaluate("document.activeElement.matches('a[href^=\"#rows-\"]')"):
            break
    asked = fresh.evaluate("document.activeElement.getAttribute('href')")
    fresh.press("Enter")
    fresh.wait("document.getElementById('rows').open")
    fresh.press("Tab")
    assert fresh.evaluate("document.getElementById('rows').contains(document.activeElement)")
    fresh.press("Escape")
    fresh.wait("!document.getElementById('rows').open")
    assert fresh.evaluate("document.activeElement.getAttribute('href')") == asked


@pytest.mark.slow
def test_every_control_takes_the_focus_and_shows_it(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    fresh.press("Tab")
    assert fresh.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    hidden = fresh.evaluate(
        "[...document.querySelectorAll('main a, main button, main select, main input, main summary')]"
        ".filter((n) => n.checkVisibility() && !n.hidden).filter((n) => { n.focus({ preventScroll: true });"
        " return document.activeElement !== n; }).map((n) => n.outerHTML.slice(0, 80))"
    )
    assert hidden == []


@pytest.mark.slow
def test_a_table_is_saved_as_csv_with_full_precision(
    fresh: Browser, page: Path, run_folders: list[Path], tmp_path: Path
) -> None:
    fresh.download_to(tmp_path)
    fresh.open(page)
    fresh.evaluate("document.querySelector('[data-csv=\"effects-table\"]').click()")
    file = tmp_path / "effects.csv"
    for _ in range(200):
        if file.is_file() and file.stat().st_size:
            break
        time.sleep(0.05)
    saved = list(csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8"), newline="")))
    stored = pd.concat([pd.read_parquet(f / "effects.parquet") for f in run_folders], ignore_index=True)
    assert [row["condition"] for row in saved] == stored["condition"].tolist()
    assert [float(row["effect"]) for row in saved] == stored["effect"].tolist()


@pytest.mark.slow
def test_the_regulatory_edition_opens_and_prints_all_sections(
    fresh: Browser, run_folders: list[Path], tmp_path: Path
) -> None:
    fresh.open(write_report(run_folders, tmp_path / "reg.html", edition="regulatory"))
    headings = fresh.evaluate("[...document.querySelectorAll('.reg > h2')].map((n) => n.textContent)")
    assert [h.partition(" ")[0] for h in headings] == [str(n) for n in range(1, 16)]
    assert set(outline(fresh.pdf())) >= set(headings)
    assert [u for u in fresh.requests if not u.startswith(("file:", "data:", "blob:"))] == []


@pytest.mark.slow
def test_the_printed_page_has_every_section_and_every_figure(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    wanted = fresh.evaluate("[...document.querySelectorAll('main h2')].map((n) => n.textContent)")
    assert len(wanted) >= 10
    assert set(outline(fresh.pdf())) >= set(wanted)


def outline(pdf: bytes) -> list[str]:
    """Return the titles of a PDF's outline."""
    plain = re.findall(rb"/Title \(((?:\\.|[^\\)])*)\)", pdf)
    wide = re.findall(rb"/Title <([0-9A-F]+)>", pdf)
    return [re.sub(rb"\\(.)", rb"\1", t).decode("latin-1") for t in plain] + [
        bytes.fromhex(t.decode()).decode("utf-16") for t in wide
    ]


@pytest.mark.slow
def test_a_page_without_images_works(fresh: Browser, run_folders: list[Path], tmp_path: Path) -> None:
    fresh.resize(1280, 20000)
    fresh.open(write_report(run_folders, tmp_path / "bare.html", images=False, compare_first=True))
    fresh.wait("[...document.querySelectorAll('[data-figure]')].every((n) => n.querySelector('.main-svg'))")
    assert fresh.evaluate("document.querySelectorAll('main img').length") == 0
    assert fresh.evaluate("document.querySelector('main section').id") == "comparison"
    assert fresh.evaluate("[...document.querySelectorAll('[data-show]')].every((b) => b.hidden)")


@pytest.mark.slow
def test_a_card_shows_all_inputs_and_how_to_compute_it_again(
    fresh: Browser, page: Path, run_folders: list[Path]
) -> None:
    fresh.open(page)
    fresh.evaluate("window.auditPage.pictures('film-unet', 'antonym:side', '')")
    lines = fresh.evaluate(
        "(() => { const c = [...document.querySelectorAll('.card')].find((n) => n.querySelector('h3').textContent"
        " === 'side words swapped for their opposite'); const d = c.querySelector('details.inputs');"
        " return Object.fromEntries([...d.querySelectorAll('dt')].map((t) => [t.textContent,"
        " t.nextElementSibling.textContent])); })()"
    )
    table = pd.concat([pd.read_parquet(p) for p in sorted((run_folders[0] / "results").glob("*"))], ignore_index=True)
    row = table.iloc[int(lines["row"].split()[0])]
    assert (row["condition"], row["case_id"]) == (lines["condition"], lines["case"])
    assert lines["row"].endswith(f"(robustness replay RUN --row {row.name})")


@pytest.mark.slow
def test_the_section_on_failures_shows_failures(fresh: Browser, run_folders: list[Path], tmp_path: Path) -> None:
    """It showed the swaps that the model had answered rightly, as “worst” with Dice 0."""
    fresh.open(write_report(run_folders, tmp_path / "reg.html", edition="regulatory"))
    shown = fresh.evaluate(
        "[...document.querySelector('#gallery-filters').elements.condition.options].map((o) => o.value).filter(Boolean)"
    )
    verdicts = pd.concat([pd.read_parquet(f / "verdicts.parquet") for f in run_folders])
    failing = verdicts[verdicts["verdict"].str.rstrip("*").isin(["FRAGILE", "IGNORES", "HALLUCINATES"])]
    assert shown
    assert set(shown) <= {"clean", *failing["condition"]}


@pytest.mark.slow
def test_scores_and_ranks_of_a_swap_do_not_call_success_a_failure(fresh: Browser, page: Path) -> None:
    fresh.open(page)
    captions = fresh.evaluate(
        "window.auditPage.pictures('film-unet', 'antonym:side', ''),"
        " [...document.querySelectorAll('.card .panel:last-child figcaption')].map((n) => n.textContent)"
    )
    assert captions
    assert all(text.startswith("changed, Dice to the first target") for text in captions)
    ranks = fresh.evaluate(
        "window.auditPage.pictures('film-unet', 'rare:side', ''),"
        " [...document.querySelectorAll('.card .who')].map((n) => n.textContent.split(' · ').pop())"
    )
    assert "largest change" in ranks
    assert "worst" not in ranks
