"""The words of a label's name: "anterior hippocampus" is the hippocampus, and of it the anterior part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from robustness.perturb.language.parse import parse_prompt
from robustness.perturb.language.templates import QUALIFIERS


def label_words(label: str) -> dict[str, str]:
    """Return what the name of a mask's label states: `target`, and `side` and `direction` where it names them.

    A name that is not just such words before a known structure is the target as a whole ("left atrium"); where it is,
    `label` repeats it in full, for prompts that have no place for such words.

    Args:
        label: as the label map's table, or a segmentation file, names it.

    Example:
        >>> label_words("Left kidney"), label_words("left atrium")
        ({'target': 'kidney', 'side': 'left', 'label': 'Left kidney'}, {'target': 'left atrium'})
    """
    prompt = parse_prompt(label)
    parts = sorted((a.start, a.kind, a.value) for a in prompt.attributes)
    words = {kind: value.lower() for _, kind, value in parts if kind in QUALIFIERS}
    is_whole = " ".join(value for _, _, value in parts) == label and words.get("side") in (None, "left", "right")
    is_split = len(parts) == len(words) + 1 and parts[-1][1] == "target"
    return {"target": parts[-1][2], **words, "label": label} if words and is_whole and is_split else {"target": label}


def qualifies_only(label: str) -> bool:
    """Tell whether a label's name is nothing but a side or a direction: "anterior", "Left"."""
    prompt = parse_prompt(label)
    kinds = [attribute.kind for attribute in prompt.attributes]
    return bool(kinds) and set(kinds) <= set(QUALIFIERS) and " ".join(a.value for a in prompt.attributes) == label


def label_of(target: str, attributes: Any) -> str:
    """Return the label's name in full that attributes state beside a target, "" where it says no more than the target.

    Args:
        target: of the case ("hippocampus").
        attributes: of the entry; anything but a mapping states nothing.
    """
    label = str(attributes.get("label") or "") if isinstance(attributes, Mapping) else ""
    words = label_words(label) if label else {}
    return label if "label" in words and words["target"].lower() == target.lower() else ""
