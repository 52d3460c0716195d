"""Window and level of a CT display that differ from those of the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import column
from robustness.registry import PERTURBATIONS
from robustness.types import Params

if TYPE_CHECKING:
    import torch


class _Level(ImagePerturbation):
    """Move the window's centre by a share of its width: ``v -> v - shift``, cut to the range."""

    keys: ClassVar[tuple[str, ...]] = ("shift",)
    direction: ClassVar[float] = 1.0

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images at another level."""
        return pixels - self.direction * column(params, "shift", pixels)


@PERTURBATIONS.add("window_level_up")
class WindowLevelUp(_Level):
    """Raise the level of the display window: the image darkens, soft tissue sinks to black.

    Imitates a preset for denser tissue, or a rescale intercept that was ignored. The value is the shift in widths of
    the window; what leaves it is cut off.

    Source: Barrett and Keat, Radiographics 2004, doi:10.1148/rg.246045065; DICOM PS3.3 C.11.2.1.2 (window centre and
    width).
    """

    name = "window_level_up"
    values = (0.081, 0.099, 0.15, 0.17, 0.21)
    span: ClassVar[tuple[float, float]] = (0.005, 0.5)


@PERTURBATIONS.add("window_level_down")
class WindowLevelDown(_Level):
    """Lower the level of the display window: the image brightens, dense tissue burns out, air turns gray.

    Imitates a preset for softer tissue, or a rescale intercept that was applied twice. The value is the shift in widths
    of the window; what leaves it is cut off.

    Source: DICOM PS3.3 C.11.2.1.2 (window centre and width).
    """

    name = "window_level_down"
    values = (0.07, 0.12, 0.2, 0.28, 0.38)
    span: ClassVar[tuple[float, float]] = (0.005, 0.38)
    direction = -1.0


class _Width(ImagePerturbation):
    """Change the window's width by a ratio about its centre: ``v -> (v - 1/2) / ratio + 1/2``, cut to the range."""

    identity: Any = 1.0
    keys: ClassVar[tuple[str, ...]] = ("ratio",)
    widens: ClassVar[bool] = False

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images at another width; at a ratio of 1 unchanged."""
        ratio = column(params, "ratio", pixels)
        scale = 1 / ratio if self.widens else ratio
        return ((pixels - 0.5) * scale + 0.5).where(ratio != 1, pixels)


@PERTURBATIONS.add("window_narrow")
class WindowNarrow(_Width):
    """Narrow the display window: contrast rises, both ends are cut off.

    Imitates a soft-tissue or stroke preset where the training data had a wider one. The value is the ratio of the old
    to the new width; the centre stays.

    Source: DICOM PS3.3 C.11.2.1.2 (window centre and width).
    """

    name = "window_narrow"
    values = (1.3, 1.5, 1.7, 1.9, 2.1)
    span: ClassVar[tuple[float, float]] = (1.02, 6.0)


@PERTURBATIONS.add("window_wide")
class WindowWide(_Width):
    """Widen the display window: contrast falls, black and white turn gray.

    Imitates a bone or lung preset where the training data had a narrower one; what the old window had cut off stays
    cut off. The value is the ratio of the new to the old width; the centre stays.

    Source: DICOM PS3.3 C.11.2.1.2 (window centre and width).
    """

    name = "window_wide"
    values = (1.2, 1.45, 1.9, 2.6, 4.0)
    span: ClassVar[tuple[float, float]] = (1.005, 4.0)
    widens = True
