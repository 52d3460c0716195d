"""The parts of a network that can be frozen: what the image needs, what the text needs, and the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from robustness.registry import MODELS
from robustness.runners.inference.embedding import Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.entry import ModelEntry


def parameters_by_part(segmenter: NetworkSegmenter) -> dict[str, list[str]]:
    """Return the names of the parameters of "image", "text" and "decoder".

    The model's entry tells them; where it does not, a parameter belongs to an encoder when that encoder's code has a
    gradient with respect to it, and what both encoders share counts for the image.
    """
    network, size = segmenter.network, segmenter.image_size
    entry = cast("ModelEntry", MODELS.get(segmenter.model)()) if segmenter.model else None
    names = entry.parts(network) if entry is not None else None
    if names is not None:
        return names
    device = next(network.parameters()).device
    pixel_values = torch.zeros(1, 3, size, size, device=device)
    image = _used(network, lambda: network.encode_image(pixel_values))  # type: ignore[operator]
    text: set[str] = set()
    if segmenter.takes_text:
        ids, mask = (t.to(device) for t in segmenter.tokenize(["left"]))
        text = _used(network, lambda: network.encode_text(ids, mask))  # type: ignore[operator]
    every = [name for name, _ in network.named_parameters()]
    return {
        "image": [name for name in every if name in image],
        "text": [name for name in every if name in text and name not in image],
        "decoder": [name for name in every if name not in image and name not in text],
    }


def freeze(
    segmenter: NetworkSegmenter, parts: Sequence[str], by_part: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Turn the gradients of `parts` off, and those of the others on; `by_part` is what `parameters_by_part` gives."""
    by_part = parameters_by_part(segmenter) if by_part is None else by_part
    frozen = {name for part in parts for name in by_part[part]}
    for name, parameter in segmenter.network.named_parameters():
        parameter.requires_grad_(name not in frozen)


def hold_frozen_modules(network: nn.Module) -> None:
    """Put modules that learn nothing into eval mode: no dropout, no batch statistics."""
    for module in network.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


@contextlib.contextmanager
def lone_values_use_running_statistics(network: nn.Module) -> Iterator[None]:
    """Let batch norms that see one value per channel use their running statistics instead of failing.

    A single image has no variance over the batch, which stops torch in layers that have no pixels left.
    """

    def before(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if module.training and inputs[0].numel() == inputs[0].shape[1]:
            module.eval()
            switched.add(module)

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        if module in switched:
            switched.discard(module)
            module.train()

    switched: set[nn.Module] = set()
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    hooks = [m.register_forward_pre_hook(before) for m in norms] + [m.register_forward_hook(after) for m in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _used(network: nn.Module, encode: Callable[[], Tensors]) -> set[str]:
    named = dict(network.named_parameters())
    before = {name: parameter.requires_grad for name, parameter in named.items()}
    try:
        network.requires_grad_(True)
        with torch.enable_grad():
            total = sum((t.float().sum() for t in encode() if t.is_floating_point()), torch.zeros(()))
            gradients = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    finally:
        for name, parameter in named.items():
            parameter.requires_grad_(before[name])
    return {name for name, gradient in zip(named, gradients, strict=True) if gradient is not None}
