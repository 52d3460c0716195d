import tomllib

import pytest

from robustness.errors import InputError
from robustness.plans.audit import load_plan, parse_plan

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
    ],
)
def test_mistakes_are_one_line_that_names_the_place(change, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_plan({**TREE, **change})
    assert "\n" not in str(caught.value)


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
