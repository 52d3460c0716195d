"""Base class of image perturbations."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from robustness.perturb.image.pixels import along, between, changed_cases, checked_values, n_planes, severity_value
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch
if TYPE_CHECKING:
    import torch


from robustness.perturb.base import BasePerturbation, Device


class ImagePerturbation(BasePerturbation):
    """A change of the pixels alone; a subclass states `values` and `identity` and fills `change`.

    Attributes:
        values: what severities 1, 2, ... mean: a number each, or a tuple of numbers. They belong to the instance, so
            that a calibrated table or a preset can replace them (`with_values`).
        identity: the value at severity 0, at which `change` returns its input.
        keys: the names of a value's numbers in the record.
        colour_only: the change means nothing on a gray image, where it is not applicable.
        span: the values between which calibration looks, from the mildest to the strongest.
        whole_numbers: values are whole.
        smooth: similarity falls along the span; if not, calibration takes the values at which it is lower than before.
        lengths: values are lengths in pixels of an image whose shorter side has 256.
    """

    target: ClassVar[str] = "image"
    severities: tuple[int, ...] = (1, 2, 3, 4, 5)
    expectation = "invariant"
    values: tuple[Any, ...] = ()
    identity: Any = 0.0
    keys: ClassVar[tuple[str, ...]] = ("value",)
    colour_only: ClassVar[bool] = False
    per_prompt: ClassVar[bool] = False
    span: ClassVar[tuple[float, float] | None] = None
    whole_numbers: ClassVar[bool] = False
    smooth: ClassVar[bool] = True
    lengths: ClassVar[bool] = False

    def with_values(self, values: Sequence[Any]) -> Self:
        """Return a copy with other parameters, one for each severity.

        Raises:
            InputError: not one value for each severity, or not as many finite numbers in each as the entry has.
        """
        copied = copy.copy(self)
        copied.values = checked_values(self.name, values, count=len(self.severities), like=self.identity)
        return copied

    def at_strength(self, strength: float) -> Any:
        """Return the value at a strength from 0 (mildest) to 1 (strongest), for calibration.

        Along `span` in equal ratios; without a span, along the straight lines from the identity through `values`.
        """
        if self.span is not None:
            value = between(*self.span, strength)
            return round(value) if self.whole_numbers else value
        return along((self.identity, *self.values), strength)

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the change: the severity's value and what is drawn, or why it does not apply."""
        value = severity_value(self.values, severity, identity=self.identity)
        if self.colour_only and n_planes(case) == 1:
            return NotApplicable("the image is gray: it has no colour that could change")
        return self.parameters(value, case, rng)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return a value as JSON with everything that is drawn; by default the numbers under `keys`.

        `change` must need nothing else than this record and the pixels.
        """
        numbers = value if isinstance(value, tuple) else (value,)
        return dict(zip(self.keys, numbers, strict=True))

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the changed images.

        Args:
            pixels: float32 (B, C, H, W) in [0, 1], C = 1 for gray images and 3 for RGB, on any device.
            params: the record of each image.

        Returns:
            The same shape; values outside [0, 1] are clipped by `apply`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define change()")

    def apply(self, case: Case, params: Params) -> Case:
        """Return the case with its image changed; the mask and the words stay."""
        return self.apply_batch([case], [params])[0]

    def apply_batch(self, cases: Sequence[Case], params: Sequence[Params], device: Device = "cpu") -> list[Case]:
        """Return each case with its image changed, images of one size together on `device`.

        On the CPU images go one by one, so that no bit depends on the company that an image keeps.
        """
        return changed_cases(self.change, cases, params, device)
