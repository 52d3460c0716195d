"""Imaging depth: the same view with the transducer's range set deeper or shallower."""

from __future__ import annotations

from typing import Any

import numpy as np

from robustness.perturb.image.spatial.base import GeometricPerturbation
from robustness.perturb.image.spatial.warp import affine
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params


class _Depth(GeometricPerturbation):
    """Scale about the middle of the upper border, where the transducer is, by the ratio of the depths."""

    identity = 1.0

    def move(self, value: Any, case: Case, rng: np.random.Generator) -> Params:
        """Return the ratio of the new depth to the old one; nothing is drawn."""
        ratio = float(value)
        return {"ratio": ratio, "spacing": [ratio, ratio], **affine(np.eye(2) * ratio, (0.0, ratio - 1))}

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the record of the move; a machine shows black where it has no echoes, whatever the border holds."""
        params = super().propose(case, severity, rng)
        if isinstance(params, NotApplicable):
            return params
        return {
            **params,
            **{key: [0.0] * 3 if key == "fill" else 0.0 for key in ("fill", "fill_deep") if key in params},
        }


@PERTURBATIONS.add("imaging_depth_up")
class ImagingDepthUp(_Depth):
    """Show an ultrasound image at 1.1 to 2 times its depth: all of it is smaller and nearer to the upper border.

    Imitates a depth setting that is too deep; what the old image did not reach is black. Size and location words are
    judged again. The value is the ratio of the new depth to the old one.

    Source: Leclerc et al., "Deep Learning for Segmentation Using an Open Large-Scale Dataset in 2D Echocardiography",
    IEEE Trans. Med. Imaging 2019, doi:10.1109/TMI.2019.2900516 (settings that differ between acquisitions).
    """

    name = "imaging_depth_up"
    values = (1.1, 1.2, 1.4, 1.65, 2.0)


@PERTURBATIONS.add("imaging_depth_down")
class ImagingDepthDown(_Depth):
    """Show an ultrasound image at 0.93 to 0.6 of its depth: all of it is larger and the far field leaves the frame.

    Imitates a depth setting that is too shallow. Size, number and location words are judged again: parts of the target
    that leave the frame are counted out. The value is the ratio of the new depth to the old one.

    Source: Leclerc et al., "Deep Learning for Segmentation Using an Open Large-Scale Dataset in 2D Echocardiography",
    IEEE Trans. Med. Imaging 2019, doi:10.1109/TMI.2019.2900516 (settings that differ between acquisitions).
    """

    name = "imaging_depth_down"
    values = (0.93, 0.86, 0.78, 0.7, 0.6)
