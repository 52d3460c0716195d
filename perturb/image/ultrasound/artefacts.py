"""Paths that sound takes: shadows behind reflectors, echoes between them, haze from the chest wall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from robustness.perturb.image.base import ImagePerturbation
from robustness.perturb.image.fields import Map, coordinates, field_of_view, seeded, smooth_noise, smoothstep, stream
from robustness.perturb.image.pixels import column, stacked
from robustness.registry import PERTURBATIONS
from robustness.types import Case, NotApplicable, Params

if TYPE_CHECKING:
    import torch

# Beams start from a point this far above the image, in units of the shorter side.
_APEX = 0.35


class _Seeded(ImagePerturbation):
    def parameters(self, value: Any, case: Case, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the amount and the seed of what is drawn."""
        return {"amount": value, "seed": seeded(rng)}


@PERTURBATIONS.add("acoustic_shadow")
class AcousticShadow(_Seeded):
    """Darken what lies behind bright reflectors, along the beams.

    Imitates calculi, ribs and gas: a bright cap, and below it a dark stripe that widens with the beams of a sector. One
    to three shadows; the value is the share of the beams that they take in all.

    Source: Feldman, Katyal and Blackwood, "US artifacts", Radiographics 2009, doi:10.1148/rg.294085199.
    """

    name = "acoustic_shadow"
    values = (0.043, 0.081, 0.18, 0.3, 0.49)
    span: ClassVar[tuple[float, float]] = (0.03, 0.75)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with shadows."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        beams, depth = _shown_beams(pixels)[:, 0].cpu().numpy(), _beams(size)[1]
        drawn = [_shadows(stream(one, self.name), beams[i], depth, one["amount"]) for i, one in enumerate(params)]
        shade, caps = (stacked([one[k] for one in drawn], pixels)[:, None] for k in range(2))
        return pixels * (1 - shade) + 0.6 * caps * field_of_view(pixels) * (1 - pixels)


def _shadows(rng: np.random.Generator, beam: Map, depth: Map, amount: float) -> tuple[Map, Map]:
    """Return the shade and the bright caps, both (H, W) in [0, 1]."""
    shade, caps = np.zeros_like(beam), np.zeros_like(beam)
    if amount == 0:
        return shade, caps
    count = int(rng.integers(1, 4))
    shares = rng.dirichlet(np.full(count, 4.0)) * amount
    # Slots that do not overlap keep the sum of the shadows what it is said to be.
    gaps = rng.dirichlet(np.full(count + 1, 2.0)) * (1 - amount)
    start = 0.0
    for share, gap in zip(shares, gaps[:count], strict=True):
        start += gap
        middle, top = start + share / 2, rng.uniform(0.15, 0.4)
        across = 1 - smoothstep(np.abs(beam - middle), share / 2 - 0.15 * share, share / 2 + 0.01)
        behind = smoothstep(depth, top, top + 0.04)
        shade = np.maximum(shade, 0.9 * across * behind)
        caps = np.maximum(caps, across * np.exp(-(((depth - top) / 0.012) ** 2)))
        start += share
    return np.asarray(shade, np.float32), np.asarray(caps, np.float32)


def _beams(size: tuple[int, int]) -> tuple[Map, Map]:
    """Return each pixel's beam, 0 to 1 from left to right, and its depth in shares of the deepest."""
    rows, columns = coordinates(size)
    across = columns - columns.max() / 2
    angle = np.arctan2(across, rows + _APEX)
    depth = np.hypot(across, rows + _APEX) - _APEX
    return (angle - angle.min()) / max(float(np.ptp(angle)), 1e-6), depth / float(rows.max())


def _shown_beams(pixels: torch.Tensor) -> torch.Tensor:
    """Return each pixel's beam as 0 to 1 across the beams that the image shows, (B, 1, H, W).

    A sector does not fill its image: the beams beside it are below 0 and above 1.
    """
    beam, _ = _beams((int(pixels.shape[-2]), int(pixels.shape[-1])))
    beams, inside = stacked([beam] * len(pixels), pixels)[:, None], field_of_view(pixels) > 0
    first = beams.where(inside, pixels.new_tensor(2.0)).amin((1, 2, 3), keepdim=True)
    last = beams.where(inside, pixels.new_tensor(-1.0)).amax((1, 2, 3), keepdim=True)
    # An image without any light shows no beam; there is nothing to change in it either.
    return (beams - first.clamp(max=1)) / (last - first).clamp(min=1e-6)


