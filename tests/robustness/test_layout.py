"""The house: which folder is which package, and who may import whom."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("perturb", "metrics", "runners", "reports")
HOUSE = ("robustness", *ROOMS)

# The language of the project, which every room speaks: what lies at the top of robustness/, and plans. All other
# packages of `robustness` compose the rooms.
CORE_PACKAGES = ("plans",)
_SPEC = importlib.util.spec_from_file_location("house", ROOT / ".ci" / "house.py")
house = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(house)

MAY_IMPORT_ROOMS = {
    "core": set(),
    "perturb": {"perturb"},
    "metrics": {"metrics"},
    "runners": {"perturb", "metrics", "runners"},
    "reports": {"metrics", "reports"},
}


def setuptools_table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]


def sources(*folders: str) -> list[Path]:
    return sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))


@cache
def graph() -> dict[str, set[str]]:
    return house.graph(ROOT)


nodes_of_imports = house.import_nodes


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def module_name(file: Path) -> str:
    folder, *rest = file.relative_to(ROOT).with_suffix("").parts
    package = [folder] if folder == "robustness" else ["robustness", folder]
    return ".".join([*package, *(part for part in rest if part != "__init__")])


def imported(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield every module that these nodes name in an import, `from x import y` also as x.y."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_core(module: str) -> bool:
    # The package itself offers names of all rooms, which its `__getattr__` loads at first use.
    parts = module.split(".")
    return len(parts) > 1 and (parts[1] in CORE_PACKAGES or not (is_package(parts[1]) or parts[1] == "__main__"))


def is_package(name: str) -> bool:
    return (ROOT / "robustness" / name / "__init__.py").is_file()


def forbidden(module: str, names: Iterator[str]) -> list[str]:
    """Return what `module` imports against the direction of the house."""
    room = module.split(".")[1] if module.count(".") and module.split(".")[1] in ROOMS else None
    kind = room or ("core" if is_core(module) else "face")
    if kind == "face":
        return []
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "robustness" or len(parts) == 1:
            continue
        if parts[1] in ROOMS:
            if parts[1] not in MAY_IMPORT_ROOMS[kind]:
                found.add(name)
        elif is_package(parts[1]) and parts[1] not in CORE_PACKAGES:
            found.add(name)
    return sorted(found)


def packages() -> set[str]:
    folders = {file.parent for room in ("robustness", *ROOMS) for file in (ROOT / room).rglob("__init__.py")}
    return {module_name(folder / "__init__.py") for folder in folders}


def test_folders_packages_and_package_dir_are_the_same_rooms():
    table = setuptools_table()
    assert {file.parent.name for file in ROOT.glob("*/__init__.py")} == {"robustness", *ROOMS}
    assert table["packages"] == sorted(table["packages"])
    assert set(table["packages"]) == packages()
    assert table["package-dir"] == {"robustness": "robustness", **{f"robustness.{room}": room for room in ROOMS}}


def test_every_folder_with_sources_is_a_package():
    bare = {
        relative(file.parent) for file in sources("robustness", *ROOMS) if not (file.parent / "__init__.py").is_file()
    }
    assert bare == set()


def test_no_module_imports_itself_through_others():
    assert house.circles(graph()) == []


def test_no_folder_imports_a_folder_that_imports_it():
    assert house.circles(house.folders(graph(), packages())) == []


def test_a_circle_is_shown_as_a_path():
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


def test_no_folder_is_crowded():
    assert house.crowded(ROOT) == []


@pytest.mark.slow
def test_names_say_what_they_hold():
    vague, total = house.vague_names(ROOT)
    assert 1000 * len(vague) < house.MOST_VAGUE_PER_1000 * total, f"name the noun instead: {vague}"


def test_a_vague_name_is_shown_with_its_path_and_line(tmp_path: Path):
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "x.py").write_text('rows = 1  # found\nfound = "held"\n', "utf-8")
    assert house.vague_names(tmp_path) == (["metrics/x.py:2 found"], 2)


@pytest.mark.slow
def test_bodies_of_functions_are_short():
    assert house.long_functions(ROOT) == []


def test_a_long_body_is_shown_with_its_path_and_line(tmp_path: Path):
    (tmp_path / "metrics").mkdir()
    code = "def f():\n" + '    """Say.\n' + "\n" * 70 + '    """\n' + "    x = 1\n" * 61
    (tmp_path / "metrics" / "x.py").write_text(code, "utf-8")
    assert house.long_functions(tmp_path) == ["metrics/x.py:1 f 61"]


def test_no_package_hides_a_public_name():
    import robustness

    tops = {name.split(".")[1] for name in packages() if name.count(".") == 1}
    assert tops & set(robustness.__all__) == set()


def test_tests_lie_in_the_rooms_that_they_test_and_golden_values_beside_them():
    own = {name.removeprefix("robustness.").replace(".", "/") for name in packages()}
    own |= {f"robustness/{name}" for name in own} | {".", "golden", "robustness", "robustness/fuzz"}
    assert {file.parent.relative_to(ROOT / "tests").as_posix() for file in sources("tests")} <= own


def test_imports_go_one_way():
    wrong = {relative(file): forbidden(module_name(file), imported(nodes_of_imports(file))) for file in sources(*HOUSE)}
    assert {file: names for file, names in wrong.items() if names} == {}


@pytest.mark.parametrize(
    ("module", "code", "wrong"),
    [
        ("robustness.perturb.x", "from robustness.metrics import masks", "robustness.metrics"),
        ("robustness.metrics.x", "def f():\n    import robustness.perturb.base", "robustness.perturb.base"),
        ("robustness.reports.x", "from robustness import runners", "robustness.runners"),
        ("robustness.runners.x", "from robustness.workflows.audit import audit", "robustness.workflows.audit"),
        ("robustness.types", "from robustness.runners.data.load import load_dataset", "robustness.runners"),
    ],
)
def test_an_import_against_the_direction_is_found(module: str, code: str, wrong: str):
    assert any(name.startswith(wrong) for name in forbidden(module, imported(ast.walk(ast.parse(code)))))


def ours() -> list[Path]:
    """Return every source but those of examples/gate, a project of its own that has its own module `metrics`."""
    found = sources("robustness", *ROOMS, "tests", "examples", "benchmarks")
    return [file for file in found if not file.is_relative_to(ROOT / "examples" / "gate")]


def test_no_import_is_relative():
    dots = {
        relative(file): [
            node.lineno for node in nodes_of_imports(file) if isinstance(node, ast.ImportFrom) and node.level
        ]
        for file in ours()
    }
    assert {file: lines for file, lines in dots.items() if lines} == {}


def test_no_import_loads_a_second_copy_of_a_room():
    bare = {
        relative(file): [n for n in imported(nodes_of_imports(file)) if n.split(".")[0] in ROOMS] for file in ours()
    }
    assert {file: names for file, names in bare.items() if names} == {}


def test_no_import_works_in_a_checkout_alone():
    inside = re.compile(r"robustness\.(robustness|tests|examples|benchmarks)\b")
    wrong = {
        relative(file): [name for name in imported(nodes_of_imports(file)) if inside.match(name)] for file in ours()
    }
    assert {file: names for file, names in wrong.items() if names} == {}


def test_no_tracked_file_names_a_machine_or_a_registry():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("needs a git checkout to know which files are tracked")
    paths = re.compile(r"/(?:tmp|work|root|home|Users)/[A-Za-z0-9_.-]+|[A-Z]:\\Users\\")
    hosts = re.compile(r"\bpypi[.]org|pythonhosted[.]org|npmjs[.](?:org|com)|--(?:extra-)?index-url|file:/{2}")
    found = []
    for name in filter(None, listed.stdout.split("\0")):
        file = ROOT / name
        if name.startswith(".venv/") or not file.is_file() or b"\0" in (data := file.read_bytes())[:8192]:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if match := paths.search(line) or hosts.search(line):
                found.append(f"{name}:{number}: {match[0]}")
    assert found == []


def test_every_dependency_is_pinned_exactly():
    normal = re.compile(r"[-_.]+")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    names = {normal.sub("-", re.match(r"[A-Za-z0-9._-]+", line)[0]).lower() for line in wanted}
    lines = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.]*", line)] == []
    # The extra `all` names the package itself.
    assert names - {line.split("==")[0] for line in lines} == {"vlsm-robustness"}
    assert lines == sorted(lines, key=lambda line: line.split("==")[0])
