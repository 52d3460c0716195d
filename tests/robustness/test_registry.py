import os
import subprocess
import sys
from dataclasses import replace

import pytest

import robustness as rb
from robustness.errors import InputError, UnknownNameError
from robustness.metrics.scores.base import MaskMetric
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.prompt.base import PromptPerturbation
from robustness.registry import METRICS, MODELS, PERTURBATIONS, PluginWarning, Registry, installed_plugins
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


def write_plugin(folder, groups, **modules):
    """Write a distribution `other-suite 1.2` with entry points and modules, as pip would install it."""
    info = folder / "other_suite-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-suite\nVersion: 1.2\n")
    points = [f"[robustness.{group}]\n" + "\n".join(lines) for group, lines in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(points) + "\n")
    for name, source in modules.items():
        (folder / f"{name}.py").write_text(source)


FINE = "class Fine:\n    '''A fine thing.'''\n    low = 0.0\n"
BROKEN = {
    "lacks_import": ("import no_such_library\n", "ModuleNotFoundError: No module named 'no_such_library'"),
    "wrong_syntax": ("def broken(:\n", "SyntaxError: invalid syntax"),
    "raises": ("raise RuntimeError('no licence')\n", "RuntimeError: no licence"),
    "exits": ("import sys\nsys.exit(3)\n", "ExitedError: it called sys.exit(3)"),
    "is_function": ("def Thing():\n    pass\n", "expected a class, got an object of type function"),
    "lacks_low": ("class Thing:\n    pass\n", "expected a thing class with low, it has no 'low'"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plugin_that_cannot_be_loaded_is_named_and_hinders_no_other(name, tmp_path, monkeypatch):
    source, cause = BROKEN[name]
    write_plugin(tmp_path, {"things": [f"broken = {name}:Thing", "fine = fine_thing:Fine"]}, fine_thing=FINE)
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry = Registry("thing", "robustness.metrics", needs=("low",))
    with pytest.warns(PluginWarning) as warned:
        assert registry.names() == ["fine"]
    (message,) = [str(one.message) for one in warned]
    assert f"thing 'broken' of the plugin other-suite 1.2 ({name}:Thing) cannot be loaded: {cause}" in message
    assert registry.get("fine").low == 0.0
    with pytest.raises(InputError, match=r"of the plugin other-suite 1\.2") as caught:
        registry.get("broken")
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plugin_with_the_name_of_another_entry_is_left_out(tmp_path, monkeypatch):
    write_plugin(tmp_path, {"things": ["one = fine_thing:Fine"]}, fine_thing=FINE)
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry = Registry("thing", "robustness.metrics")
    own = registry.add("one")(type("Own", (), {}))
    with pytest.warns(PluginWarning, match="thing 'one' is registered twice: .*Own and fine_thing.Fine"):
        assert registry.names() == ["one"]
    assert registry.get("one") is own


def command(*arguments, path):
    call = [sys.executable, "-m", "robustness", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(call, capture_output=True, text=True, env=environment, cwd=path)


@pytest.mark.slow
def test_commands_go_on_with_one_warning_and_name_a_broken_plugin_where_it_is_needed(tmp_path):
    groups = {kind: [f"mine = broken_{kind}:Mine"] for kind in ("metrics", "perturbations", "models", "figures")}
    write_plugin(tmp_path, groups, **{f"broken_{kind}": "raise RuntimeError('no licence')\n" for kind in groups})
    for kind in ("metrics", "perturbations", "models"):
        listed = command("list", kind, path=tmp_path)
        assert listed.returncode == 0
        assert listed.stderr.count("\n") == 1
        assert listed.stderr.startswith(
            f"warning: {kind[:-1]} 'mine' of the plugin other-suite 1.2 (broken_{kind}:Mine)"
        )
    assert command("prompts", "a small polyp", path=tmp_path).returncode == 0
    write_dataset(tmp_path / "data", images=1)
    (tmp_path / "plan.toml").write_text(
        '[model]\nname = "film-unet"\ndevice = "cpu"\nconfig = { image_size = 32 }\n[data]\npath = "data"\n'
        '[perturbations]\nprompt = ["empty"]\nimage = []\n[metrics]\nnames = ["dice"]\n[statistics]\nresamples = 99\n'
    )
    done = command("audit", "plan.toml", "--out", "run", "--workers", "1", path=tmp_path)
    assert (tmp_path / "run" / "report.html").is_file(), done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("warning: figure 'mine'")]
    refused = command("audit", "plan.toml", "--out", "other", "--set", 'metrics.names=["mine"]', path=tmp_path)
    assert refused.returncode == 2
    assert "error: metric 'mine' of the plugin other-suite 1.2 (broken_metrics:Mine) cannot be loaded" in refused.stderr
    assert "Traceback" not in done.stderr + refused.stderr


def pixels_as(**values):
    """Return an image change of a plugin, whose `change` is a function of the pixels."""
    return type(
        "Odd", (ImagePerturbation,), {"__module__": "other_suite.odd", "name": "odd", "values": (1.0,) * 5, **values}
    )


def audit_of(tmp_path, **options):
    data = rb.load_dataset(write_dataset(tmp_path / "data", images=1))
    model = rb.segmenter(lambda images, prompts: [bright(image) * 1.0 for image in images], name="m")
    few = {"resamples": 99}
    return rb.audit(
        model, data, out=tmp_path / "run", report=False, statistics=few, **{"perturbations": ["odd"], **options}
    )


def _with_nan(pixels):
    changed = pixels.clone()
    changed.view(-1)[:3] = float("nan")
    return changed


def _no_gpu(pixels):
    raise RuntimeError("no GPU")


ODD_PIXELS = {
    "expected finite pixels from change(), got 3 that are NaN or infinite": _with_nan,
    "expected pixels of shape": lambda pixels: pixels[..., 1:],
    "expected floats in [0, 1] from change(), got torch.uint8": lambda pixels: (pixels * 255).byte(),
    "expected pixels about [0, 1] from change(), got": lambda pixels: pixels * 255,
    "expected a tensor": lambda pixels: pixels.numpy(),
    "RuntimeError: no GPU": _no_gpu,
}


@pytest.mark.parametrize("message", ODD_PIXELS)
def test_odd_pixels_of_a_plugin_are_its_failure_and_never_the_models(message, tmp_path, monkeypatch):
    odd = pixels_as(change=lambda self, pixels, params: ODD_PIXELS[message](pixels))
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", odd)
    with pytest.raises(InputError) as caught:
        audit_of(tmp_path)
    stated = str(caught.value)
    assert stated.startswith("perturbation 'odd' (other_suite.odd.Odd) on case ")
    assert message in stated
    assert stated.endswith("; mend the plugin, or leave it out of the plan")


def test_pixels_that_overshoot_a_little_are_clipped(tmp_path, monkeypatch):
    odd = pixels_as(change=lambda self, pixels, params: pixels.double() * 3 - 1)
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", odd)
    results = audit_of(tmp_path).results()
    assert (results["error"] == "").all()
    assert results.loc[results["family"] == "image", "dice"].notna().all()


ODD_CASES = {
    "expected a Case from apply(), got an object of type NoneType": lambda case: None,
    "image: expected an array of uint8 (H, W, 3), RGB, got float64": lambda case: replace(case, image=case.image / 255),
    "mask: expected an array of bool": lambda case: replace(case, image=case.image[1:]),
    "expected an image": lambda case: replace(case, image=case.image[1:], mask=case.mask[1:]),
    "expected the reference as it was from apply()": lambda case: replace(case, mask=~case.mask),
    "expected the case": lambda case: replace(case, case_id="another"),
}


@pytest.mark.parametrize("message", ODD_CASES)
def test_an_odd_case_of_a_plugin_is_its_failure(message, tmp_path, monkeypatch):
    odd = pixels_as(apply_batch=lambda self, cases, params, device="cpu": [ODD_CASES[message](case) for case in cases])
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", odd)
    with pytest.raises(InputError) as caught:
        audit_of(tmp_path)
    assert message in str(caught.value)
    assert "perturbation 'odd' (other_suite.odd.Odd)" in str(caught.value)


def words_as(proposed, **values):
    """Return a prompt change of a plugin that proposes what it is told."""
    body = {"propose": lambda self, case, severity, rng: proposed, "__module__": "other_suite.odd", "name": "odd"}
    return type("Odd", (PromptPerturbation,), {**body, "expectation": "invariant", **values})


@pytest.mark.parametrize(
    ("proposed", "message"),
    [
        ({"text": ""}, "expected words from propose(), got an empty text"),
        ({"text": "  "}, "expected words from propose(), got an empty text"),
        ({"text": 3}, 'expected {"text": TEXT} from propose(), got 3 as the text'),
        ({"texts": ["a disc", None]}, 'expected {"text": TEXT} from propose(), got None as the text'),
        ({"new": "a disc"}, 'expected {"text": TEXT} from propose(), got None as the text'),
        ("a disc", "expected a dict or NotApplicable from propose(), got 'a disc'"),
        (None, "expected a dict or NotApplicable from propose(), got None"),
        ({"text": "a disc", "why": {1, 2}}, "expected JSON values from propose()"),
    ],
)
def test_odd_words_of_a_plugin_are_its_failure(proposed, message, tmp_path, monkeypatch):
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", words_as(proposed))
    with pytest.raises(InputError) as caught:
        audit_of(tmp_path)
    assert message in str(caught.value)
    assert str(caught.value).startswith("perturbation 'odd' (other_suite.odd.Odd) on case ")


def test_an_expectation_that_is_none_is_refused(tmp_path, monkeypatch):
    odd = words_as({"text": "a disc"}, expect=lambda self, case, params: "harmless")
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", odd)
    with pytest.raises(InputError, match=r"expected one of .* from expect\(\), got 'harmless'"):
        audit_of(tmp_path)


def test_a_prompt_that_is_proposed_as_it_was_is_not_applicable(tmp_path, monkeypatch):
    odd = words_as(None, propose=lambda self, case, severity, rng: {"text": case.prompt.text})
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", odd)
    results = audit_of(tmp_path).results()
    changed = results[results["condition"] == "odd"]
    assert not changed["applicable"].any()
    assert (changed["note"] == "the proposed prompt is the prompt as it was: nothing would change").all()


def test_a_control_of_a_plugin_may_be_empty(tmp_path, monkeypatch):
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", words_as({"text": ""}, expectation="control", may_be_empty=True))
    assert audit_of(tmp_path).results()["dice"].notna().all()


@pytest.mark.parametrize(
    ("value", "bounds", "message"),
    [
        (1.5, {}, "expected a finite value from 0 to 1, which it states as its bounds, got 1.5"),
        (-0.25, {}, "expected a finite value from 0 to 1, which it states as its bounds, got -0.25"),
        (float("inf"), {"high": None}, "expected a finite value from 0 to inf, which it states as its bounds, got inf"),
        (-1.5, {"low": -1.0}, "expected a finite value from -1 to 1, which it states as its bounds, got -1.5"),
        ("high", {}, "expected a number, got 'high'"),
        (None, {}, "expected a number, got None"),
    ],
)
def test_a_metric_of_a_plugin_keeps_the_bounds_that_it_states(value, bounds, message, tmp_path, monkeypatch):
    body = {"definition": "odd", "__module__": "other_suite.odd", "empty": None, **bounds}
    odd = type("Odd", (MaskMetric,), {**body, "compute": lambda self, pair: value})
    monkeypatch.setitem(METRICS._entries, "odd", odd)
    with pytest.raises(InputError) as caught:
        audit_of(tmp_path, perturbations=["empty"], metrics=["dice", "odd"])
    assert str(caught.value).startswith(f"metric 'odd' (other_suite.odd.Odd): {message}")


def test_a_metric_of_a_plugin_that_raises_is_named(monkeypatch):
    body = {"definition": "odd", "__module__": "other_suite.odd", "compute": lambda self, pair: 1 / 0}
    monkeypatch.setitem(METRICS._entries, "odd", type("Odd", (MaskMetric,), body))
    with pytest.raises(InputError, match=r"metric 'odd' \(other_suite.odd.Odd\) raised ZeroDivisionError"):
        rb.mask_metrics([[1]], [[1]], names=["odd"])


def test_an_undefined_metric_of_a_plugin_is_a_missing_value(tmp_path, monkeypatch):
    body = {"definition": "odd", "__module__": "other_suite.odd", "compute": lambda self, pair: float("nan")}
    monkeypatch.setitem(METRICS._entries, "odd", type("Odd", (MaskMetric,), {**body, "empty": None}))
    assert audit_of(tmp_path, perturbations=["empty"], metrics=["dice", "odd"]).results()["odd"].isna().all()


@pytest.mark.parametrize("hole", ["expand", "propose", "expect"])
def test_the_preview_of_a_prompt_says_where_a_plugin_fails_and_shows_all_others(hole, monkeypatch):
    def fails(*arguments):
        raise RuntimeError("no licence")

    change = words_as({"text": "a disc", "note": "why"}, **{hole: fails if hole != "expand" else classmethod(fails)})
    before = rb.perturb_prompt("a small polyp")
    monkeypatch.setitem(PERTURBATIONS._entries, "odd", change)
    after = rb.perturb_prompt("a small polyp")
    failed = after[after["perturbation"] == "odd"]
    assert failed["note"].str.contains(r"perturbation 'odd' \(other_suite.odd.Odd\).*RuntimeError: no licence").all()
    assert len(failed) == 1
    assert not failed["applicable"].any()
    assert list(after["text"][after["perturbation"] != "odd"]) == list(before["text"])
