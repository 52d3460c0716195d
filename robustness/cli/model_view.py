"""What `robustness list models` shows below each name: how images and texts are prepared for the network."""

from __future__ import annotations

from typing import Any


def preparation(entry: Any) -> str:
    """Return one line about the preparation of images and texts of a registered network, "" for a black box.

    The values are those of the published configuration; a checkpoint may state its own, which the manifest records.
    """
    if not hasattr(entry, "preprocess"):
        return ""
    made = entry()
    config = made.default_config()
    found = made.preprocess(config)
    parts = [
        f"input {found.image_size} x {found.image_size}, {found.interpolation}",
        f"mean {_numbers(found.mean)}",
        f"std {_numbers(found.std)}",
        f"text {found.tokenizer}, {found.context_length} ids" if found.tokenizer else "no text",
        f"threshold {found.threshold:g}",
    ]
    return "; ".join(parts)


def _numbers(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.4g}" for value in dict.fromkeys(values))
