"""Reading part by part gives what reading the whole gives."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from robustness.perturb.language import align
from robustness.perturb.language.parts import read_in_parts
from robustness.perturb.language.reader import Reader
from tests.perturb.prompt_cases import FAMILIES

HEADS = st.lists(
    st.sampled_from(
        [
            *"one two small Large medium pink white round circle thumb benign left a single".split(),
            "it is a round shape",
            "tiny, small",
            "hot dog",
            "large bone",
            "no",
        ]
    ),
    max_size=5,
)
TARGETS = st.sampled_from(
    [
        "polyp",
        "skin melanoma",
        "tumors",
        "Left ventricular cavity",
        "Support Devices",
        "caudate nucleus",
        "white matter",
        "lung",
        "zorp",
        "large bowel",
        "",
    ]
)
TAILS = st.lists(
    st.sampled_from(
        [
            ", located in top left of the image",
            " located in center of the image",
            " of a forty-year-old female with good image quality.",
            " which is a small lump",
            " in axial T1 brain MRI",
            " of oval shape",
            " of shape circle",
            " in two-chamber view of the heart",
            ". Edema, Fracture are present.",
            " of a male",
            " is present.",
            " in the frontal view of a Chest Xray",
            " at the top left in the breast ultrasound image.",
            " in two separate regions",
            ", and located in right, center",
            " of x shape",
            "-shaped",
        ]
    ),
    max_size=4,
)


@given(
    HEADS, TARGETS, TAILS, st.sampled_from(["", "small zorp", "left zorp"]), st.booleans(), st.sampled_from(["", "CT"])
)
@settings(max_examples=600, deadline=None)
def test_parts_read_apart_give_what_the_whole_gives(
    head: list[str], target: str, tails: list[str], name: str, lateral: bool, modality: str
) -> None:
    text = " ".join([*head, target]).strip() + "".join(tails)
    found = read_in_parts(text, align.EMPTY, name, lateral, modality)
    if found is not None:
        assert found == tuple(Reader(text, align.EMPTY, name, lateral, modality).read())


def test_common_prompts_are_read_in_parts() -> None:
    apart = [f for f, text in FAMILIES.items() if read_in_parts(text, align.EMPTY, "", False, "") is not None]
    assert {"polyp", "melanoma", "ulcer", "echo", "chest", "brain"} <= set(apart)
