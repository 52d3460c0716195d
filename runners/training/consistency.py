"""Prompt-group consistency: wordings of one request should give one mask."""

from __future__ import annotations

import torch
from torch.nn import functional

from robustness.runners.training.loss import DiceAndCrossEntropy


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
