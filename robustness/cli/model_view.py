"""Lines of `robustness list models` below each name: how images and texts are prepared for the network."""

from __future__ import annotations

from typing import Any


def preparation(entry: Any) -> str:
    """Return one line about the preparation of images and texts of a registered network, "" for a black box.

    The values are those of the published configuration; a checkpoint may state its own, which the manifest records.
    """
    if not hasattr(entry, "preprocess"):
        return ""
    model = entry()
    config = model.default_config()
    steps = model.preprocess(config)
    parts = [
        f"input {steps.image_size} x {steps.image_size}, {steps.interpolation}",
        f"mean {_numbers(steps.mean)}",
        f"std {_numbers(steps.std)}",
        f"text {steps.tokenizer}, {steps.context_length} ids" if steps.tokenizer else "no text",
        f"threshold {steps.threshold:g}",
    ]
    return "; ".join(parts)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in dict.fromkeys(values))
