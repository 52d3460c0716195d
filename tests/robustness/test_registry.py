import pytest

from robustness.errors import UnknownNameError
from robustness.registry import METRICS, MODELS, PERTURBATIONS, Registry


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
