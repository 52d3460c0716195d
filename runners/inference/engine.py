"""Inference that encodes each image and each text once and streams probabilities in the order of the requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch

from robustness.errors import CaseError, InputError
from robustness.plans.audit import Plan
from robustness.runners.inference.image_code_cache import CodeCache
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Code, Image, Probability, Segmenter

T = TypeVar("T")
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class Request:
    """One prediction that is wanted.

    Attributes:
        image: uint8 (H, W, 3); an attack's `ExactPicture` is float32 in [0, 1].
        image_key: what makes images the same; equal keys are encoded once per call.
        text: the prompt.
        condition, case_id, prompt_index: where the prediction belongs; models that hold predictions look it up by them.
    """

    image: Image
    image_key: str
    text: str
    condition: str = "clean"
    case_id: str = ""
    prompt_index: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image."""
        return self.image.shape[0], self.image.shape[1]


@dataclass
class Counters:
    """How much work a call of `Engine.predict` (and all before it) took."""

    n_image_encodes: int = 0
    n_image_codes_read: int = 0
    n_text_encodes: int = 0
    n_decodes: int = 0
    n_out_of_memory: int = 0
    n_texts_cut: int = 0


@dataclass(eq=False)
class Engine:
    """Runs a segmenter over (image, text) requests.

    Within one call every distinct `image_key` and every distinct text is encoded once, every distinct pair of them
    decoded once (for a model without text: every image). Text features live for the
    call; image features live for their image batch only. Results come in the order of the requests. Where requests
    come grouped by image, as an audit gives them, they stream: at most `image_batch` images are held. A request
    that returns to an earlier image joins that image's batch, so its map waits in memory for its turn.

    The same requests with the same batch sizes, threads and device give the same bits.

    Args:
        model: any `Segmenter`; one with a method ``lookup(request)`` is asked for each request instead.
        batch_size: pairs per decoding.
        image_batch: images per encoding.
        text_batch: texts per encoding.
        resolution: maps at the image's "original" size, or at the model's "network" size.
        cache: image features on disk, for a network.
    """

    model: Segmenter
    batch_size: int = 16
    image_batch: int = 4
    text_batch: int = 64
    resolution: Literal["original", "network"] = "original"
    cache: CodeCache | None = None
    counters: Counters = field(default_factory=Counters)
    _limits: dict[str, int] = field(init=False, repr=False, default_factory=dict)

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

        `fresh` encodes every image though the cache may hold it: a second run measures the model, not the disk.
        """
        lookup = getattr(self.model, "lookup", None)
        if lookup is not None:
            yield from (_outcome(lookup, request) for request in requests)
            return
        # To a model without text every prompt is the same prompt.
        reads_text = getattr(self.model, "takes_text", True)
        texts = [r.text if reads_text else "" for r in requests]
        with torch.inference_mode():
            row_of, text_code = self._encode_texts(texts)
        rows = [row_of[text] for text in texts]
        waiting: dict[int, Probability] = {}
        following = 0
        for group in _image_groups(requests, self.image_batch):
            for index, outcome in self._predict_group(requests, group, rows, text_code, fresh):
                waiting[index] = outcome
                while following in waiting:
                    yield waiting.pop(following)
                    following += 1

    def describe(self) -> dict[str, Any]:
        """Return settings and counters as JSON values."""
        settings = {k: getattr(self, k) for k in ("batch_size", "image_batch", "text_batch", "resolution")}
        return {**settings, **vars(self.counters), "reduced_to": dict(self._limits)}

    def _encode_texts(self, texts: Sequence[str]) -> tuple[dict[str, int], Code | None]:
        # Texts of like length share a batch, so that little padding is encoded.
        distinct = sorted(set(texts), key=lambda t: (len(t), t))
        if not distinct:
            return {}, None
        self._count_cut(distinct)
        codes = self._in_batches(distinct, "text_batch", self.model.encode_text)
        self.counters.n_text_encodes += len(distinct)
        return {text: row for row, text in enumerate(distinct)}, _concat(codes)

    def _count_cut(self, texts: Sequence[str]) -> None:
        cut_texts = getattr(self.model, "cut_texts", None)
        cut = cut_texts(texts) if cut_texts is not None and getattr(self.model, "takes_text", True) else []
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
        self,
        requests: Sequence[Request],
        group: Sequence[int],
        text_rows: Sequence[int],
        text_code: Code | None,
        fresh: bool,
    ) -> Iterator[tuple[int, Probability]]:
        """Yield (index, map) of the requests on one batch of images; equal pairs are decoded once."""
        images = {requests[i].image_key: requests[i].image for i in group}
        image_row = {key: row for row, key in enumerate(images)}
        with torch.inference_mode():
            image_code = self._encode_images(list(images.values()), fresh)

        def decode(part: Sequence[int]) -> list[Probability]:
            sizes = None if self.resolution == "network" else [requests[i].size for i in part]
            return self.model.probabilities(
                image_code.take([image_row[requests[i].image_key] for i in part]),
                text_code.take([text_rows[i] for i in part]),  # type: ignore[union-attr]
                sizes,
            )

        alike: dict[tuple[str, int], list[int]] = {}
        for i in group:
            alike.setdefault((requests[i].image_key, text_rows[i]), []).append(i)
        distinct = [indices[0] for indices in alike.values()]
        for start in range(0, len(distinct), self.batch_size):
            part = distinct[start : start + self.batch_size]
            # A generator must not hold inference mode open while its consumer runs.
            with torch.inference_mode():
                maps = [m for batch in self._in_batches(part, "batch_size", decode) for m in batch]
            self.counters.n_decodes += len(part)
            for first, probability in zip(part, maps, strict=True):
                yield from ((i, probability) for i in alike[requests[first].image_key, text_rows[first]])

    def _encode_images(self, images: Sequence[Image], fresh: bool) -> Any:
        cached = None if self.cache is None or fresh else self.cache.load(images)
        if cached is not None:
            self.counters.n_image_codes_read += len(images)
            return cached
        code = _concat(self._in_batches(images, "image_batch", self.model.encode_image))
        self.counters.n_image_encodes += len(images)
        return code if self.cache is None else self.cache.store(images, code)

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


def engine_of(model: Segmenter, plan: Plan) -> Engine:
    """Return the engine that a plan asks for; only networks have features that a cache can keep."""
    spec, cache = plan.engine, None
    if spec.cache is not None and isinstance(model, NetworkSegmenter):
        cache = CodeCache(spec.cache, model, limit_gib=spec.cache_gib, dtype=spec.cache_dtype)
    return Engine(
        model, batch_size=spec.batch_size, image_batch=spec.image_batch, resolution=plan.metrics.resolution, cache=cache
    )


def _unless_out_of_memory(work: Callable[[Sequence[Any]], T], part: Sequence[Any]) -> T | None:
    try:
        return work(part)
    except torch.cuda.OutOfMemoryError:
        if len(part) == 1:
            raise
        return None


def _outcome(lookup: Callable[[Request], Probability], request: Request) -> Probability | CaseError:
    try:
        return lookup(request)
    except CaseError as error:
        return error


def _concat(codes: Sequence[Any]) -> Any:
    return codes[0] if len(codes) == 1 else type(codes[0]).concat(codes)


def _image_groups(requests: Sequence[Request], image_batch: int) -> Iterator[list[int]]:
    """Yield the request indices on each batch of distinct images, images in order of first appearance."""
    by_image: dict[str, list[int]] = {}
    for index, request in enumerate(requests):
        by_image.setdefault(request.image_key, []).append(index)
    keys = list(by_image)
    for start in range(0, len(keys), image_batch):
        yield sorted(i for key in keys[start : start + image_batch] for i in by_image[key])
