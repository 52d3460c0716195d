"""Loss that an attack raises: that of the mask the prompt asks for, one number for each image."""

from __future__ import annotations

import torch
from PIL import Image as PILImage
from torch.nn import functional

from robustness.perturb.attacks.base import Loss
from robustness.runners.inference.preprocess import resized
from robustness.types import Mask


def loss_of_logits(logits: torch.Tensor, target: torch.Tensor, loss: Loss) -> torch.Tensor:
    """Return the loss (B,) of logits (B, 1, h, w) against `target` (1, 1, h, w) in [0, 1]; float32.

    "dice+bce" is ``(1 - soft Dice) + mean binary cross entropy``, as in finetuning (`training_loss`): the first speaks
    of the whole mask, the second keeps a gradient where the sigmoid is saturated. Soft Dice is smoothed by one pixel,
    so that an empty reference has a loss too: it rises with every pixel painted.
    """
    logits = logits.float()
    goal = target.to(logits).expand_as(logits)
    terms = []
    if "dice" in loss:
        terms.append(1 - _soft_dice(logits.sigmoid(), goal))
    if "bce" in loss:
        terms.append(functional.binary_cross_entropy_with_logits(logits, goal, reduction="none").mean((1, 2, 3)))
    return torch.stack(terms).sum(0)


def _soft_dice(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    both = (probability * target).sum((1, 2, 3))
    return (2 * both + 1) / (probability.sum((1, 2, 3)) + target.sum((1, 2, 3)) + 1)


def target_of(mask: Mask, size: tuple[int, int]) -> torch.Tensor:
    """Return the reference (1, 1, h, w) at the network's size: each pixel the share of it that is inside.

    Shares, not the nearest pixel, so that a structure thinner than a network pixel is not lost.
    """
    whole = torch.from_numpy(mask.astype("float32"))[None, None]
    return resized(whole, size, int(PILImage.Resampling.BILINEAR)).clamp(0, 1)
