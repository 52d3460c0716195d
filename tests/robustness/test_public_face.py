"""What the packages offer: the imports that type checkers read, the names, and the modules they are loaded from."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import robustness as rb
from robustness.arguments import _hints
from robustness.errors import CallError, InputError
from robustness.plans.finetune import TrainDataSpec, TrainModelSpec, TrainSpec
from robustness.plans.finetune_options import FinetuneOptions
from tests.synthetic import bright, write_dataset

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
        assert inspect.unwrap(getattr(module, name)) is getattr(importlib.import_module(home), name)
        assert name in dir(module)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_unknown_name_is_an_attribute_error(package: str):
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018


def test_the_keywords_of_finetune_are_the_keys_of_its_plan():
    keys = {*TrainModelSpec.model_fields, *TrainDataSpec.model_fields, *TrainSpec.model_fields}
    assert set(FinetuneOptions.__annotations__) == (keys - {"name", "path", "out"}) | {"quiet"}


FUNCTIONS = sorted(name for name in rb.__all__ if inspect.isfunction(getattr(rb, name)))
MASK = np.ones((4, 4), bool)
IMAGE = np.zeros((4, 4, 3), np.uint8)
TABLE = pd.DataFrame(
    {"case_id": ["a", "a"], "condition": ["clean", "empty"], "subject_id": ["s", "s"], "dice": [0.9, 0.1]}
)


def predict(images, prompts):
    return [bright(image) * 1.0 for image in images]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rb.load_dataset(write_dataset(tmp_path_factory.mktemp("face") / "data", images=2))


MODEL = rb.segmenter(predict, name="m")
WRONG_OF_AN_AUDIT = [
    (
        {"metrics": "dice"},
        "metrics: expected a table (dict) or a list of texts or None, got the text 'dice'; write metrics=['dice']",
    ),
    ({"metrics": 3}, "metrics: expected a table (dict) or a list of texts or None, got 3"),
    ({"statistics": ["alpha"]}, "statistics: expected a table (dict) or None, got the list ['alpha']"),
    ({"engine": "cpu"}, "engine: expected a table (dict) or None, got the text 'cpu'"),
    ({"attack": 1}, "attack: expected a table (dict) or None, got 1"),
    ({"perturbations": "empty"}, "got the text 'empty'; write perturbations=['empty']"),
    ({"perturbations": [1]}, "perturbations[0]: expected a text, got 1"),
    ({"severities": 3}, "severities: expected a list of whole numbers or None, got 3; write severities=[3]"),
    ({"seed": "a"}, "seed: expected a whole number, got the text 'a'"),
    ({"seed": None}, "seed: expected a whole number, got None; leave it out for the default, 0"),
    ({"check": True}, "check: expected one of stop, warn, off, got True"),
    ({"strict": "no"}, "strict: expected True or False, got the text 'no'"),
    ({"progress": "bar"}, "progress: expected a function or True or False or None, got the text 'bar'"),
    ({"out": None}, "out: expected a path, got None"),
    ({"model": "unet"}, "got the text 'unet'; write rb.load_model('unet')"),
    ({"model": ["unet"]}, "model[0]: expected a model"),
    ({"model": predict}, "got the function predict; write rb.segmenter(predict, name='...')"),
    ({"data": "folder"}, "got the text 'folder'; write rb.load_dataset('folder')"),
    ({"data": TABLE}, "data: expected a dataset as load_dataset returns it or a list of them"),
    ({"perturbation": ["empty"]}, "audit: unknown argument 'perturbation'; did you mean 'perturbations'?"),
]


@pytest.mark.parametrize(("options", "message"), WRONG_OF_AN_AUDIT)
def test_a_wrong_argument_of_an_audit_is_named_before_anything_is_done(data, tmp_path, options, message):
    with pytest.raises(InputError) as caught:
        rb.audit(**{"model": MODEL, "data": data, "out": tmp_path / "run", **options})
    assert message in str(caught.value)
    assert not (tmp_path / "run").exists()


WRONG_CALLS = [
    (lambda: rb.audit(MODEL, out="x"), "audit: the argument 'data' is required"),
    (
        lambda: rb.audit(MODEL, [], ["empty"], "x"),
        "audit: expected at most 2 arguments without a name (model, data), got 4",
    ),
    (lambda: rb.load_dataset(None), "path: expected a path, got None"),
    (
        lambda: rb.load_dataset("a", split=["test"]),
        "split: expected a text, got the list ['test']; write one of them, split='test'",
    ),
    (
        lambda: rb.load_dataset("a", limit="2"),
        "limit: expected a whole number or None, got the text '2'; write limit=2",
    ),
    (lambda: rb.load_dataset("a", limit=True), "limit: expected a whole number or None, got True"),
    (lambda: rb.load_dataset("a", groups="sex"), "write groups=['sex']"),
    (lambda: rb.load_dataset("a", masks=["soft"]), "masks: expected a table (dict) or None"),
    (lambda: rb.load_dataset("a", choose="some"), "choose: expected one of all, seeded, got the text 'some'"),
    (
        lambda: rb.check_dataset("a", required=10),
        "required: expected an object of type RequiredSubjects or None, got 10",
    ),
    (lambda: rb.load_model(Path("x")), "name: expected a text, got the path 'x'"),
    (lambda: rb.load_model("unet", device=["cpu"]), "write one of them, device='cpu'"),
    (lambda: rb.load_model("unet", config="tiny"), "config: expected a table (dict) or None"),
    (lambda: rb.segmenter(predict), "segmenter: the argument 'name' is required"),
    (lambda: rb.segmenter(predict, name=""), "name: expected what results call the model"),
    (
        lambda: rb.segmenter(predict, name="a", threshold="0.5"),
        "threshold: expected a number, got the text '0.5'; write threshold=0.5",
    ),
    (lambda: rb.segmenter(predict, name="a", provenance={"a": predict}), "provenance: expected JSON values"),
    (lambda: rb.load_predictions(["a"]), "folder: expected a path, got the list ['a']; write one of them, folder='a'"),
    (lambda: rb.mask_metrics(MASK, MASK, names=[1]), "names[0]: expected a text, got 1"),
    (
        lambda: rb.mask_metrics([[1, 0], [1]], MASK),
        "prediction: expected a mask of shape (H, W), got rows of different",
    ),
    (lambda: rb.mask_metrics(MASK, MASK, spacing_mm=("a", "b")), "spacing_mm: expected 2 numbers or None"),
    (lambda: rb.effects({"case_id": [1]}), "table: expected a table (pandas.DataFrame)"),
    (lambda: rb.effects(TABLE, metric=[]), "metric: expected at least one column"),
    (lambda: rb.effects(TABLE, resamples=99.0), "resamples: expected a whole number, got 99.0; write resamples=99"),
    (lambda: rb.effects(TABLE.assign(dice="0,9")), "case 'a' has the text '0,9'; write decimals with a point"),
    (lambda: rb.verdicts("a"), "write rb.open_run('a').results()"),
    (lambda: rb.verdicts(TABLE, margins={"dice": "a"}), "margins['dice']: expected a number, got the text 'a'"),
    (lambda: rb.parse_prompt(["a polyp"]), "text: expected a text, got the list ['a polyp']; write one of them"),
    (lambda: rb.perturb_prompt("a polyp", modality=1), "modality: expected a text, got 1; leave it out"),
    (lambda: rb.forecast("plan.toml"), "write rb.load_plan('plan.toml')"),
    (lambda: rb.export("plan.toml", "x", max_requests=0), "max_requests: expected at least 1, got 0"),
    (lambda: rb.score("a", "b", out="c", said=True), "said: expected a function or None, got True"),
    (lambda: rb.demo_data(["brain"]), "write one of them, name='brain'"),
    (lambda: rb.open_run(1), "path: expected a path, got 1"),
    (lambda: rb.Run(None), "run: expected the path of a run's folder"),
    (lambda: rb.load_plan("a", overrides="seed=1"), "write overrides=['seed=1']"),
    (lambda: rb.finetune("unet", data="a", out=None), "out: expected a path, got None"),
    (lambda: rb.finetune("unet", data="a", out="b", quiet="no"), "quiet: expected True or False, got the text 'no'"),
    (
        lambda: rb.finetune("unet", data="a", out="b", freeze=(part for part in ["image"])),
        "got an object of type generator; write freeze=list(...)",
    ),
    (lambda: rb.finetune("unet", data="a", out="b", epochs="3"), "epochs: expected a whole number, got the text '3'"),
    (lambda: rb.mask_metrics(MASK, MASK, spacing_mm=iter([1.0, 1.0])), "write spacing_mm=list(...)"),
    (
        lambda: rb.mask_metrics(map(list, MASK), MASK),
        "prediction: expected an array, got an object of type map; write prediction=list(...)",
    ),
    (lambda: rb.load_dataset("a", choose="sedeed"), "got the text 'sedeed'; did you mean 'seeded'?"),
    # A text is true: the page would hold the images that must not leave.
    (lambda: rb.Run("a").report(images="no"), "images: expected True or False, got the text 'no'"),
    (lambda: rb.Run("a").report(edition="regulatry"), "did you mean 'regulatory'?"),
    (lambda: rb.Run("a").replay("3"), "row: expected a whole number, got the text '3'; write row=3"),
    (lambda: rb.Run("a").gate(baseline=1), "baseline: expected a path or a run as open_run returns it or"),
    (lambda: rb.Plan(model={"name": "unet"}), "Plan: data: required, but it is missing"),
    (lambda: rb.Plan("plan.toml"), "Plan: expected fields by name"),
    (lambda: rb.Prompt(None), "text: expected a text, got None"),
    (lambda: rb.Prompt("a polyp", {"size": "small"}), "attributes: expected a list of rb.Attribute"),
    (lambda: rb.Prompt("a polyp", (), "a lump"), "paraphrases: expected a list of texts"),
    (lambda: rb.Attribute("sise", "small", 0, 5), "kind: expected one of"),
    (lambda: rb.Attribute("size", "small", "0", 5), "span: expected whole numbers"),
    (lambda: rb.Case("a", "b", [[1]], MASK, rb.Prompt("x")), "image: expected an array of uint8 (H, W, 3)"),
    (lambda: rb.Case("a", "b", IMAGE, MASK[:2], rb.Prompt("x")), "mask: expected an array of bool (4, 4)"),
    (lambda: rb.Case("a", "b", IMAGE, MASK, "x"), "prompt: expected a prompt as parse_prompt returns it, got 'x'"),
    (lambda: rb.METRICS.get(["dice"]), "metric: expected a name (robustness list metrics), got ['dice']"),
    (lambda: rb.METRICS.add(dict), "metric: expected a name to register under"),
]


@pytest.mark.parametrize(("call", "message"), WRONG_CALLS)
def test_a_wrong_call_is_one_line_that_names_the_argument(call, message):
    with pytest.raises(InputError) as caught:
        call()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metrics_of_an_audit_may_be_a_list_of_names(data, tmp_path):
    run = rb.audit(MODEL, data, perturbations=("empty",), metrics=["dice"], out=tmp_path / "run", report=False)
    assert run.plan.metrics.names == ["dice"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_each_argument_should_be_is_known_and_functions_stay_what_they_are(name):
    function = getattr(rb, name)
    hints = _hints(inspect.unwrap(function))
    keywords = {p.name for p in inspect.signature(function).parameters.values() if p.kind is p.VAR_KEYWORD}
    options = set(FinetuneOptions.__annotations__) if name == "finetune" else set()
    assert set(hints) == set(inspect.signature(function).parameters) - keywords | options
    assert pickle.loads(pickle.dumps(function)) is function


def test_an_unknown_argument_is_still_a_type_error():
    with pytest.raises(TypeError) as caught:
        rb.parse_prompt("a polyp", targets="polyp")
    assert type(caught.value) is CallError


def test_what_stands_for_a_number_a_path_or_a_list_passes():
    assert rb.mask_metrics(MASK, MASK, spacing_mm=[np.float32(1), 1], names={"dice": 1}.keys())["dice"] == 1
    assert rb.parse_prompt("left kidney", modality=None, target=None) == rb.parse_prompt("left kidney")
    assert type(rb.Attribute("size", "small", np.int64(0), np.int64(5)).stop) is int
    assert rb.METRICS["dice"] is rb.METRICS.get("dice")
    assert rb.Run(Path("x")).path == Path("x")
