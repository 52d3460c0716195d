from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import robustness as rb
from robustness.errors import InputError
from robustness.plans.audit import EngineSpec, ModelSpec, load_plan, parse_plan
from robustness.plans.data_source import DataSource, data_source
from robustness.plans.paths import resolved_options
from robustness.workflows.loading import load_all, load_spec
from tests.synthetic import reads_side, write_dataset

TREE = {"model": {"name": "clipseg"}, "data": {"path": "data/polyp"}}


def test_a_resolved_plan_reads_back_equal():
    plan = parse_plan({**TREE, "seed": 3, "perturbations": {"prompt": ["antonym"], "image": ["gaussian_noise"]}})
    again = parse_plan(tomllib.loads(plan.to_toml()))
    assert again == plan
    assert again.sha256() == plan.sha256()


def test_models_and_datasets_may_repeat():
    plan = parse_plan({"model": [{"name": "a"}, {"name": "b"}], "data": [{"path": "x"}, {"path": "y"}]})
    assert [m.name for m in plan.model] == ["a", "b"]
    assert [d.path for d in plan.data] == ["x", "y"]


def test_the_title_does_not_count_but_the_seed_does():
    assert parse_plan({**TREE, "title": "a"}).sha256() == parse_plan(TREE).sha256()
    assert parse_plan({**TREE, "seed": 1}).sha256() != parse_plan(TREE).sha256()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"perturbatons": {}}, "unknown key 'perturbatons'; did you mean 'perturbations'"),
        ({"model": {"nam": "clipseg"}}, "unknown key 'model.nam'; did you mean 'name'"),
        (
            {"model": [{"name": "a"}, {"name": "b", "devise": "cpu"}]},
            r"unknown key 'model\[1\].devise'; did you mean 'device'",
        ),
        ({"statistics": {"margin_dise": 0.1}}, "did you mean 'margin_dice'"),
        ({"perturbations": {"image": {"severity": [1]}}}, "did you mean 'severities'"),
        ({"statistics": {"alpha": 2.0}}, "statistics.alpha: input should be less than 0.25, got 2.0"),
        ({"perturbations": {"image": {"severities": [9]}}}, "less than or equal to 5, got 9"),
        ({"seed": "zero"}, "seed: input should be a valid integer, got 'zero'"),
        ({"metrics": {"names": []}}, "metrics.names"),
        (
            {"perturbations": {"image": {"severities": []}}},
            "perturbations.image.severities: list should have at least 1",
        ),
        ({"perturbations": {"joint": 3}}, "perturbations.joint: input should be a valid"),
        (
            {"data": {"path": "d", "window": 3}},
            "data.window: input should be a valid string, or a valid list, or a valid dictionary, got 3$",
        ),
        ({"data": {"path": "d", "window": [1, "a"]}}, r"data.window\[1\]: input should be a valid number, .* got 'a'$"),
    ],
)
def test_mistakes_are_one_line_that_names_the_place(change, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_plan({**TREE, **change})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "checkpoint", "device", "threshold", "config"])
def test_a_key_of_the_model_among_its_options_is_one_line(key):
    for options in ({key: "x"}, {"members": [{"name": "film-unet", "options": {key: "x"}}]}):
        with pytest.raises(InputError, match=rf"model.options: '{key}' is a key of \[model\] and no option"):
            resolved_options(options, None)


def test_a_missing_table_is_named():
    with pytest.raises(InputError, match="data: required"):
        parse_plan({"model": {"name": "clipseg"}})


