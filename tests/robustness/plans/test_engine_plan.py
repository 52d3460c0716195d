"""``[engine]`` of a plan: how networks compute, what is kept on disk, and what of it counts as another plan."""

import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.plans.audit import EngineSpec, ModelSpec, parse_plan
from robustness.workflows.loading import load_all, load_spec
from tests.synthetic import reads_side, write_dataset

NETWORK = {"name": "film-unet", "config": {"image_size": 32}, "device": "cpu"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=2)


def plan_of(data, *models, **engine):
    tree = {"model": list(models), "data": {"path": str(data), "prompt": "p2"}, "engine": engine}
    return parse_plan({**tree, "perturbations": {"prompt": ["empty"], "image": []}})


def test_arithmetic_reaches_every_network_that_leaves_it_open(data):
    own = {**NETWORK, "precision": "float32", "options": {"channels_last": False}}
    plan = plan_of(data, NETWORK, own, precision="bf16", channels_last=True, compile=True)
    models, _ = load_all(plan)
    assert [(m.precision, m.channels_last, m.compiled) for m in models] == [
        ("bf16", True, True),
        ("float32", False, True),
    ]


def test_options_of_a_model_work_without_the_engine(data):
    (model,), _ = load_all(plan_of(data, {**NETWORK, "options": {"channels_last": True, "compiled": True}}))
    assert (model.precision, model.channels_last, model.compiled) == ("float32", True, True)


def test_a_black_box_runs_as_it_is(tmp_path):
    file = tmp_path / "box.py"
    file.write_text("def make():\n    return lambda images, prompts: [i[..., 0] * 0.0 for i in images]\n")
    spec = ModelSpec(name="python", checkpoint=f"{file}:make")
    assert load_spec(spec, engine=EngineSpec(precision="bf16", compile=True)).name == "box"


def test_a_loaded_model_keeps_its_arithmetic(data, tmp_path):
    model = rb.segmenter(reads_side, name="reader")
    with pytest.raises(InputError, match="engine: expected no 'compile' for a loaded model; give it to load_model"):
        rb.audit(model, rb.load_dataset(data, prompt="p2"), out=tmp_path / "run", engine={"compile": True})


def test_where_codes_lie_and_what_is_read_ahead_is_no_other_plan(data):
    plain = plan_of(data, NETWORK).sha256()
    assert plan_of(data, NETWORK, cache="codes", cache_gib=2.0, prefetch=0).sha256() == plain
    assert plan_of(data, NETWORK, precision="bf16").sha256() != plain
    assert plan_of(data, NETWORK, cache="codes", cache_dtype="float16").sha256() != plain


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"prefech": 3}, "prefetch"),
        ({"prefetch": -1}, "prefetch"),
        ({"cache_gib": 0.0}, "cache_gib"),
        ({"precision": "bf17"}, "precision"),
        ({"cache_dtype": "int8"}, "cache_dtype"),
    ],
)
def test_what_cannot_be_used_is_named(data, engine, message):
    with pytest.raises(InputError, match=message):
        plan_of(data, NETWORK, **engine)


def test_paths_among_a_models_options_are_looked_up_beside_the_plan(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr("robustness.runners.models.load.load_model", lambda name, **options: seen.update(options))
    (tmp_path / "sam").mkdir()
    load_spec(ModelSpec(name="grounded-sam", options={"sam_from": "sam", "tokenizer": "a/hub-name"}), folder=tmp_path)
    assert seen["sam_from"] == str(tmp_path / "sam")
    assert seen["tokenizer"] == "a/hub-name"
