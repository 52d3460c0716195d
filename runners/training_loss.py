"""The loss on logits: soft Dice plus binary cross entropy, both active."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional


class Loss(NamedTuple):
    """Scalars with gradients: the weighted sum and its two terms."""

    total: torch.Tensor
    dice: torch.Tensor
    ce: torch.Tensor


class DiceAndCrossEntropy:
    """``dice_weight * (1 - soft Dice) + ce_weight * BCE``, both means over the batch.

    Soft Dice is taken for each row with a smoothing of one pixel, so that an empty target is learned too: its term is
    0 for an empty prediction. Reference: Milletari et al., V-Net, 3DV 2016, doi:10.1109/3DV.2016.79.
    """

    def __init__(self, *, dice_weight: float = 1.0, ce_weight: float = 1.0) -> None:
        from monai.losses import DiceLoss

        self.dice_weight, self.ce_weight = dice_weight, ce_weight
        self._dice = DiceLoss(sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)

    def __call__(self, logits: torch.Tensor, masks: torch.Tensor) -> Loss:
        """Return the loss of logits and 0/1 masks, both (B, 1, H, W); computed in float32."""
        logits, masks = logits.float(), masks.float()
        dice = self._dice(logits, masks)
        ce = functional.binary_cross_entropy_with_logits(logits, masks)
        return Loss(self.dice_weight * dice + self.ce_weight * ce, dice, ce)


def hard_dice(logits: torch.Tensor, masks: torch.Tensor, *, threshold: float) -> torch.Tensor:
    """Return Dice (B,) of thresholded probabilities at network size; 1 where both masks are empty."""
    predicted, reference = logits.float().sigmoid() > threshold, masks.bool()
    both = (predicted & reference).flatten(1).sum(1)
    either = predicted.flatten(1).sum(1) + reference.flatten(1).sum(1)
    return torch.where(either > 0, 2 * both / either.clamp(min=1), 1.0)
