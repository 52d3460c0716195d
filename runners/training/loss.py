"""The loss on logits: soft Dice plus binary cross entropy, both active."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch.nn import functional

from robustness.plans.finetune import TrainSpec


class Loss(NamedTuple):
    """Scalars with gradients: the weighted sum and its two terms."""

    total: torch.Tensor
    dice: torch.Tensor
    ce: torch.Tensor


class DiceAndCrossEntropy:
    """``dice_weight * (1 - soft Dice) + ce_weight * BCE``, both means over the batch.

    Soft Dice is taken for each row with a smoothing of one pixel, so that an empty target is learned too. Its term for
    an empty target is ``1 - 1 / (1 + sum of probabilities)``: 0 where all of them are 0, but 0.849 for logits of -10 at
    352 x 352 pixels, so that it is the cross entropy that teaches abstention.

    Reference: Milletari et al., V-Net, 3DV 2016, doi:10.1109/3DV.2016.79.

    Args:
        dice_weight, ce_weight: of the two terms.
        smooth: pixels added to both halves of the Dice fraction.
        ce_input: "logits", or one of two known deviations of the reference: "sigmoids" takes the cross entropy of
            probabilities as if they were logits (a perfect mask then costs 0.31 to 0.69 per pixel), "nothing" leaves
            that term at 0.
    """

    def __init__(
        self, *, dice_weight: float = 1.0, ce_weight: float = 1.0, smooth: float = 1.0, ce_input: str = "logits"
    ) -> None:
        from monai.losses import DiceLoss

        self.dice_weight, self.ce_weight, self.ce_input = dice_weight, ce_weight, ce_input
        self._dice = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth)
        self._dice_of_each = DiceLoss(sigmoid=True, smooth_nr=smooth, smooth_dr=smooth, reduction="none")

    def __call__(self, logits: torch.Tensor, masks: torch.Tensor) -> Loss:
        """Return the loss of logits and 0/1 masks, both (B, 1, H, W); computed in float32."""
        logits, masks = logits.float(), masks.float()
        dice = self._dice(logits, masks)
        ce = functional.binary_cross_entropy_with_logits(self._read(logits), masks)
        if self.ce_input == "nothing":
            ce = torch.zeros_like(ce)
        return Loss(self.dice_weight * dice + self.ce_weight * ce, dice, ce)

    def of_each(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return soft Dice loss plus cross entropy (B,) of each row, weighted as the sum is."""
        logits, masks = logits.float(), masks.float()
        dice = self._dice_of_each(logits, masks).flatten(1).mean(1)
        ce = functional.binary_cross_entropy_with_logits(logits, masks, reduction="none").flatten(1).mean(1)
        return self.dice_weight * dice + self.ce_weight * ce

    def _read(self, logits: torch.Tensor) -> torch.Tensor:
        return logits.sigmoid() if self.ce_input == "sigmoids" else logits


def training_loss(spec: TrainSpec) -> DiceAndCrossEntropy:
    """Return the loss that a plan asks for, the reference's known deviations included where it names them."""
    accidents = {"zero_ce": "nothing", "ce_of_sigmoids": "sigmoids"}
    ce_input = next((accidents[name] for name in spec.reference_accidents if name in accidents), "logits")
    return DiceAndCrossEntropy(
        dice_weight=spec.dice_weight, ce_weight=spec.ce_weight, smooth=spec.dice_smooth, ce_input=ce_input
    )


def hard_dice(logits: torch.Tensor, masks: torch.Tensor, *, threshold: float) -> torch.Tensor:
    """Return Dice (B,) of thresholded probabilities at network size; 1 where both masks are empty."""
    predicted, reference = logits.float().sigmoid() > threshold, masks.bool()
    both = (predicted & reference).flatten(1).sum(1)
    either = predicted.flatten(1).sum(1) + reference.flatten(1).sum(1)
    return torch.where(either > 0, 2 * both / either.clamp(min=1), 1.0)


def group_consistency(logits: torch.Tensor, masks: torch.Tensor, *, loss: DiceAndCrossEntropy) -> torch.Tensor:
    """Return the mean Huber distance of logits between each wording and the best of its group.

    The best is the wording of lowest segmentation loss; no gradient passes through it, so that good answers are not
    drawn towards bad ones. The distance is squared up to 1 and linear beyond: a square of wholly different answers
    would outweigh the segmentation loss a hundredfold, and such trainings forgot the words that tell targets apart.

    Reference: Wu et al., Prompt Group-Aware Training for Robust Text-Guided Nuclei Segmentation, arXiv:2603.06384: the
    consistency constraint; that paper weights its groups by quality besides, which is not done here.

    Args:
        logits: (B * T, 1, S, S), the T wordings of one case together.
        masks: (B, 1, S, S), 0 or 1.
        loss: what ranks the wordings.
    """
    groups = logits.float().reshape(len(masks), -1, *logits.shape[1:])
    wordings = groups.shape[1]
    with torch.no_grad():
        losses = loss.of_each(logits, masks.repeat_interleave(wordings, dim=0))
        best = losses.reshape(len(masks), wordings).argmin(dim=1)
    anchor = groups.detach()[torch.arange(len(masks), device=best.device), best]
    distance = functional.huber_loss(groups, anchor[:, None].expand_as(groups))
    # The best itself differs by nothing: the mean is over the others.
    return distance * wordings / (wordings - 1)
