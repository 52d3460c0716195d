import subprocess
import sys

import pytest

import robustness as rb
from robustness.errors import UnknownNameError
from robustness.registry import METRICS, MODELS, PERTURBATIONS, Registry, installed_plugins
from robustness.runs import conclude
from tests.synthetic import bright, write_dataset


def test_a_second_entry_of_one_name_is_refused():
    registry: Registry = Registry("thing", "robustness.metrics")

    @registry.add("one")
    def first():
        pass

    with pytest.raises(ValueError, match="registered twice"):

        @registry.add("one")
        def second():
            pass


def test_the_same_entry_twice_is_fine():
    registry: Registry = Registry("thing", "robustness.metrics")

    def entry():
        pass

    registry.add("one")(entry)
    registry.add("one")(entry)
    assert registry.get("one") is entry


@pytest.mark.parametrize(
    ("registry", "asked", "near"),
    [(MODELS, "clipsegg", "clipseg"), (PERTURBATIONS, "antonim", "antonym"), (METRICS, "dise", "dice")],
)
def test_unknown_names_suggest_near_ones(registry, asked, near):
    with pytest.raises(UnknownNameError, match=f"did you mean '{near}'") as caught:
        registry.get(asked)
    assert not str(caught.value).startswith('"')


@pytest.mark.parametrize("registry", [MODELS, PERTURBATIONS, METRICS])
def test_every_entry_says_what_it_is(registry):
    assert len(registry) > 0
    for name in registry:
        assert (registry.get(name).__doc__ or "").strip(), f"{registry.name} {name} has no docstring"


@pytest.mark.parametrize(("name", "limit"), [("METRICS", 25), ("MODELS", 78)])
def test_a_look_up_imports_its_own_packages_only(name, limit):
    source = f"""
import sys
from robustness.registry import {name}
{name}.names()
own = [module for module in sys.modules if module.split(".")[0] == "robustness"]
heavy = {{"monai", "lightning", "transformers", "torchvision", "scipy", "pandas"}} & set(sys.modules)
print(len(own), *sorted(heavy))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    count, *heavy = done.stdout.split()
    assert int(count) <= limit
    assert heavy == []


def test_a_look_up_imports_the_modules_with_entries_and_no_other(tmp_path, monkeypatch):
    package = tmp_path / "drawer_of_things"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text("from drawer_of_things.shelf import THINGS\n@THINGS.add('one')\nclass One: pass\n")
    (package / "shelf.py").write_text(
        "from robustness.registry import Registry\nTHINGS = Registry('thing', 'drawer_of_things')\n"
    )
    (package / "helper.py").write_text("raise RuntimeError('a module without entries was imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    from drawer_of_things.shelf import THINGS

    assert THINGS.names() == ["one"]


def test_installed_plugins_are_named_without_being_loaded(tmp_path, monkeypatch):
    folder = tmp_path / "other_suite-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: other-suite\nVersion: 1.2\n")
    (folder / "entry_points.txt").write_text(
        "[robustness.metrics]\nmine = nowhere:Mine\n\n[robustness.models]\nnet = nowhere:Net\n\n[other]\na = b:c\n"
    )
    assert installed_plugins() == []
    monkeypatch.syspath_prepend(tmp_path)
    of = {"distribution": "other-suite", "version": "1.2"}
    assert installed_plugins() == [
        {"group": "robustness.metrics", "name": "mine", "object": "nowhere:Mine", **of},
        {"group": "robustness.models", "name": "net", "object": "nowhere:Net", **of},
    ]


def test_a_manifest_names_the_plugins(tmp_path, monkeypatch):
    plugin = {"group": "robustness.metrics", "name": "mine", "object": "a:B", "distribution": "d", "version": "1"}
    monkeypatch.setattr(conclude, "installed_plugins", lambda: [plugin])
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=1))
    model = rb.segmenter(lambda images, prompts: [bright(image) * 1.0 for image in images], name="m")
    run = rb.audit(
        model, data, perturbations=["empty"], out=tmp_path / "run", report=False, statistics={"resamples": 99}
    )
    assert run.manifest["plugins"] == [plugin]
