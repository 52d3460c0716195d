"""A model with its gradient: from pixels of the original image through resizing and network to the loss."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch

from robustness.perturb.attacks.base import AttackSettings, ImageArray
from robustness.perturb.image.pixels import is_gray, to_unit
from robustness.runners.attacks.loss import loss_of_logits, target_of
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter, SplitNetwork
from robustness.types import Case, Segmenter


@dataclass
class AttackCounters:
    """How much work attacks took: rows of a network's forward and backward passes, and black-box queries."""

    n_attack_forwards: int = 0
    n_attack_backwards: int = 0
    n_attack_queries: int = 0
    n_attack_texts: int = 0


def no_gradient(model: Segmenter) -> str | None:
    """Return why a model gives no gradient; None where it does."""
    if isinstance(model, NetworkSegmenter) and isinstance(model.network, SplitNetwork):
        return None
    if hasattr(model, "lookup"):
        return "stored predictions answer no changed image"
    return f"{model.name} is known by its predictions only, without a gradient"


class Gradient(NamedTuple):
    """Losses (B,) of images and the gradient (B, C, H, W) at them."""

    loss: torch.Tensor
    gradient: torch.Tensor


@dataclass(eq=False)
class GradientModel:
    """Losses and gradients of a `NetworkSegmenter`, in float32 whatever its precision.

    The text is encoded once and kept for the next call. Weights get no gradient and are not touched.
    """

    model: NetworkSegmenter
    counters: AttackCounters = field(default_factory=AttackCounters)
    _text: tuple[str, Tensors] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        # Shares the network; only the numbers' width and the compiler's part are its own.
        self.plain = dataclasses.replace(self.model, precision="float32", compiled=False)

    def task(self, case: Case, settings: AttackSettings) -> Task:
        """Return the loss of the mask that the case's prompt asks for, as a function of the image."""
        return Task(self, case, settings)

    def logits(self, unit: torch.Tensor, text: str) -> torch.Tensor:
        """Return logits (B, 1, S, S) of images (B, 3, H, W) in [0, 1] under one text; differentiable."""
        network = self.plain.network
        pixel_values = self.plain.preprocess.of_unit(unit)
        if self.plain.channels_last:
            pixel_values = pixel_values.contiguous(memory_format=torch.channels_last)
        self.counters.n_attack_forwards += len(unit)
        text_embedding = tuple(t.expand(len(unit), *t.shape[1:]) for t in self._encoded(text))
        logits: torch.Tensor = network.decode(network.encode_image(pixel_values), text_embedding)  # type: ignore[operator]
        return logits.float()

    def _encoded(self, text: str) -> Tensors:
        text = text if self.plain.takes_text else ""
        if self._text is None or self._text[0] != text:
            # Features of the engine are made in inference mode, which no gradient can pass.
            with torch.inference_mode(mode=False), torch.no_grad():
                self._text = (text, self.plain.encode_text([text]).tensors)
        return self._text[1]


class Task:
    """One case under attack: its clean image (1, C, H, W), C = 1 where it is gray, and the loss to raise."""

    def __init__(self, gradient_model: GradientModel, case: Case, settings: AttackSettings) -> None:
        self.model = gradient_model
        self.text, self.kind = case.prompt.text, settings.loss
        size = gradient_model.plain.image_size
        device = gradient_model.plain.device
        self.target = target_of(case.mask, (size, size)).to(device)
        self.clean = planes_of(case.image).to(device)

    def losses(self, planes: torch.Tensor) -> torch.Tensor:
        """Return the losses (B,) of images (B, C, H, W)."""
        with torch.inference_mode(mode=False), torch.no_grad():
            return self._loss(planes)

    def gradient(self, planes: torch.Tensor) -> Gradient:
        """Return losses and gradients; values that are not finite stay as they are."""
        with torch.inference_mode(mode=False), torch.enable_grad():
            points = planes.detach().clone().requires_grad_(True)
            loss = self._loss(points)
            (slope,) = torch.autograd.grad(loss.sum(), points)
        self.model.counters.n_attack_backwards += len(planes)
        return Gradient(loss.detach(), slope)

    def _loss(self, planes: torch.Tensor) -> torch.Tensor:
        unit = planes.expand(-1, 3, -1, -1) if planes.shape[1] == 1 else planes
        return loss_of_logits(self.model.logits(unit, self.text), self.target, self.kind)


def planes_of(image: ImageArray) -> torch.Tensor:
    """Return an image as float32 (1, C, H, W) in [0, 1]; one channel where all three are equal."""
    unit = to_unit(image) if image.dtype == np.uint8 else image.astype(np.float32)
    channels = unit[..., :1] if is_gray(image) else unit
    return torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1)))[None]


def image_of(planes: torch.Tensor) -> ImageArray:
    """Return planes (C, H, W) as a float32 image (H, W, 3)."""
    array = planes.detach().cpu().numpy().transpose(1, 2, 0)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)), dtype=np.float32)


def to_levels(image: ImageArray, clean: ImageArray, eps: float) -> ImageArray:
    """Return a float image as uint8, no level further from `clean` (uint8) than eps allows."""
    reach = int(np.floor(eps * 255 + 1e-6))
    near = np.rint(image.astype(np.float64) * 255)
    return np.clip(near, clean.astype(np.int64) - reach, clean.astype(np.int64) + reach).clip(0, 255).astype(np.uint8)


def rows_of(counters: Sequence[AttackCounters]) -> dict[str, Any]:
    """Return the sums of counters, by name."""
    return {name: sum(getattr(c, name) for c in counters) for name in AttackCounters.__dataclass_fields__}
