"""The findings about datasets as a page of its own: what is wrong, what may mislead, and what is worth knowing."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from robustness.files import check_output, write_text

if TYPE_CHECKING:
    import pandas as pd

_LEVELS = {
    "error": ("Errors", "The case or the dataset cannot be used as it is."),
    "warning": ("Warnings", "Results may mislead."),
    "info": ("Worth knowing", "Decisions and facts; nothing is wrong."),
}
# Of one rule: what is shown at once, and what can be opened.
_FIRST, _MOST = 5, 200
_STYLE = """
:root{color-scheme:light dark;--ink:#1c2127;--paper:#fff;--soft:#5a6370;--line:#d5dae1;--band:#f5f7f9;
--error:#a3212b;--warning:#8a5a00;--info:#2b5f8a}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ee;--paper:#15181c;--soft:#a2abb8;--line:#353c46;--band:#1d2227;
--error:#ff8d94;--warning:#f0bd5f;--info:#84bdec}}
body{font:16px/1.5 system-ui,sans-serif;margin:32px auto;padding:0 24px;max-width:1180px;color:var(--ink);
background:var(--paper)}
h1{font-size:26px;margin:0 0 4px}h2{font-size:20px;margin:36px 0 8px}h3{font-size:16px;margin:24px 0 4px}
p{margin:4px 0;color:var(--soft)}.counts{display:flex;gap:12px;margin:16px 0;flex-wrap:wrap}
.counts span{border:1px solid var(--line);border-radius:8px;padding:8px 14px}
.error{color:var(--error)}.warning{color:var(--warning)}.info{color:var(--info)}
h4{font-size:15px;font-weight:600;margin:18px 0 0}h4 span{font-weight:400;color:var(--soft)}
table{border-collapse:collapse;width:100%;margin-top:6px;table-layout:fixed}
td{text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
td:first-child{width:300px;color:var(--soft);background:var(--band)}code{font-size:14px}
summary{cursor:pointer;padding:8px 10px;color:var(--soft)}
@media(max-width:700px){body{margin:20px auto;padding:0 16px}td,td:first-child{display:block;width:auto}
td:first-child{border-bottom:0;padding-bottom:0}td:last-child{background:var(--band);margin-bottom:6px}}
@media print{details>*{display:block}}
"""


def write_check_page(tables: Mapping[str, pd.DataFrame], path: Path) -> Path:
    """Write one HTML file that loads nothing from elsewhere and return `path`.

    Args:
        tables: dataset -> findings with the columns level, code, split, case_id, file, message; of a rule five are
            shown, up to 200 can be opened, the rest is counted.
        path: the file.
    """
    check_output(path, "--html", ".html", ".htm")
    body = "".join(_dataset(name, table) for name, table in tables.items())
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Data check</title><style>{_STYLE}</style></head><body><h1>Data check</h1>"
        "<p>What <code>robustness check</code> found before any model saw the data. A clean result proves neither that "
        f"masks are right nor that nobody can be identified.</p>{body}</body></html>\n"
    )
    write_text(path, page)
    return path


def _dataset(name: str, table: pd.DataFrame) -> str:
    counts = {level: int((table["level"] == level).sum()) for level in _LEVELS}
    shown = "".join(
        f'<span class="{level}"><strong>{count}</strong> {_LEVELS[level][0].lower()}</span>'
        for level, count in counts.items()
    )
    parts = [_level(level, table[table["level"] == level]) for level, count in counts.items() if count]
    empty = "" if parts else "<p>No finding.</p>"
    return f'<h2>{html.escape(name)}</h2><div class="counts">{shown}</div>{"".join(parts)}{empty}'


def _level(level: str, table: pd.DataFrame) -> str:
    title, meaning = _LEVELS[level]
    rules = "".join(_rule(str(code), rows) for code, rows in table.groupby("code", sort=False))
    return f'<h3 class="{level}">{title}</h3><p>{meaning}</p>{rules}'


def _rule(code: str, table: pd.DataFrame) -> str:
    """Return the findings of one rule: the first ones, and the others folded."""
    rows = [_row(row) for row in table.head(_MOST).to_dict("records")]
    name = html.escape(code.replace("_", " "))
    title = f"<h4>{name[:1].upper()}{name[1:]} <span>{len(table):,}, <code>{html.escape(code)}</code></span></h4>"
    folded, more = rows[_FIRST:], len(table) - _MOST
    rest = f"<details><summary>{len(folded):,} more</summary>{_table(folded)}</details>" if folded else ""
    left = f"<p>{more:,} more are not shown; the command line lists all.</p>" if more > 0 else ""
    return f"{title}{_table(rows[:_FIRST])}{rest}{left}"


def _table(rows: Sequence[str]) -> str:
    return f"<table><tbody>{''.join(rows)}</tbody></table>"


def _row(row: Mapping[object, object]) -> str:
    file = "" if str(row["file"]).startswith(str(row["case_id"]) or " ") else str(row["file"])
    places = (str(row["split"]), str(row["case_id"]), file)
    where = "<br>".join(html.escape(location) for location in places if location) or "whole dataset"
    return f"<tr><td>{where}</td><td>{html.escape(str(row['message']))}</td></tr>"
