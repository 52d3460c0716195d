"""Left-right mirroring of picture, mask and words together."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from robustness.errors import CaseError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.mirror_words import mirror_swaps, mirrored_text, swapped
from robustness.registry import PERTURBATIONS
from robustness.types import Case, Image, Mask, NotApplicable, Params, Prompt

_SIDELESS_VIEWS = ("sagittal", "lateral")


@PERTURBATIONS.add("horizontal_flip")
class HorizontalFlip(BasePerturbation):
    """Mirror the picture about its vertical axis, move the mask, and rewrite the words that this makes false.

    Imitates another display convention (neurological against radiological) or a mirrored export. "top left" becomes
    "top right"; a side word ("left hippocampus") becomes the other side where the side can be seen, which the data's
    attribute `side_visible` says, or the view (sagittal and lateral pictures show no side). A side that names both
    stays. Where the words cannot be kept true it is not applicable, with the reason. Scores are taken in the mirrored
    frame.

    Source: Shorten and Khoshgoftaar, "A survey on Image Data Augmentation for Deep Learning", J. Big Data 2019,
    doi:10.1186/s40537-019-0197-0 (label safety of flips).
    """

    name = "horizontal_flip"
    target: ClassVar[str] = "both"
    severities = (1,)
    expectation = "invariant"

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return whether the picture is mirrored, whether its side can be seen, and the words that change."""
        visible = _side_visible(case)
        if severity == 0:
            return {"mirrored": False, "side_visible": visible, "swaps": []}
        swaps = mirror_swaps(case.prompt, side_visible=visible)
        if isinstance(swaps, NotApplicable):
            return swaps
        return {"mirrored": True, "side_visible": visible, "swaps": [list(swap) for swap in swaps]}

    def change(self, image: Image, params: Params) -> Image:
        """Return the mirrored image, uint8 (H, W, 3)."""
        return np.ascontiguousarray(image[:, ::-1]) if params["mirrored"] else image.copy()

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with image, mask, prompt and stated attributes mirrored."""
        if not params["mirrored"]:
            return case
        return dataclasses.replace(
            case,
            image=self.change(case.image, params),
            mask=self.apply_mask(case.mask, params),
            prompt=self.apply_prompt(case.prompt, params),
            metadata=_mirrored_metadata(case.metadata, side_visible=params["side_visible"]),
        )

    def apply_mask(self, mask: Mask, params: Params) -> Mask:
        """Return the mirrored mask, bool (H, W)."""
        return np.ascontiguousarray(mask[:, ::-1]) if params["mirrored"] else mask

    def apply_prompt(self, prompt: Prompt, params: Params) -> Prompt:
        """Return any prompt of the case with its left and right kept true.

        Raises:
            CaseError: the words of this prompt cannot be kept true.
        """
        if not params["mirrored"]:
            return prompt
        swaps = mirror_swaps(prompt, side_visible=params["side_visible"])
        if isinstance(swaps, NotApplicable):
            raise CaseError(f"{self.name}: {swaps.reason}")
        return swapped(prompt, swaps)


def _side_visible(case: Case) -> bool:
    attributes = case.metadata.get("attributes") or {}
    if isinstance(attributes.get("side_visible"), bool):
        return bool(attributes["side_visible"])
    stated = case.prompt.get("view")
    view = stated.value if stated else str(attributes.get("view", ""))
    return view.lower() not in _SIDELESS_VIEWS


def _mirrored_metadata(metadata: Any, *, side_visible: bool) -> dict[str, Any]:
    """Keep what stays true: the sibling prompts speak of the picture as it was, so they go."""
    attributes = dict(metadata.get("attributes") or {})
    for key in ("location", "side") if side_visible else ("location",):
        if isinstance(attributes.get(key), str):
            attributes[key] = mirrored_text(attributes[key]) if key == "side" else _each_mirrored(attributes[key])
    changed = {**metadata, "attributes": attributes, "siblings": {}}
    if "image_float" in metadata:
        changed["image_float"] = np.ascontiguousarray(metadata["image_float"][:, ::-1])
    return changed


def _each_mirrored(places: str) -> str:
    return ",".join(mirrored_text(place) for place in places.split(","))
