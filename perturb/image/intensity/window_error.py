"""Window errors: the wrong part of the detector's range is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.seeds import generator
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch


@PERTURBATIONS.add("window_error")
class WindowError(ImagePerturbation):
    """Show a narrower window at a wrong level: a share of the range is cut off, at the dark or at the bright end.

    Values ``low ... high`` are stretched to the whole range and what lies outside is clipped; one end, the same for a
    case at all severities, loses three quarters of the value, the other a quarter. Imitates a DICOM image shown with
    another window centre and width than meant (a preset for another tissue, a missing or doubled rescale slope and
    intercept). With a 16-bit source the deep values are stretched, so nothing but the ends is lost.

    Source: DICOM PS3.3 section C.11.2 (VOI LUT: Window Center and Window Width); Lee, Kim and Do,
    "Practical Window Setting Optimization for Medical Image Deep Learning", 2018, arXiv:1812.00572.
    """

    name = "window_error"
    values = (0.0846, 0.144, 0.246, 0.362, 0.569)
    span: ClassVar[tuple[float, float]] = (0.005, 0.95)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the ends of the window in [0, 1]."""
        # From the case and not from `rng`, which differs between severities: a stronger error goes on from a weaker.
        dark = 0.75 if generator(0, case.case_id, self.name).random() < 0.5 else 0.25
        return {"low": value * dark, "high": 1 - value * (1 - dark)}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images in the wrong window."""
        low, high = column(params, "low", pixels), column(params, "high", pixels)
        return (pixels - low) / (high - low)
