"""What the packages offer: the imports that type checkers read, the names, and the modules they are loaded from."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from robustness.plans.finetune import TrainDataSpec, TrainModelSpec, TrainSpec
from robustness.plans.finetune_options import FinetuneOptions

PACKAGES = ("robustness", "robustness.perturb", "robustness.metrics", "robustness.runners")


def typed_imports(package: str) -> dict[str, str]:
    """Return the names that the package's TYPE_CHECKING block imports, with their modules."""
    tree = ast.parse(Path(importlib.import_module(package).__file__).read_text("utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {alias.name: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize("package", PACKAGES)
def test_type_checkers_see_the_names_that_the_package_loads(package: str):
    module = importlib.import_module(package)
    assert typed_imports(package) == module._MODULES
    assert sorted(set(module.__all__) - {"__version__"}) == sorted(module._MODULES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_can_be_imported_and_lies_where_it_is_said_to(package: str):
    module = importlib.import_module(package)
    for name, home in module._MODULES.items():
        assert getattr(module, name) is getattr(importlib.import_module(home), name)
        assert name in dir(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str):
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018


def test_the_keywords_of_finetune_are_the_keys_of_its_plan():
    keys = {*TrainModelSpec.model_fields, *TrainDataSpec.model_fields, *TrainSpec.model_fields}
    assert set(FinetuneOptions.__annotations__) == (keys - {"name", "path", "out"}) | {"quiet"}