class TestLoadPlan:
    def test_reads_and_overrides(self, tmp_path):
        file = tmp_path / "plan.toml"
        file.write_text('seed = 1\n[model]\nname = "clipseg"\n[data]\npath = "x"\n')
        plan = load_plan(file, overrides=["data.path=other place", "statistics.alpha=0.1", "model.device=cpu"])
        assert (plan.data[0].path, plan.statistics.alpha, plan.model[0].device) == ("other place", 0.1, "cpu")

    def test_a_path_may_hold_any_space_or_letter(self, tmp_path):
        file = tmp_path / "plan.toml"
        file.write_text('seed = 1\n[model]\nname = "clipseg"\n[data]\npath = "x"\n')
        for name in ("Daten\u00a0neu", "新\u3000データ", "x\u202e"):
            assert load_plan(file, overrides=[f"data.path={name}"]).data[0].path == name

    def test_absent_file(self, tmp_path):
        with pytest.raises(InputError, match="found none at"):
            load_plan(tmp_path / "no.toml")

    def test_not_toml(self, tmp_path):
        file = tmp_path / "plan.toml"
        file.write_text("seed = = 1")
        with pytest.raises(InputError, match="not valid TOML"):
            load_plan(file)

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("alpha", "expected key=value"),
            ("=1", "expected key=value"),
            ("seed.x=1", "leads through 'seed'"),
            ("seed=1\nmodel.name='cris'", "expected key=value on one line"),
            ("seed=1\x00", "expected key=value on one line"),
            ("seed=1\u2028", "expected key=value on one line"),
        ],
    )
    def test_bad_override(self, tmp_path, override, message):
        file = tmp_path / "plan.toml"
        file.write_text('seed = 1\n[model]\nname = "clipseg"\n[data]\npath = "x"\n')
        with pytest.raises(InputError, match=message):
            load_plan(file, overrides=[override])


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


BASE: dict[str, Any] = {"model": {"name": "unet"}, "data": {"path": "data"}}


def test_a_plan_without_the_new_keys_writes_and_hashes_none_of_them() -> None:
    written = parse_plan(BASE).to_toml()
    for key in ("joint", "trained_on", "published"):
        assert key not in written


def test_a_grid_may_be_one_table_several_or_a_written_condition(tmp_path: Any) -> None:
    grid = {"image": ["jpeg@3"], "prompt": ["empty"]}
    one = parse_plan({**BASE, "perturbations": {"joint": grid}})
    assert one.perturbations.joint == parse_plan({**BASE, "perturbations": {"joint": [grid]}}).perturbations.joint
    both = parse_plan({**BASE, "perturbations": {"joint": [grid, "image:jpeg@1+empty"]}})
    file = tmp_path / "plan.toml"
    file.write_text(both.to_toml(), encoding="utf-8")
    assert load_plan(file) == both
    assert load_plan(file).sha256() == both.sha256() != one.sha256()


@pytest.mark.parametrize(
    ("grid", "near"),
    [({"image": ["jpeg"], "prompts": ["empty"]}, "prompt"), ({"image": [], "prompt": ["empty"]}, "image")],
)
def test_a_grid_that_cannot_be_read_names_the_key(grid: dict[str, Any], near: str) -> None:
    with pytest.raises(InputError, match=near):
        parse_plan({**BASE, "perturbations": {"joint": grid}})


def test_what_a_model_was_finetuned_on_is_one_name_or_several() -> None:
    for value in ("kvasir", ["kvasir", "clinicdb"]):
        plan = parse_plan({**BASE, "model": {"name": "unet", "trained_on": value}})
        assert plan.model[0].trained_on == value


def test_a_folder_is_itself() -> None:
    assert data_source(Path("data/kvasir")) == DataSource(Path("data/kvasir"))


def test_a_plan_names_path_prompt_and_reading(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("image,mask\n")
    plan = tmp_path / "audit.toml"
    plan.write_text(
        "[[data]]\npath = 'cases.csv'\nprompt = 'p3'\nmodality = 'MRI'\nsplit = 'test'\nslices = { every = 3 }\n"
        "[[data]]\npath = 'other.csv'\n"
    )
    named = data_source(plan)
    assert named == DataSource(tmp_path / "cases.csv", "p3", "MRI", {"slices": {"every": 3}})


@pytest.mark.parametrize("prompt", ["'random'", "['p2', 'p3']"])
def test_several_prompts_name_none(tmp_path: Path, prompt: str) -> None:
    (tmp_path / "a.toml").write_text(f"[data]\npath = 'x'\nprompt = {prompt}\n")
    assert data_source(tmp_path / "a.toml").prompt is None


@pytest.mark.parametrize("text", ["", "[data]\nsplit = 'test'\n", "data = 3\n", "data = []\n"])
def test_a_plan_without_data_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match="path in the plan"):
        data_source(tmp_path / "a.toml")
