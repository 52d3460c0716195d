"""Check the built site: every link leads somewhere, every block of code is one that is tried; print the numbers.

Usage: python .ci/site_check.py build/site

Python and commands are run by `tests/robustness/test_code_blocks.py` in the order of the page; plans, gates and
annotations are read by the product's readers. What cannot be run says why in a comment before it.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parents[1]
# A block, and the comment on the line before it that says how it is checked otherwise than its like.
BLOCK = re.compile(r"^(?:<!-- (not run|run by):(.*?)-->\n)?```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")
TREATMENTS = {
    "run": "run by tests",
    "parsed": "read by the product",
    "compared": "compared with the commands' help",
    "shown": "shown, the reason beside it",
}
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


@dataclass(frozen=True)
class Block:
    """One block of code of a page: where it stands, its text, and what is done with it.

    Attributes:
        treatment: "run" (`tests/robustness/test_code_blocks.py`, or the test that a comment before it names), "parsed"
            (a plan, gates or annotations, by the product's readers), "compared" (the commands' own help), "shown" (a
            comment before it says why, its commands are parsed all the same), or "" where nothing of it is checked.
        reason: what the comment before it says.
        file: the name in its first line, where the block is a file.
    """

    page: Path
    line: int
    language: str
    body: str
    treatment: str
    reason: str
    file: str

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, continued ones joined, without prompts and comments."""
        lines = (line.removeprefix("$ ").strip() for line in self.body.replace("\\\n", " ").splitlines())
        return [line for line in lines if line and not line.startswith("#")]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page in order."""
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        kind, reason, language, body = match[1] or "", (match[2] or "").strip(), match[3], match[4]
        named = FILE.match(body)
        line = text.count("\n", 0, match.start()) + 1
        yield Block(page, line, language, body, _treatment(page, kind, language), reason, named[1] if named else "")


def _treatment(page: Path, kind: str, language: str) -> str:
    if kind:
        return {"not run": "shown", "run by": "run"}[kind]
    if page.name == "cli.md":
        return "compared"
    return {"python": "run", "bash": "run", "toml": "parsed", "json": "parsed", "yaml": "parsed"}.get(language, "")


def checked(block: Block) -> str:
    """Read a block as far as it can be without running it; return its treatment.

    Raises:
        Exception: what the command line or a reader says of a block that it cannot take; ValueError for a block that is
            not checked and does not say why.
    """
    if not block.treatment or (block.treatment == "shown" and not block.reason):
        raise ValueError("say why it is not run: <!-- not run: REASON --> on the line before it")
    if block.language in ("bash", "console", "yaml"):
        parse_commands("\n".join(block.commands))
    if block.language == "python":
        compile(block.body, block.page.name, "exec")
    if block.language == "json":
        json.loads(block.body)
    if block.language == "toml" and block.treatment == "parsed":
        parse_toml(block.body)
    return block.treatment


def blocks_by_treatment() -> Counter[str]:
    """Return how many blocks of code are run, parsed by the product, compared, or shown with a reason.

    Raises:
        RuntimeError: a block does not hold; the message names the page and the line.
    """
    counted: Counter[str] = Counter()
    for page in documents():
        for block in blocks_of(page):
            try:
                counted[TREATMENTS[checked(block)]] += 1
            except (Exception, SystemExit) as error:
                raise RuntimeError(f"{page.relative_to(ROOT)}:{block.line}: {error}\n{block.body}") from error
    return counted


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
    from robustness.gates.judge import load_gates
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
