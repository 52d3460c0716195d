"""Maps of an ensemble's members for the pairs of a training, computed once: members learn nothing."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from robustness.runners.inference.embedding import Tensors
from robustness.runners.models.ensemble.fusion import FusionSegmenter
from robustness.runners.training.feature_cache import IMAGE_CHANGES, FeatureCache, image_key, open_feature_cache
from robustness.runners.training.feature_store import FeatureStore, FileStore, MemoryStore, halved, restored
from robustness.types import Image

if TYPE_CHECKING:
    from robustness.plans.finetune import TrainSpec
    from robustness.runners.training.setup import TrainingSetup

_GIB = 1 << 30
# Encoded items that wait for other pairs of theirs: an image comes again with each of its prompts.
_IMAGES, _TEXTS = 64, 4096


class PairCache:
    """The logits (M, S, S) of an ensemble's members for pairs of image and text, under the hash of both.

    Each image, text and pair is computed alone, so that no neighbour moves its last digits and a resumed training reads
    what an undisturbed one read.

    Args:
        segmenter: the head with its ensemble.
        store: where maps are kept; None: nowhere, as where images change in every epoch.
        half: whether they are kept in half precision.
        bound: bytes of maps that are kept at most; None: no bound.
        say: told once when the bound is reached.
    """

    def __init__(
        self,
        segmenter: FusionSegmenter,
        store: FeatureStore | None,
        *,
        half: bool = False,
        bound: float | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.segmenter, self.store, self.half, self.bound, self.say = segmenter, store, half, bound, say
        self._bytes = 0
        self._images: OrderedDict[str, Any] = OrderedDict()
        self._texts: OrderedDict[str, Any] = OrderedDict()

    def pairs(self, images: Sequence[Image], texts: Sequence[str]) -> Tensors:
        """Return the members' maps (B, M, S, S) of the pairs (images[i], texts[i]); images are (S, S, 3)."""
        rows = [self._pair(image, text) for image, text in zip(images, texts, strict=True)]
        return (torch.cat(rows),)

    def _pair(self, image: Image, text: str) -> torch.Tensor:
        name = image_key(image)
        key = f"pair-{hashlib.sha256(f'{name} {text}'.encode()).hexdigest()}"
        kept = None if self.store is None else self.store.get(key)
        if kept is not None:
            return restored(kept)[0]
        ensemble = self.segmenter.ensemble
        with torch.no_grad():
            seen = _remembered(self._images, name, lambda: ensemble.encode_image([image]), _IMAGES)
            read = _remembered(self._texts, text, lambda: ensemble.encode_text([text]), _TEXTS)
            maps: torch.Tensor = ensemble.member_logits(seen, read)
        return self._kept(key, maps)

    def _kept(self, key: str, maps: torch.Tensor) -> torch.Tensor:
        tensors = halved((maps,)) if self.half else (maps,)
        size = sum(t.numel() * t.element_size() for t in tensors)
        if self.store is not None and (self.bound is None or self._bytes + size <= self.bound):
            self.store.put(key, tensors)
            self._bytes += size
        elif self.store is not None:
            self.say(
                f"maps beyond {self._bytes / _GIB:.2f} GiB are computed in every epoch; raise cache_gib, set "
                'cache_float16 = true, or give cache = "FOLDER"'
            )
            self.say = lambda _: None
        # What comes from the store has its precision; a first use must be no other.
        return restored(tensors)[0]


def open_cache(setup: TrainingSetup, spec: TrainSpec, *, say: Callable[[str], None]) -> FeatureCache | PairCache | None:
    """Return what a training need not compute in every epoch: maps of a fusion's members, else frozen features."""
    if isinstance(setup.segmenter, FusionSegmenter):
        return _open_pair_cache(setup.segmenter, spec, say=say)
    return open_feature_cache(setup, spec, say=say)


def _open_pair_cache(segmenter: FusionSegmenter, spec: TrainSpec, *, say: Callable[[str], None]) -> PairCache:
    """Return the maps of a training's pairs; with changes of the image, or ``cache = "off"``, each is computed anew."""
    if spec.cache == "off" or IMAGE_CHANGES & set(spec.augment):
        return PairCache(segmenter, None)
    if spec.cache == "auto":
        return PairCache(segmenter, MemoryStore(), half=spec.cache_float16, bound=spec.cache_gib * _GIB, say=say)
    members = segmenter.config["fingerprints"]
    facts = {"members": members, "size": segmenter.image_size, "half": spec.cache_float16}
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]
    return PairCache(segmenter, FileStore(Path(spec.cache), name), half=spec.cache_float16)


def _remembered(memory: OrderedDict[str, Any], key: str, compute: Callable[[], Any], most: int) -> Any:
    if key not in memory:
        memory[key] = compute()
        if len(memory) > most:
            memory.popitem(last=False)
    memory.move_to_end(key)
    return memory[key]
