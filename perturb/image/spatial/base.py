"""Base class of the changes of geometry: image, mask, words, stated attributes and pixel spacing move together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from robustness.errors import CaseError
from robustness.perturb.base import Device
from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import DEEP, is_gray, severity_value
from robustness.perturb.image.spatial.warp import Source, border_fill, moved_labels, moved_mask, moved_pixels, sources
from robustness.perturb.language.edit import Edit
from robustness.perturb.language.moved_words import Move, move_of, with_edits, words_after
from robustness.types import Case, Image, Mask, NotApplicable, Params, Prompt

_SIDES = (1.0, 1.0)


class GeometricPerturbation(ImagePerturbation):
    """A move of the image in its frame; a subclass states `values` and fills `move`.

    The image is resampled bilinearly, masks by the nearest pixel. What comes from outside is the median of the
    image's border (black around a scan), and no part of the target; what leaves the frame is gone from image,
    reference and clean prediction alike, so that scores are taken in the moved frame. Words that the move makes false
    are rewritten from the moved mask, or the change is not applicable, with the reason; so it is where the target
    leaves the frame altogether.
    """

    target: ClassVar[str] = "both"
    per_prompt: ClassVar[bool] = True

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the record of the move: `warp.affine(...)`, whatever else was drawn, and `spacing` where it scales."""
        raise NotImplementedError(f"{type(self).__name__} must define move()")

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the move and of the words that change, or why it does not apply."""
        if severity == 0:
            return {"moved": False}
        params = {"moved": True, **self.move(severity_value(self.values, severity, identity=self.identity), case, rng)}
        params["fill"] = [float(v) for v in border_fill(case.image)]
        if DEEP in case.metadata:
            params["fill_deep"] = float(border_fill(case.metadata[DEEP]))
        move = _move(case, params)
        if case.mask.any() and not move.after.any():
            return NotApplicable("the target leaves the frame altogether")
        edits = words_after(case, move)
        if isinstance(edits, NotApplicable):
            return edits
        return {**params, "prompt": case.prompt.text, "words": [list(edit) for edit in edits]}

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with everything moved.

        Raises:
            CaseError: the words of this prompt cannot be kept true.
        """
        if not params["moved"]:
            return case
        move = _move(case, params)
        edits = words_after(case, move)
        if isinstance(edits, NotApplicable):
            raise CaseError(f"{self.name}: {edits.reason}")
        where = sources(params, case.image.shape)
        image = _moved_image(case.image, where, params["fill"])
        metadata = {**case.metadata, "attributes": dict(move.attributes), "siblings": {}}
        if DEEP in metadata:
            deep = moved_pixels(metadata[DEEP], where, np.asarray(params["fill_deep"]))
            metadata[DEEP] = deep.astype(np.float32)
        return dataclasses.replace(
            case,
            image=image,
            mask=move.after,
            prompt=with_edits(case.prompt, edits),
            metadata=metadata,
            spacing_mm=_spacing(case, params),
        )

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: Device = "cpu") -> list[Case]:
        """Return the moved cases, one by one: each has its own words, and the move costs little beside encoding."""
        return [self.apply(case, one) for case, one in zip(cases, params, strict=True)]

    def apply_mask(self, mask: Mask, params: Params) -> Mask:
        """Return a mask (H, W) of any resolution moved by the nearest pixel."""
        return moved_mask(mask, params) if params["moved"] else mask

    def apply_prompt(self, prompt: Prompt, params: Params) -> Prompt:
        """Return the prompt that was recorded with the words that the move changed.

        Raises:
            CaseError: another prompt, whose truth only `apply` can judge, which sees the mask.
        """
        if not params["moved"]:
            return prompt
        if prompt.text != params["prompt"]:
            raise CaseError(f"{self.name}: the record is of the prompt {params['prompt']!r}, got {prompt.text!r}")
        return with_edits(prompt, [Edit(*edit) for edit in params["words"]])


def _moved_image(image: Image, where: Source, fill: Sequence[float]) -> Image:
    # One channel of a gray image says it all, and costs a third.
    gray = is_gray(image) and len(set(fill)) == 1
    pixels, outside = (image[..., 0], np.asarray(fill[0])) if gray else (image, np.asarray(fill))
    moved = np.rint(moved_pixels(pixels, where, outside)).astype(np.uint8)
    return np.repeat(moved[..., None], 3, axis=2) if gray else moved


def _move(case: Case, params: Params) -> Move:
    from scipy import ndimage

    labels, components = ndimage.label(case.mask, structure=np.ones((3, 3)))
    moved = moved_labels(labels, sources(params, case.mask.shape))
    left = components - np.unique(moved[moved > 0]).size
    return move_of(case, moved > 0, left=int(left), components=int(components))


def _spacing(case: Case, params: Params) -> tuple[float, float] | None:
    """Return the size of a pixel after a move that scales: an image taken from nearer has smaller pixels."""
    if case.spacing_mm is None:
        return None
    down, across = params.get("spacing", _SIDES)
    return case.spacing_mm[0] * down, case.spacing_mm[1] * across


def physical_aspect(case: Case) -> float:
    """Return width by height of an image in mm, in pixels where the spacing is unknown."""
    height, width = case.image.shape[:2]
    down, across = case.spacing_mm or _SIDES
    return width * across / (height * down)
