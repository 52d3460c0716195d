"""Gate outcomes as JUnit XML, the format that CI servers read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from robustness.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

# XML 1.0 has no way to write these characters, escaped or not.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(judged: pd.DataFrame, path: Path) -> None:
    """Write one test case per gate; what does not hold the command back (warnings, skips) is skipped."""
    suite = ElementTree.Element("testsuite", name="robustness gates", tests=str(len(judged)))
    failures = skipped = 0
    for row in judged.to_dict("records"):
        case = ElementTree.SubElement(suite, "testcase", classname=_clean(row["test"]), name=_clean(row["name"]))
        if row["blocks"]:
            failures += 1
            node = ElementTree.SubElement(case, "failure", message=_clean(row["message"]), type=row["outcome"])
            node.text = _clean(f"{row['message']}\nworst cases: {row['worst_cases']}")
        elif row["outcome"] != "pass":
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=_clean(f"{row['outcome']}: {row['message']}"))
        else:
            # What a pass rests on, and whether it is certified, is nothing that a reader should have to take on trust.
            ElementTree.SubElement(case, "system-out").text = _clean(row["message"])
    suite.set("failures", str(failures))
    suite.set("skipped", str(skipped))
    tree = ElementTree.ElementTree(suite)
    write_atomic(path, lambda temporary: tree.write(temporary, encoding="utf-8", xml_declaration=True))


def _clean(text: object) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", str(text))
