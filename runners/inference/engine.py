"""Inference that encodes each image and each text once and streams probabilities in the order of the requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

import torch

from robustness.errors import CaseError, InputError
from robustness.foreign_code import foreign_code
from robustness.runners.inference.image_feature_cache import ImageFeatureCache
from robustness.runners.inference.model_errors import case_error, finite_or_error, looked_up, stops_all
from robustness.runners.inference.request import Request, image_groups, in_order
from robustness.types import Image, Probability, Segmenter

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


class Encoded(NamedTuple):
    """Embeddings of keyed items, and the errors of those that the model could not encode."""

    rows: dict[str, int]
    embedding: Any
    errors: dict[str, CaseError]

    def take(self, keys: Sequence[str]) -> Any:
        """Return the embeddings of `keys`, repeats allowed, in that order."""
        return self.embedding.take([self.rows[key] for key in keys])


@dataclass
class Counters:
    """How much work a call of `Engine.predict` (and all before it) took.

    `n_texts_unjudged`: texts given to a model that does not say how much of a text it reads. `n_failed`: requests for
    which a model raised an error of its own.
    """

    n_image_encodes: int = 0
    n_image_codes_read: int = 0
    n_text_encodes: int = 0
    n_decodes: int = 0
    n_out_of_memory: int = 0
    n_texts_cut: int = 0
    n_texts_unjudged: int = 0
    n_failed: int = 0


@dataclass(eq=False)
class Engine:
    """Runs a segmenter over (image, text) requests.

    Within one call every distinct `image_key` and every distinct text is encoded once, every distinct pair of them
    decoded once (for a model without text: every image). Text features live for the call, with `keep_texts` until a
    call with other texts; image features for their image batch only. Results come in the order of the requests. Where
    they come grouped by image, as an audit gives them, they stream: at most `image_batch` images are held. A request
    that returns to an earlier image joins that image's batch, so its map waits in memory for its turn.

    The same requests with the same batch sizes, threads and device give the same bits.

    Args:
        model: any `Segmenter`; one with a method ``lookup(request)`` is asked for each request instead.
        batch_size: pairs per decoding.
        image_batch: images per encoding.
        text_batch: texts per encoding.
        resolution: maps at the image's "original" size, or at the model's "network" size.
        cache: image features on disk, for a network.
        keep_texts: calls in a row that have the same texts encode them once; the model must not change.
    """

    model: Segmenter
    batch_size: int = 16
    image_batch: int = 4
    text_batch: int = 64
    resolution: Literal["original", "network"] = "original"
    cache: ImageFeatureCache | None = None
    keep_texts: bool = False
    counters: Counters = field(default_factory=Counters)
    _limits: dict[str, int] = field(init=False, repr=False, default_factory=dict)
    _recent: tuple[list[str], Encoded] | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        for name in ("batch_size", "image_batch", "text_batch"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.resolution not in ("original", "network"):
            raise InputError(f"resolution: expected original or network, got {self.resolution!r}")

    def predict(self, requests: Sequence[Request]) -> Iterator[Probability]:
        """Yield one float32 map (H, W) in [0, 1] per request, in their order.

        Raises:
            CaseError: a model that holds predictions has none, or one of another size, for a request.
        """
        for outcome in self.outcomes(requests):
            if isinstance(outcome, CaseError):
                raise outcome
            yield outcome

    def outcomes(self, requests: Sequence[Request], *, fresh: bool = False) -> Iterator[Probability | CaseError]:
        """Yield what `predict` yields, with the error of a case in its place instead of an end to all.

        `fresh` encodes all images and texts though they may be at hand: a second run measures the model, not the disk.
        """
        lookup = getattr(self.model, "lookup", None)
        if lookup is not None:
            self.counters.n_texts_unjudged += len({request.text for request in requests})
            yield from (looked_up(lookup, request) for request in requests)
            return
        texts = [self._read(request.text) for request in requests]
        with torch.inference_mode():
            encoded = self._encode_texts(texts, fresh)
        groups = image_groups(requests, self.image_batch)
        yield from in_order(
            answer for group in groups for answer in self._predict_group(requests, group, texts, encoded, fresh)
        )

    def _read(self, text: str) -> str:
        """Return what a model makes of a text: to one without text every prompt is the same prompt."""
        return text if getattr(self.model, "takes_text", True) else ""

    def describe(self) -> dict[str, Any]:
        """Return settings and counters as JSON values."""
        settings = {k: getattr(self, k) for k in ("batch_size", "image_batch", "text_batch", "resolution")}
        return {**settings, **vars(self.counters), "reduced_to": dict(self._limits)}

    def _encode_texts(self, texts: Sequence[str], fresh: bool) -> Encoded:
        # Texts of like length share a batch, so that little padding is encoded.
        distinct = sorted(set(texts), key=lambda t: (len(t), t))
        if distinct:
            self._count_cut(distinct)
        if self._recent is not None and self._recent[0] == distinct and not fresh:
            return self._recent[1]
        encoded = self._encoded(distinct, distinct, "text_batch", self.model.encode_text, "text")
        self.counters.n_text_encodes += len(distinct)
        if self.keep_texts and not encoded.errors:
            self._recent = distinct, encoded
        return encoded

    def _count_cut(self, texts: Sequence[str]) -> None:
        if not getattr(self.model, "takes_text", True):
            return
        cut_texts = getattr(self.model, "cut_texts", None)
        cut = cut_texts(texts) if cut_texts is not None else None
        if cut is None:
            self.counters.n_texts_unjudged += len(texts)
            return
        self.counters.n_texts_cut += len(cut)
        if cut:
            _LOG.warning(
                "%d of %d texts are longer than %s's context; their ends are not read, the first: %.80r",
                len(cut),
                len(texts),
                self.model.name,
                cut[0],
            )

    def _predict_group(
        self, requests: Sequence[Request], group: Sequence[int], texts: Sequence[str], text: Encoded, fresh: bool
    ) -> Iterator[tuple[int, Probability | CaseError]]:
        """Yield (index, map) of the requests on one batch of images; equal pairs are decoded once."""
        images = {requests[i].image_key: requests[i].image for i in group}
        with torch.inference_mode():
            image = self._encode_images(images, fresh)

        def decode(part: Sequence[int]) -> list[Probability | CaseError]:
            sizes = None if self.resolution == "network" else [requests[i].size for i in part]
            images, words = [requests[i].image_key for i in part], [texts[i] for i in part]
            return self._maps(image.take(images), text.take(words), sizes)

        alike: dict[tuple[str, str], list[int]] = {}
        for i in group:
            alike.setdefault((requests[i].image_key, texts[i]), []).append(i)
        for (image_key, words), indices in list(alike.items()):
            error = image.errors.get(image_key) or text.errors.get(words)
            if error is not None:
                del alike[image_key, words]
                yield from self._failed(indices, error)
        distinct = [indices[0] for indices in alike.values()]
        for start in range(0, len(distinct), self.batch_size):
            part = distinct[start : start + self.batch_size]
            # A generator must not hold inference mode open while its consumer runs.
            with torch.inference_mode():
                maps = self._decoded(part, decode)
            self.counters.n_decodes += len(part)
            for first, outcome in zip(part, maps, strict=True):
                indices = alike[requests[first].image_key, texts[first]]
                outcome = self._checked(outcome)
                if isinstance(outcome, CaseError):
                    yield from self._failed(indices, outcome)
                else:
                    yield from ((i, outcome) for i in indices)

    def _maps(self, image: Any, text: Any, sizes: Sequence[tuple[int, int]] | None) -> list[Probability | CaseError]:
        """Return the map of each pair; a model that answers pair by pair has errors in the place of maps."""
        plain: Any = self.model.probabilities
        answer: Callable[..., list[Probability | CaseError]] = getattr(self.model, "outcomes", plain)
        return answer(image, text, sizes)

    def _checked(self, outcome: Probability | CaseError) -> Probability | CaseError:
        return finite_or_error(outcome)

    def _failed(self, indices: Sequence[int], error: CaseError) -> Iterator[tuple[int, CaseError]]:
        self.counters.n_failed += len(indices)
        yield from ((i, error) for i in indices)

    def _decoded(
        self, part: Sequence[int], decode: Callable[[Sequence[int]], list[Probability | CaseError]]
    ) -> list[Probability | CaseError]:
        """Return the maps of pairs; where the model raises, each pair is decoded alone."""
        try:
            return [one for maps in self._in_batches(part, "batch_size", decode) for one in maps]
        except Exception as error:  # whatever a model's own code raises
            if stops_all(error):
                raise
            if len(part) == 1:
                return [case_error(error, "pair")]
        return [outcome for one in part for outcome in self._decoded([one], decode)]

    def _encode_images(self, images: Mapping[str, Image], fresh: bool) -> Encoded:
        keys, arrays = list(images), list(images.values())
        stored = None if self.cache is None or fresh else self.cache.load(arrays)
        if stored is not None:
            self.counters.n_image_codes_read += len(images)
            return Encoded({key: row for row, key in enumerate(keys)}, stored, {})
        encoded = self._encoded(keys, arrays, "image_batch", self.model.encode_image, "image")
        self.counters.n_image_encodes += len(images)
        if self.cache is not None and not encoded.errors:
            return encoded._replace(embedding=self.cache.store(arrays, encoded.embedding))
        return encoded

    def _encoded(
        self,
        keys: Sequence[str],
        items: Sequence[Any],
        setting: str,
        encode: Callable[[Sequence[Any]], Any],
        what: str,
    ) -> Encoded:
        """Encode items; where the model raises, each is encoded alone, and those that fail have an error."""
        if not items:
            return Encoded({}, None, {})
        try:
            embedding = _concat(self._in_batches(items, setting, encode))
            return Encoded({key: row for row, key in enumerate(keys)}, embedding, {})
        except Exception as error:  # whatever a model's own code raises; it comes again below
            if stops_all(error):
                raise
        embeddings: list[Any] = []
        rows: dict[Any, int] = {}
        errors: dict[Any, CaseError] = {}
        for key, item in zip(keys, items, strict=True):
            try:
                with foreign_code():
                    embeddings.append(encode([item]))
                rows[key] = len(rows)
            except Exception as error:  # see above
                if stops_all(error):
                    raise
                errors[key] = case_error(error, what)
        return Encoded(rows, _concat(embeddings) if embeddings else None, errors)

    def _in_batches(self, items: Sequence[Any], setting: str, work: Callable[[Sequence[Any]], T]) -> list[T]:
        """Run `work` on parts of `items`; on CUDA out-of-memory the parts halve from then on, which is counted."""
        done: list[T] = []
        start = 0
        while start < len(items):
            size = self._limits.get(setting, getattr(self, setting))
            part = items[start : start + size]
            result = _unless_out_of_memory(work, part)
            if result is None:
                self.counters.n_out_of_memory += 1
                self._limits[setting] = len(part) // 2
                # Outside the handler: its traceback would keep the tensors of the failed attempt alive.
                torch.cuda.empty_cache()
                continue
            done.append(result)
            start += len(part)
        return done


def _unless_out_of_memory(work: Callable[[Sequence[Any]], T], part: Sequence[Any]) -> T | None:
    try:
        with foreign_code():
            return work(part)
    except torch.cuda.OutOfMemoryError:
        if len(part) == 1:
            raise
        return None


def _concat(embeddings: Sequence[Any]) -> Any:
    return embeddings[0] if len(embeddings) == 1 else type(embeddings[0]).concat(embeddings)
