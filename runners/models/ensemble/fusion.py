"""Learned fusion: an ensemble's head as what is trained, and the members that a trained head belongs to."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from robustness.errors import InputError
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.models.ensemble.segmenter import Ensemble, fresh_head

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(eq=False)
class FusionSegmenter(NetworkSegmenter):
    """A fusion head as what is trained: its inputs are the maps of `ensemble`, whose members learn nothing."""

    ensemble: Any = None


def fusion_segmenter(ensemble: Ensemble, *, seed: int) -> FusionSegmenter:
    """Return the head of an ensemble for training.

    Args:
        ensemble: with a head; a fresh one is drawn again from `seed`. The checkpoint keeps its `specs`.
        seed: of a fresh head.

    Raises:
        InputError: the ensemble has no head, or none of its members states the size of a map.
    """
    if ensemble.head is None:
        raise InputError(
            f'combine: expected "fusion" to finetune an ensemble, got {ensemble.combine!r}; what learns is the head '
            "that joins its members"
        )
    if not ensemble.image_size:
        raise InputError("image_size: expected the side of the fused map, no member states one; give image_size=N")
    hidden = ensemble.head.first.out_channels
    if ensemble.head_provenance.get("random"):
        ensemble.head = fresh_head(ensemble.weights, hidden=hidden, seed=seed)
    descriptions = ensemble.describe()["members"]
    return FusionSegmenter(
        name=ensemble.name,
        network=ensemble.head,
        preprocess=Preprocess(image_size=ensemble.image_size, threshold=ensemble.threshold),
        device=ensemble.device,
        takes_text=ensemble.takes_text,
        model="ensemble",
        config={
            "members": [absolute(spec) for spec in ensemble.specs],
            "member_weights": list(ensemble.weights),
            "hidden": hidden,
            "fingerprints": [fingerprint(one) for one in descriptions],
        },
        provenance={**ensemble.head_provenance, "seed": seed, "members": [one["name"] for one in descriptions]},
        ensemble=ensemble,
    )


def absolute(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return a member's table with the path of its checkpoint made absolute, for a folder that may be moved."""
    path, colon, factory = str(spec.get("checkpoint") or "").partition(".py:")
    name = f"{path}.py" if colon else path
    if not name or not Path(name).exists():
        return dict(spec)
    return {**spec, "checkpoint": f"{Path(name).resolve()}{f':{factory}' if colon else ''}"}


def fingerprint(description: Mapping[str, Any]) -> str:
    """Return a hash of a member: of its kind and of every file hash in its description, wherever the files lie."""
    weights = description.get("weights") or {}
    facts = {
        "model": description.get("model"),
        "hashes": sorted(set(_hashes(description))),
        "seed": weights.get("seed") if weights.get("random") else None,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def check_members(ensemble: Ensemble, fingerprints: Sequence[str]) -> None:
    """Check that an ensemble has the members that its head was trained on.

    Raises:
        InputError: another number of them, or other weights.
    """
    descriptions = ensemble.describe()["members"]
    if len(descriptions) != len(fingerprints):
        raise InputError(
            f"members: expected the {len(fingerprints)} that the head was trained on, got {len(descriptions)}"
        )
    for index, (one, expected) in enumerate(zip(descriptions, fingerprints, strict=True)):
        if fingerprint(one) != expected:
            raise InputError(
                f"members: member {index + 1} ({one['name']}) has not the weights that the head was trained on; give "
                "the same files, or train the head again"
            )


def _hashes(value: Any) -> Iterator[str]:
    if isinstance(value, str) and _SHA256.fullmatch(value):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _hashes(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _hashes(inner)
