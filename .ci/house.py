"""Figures of the house: import circles, crowded folders, `fmt: skip`, vague names, long files, tracked files.

Usage: python .ci/house.py [ROOT]
"""

from __future__ import annotations

import ast
import keyword
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOMS = ("robustness", "perturb", "metrics", "runners", "reports")
VAGUE = frozenset("found held told said kept made wanted asked known".split())
MOST_MODULES = 25
MOST_VAGUE_PER_1000 = 1.0
MOST_LINES_OF_FILE, MOST_LINES_OF_BODY = 300, 60


def sources(root: Path) -> list[Path]:
    """Return every source file of the five rooms."""
    return sorted(file for room in ROOMS for file in (root / room).rglob("*.py"))


def module_name(root: Path, file: Path) -> str:
    """Return the dotted name under which a source file is imported."""
    folder, *rest = file.relative_to(root).with_suffix("").parts
    package = [folder] if folder == "robustness" else ["robustness", folder]
    return ".".join([*package, *(part for part in rest if part != "__init__")])


@cache
def import_nodes(file: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """Return every import of a source file, typing-only and late ones too."""
    source = file.read_text("utf-8")
    return tuple(node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom))


def imports(nodes: Iterable[ast.Import | ast.ImportFrom]) -> Iterator[str]:
    """Yield each module that imports name; ``from x import y`` as x.y."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph(root: Path) -> dict[str, set[str]]:
    """Return module to the modules of the house that it imports."""
    names = {module_name(root, file): file for file in sources(root)}
    edges: dict[str, set[str]] = {}
    for module, file in names.items():
        targets = set()
        for name in imports(import_nodes(file)):
            target = name if name in names else name.rpartition(".")[0]
            # The package itself offers public names lazily; who imports them imports nothing at that moment.
            if target in names and target not in (module, "robustness"):
                targets.add(target)
        edges[module] = targets if module != "robustness" else set()
    return edges


def folders(edges: dict[str, set[str]], packages: set[str]) -> dict[str, set[str]]:
    """Return folder to the folders it imports: a module stands for its folder, one at a room's top for itself."""

    def folder(module: str) -> str:
        if module in packages:
            return module
        parent = module.rpartition(".")[0]
        return module if parent in ("robustness", *(f"robustness.{room}" for room in ROOMS)) else parent

    joined: dict[str, set[str]] = {}
    for module, targets in edges.items():
        own = joined.setdefault(folder(module), set())
        own |= {folder(target) for target in targets} - {folder(module)}
    return joined


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return one path per strongly connected group of more than one node (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(edges.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for node in sorted(edges):
        if node not in index:
            visit(node)
    return [_walk(edges, group) for group in groups]


def _walk(edges: dict[str, set[str]], group: list[str]) -> list[str]:
    members, path = set(group), [group[0]]
    while True:
        step = min(edges[path[-1]] & members)
        if step in path:
            return [*path[path.index(step) :], step]
        path.append(step)


def crowded(root: Path) -> list[str]:
    """Return the folders with more than `MOST_MODULES` modules."""
    counts = Counter(file.parent for file in sources(root) if file.name != "__init__.py")
    return [f"{folder.relative_to(root)} {count}" for folder, count in sorted(counts.items()) if count > MOST_MODULES]


def name_tokens(file: Path) -> Iterator[tuple[int, str]]:
    """Yield line and text of each name token of a source file; keywords are none."""
    with file.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.NAME and not keyword.iskeyword(token.string):
                yield token.start[0], token.string


def vague_names(root: Path) -> tuple[list[str], int]:
    """Return each vague participle used as a name, as ``path:line name``, and how many name tokens there are."""
    sites, total = [], 0
    for file in sources(root):
        for line, name in name_tokens(file):
            total += 1
            if name in VAGUE:
                sites.append(f"{file.relative_to(root).as_posix()}:{line} {name}")
    return sites, total


def long_files(root: Path) -> list[str]:
    """Return the source files with more than `MOST_LINES_OF_FILE` lines, as ``path lines``."""
    lengths = {file: len(file.read_text("utf-8").splitlines()) for file in sources(root)}
    return [f"{file.relative_to(root).as_posix()} {n}" for file, n in lengths.items() if n > MOST_LINES_OF_FILE]


def long_functions(root: Path) -> list[str]:
    """Return the functions with more than `MOST_LINES_OF_BODY` lines of code, as ``path:line name lines``.

    Signature and docstring do not count: options that are all documented make neither harder to read.
    """
    bodies = []
    for file in sources(root):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node, clean=False) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                if lines > MOST_LINES_OF_BODY:
                    bodies.append(f"{file.relative_to(root).as_posix()}:{node.lineno} {node.name} {lines}")
    return bodies


def main(root: Path) -> None:
    """Print the figures."""
    edges = graph(root)
    packages = {module_name(root, file) for file in sources(root) if file.name == "__init__.py"}
    modules, nested = circles(edges), circles(folders(edges, packages))
    skips = sum(file.read_text("utf-8").count("# fmt: skip") for file in sources(root))
    vague, total = vague_names(root)
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True).stdout
    print(f"modules: {len(edges)}, packages: {len(packages)}")
    print(f"import circles between files: {len(modules)}")
    print(*(f"  {' -> '.join(path)}" for path in modules), sep="\n" if modules else "", end="\n" if modules else "")
    print(f"import circles between folders: {len(nested)}")
    print(*(f"  {' -> '.join(path)}" for path in nested), sep="\n" if nested else "", end="\n" if nested else "")
    print(f"folders over {MOST_MODULES} modules: {len(crowded(root))} {' '.join(crowded(root))}".rstrip())
    print(f"fmt: skip in sources: {skips}")
    print(f"vague names: {len(vague)} of {total}, {1000 * len(vague) / total:.2f} per 1,000")
    files, bodies = long_files(root), long_functions(root)
    print(f"files over {MOST_LINES_OF_FILE} lines: {len(files)} {', '.join(files)}".rstrip())
    print(f"bodies over {MOST_LINES_OF_BODY} lines: {len(bodies)} {', '.join(bodies)}".rstrip())
    print(f"tracked files: {len(tracked.splitlines())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
