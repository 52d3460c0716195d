"""Errors in k-space: truncation, spikes, ghosts of periodic motion, motion between echoes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.pixels import detail_scale
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

_POSES = 5


@PERTURBATIONS.add("gibbs_ringing")
class GibbsRinging(ImagePerturbation):
    """Cut k-space off at a radius: edges ring.

    Imitates an acquisition matrix that is too small: ``1 - value`` of the way from the middle of k-space to its corner
    is kept, the same share of each axis. On a square equal to MONAI's GibbsNoise bit for bit, without the seconds that
    its import takes; MONAI measures both axes by the longer one, on images that are not square the radius is an ellipse
    here.

    Source: Morelli et al., "An Image-based Approach to Understanding the Physics of MR Artifacts", Radiographics 2011,
    doi:10.1148/rg.313105115; MONAI `GibbsNoise`.
    """

    name = "gibbs_ringing"
    values = (0.64, 0.73, 0.8, 0.85, 0.89)
    span: ClassVar[tuple[float, float]] = (0.3, 0.95)
    keys: ClassVar[tuple[str, ...]] = ("cut",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the ringing images."""
        import torch

        return torch.stack([_ringing(one, params[i]["cut"]) for i, one in enumerate(pixels)])


def _ringing(image: torch.Tensor, cut: float) -> torch.Tensor:
    import torch

    if cut == 0:
        return image
    within = torch.from_numpy(_within(image.shape[-2], image.shape[-1], cut)).to(image.device)
    return _image_of(_spectrum(image) * within)


@lru_cache(maxsize=64)
def _within(height: int, width: int, cut: float) -> npt.NDArray[np.bool_]:
    """Return which points of k-space, the middle first shifted to the centre, are kept."""
    if height == width:
        # MONAI's own steps, so that no point on the radius falls on the other side of it.
        down = across = (np.arange(height) - (height - 1) / 2) ** 2
        return np.asarray(np.sqrt(down[:, None] + across[None]) <= (1 - cut) * height * np.sqrt(2) / 2.0)
    # As shares of half an axis, measured from the middle as MONAI does.
    rows, columns = (((np.arange(n) - (n - 1) / 2) / (n / 2)) ** 2 for n in (height, width))
    return np.asarray(rows[:, None] + columns[None] <= 2 * (1 - cut) ** 2)


def _spectrum(image: torch.Tensor) -> torch.Tensor:
    """Return the k-space (C, H, W) of an image, its middle at (H // 2, W // 2)."""
    import torch

    return torch.fft.fftshift(torch.fft.fftn(image, dim=(-2, -1)), dim=(-2, -1))