@PERTURBATIONS.add("reverberation")
class Reverberation(_Seeded):
    """Repeat a bright interface at equal distances below itself, each echo weaker.

    Imitates sound that runs to and fro between the transducer and a strong reflector (A-lines, comet tails): curved
    bright bands at depths d, 2d, 3d, ..., each weaker by a constant factor. The value is the brightness of the first.

    Source: Feldman, Katyal and Blackwood, "US artifacts", Radiographics 2009, doi:10.1148/rg.294085199.
    """

    name = "reverberation"
    values = (0.25, 0.4, 0.55, 0.75, 1.0)
    span: ClassVar[tuple[float, float]] = (0.03, 1.0)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images with repeated echoes."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        bands = stacked([_bands(stream(one, self.name), size) for one in params], pixels)[:, None]
        return pixels + column(params, "amount", pixels) * bands * field_of_view(pixels) * (1 - 0.5 * pixels)


def _bands(rng: np.random.Generator, size: tuple[int, int]) -> Map:
    beam, depth = _beams(size)
    spacing = rng.uniform(0.11, 0.16)
    bend, middle, wide = rng.uniform(-0.04, 0.04), rng.uniform(0.35, 0.65), rng.uniform(0.3, 0.4)
    reach = smoothstep(wide - np.abs(beam - middle), 0.0, 0.12)
    warped = depth + bend * (beam - middle) ** 2 * 4 + 0.004 * smooth_noise(rng, size, 8)
    bands = np.zeros(size, np.float32)
    for number in range(1, int(1 / spacing) + 1):
        thick = 0.012 + 0.003 * number
        bands += 0.8 ** (number - 1) * np.exp(-(((warped - number * spacing) / thick) ** 2))
    return np.asarray(bands * reach, dtype=np.float32)


@PERTURBATIONS.add("sector_narrow")
class SectorNarrow(ImagePerturbation):
    """Blacken the outer beams: the sector is narrower.

    Imitates a smaller sector angle or field of view of the probe, which raises the frame rate, and outer elements
    without contact to the skin. A target at the side comes to lie in the dark; the reference stays, as under an
    occlusion. The value is the share of the beams that are lost, half at either side.

    Source: Prince and Links, "Medical Imaging Signals and Systems", 2nd ed. 2014, chapter 11 (sector scanners).
    """

    name = "sector_narrow"
    values = (0.25, 0.35, 0.48, 0.55, 0.64)
    span: ClassVar[tuple[float, float]] = (0.02, 0.8)
    keys: ClassVar[tuple[str, ...]] = ("share",)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the images of a narrower sector."""
        share = column(params, "share", pixels)
        off = (2 * _shown_beams(pixels) - 1).abs()
        inside = ((1 - share - off) / 0.02 + 0.5).clamp(0, 1)
        return (pixels * inside).where(share > 0, pixels)


@PERTURBATIONS.add("haze")
class Haze(_Seeded):
    """Veil the image with smooth clutter that is strongest near the transducer.

    Imitates the multipath clutter of echocardiography in patients with a thick chest wall: ``x + h (1 - x)`` inside the
    field of view, h a cloudy map that falls with depth. The value is the largest share of h.

    Source: Stevens et al., "Dehazing Ultrasound using Diffusion Models", IEEE Trans. Med. Imaging 2024,
    arXiv:2307.11204.
    """

    name = "haze"
    values = (0.25, 0.38, 0.55, 0.7, 0.85)
    span: ClassVar[tuple[float, float]] = (0.02, 0.85)

    def change(self, pixels: torch.Tensor, params: Sequence[Params]) -> torch.Tensor:
        """Return the veiled images."""
        size = (int(pixels.shape[-2]), int(pixels.shape[-1]))
        clouds = stacked([_clouds(stream(one, self.name), size) for one in params], pixels)[:, None]
        return pixels + column(params, "amount", pixels) * clouds * field_of_view(pixels) * (0.85 - pixels).clamp(min=0)


def _clouds(rng: np.random.Generator, size: tuple[int, int]) -> Map:
    _, depth = _beams(size)
    cloudy = 0.75 + 0.2 * smooth_noise(rng, size, 4) + 0.08 * smooth_noise(rng, size, 14)
    return np.asarray(np.clip(cloudy, 0, 1) * np.exp(-1.1 * np.clip(depth, 0, None)), dtype=np.float32)
