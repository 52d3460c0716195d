"""Check the built site: every link leads somewhere, every block of code is one that is tried; print the numbers.

Usage: python .ci/site_check.py build/site

Blocks are tried in three ways. Python of the README, the tutorials and CONTRIBUTING is run by tests
(`tests/robustness/test_docs.py`); commands of `robustness` are parsed here by the command line itself, plans and gates
by their readers; other Python is compiled and its names looked up by a test. Text and output are shown only.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
import tomllib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a block shows and a page does not bring: a network of the reader's, a run that a plugin opens.
READERS_OWN = ("my_network", "robustness_run")
_MODEL = {"model": {"name": "film-unet"}}
_DATA = {"data": {"path": "data"}}


class Page(HTMLParser):
    """The links and anchors of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the links and anchors of a tag."""
        for name, value in attrs:
            if name in ("href", "src") and value and tag != "use":
                self.links.append(value)
            if name in ("id", "name") and value:
                self.anchors.add(value)


def broken_links(site: Path) -> tuple[int, int, list[str]]:
    """Return how many links lead inside the site, how many outside, and those that lead nowhere."""
    pages = {path: Page() for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        page.feed(path.read_text("utf-8"))
    inside, outside, broken = 0, 0, []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside += 1
                continue
            inside += 1
            address, anchor = urldefrag(link)
            # The page of errors is served from any depth, so that its links begin at the root.
            base = site if address.startswith("/") else path.parent
            target = (base / unquote(address).lstrip("/")).resolve() if address else path
            if not target.is_file() and not (target / "index.html").is_file():
                broken.append(f"{path.relative_to(site)}: {link}")
            elif anchor and target in pages and unquote(anchor) not in pages[target].anchors:
                broken.append(f"{path.relative_to(site)}: {link} (no such anchor)")
    return inside, outside, broken


def documents() -> list[Path]:
    """Return the Markdown pages that people read."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_by_treatment() -> Counter[str]:
    """Return how many blocks of code are run, parsed by the product, compiled, or shown only.

    Raises:
        Exception: what the command line or a reader says of a block that it cannot take.
    """
    counted: Counter[str] = Counter()
    for document in documents():
        for language, body in BLOCK.findall(document.read_text("utf-8")):
            try:
                counted[_treatment(document, language, body)] += 1
            except (Exception, SystemExit) as error:
                raise RuntimeError(f"{document.relative_to(ROOT)}: {error}\n{body}") from error
    return counted


def _treatment(document: Path, language: str, body: str) -> str:
    if language == "python":
        runs = document.name in ("README.md", "CONTRIBUTING.md") or document.parent.name == "tutorials"
        return "run" if runs and not any(name in body for name in READERS_OWN) else "compiled, names looked up"
    if language in ("bash", "console"):
        return "parsed by the product" if parse_commands(body) else "shown"
    if language == "toml":
        return "parsed by the product" if parse_toml(body) else "shown"
    return "shown"


def parse_commands(body: str) -> int:
    """Parse each `robustness ...` line of a block as the command line would; return how many there are."""
    import typer.main

    from robustness.cli.main import app

    count = 0
    for line in body.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True) if "robustness" in line else []
        if words[:1] != ["robustness"]:
            continue
        command: Any = typer.main.get_command(app)
        words = words[1:]
        while hasattr(command, "commands") and words:
            command = command.commands[words[0]]
            words = words[1:]
        command.make_context("robustness", words)
        count += 1
    return count


def parse_toml(body: str) -> bool:
    """Read a block as the plan, gates file or study that it is; return False for a file of another kind."""
    from robustness.gates.load import load_gates
    from robustness.plans.audit import parse_plan
    from robustness.plans.finetune import parse_train_plan

    tree = tomllib.loads(body)
    if "scores" in tree:
        return False
    if "gate" in tree:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "gates.toml"
            file.write_text(body, "utf-8")
            load_gates(file)
    elif "train" in tree:
        parse_train_plan({**_MODEL, **_DATA, **tree})
    else:
        # Keys of [perturbations] are shown without the table's name where the text names it.
        lone = {"perturbations": tree} if set(tree) <= {"image", "prompt", "joint"} else tree
        parse_plan({**_MODEL, **_DATA, **lone})
    return True


def main(site: Path) -> int:
    """Print the numbers; return 1 where a link leads nowhere."""
    inside, outside, broken = broken_links(site)
    pages = len(list(site.rglob("*.html")))
    print(f"site: {pages} pages, {inside} links inside, {outside} to other sites (not asked), broken {len(broken)}")
    for link in broken:
        print(f"  {link}")
    counted = blocks_by_treatment()
    print(f"code: {sum(counted.values())} blocks: " + ", ".join(f"{n} {what}" for what, n in counted.most_common()))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(Path(sys.argv[1]).resolve()))
