import pytest

from robustness.errors import InputError
from robustness.plans.audit import DataSpec
from robustness.workflows.loading import load_data
from tests.synthetic import write_dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "set", images=2)


def _texts(data, template):
    dataset = load_data(DataSpec(path=str(data), prompt="p2", template=template), seed=0)
    return [case.prompt for case in dataset]


def test_a_plan_s_template_makes_every_prompt(data):
    prompts = _texts(data, "a {size} {side} {target}[ seen in {phase}]")
    assert [p.text for p in prompts][:2] == ["a medium left caudate nucleus", "a medium right caudate nucleus"]
    assert prompts[0].get("side").value == "left"


def test_what_the_data_do_not_state_is_measured(data):
    (first, *_) = _texts(data, "{number} {target} of {shape} shape")
    assert first.text.startswith("one caudate nucleus of ")
    assert first.text.split()[4] in ("round", "circular", "oval")


@pytest.mark.parametrize(
    ("template", "message"), [("{colr} {target}", "got 'colr'"), ("{phase} {target}", "phase is not known")]
)
def test_templates_that_cannot_be_filled_are_one_clear_line(data, template, message):
    with pytest.raises(InputError, match=message):
        _texts(data, template)
