"""Promises of this project about its model. Run: pytest. A new baseline: pytest --robustness-update."""

import pytest
from robustness.gates.assertions import GateError

import metrics

BASELINE = "baselines/main.toml"
SIZE_WORDS = {"condition": "antonym:size", "metric": "mask_change"}


@pytest.fixture
def run(robustness_audit):
    """The model of this checkout, audited by plan.toml; kept until model, data or plan change."""
    return robustness_audit("plan.toml")


def changed(robustness_audit, **arguments):
    """Audit a model that a change gave us."""
    told = ", ".join(f"{name} = {value}" for name, value in {"images": 2, **arguments}.items())
    return robustness_audit("plan.toml", overrides=[f"model.options.arguments={{ {told} }}"])


# Minimum functionality: it finds what it is asked for.
def test_it_segments_the_lesion_that_the_prompt_names(run):
    run.assert_minimum(0.6)
    run.assert_follows("size")


# Invariance: what should not matter does not.
def test_paraphrase_and_mild_noise_change_little(run):
    run.assert_invariant("paraphrase", margin=0.02)
    run.assert_retention("image:*@1", at_least=0.9)


# Direction: the wrong word leads away.
def test_the_wrong_size_costs_dice(run):
    run.assert_directional("antonym:size", "drop", at_least=0.2)


# Regression: as good as the model that was merged last.
def test_nothing_got_worse_since_the_baseline(run):
    run.assert_no_proven_drop(BASELINE)
    run.assert_no_proven_drop(BASELINE, **SIZE_WORDS)


def test_a_change_that_forgets_size_words_is_caught(robustness_audit):
    with pytest.raises(GateError, match="mask_change") as caught:
        changed(robustness_audit, change=1, forgets=0.05).assert_no_proven_drop(BASELINE, **SIZE_WORDS)
    assert caught.value.judged.outcome == "fail"


def test_a_change_that_changes_nothing_on_average_passes(robustness_audit):
    changed(robustness_audit, change=1, forgets=0.0).assert_no_proven_drop(BASELINE, **SIZE_WORDS)


def test_the_projects_own_metrics_module_is_the_one_that_is_imported():
    assert metrics.OWNER == "this example"
