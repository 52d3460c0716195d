"""Shared parts of both mirrorings: image, mask, words and stated attributes move together."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from robustness.errors import CaseError
from robustness.perturb.base import BasePerturbation
from robustness.perturb.language.mirror_words import Mirror, mirror_swaps, mirrored_text, swapped
from robustness.types import Case, Image, Mask, NotApplicable, Params, Prompt

_SIDELESS_VIEWS = ("sagittal", "lateral")


class Flip(BasePerturbation):
    """Base of the mirrorings; a subclass states its `mirror`, and whether the words follow."""

    target: ClassVar[str] = "both"
    severities = (1,)
    expectation = "invariant"
    mirror: ClassVar[Mirror] = "horizontal"
    rewrites: ClassVar[bool] = True

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return whether the image is mirrored, whether its side can be seen, and the words that change."""
        visible = _side_visible(case)
        if severity == 0:
            return {"mirrored": False, "side_visible": visible, "swaps": []}
        swaps = mirror_swaps(case.prompt, side_visible=visible, mirror=self.mirror)
        if isinstance(swaps, NotApplicable):
            return swaps
        if not self.rewrites:
            if not swaps:
                return NotApplicable("no word of the prompt becomes false, so there is nothing to leave unrewritten")
            swaps = []
        return {"mirrored": True, "side_visible": visible, "swaps": [list(swap) for swap in swaps]}

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with image, mask, prompt and stated attributes mirrored."""
        if not params["mirrored"]:
            return case
        return dataclasses.replace(
            case,
            image=self.change(case.image, params),
            mask=self.apply_mask(case.mask, params),
            prompt=self.apply_prompt(case.prompt, params),
            metadata=self._metadata(case.metadata, side_visible=params["side_visible"]),
        )

    def change(self, image: Image, params: Params) -> Image:
        """Return the mirrored image, uint8 (H, W, 3)."""
        return self._turned(image) if params["mirrored"] else image.copy()

    def apply_mask(self, mask: Mask, params: Params) -> Mask:
        """Return the mirrored mask, bool (H, W)."""
        return self._turned(mask) if params["mirrored"] else mask

    def apply_prompt(self, prompt: Prompt, params: Params) -> Prompt:
        """Return any prompt of the case with its directions kept true.

        Raises:
            CaseError: the words of this prompt cannot be kept true.
        """
        if not params["mirrored"] or not self.rewrites:
            return prompt
        swaps = mirror_swaps(prompt, side_visible=params["side_visible"], mirror=self.mirror)
        if isinstance(swaps, NotApplicable):
            raise CaseError(f"{self.name}: {swaps.reason}")
        return swapped(prompt, swaps, mirror=self.mirror)

    def _turned(self, pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(pixels[:, ::-1] if self.mirror == "horizontal" else pixels[::-1])

    def _metadata(self, metadata: Any, *, side_visible: bool) -> dict[str, Any]:
        """Keep what stays true: the sibling prompts speak of the image as it was, so they go."""
        attributes = dict(metadata.get("attributes") or {})
        if isinstance(attributes.get("location"), str):
            places = attributes["location"].split(",")
            attributes["location"] = ",".join(mirrored_text(location, mirror=self.mirror) for location in places)
        if side_visible and self.mirror == "horizontal" and isinstance(attributes.get("side"), str):
            attributes["side"] = mirrored_text(attributes["side"])
        changed = {**metadata, "attributes": attributes, "siblings": {}}
        if "image_float" in metadata:
            changed["image_float"] = self._turned(metadata["image_float"])
        return changed


def _side_visible(case: Case) -> bool:
    attributes = case.metadata.get("attributes") or {}
    if isinstance(attributes.get("side_visible"), bool):
        return bool(attributes["side_visible"])
    stated = case.prompt.get("view")
    view = stated.value if stated else str(attributes.get("view", ""))
    return view.lower() not in _SIDELESS_VIEWS
