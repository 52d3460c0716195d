"""Features of frozen encoders, computed once: images and listed texts before training starts, others when drawn."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from robustness.errors import counted
from robustness.runners.inference.devices import autocast
from robustness.runners.inference.embedding import TensorEmbedding, Tensors
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.training.feature_store import FeatureStore, FileStore, MemoryStore, halved, restored
from robustness.types import Image

if TYPE_CHECKING:
    from robustness.plans.finetune import TrainSpec
    from robustness.runners.training.samples.pool import Cases
    from robustness.runners.training.setup import TrainingSetup

# Changes that make another image in every epoch.
IMAGE_CHANGES = frozenset({"flip", "rotate", "shift", "gain"})
_BATCH = 8
_GIB = 1 << 30


@dataclass
class FeatureCache:
    """Features of images and texts under the hash of their content.

    Attributes:
        segmenter: the network; what is cached of it must be frozen.
        store: where the features are kept.
        holds_images, holds_texts: whether the features of all images, and of texts, come from here.
        precision: of the encoders' arithmetic.
        half: whether features are kept in half precision.
    """

    segmenter: NetworkSegmenter
    store: FeatureStore
    holds_images: bool
    holds_texts: bool
    precision: str = "float32"
    half: bool = False

    def images(self, images: Sequence[Image]) -> Tensors:
        """Return features of images (S, S, 3) at network size; those not cached yet are computed together."""
        keys = [image_key(image) for image in images]
        missing = {key: image for key, image in zip(keys, images, strict=True) if self.store.get(key) is None}
        if missing:
            self._keep(list(missing), self.image_features(list(missing.values())))
        return self._rows(keys)

    def texts(self, texts: Sequence[str]) -> Tensors:
        """Return features of texts; each new one is computed alone, so that no other text moves its last digits."""
        keys = [f"text-{hashlib.sha256(text.encode()).hexdigest()}" for text in texts]
        for key, text in zip(keys, texts, strict=True):
            if self.store.get(key) is None:
                self._keep([key], self.text_features(text))
        return self._rows(keys)

    def image_features(self, images: Sequence[Image]) -> Tensors:
        """Return what the image encoder gives, with a gradient only where something of it learns."""
        pixel_values = self.segmenter.preprocess.pixel_values(images)
        pixel_values = pixel_values.contiguous(memory_format=torch.channels_last).to(self.segmenter.device)
        with autocast(self.segmenter.device, self.precision):
            features: Tensors = self.segmenter.network.image_features(pixel_values)  # type: ignore[operator]
        return features

    def text_features(self, text: str) -> Tensors:
        """Return what the text encoder gives for one text."""
        ids, mask = self.segmenter.without_padding(self.segmenter.tokenize([text]))
        device = self.segmenter.device
        with autocast(device, self.precision):
            features: Tensors = self.segmenter.network.text_features(ids.to(device), mask.to(device))  # type: ignore[operator]
        return features

    def _keep(self, keys: Sequence[str], features: Tensors) -> None:
        tensors = restored(tuple(t.detach().cpu() for t in features))
        tensors = halved(tensors) if self.half else tensors
        for row, key in enumerate(keys):
            # A view would keep the whole batch alive.
            self.store.put(key, tuple(t[row : row + 1].clone() for t in tensors))

    def _rows(self, keys: Sequence[str]) -> Tensors:
        cached = [self.store.get(key) for key in keys]
        return restored(
            TensorEmbedding.concat([TensorEmbedding(tensors) for tensors in cached if tensors is not None]).tensors
        )


def open_feature_cache(setup: TrainingSetup, spec: TrainSpec, *, say: Callable[[str], None]) -> FeatureCache | None:
    """Return the features that this training need not compute in every epoch, those of all images; None without any.

    Images are cached where the image encoder learns nothing and no change of the image runs, texts where the text
    encoder learns nothing and no words are spelled. With "auto", images that would need more than `cache_gib` are
    computed again in every epoch, and `say` tells so.
    """
    from robustness.runners.training.trainer import training_precision

    segmenter = setup.segmenter
    still = {part for part in setup.frozen if not setup.trainable.get(part)}
    images = "image" in still and not IMAGE_CHANGES & set(spec.augment)
    texts = "text" in still and segmenter.takes_text and not spec.spell
    if spec.cache == "off" or not (images or texts):
        return None
    on_disk = spec.cache != "auto"
    precision = training_precision(spec, segmenter)
    name = fingerprint(segmenter, precision=precision, half=spec.cache_float16) if on_disk else ""
    store: FeatureStore = FileStore(Path(spec.cache), name) if on_disk else MemoryStore()
    cache = FeatureCache(segmenter, store, False, False, precision, spec.cache_float16)
    if texts and not any(t.requires_grad for t in cache.text_features("")):
        cache.holds_texts = True
        _cache_listed_texts(cache, [setup.training, setup.validation], say=say)
    if images:
        fill = _Filling(cache, [setup.training, setup.validation], say=say)
        cache.holds_images = fill.run(bound=None if on_disk else spec.cache_gib * _GIB)
    return cache if cache.holds_images or cache.holds_texts else None


def _cache_listed_texts(cache: FeatureCache, cases: Sequence[Cases], *, say: Callable[[str], None]) -> None:
    """Cache the features of every listed text; those of augmented texts follow when they are first drawn."""
    datasets = (dataset for some in cases for part in some.parts for dataset in part.datasets.values())
    infos = (info for dataset in datasets for info in dataset.infos)
    texts = list(dict.fromkeys(["", *(prompt.text for info in infos for prompt in info.prompts)]))
    started = time.monotonic()
    for text in texts:
        cache.texts([text])
    say(f"features of {counted(len(texts), 'text')} are cached ({time.monotonic() - started:.1f} s)")


@dataclass
class _Filling:
    """Computes the features of every image of some cases, in an order that a resumed run repeats."""

    cache: FeatureCache
    cases: Sequence[Cases]
    say: Callable[[str], None]

    def run(self, *, bound: float | None) -> bool:
        """Return whether all are cached: not above `bound` bytes, nor where something learns."""
        started, count, seen = time.monotonic(), 0, 0
        for group in self._groups():
            keys = [image_key(image) for image in group]
            # The whole group again where one is missing: other neighbours would move the last digits.
            if any(self.cache.store.get(key) is None for key in keys):
                features = self.cache.image_features(group)
                if any(t.requires_grad for t in features):
                    return False
                if not seen and bound is not None and self._bytes(features) * self._images() > bound:
                    need = self._bytes(features) * self._images() / _GIB
                    self.say(
                        f"image features would need {need:.1f} GiB, more than cache_gib, and are computed every epoch;"
                        ' raise cache_gib, set cache_float16 = true, or give cache = "FOLDER"'
                    )
                    return False
                self.cache._keep(keys, features)
                count += len(keys)
            seen += len(keys)
        self.say(
            f"features of {counted(seen, 'image')} are cached ({count} computed in {time.monotonic() - started:.1f} s)"
        )
        return True

    def _groups(self) -> Iterator[list[Image]]:
        group: list[Image] = []
        for image in self._distinct():
            group.append(image)
            if len(group) == _BATCH:
                yield group
                group = []
        if group:
            yield group

    def _distinct(self) -> Iterator[Image]:
        keys: set[str] = set()
        for cases in (part for split in self.cases for part in split.parts):
            ids: set[str] = set()
            for index, info in enumerate(cases.first.infos):
                if info.image_id in ids:
                    continue
                ids.add(info.image_id)
                image = cases.plain(index).image
                key = image_key(image)
                if key not in keys:
                    keys.add(key)
                    yield image

    def _images(self) -> int:
        parts = [part for split in self.cases for part in split.parts]
        return sum(len({info.image_id for info in part.first.infos}) for part in parts)

    def _bytes(self, features: Tensors) -> float:
        size = 2 if self.cache.half else 4
        return sum(t[0].numel() * (size if t.is_floating_point() else 1) for t in features)


def image_key(image: Image) -> str:
    """Return the hash of an image's size and pixels."""
    shape = json.dumps(image.shape).encode()
    return f"image-{hashlib.sha256(shape + np.ascontiguousarray(image).tobytes()).hexdigest()}"


def fingerprint(segmenter: NetworkSegmenter, *, precision: str, half: bool) -> str:
    """Return the hash of everything that features depend on besides the image or the text."""
    digest = hashlib.sha256()
    prepare = segmenter.preprocess.as_dict()
    facts = {"model": segmenter.model, "config": dict(segmenter.config), "preprocess": prepare, "half": half}
    digest.update(json.dumps({**facts, "precision": precision}, sort_keys=True, default=str).encode())
    frozen = {name for name, p in segmenter.network.named_parameters() if not p.requires_grad}
    learning = {name for name, p in segmenter.network.named_parameters() if p.requires_grad}
    for name, tensor in sorted(segmenter.network.state_dict().items()):
        if name in frozen or name not in learning:
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