def _image_of(spectrum: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.fft.ifftn(torch.fft.ifftshift(spectrum, dim=(-2, -1)), dim=(-2, -1)).real


@PERTURBATIONS.add("kspace_spikes")
class KspaceSpikes(ImagePerturbation):
    """Put a spike into k-space: a plane wave lies over the whole image.

    Imitates a spark or gradient spike during read-out (herringbone, corduroy). The magnitude of one point becomes
    ``value * H * W``, so that the wave's amplitude is the value (of a range of 1); its place in k-space is drawn. Equal
    to MONAI's KSpaceSpikeNoise bit for bit, without the seconds that its import takes.

    Source: Stadler et al., "Artifacts in body MR imaging: their appearance and how to eliminate them", Eur. Radiol.
    2007, doi:10.1007/s00330-006-0470-4; MONAI `KSpaceSpikeNoise`.
    """

    name = "kspace_spikes"
    values = (0.025, 0.041, 0.063, 0.092, 0.14)
    span: ClassVar[tuple[float, float]] = (0.002, 0.3)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the amplitude and the spike's frequency in cycles per image, down and across."""
        height, width = case.image.shape[:2]
        cycles = rng.uniform(0.06, 0.22) * min(height, width)
        angle = rng.uniform(0, math.pi)
        rows, columns = round(cycles * math.sin(angle)), round(cycles * math.cos(angle))
        return {"amplitude": value, "rows": rows, "columns": columns or 1}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with waves."""
        import torch

        return torch.stack([_spiked(one, params[i]) for i, one in enumerate(pixels)])


def _spiked(image: torch.Tensor, one: Params) -> torch.Tensor:
    import torch

    if one["amplitude"] == 0:
        return image
    height, width = image.shape[-2:]
    spectrum = _spectrum(image)
    # By way of logarithms as in MONAI, so that the values are the same.
    log_magnitude, phase = (spectrum.abs() + 1e-10).log(), spectrum.angle()
    log_magnitude[:, height // 2 + one["rows"], width // 2 + one["columns"]] = math.log(
        one["amplitude"] * height * width
    )
    return _image_of(log_magnitude.exp() * torch.exp(1j * phase))


@PERTURBATIONS.add("ghosting")
class Ghosting(ImagePerturbation):
    """Repeat the image along the phase direction at both sides of itself, weaker and with another phase.

    Imitates breathing, pulsation or another periodic change during the scan: k-space lines k that are modulated by
    ``1 + value * cos(2 pi n k / N)`` make two ghosts, N / n pixels away, each half the value strong; the image is the
    magnitude of the sum, to which ghosts in quadrature add little light. n and the phase axis are drawn; ghosts wrap
    around.

    Source: Wood and Henkelman, "MR image artifacts from periodic motion", Med. Phys. 1985, doi:10.1118/1.595782;
    Stadler et al., Eur. Radiol. 2007, doi:10.1007/s00330-006-0470-4.
    """

    name = "ghosting"
    values = (0.25, 0.4, 0.6, 0.8, 1.0)
    span: ClassVar[tuple[float, float]] = (0.01, 1.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the strength, the distance of the ghosts in pixels, their phase and the phase axis."""
        axis = int(rng.integers(2))
        distance = round(case.image.shape[axis] / float(rng.uniform(2.5, 6.0)))
        return {"strength": value, "distance": distance, "phase": round(float(rng.uniform(1.0, 2.1)), 4), "axis": axis}

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with ghosts."""
        import torch

        return torch.stack([_ghosted(one, params[i]) for i, one in enumerate(pixels)])


def _ghosted(image: torch.Tensor, one: Params) -> torch.Tensor:
    if one["strength"] == 0:
        return image
    ghosts = [image.roll(sign * one["distance"], dims=one["axis"] - 2) for sign in (-1, 1)]
    both = one["strength"] / 2 * (ghosts[0] + ghosts[1])
    real, imaginary = image + both * math.cos(one["phase"]), both * math.sin(one["phase"])
    return (real**2 + imaginary**2).sqrt()


@PERTURBATIONS.add("mri_motion")
class MriMotion(ImagePerturbation):
    """Fill k-space from five poses of a patient who moves: blur and ghosts along the phase direction.

    Imitates rigid motion between echoes: each block of lines comes from the image shifted and turned by another pose;
    the block around the middle of k-space, which carries the contrast, comes from the pose that the mask shows. The
    value is the standard deviation of the motion in pixels of an image with a shorter side of 256, and in degrees.

    Source: Shaw et al., "MRI k-Space Motion Artefact Augmentation: Model Robustness and Task-Specific Uncertainty",
    MIDL 2019, PMLR 102:427-436; Zaitsev, Maclaren and Herbst, "Motion artifacts in MRI", J. Magn. Reson. Imaging 2015,
    doi:10.1002/jmri.24850.
    """

    name = "mri_motion"
    values = (0.79, 1.2, 2.2, 3.7, 10.0)
    span: ClassVar[tuple[float, float]] = (0.1, 10.0)

    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return every pose (rows, columns in pixels, degrees), the borders of the blocks and the phase axis."""
        scale = detail_scale(case)
        poses = rng.standard_normal((_POSES, 3))
        poses[_POSES // 2] = 0.0
        # One strength for every patient: what is drawn is only how the motion divides.
        poses *= value * np.sqrt((_POSES - 1) / np.maximum((poses**2).sum(0), 1e-9)) * (scale, scale, 1.0)
        near, far = rng.uniform(0.02, 0.05, 2), rng.uniform(0.05, 0.12, 2)
        borders = np.array([0.5 - near[0] - far[0], 0.5 - near[0], 0.5 + near[1], 0.5 + near[1] + far[1]])
        return {
            "poses": poses.round(4).tolist(),
            "borders": borders.round(4).tolist(),
            "axis": int(rng.integers(2)),
        }

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images of the patients who moved."""
        import torch

        return torch.stack([_moved(one, params[i]) for i, one in enumerate(pixels)])


def _moved(image: torch.Tensor, one: Params) -> torch.Tensor:
    import torch

    if not any(any(pose) for pose in one["poses"]):
        return image
    axis = one["axis"] - 2
    lines = torch.fft.fftshift(torch.fft.fft2(image), dim=(-2, -1))
    count = image.shape[axis]
    # The middle of k-space, line count // 2, lies in the middle block for any side of 26 pixels or more.
    cuts = [0, *(round(border * count) for border in one["borders"]), count]
    for pose, start, stop in zip(one["poses"], cuts[:-1], cuts[1:], strict=True):
        if stop > start and any(pose):
            other = torch.fft.fftshift(torch.fft.fft2(_posed(image, *pose)), dim=(-2, -1))
            block = torch.arange(start, stop, device=image.device)
            lines.index_copy_(image.ndim + axis, block, other.index_select(image.ndim + axis, block))
    return torch.fft.ifft2(torch.fft.ifftshift(lines, dim=(-2, -1))).abs()


def _posed(image: torch.Tensor, rows: float, columns: float, degrees: float) -> torch.Tensor:
    """Return the image moved by pixels and turned about its middle, black where nothing was."""
    import torch
    from torch.nn.functional import affine_grid, grid_sample

    height, width = image.shape[-2:]
    turn = math.radians(degrees)
    theta = image.new_tensor(
        [
            [math.cos(turn), -math.sin(turn) * height / width, -2 * columns / width],
            [math.sin(turn) * width / height, math.cos(turn), -2 * rows / height],
        ]
    )
    grid = affine_grid(theta[None], [1, *image.shape], align_corners=False)
    return torch.as_tensor(grid_sample(image[None], grid, mode="bilinear", align_corners=False)[0])
