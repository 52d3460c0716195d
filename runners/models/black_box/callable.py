"""Models of which only ``predict(images, prompts) -> maps`` is known."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from robustness.errors import AnswerError, CaseError, InputError, first_line, one_line
from robustness.foreign_code import foreign_code
from robustness.runners.inference.embedding import ListEmbedding
from robustness.runners.inference.segmenter import resize_maps
from robustness.runners.models.black_box.answer_reader import AnswerReader, check_returns
from robustness.runners.models.black_box.answers import Size
from robustness.types import Image, Probability

Predict = Callable[[list[Image], list[str]], Sequence[Any]]
CountTokens = Callable[[str], Any]


@dataclass(frozen=True)
class TextLimit:
    """How much of a text a model reads, where its door says so.

    Attributes:
        most: words or tokens.
        tokenize: counts a text's tokens (a number, or a sequence of them); None: words between blanks are counted.
    """

    most: int
    tokenize: CountTokens | None = None

    def cuts(self, text: str) -> bool:
        """Return whether the text's end is not read."""
        tokens = text.split() if self.tokenize is None else self.tokenize(text)
        return (tokens if isinstance(tokens, int) else len(tokens)) > self.most


@dataclass(eq=False)
class BlackBox:
    """A callable behind the `Segmenter` protocol; `segmenter` makes it.

    Attributes:
        image_size: side of the predictor's own map; maps of that size are taken too and resized once. 0: unknown.
        returns: what the callable's maps hold, see `AnswerReader`.
        batch_size: pairs per call, None for as many as the engine decodes at once.
        provenance: where the predictor comes from, for manifests.
        text_limit: how much of a text the predictor reads; None: not known.
        pairs_at_once: how many pairs an engine had better hand over, None for its own number.
    """

    predict: Predict
    name: str
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None
    returns: str = "auto"
    batch_size: int | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    text_limit: TextLimit | None = None
    pairs_at_once: int | None = None

    def __post_init__(self) -> None:
        self.reader = AnswerReader(self.name, self.returns)

    def __repr__(self) -> str:
        function = getattr(self.predict, "__qualname__", type(self.predict).__qualname__)
        return f"BlackBox({self.name!r}, {function}, returns {self.returns}, threshold {self.threshold:g})"

    def cut_texts(self, texts: Sequence[str]) -> list[str] | None:
        """Return those of `texts` whose ends are not read; None where nothing is known of it."""
        limit = self.text_limit
        return None if limit is None else [text for text in texts if limit.cuts(text)]

    def encode_image(self, images: Sequence[Image]) -> ListEmbedding:
        """Keep the images."""
        return ListEmbedding(tuple(images))

    def encode_text(self, texts: Sequence[str]) -> ListEmbedding:
        """Keep the texts."""
        return ListEmbedding(tuple(texts))

    def decode(self, image_embedding: ListEmbedding, text_embedding: ListEmbedding) -> torch.Tensor:
        """Return logits (B, 1, H, W) of the pairs.

        Raises:
            InputError: the images differ in size, so that their maps make no tensor.
            CaseError: a pair has no map that can be read.
        """
        maps = self.probabilities(image_embedding, text_embedding, [_size(image) for image in image_embedding.items])
        if len({m.shape for m in maps}) > 1:
            raise InputError("images: expected images of one size to decode into one tensor, got several sizes")
        return torch.from_numpy(np.stack(maps))[:, None].logit()

    def probabilities(
        self, image_embedding: ListEmbedding, text_embedding: ListEmbedding, sizes: Sequence[Size] | None = None
    ) -> list[Probability]:
        """Return what `outcomes` returns.

        Raises:
            CaseError: a pair has no map that can be read; the first is named.
        """
        maps: list[Probability] = []
        for outcome in self.outcomes(image_embedding, text_embedding, sizes):
            if isinstance(outcome, CaseError):
                raise outcome
            maps.append(outcome)
        return maps

    def outcomes(
        self, image_embedding: ListEmbedding, text_embedding: ListEmbedding, sizes: Sequence[Size] | None = None
    ) -> list[Probability | CaseError]:
        """Call the function, once for all pairs or as `batch_size` says, and read what it returns.

        A call that raises is repeated pair by pair, so that one bad pair costs one row.

        Returns:
            One float32 map in [0, 1] per pair at its size in `sizes`, or at `image_size` where None; an error in its
            place where the predictor raises or its map cannot be read.

        Raises:
            InputError: the predictor cannot be used at all, or network size is asked for and not stated.
        """
        if sizes is None and not self.image_size:
            raise InputError(f"resolution: network size needs segmenter(..., image_size=...), {self.name} states none")
        images, texts = list(image_embedding.items), list(text_embedding.items)
        step = self.batch_size or max(len(texts), 1)
        maps: list[Probability | CaseError] = []
        for start in range(0, len(texts), step):
            part = slice(start, start + step)
            maps += self._read(self._answers(images[part], texts[part]), images[part], texts[part])
        goals = sizes if sizes is not None else [(self.image_size, self.image_size)] * len(maps)
        return [_at(one, (int(size[0]), int(size[1]))) for one, size in zip(maps, goals, strict=True)]

    def _answers(self, images: list[Image], texts: list[str]) -> list[Any]:
        try:
            with foreign_code():
                return self._checked(self.predict(self._given(images), texts), len(texts))
        except InputError:
            raise
        except Exception as error:  # whatever somebody else's predictor raises
            if len(texts) == 1:
                return [AnswerError(f"{self.name}: {texts[0]!r}: {type(error).__name__}: {one_line(error, most=300)}")]
        # Outside the handler, whose traceback would keep the failed batch alive.
        return [answer for image, text in zip(images, texts, strict=True) for answer in self._answers([image], [text])]

    def _given(self, images: list[Image]) -> list[Image]:
        """Return what the predictor gets: an image of its own for each pair, unless it says that it changes none.

        Cases and prompts share an image; one that a predictor normalizes in place would falsify all that follow.
        """
        return images if getattr(self.predict, "changes_no_image", False) else [image.copy() for image in images]

    def _checked(self, returned: Any, count: int) -> list[Any]:
        try:
            maps = list(returned)
        except TypeError as error:
            kind = type(returned).__name__
            raise InputError(f"{self.name}: expected a sequence of arrays (H, W), got {kind}") from error
        if len(maps) != count:
            raise InputError(f"{self.name}: expected one map per pair ({count}), got {len(maps)}")
        return maps

    def _read(
        self, answers: Sequence[Any], images: Sequence[Image], texts: Sequence[str]
    ) -> list[Probability | CaseError]:
        self.reader.refuse_one_buffer(answers, texts, lambda row: self._answers([images[row]], [texts[row]])[0])
        own = [(self.image_size, self.image_size)] if self.image_size else []
        sizes: list[Collection[Size]] = [list(dict.fromkeys([_size(image), *own])) for image in images]
        wheres = [f"{self.name}: pair {row} ({text!r})" for row, text in enumerate(texts)]
        return self.reader.read(answers, sizes, wheres)

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know, as JSON values."""
        function = getattr(self.predict, "__qualname__", type(self.predict).__qualname__)
        limit = self.text_limit
        return {
            "name": self.name,
            "model": "callable",
            "function": f"{getattr(self.predict, '__module__', '?')}.{function}",
            "threshold": self.threshold,
            "returns": self.returns,
            "batch_size": self.batch_size,
            "image_size": self.image_size,
            **({"text_limit": limit.most} if limit is not None else {}),
            **({"source": dict(self.provenance)} if self.provenance else {}),
        }


def segmenter(
    predict: Predict,
    *,
    name: str,
    threshold: float = 0.5,
    image_size: int | None = None,
    returns: str = "auto",
    batch_size: int | None = None,
    provenance: Mapping[str, Any] | None = None,
    max_words: int | None = None,
    max_tokens: int | None = None,
    tokenize: CountTokens | None = None,
) -> BlackBox:
    """Wrap any function as a model that can be audited.

    Args:
        predict: called with `images` (list of uint8 (H, W, 3), sizes may differ) and `prompts` (list of str of equal
            length); returns one array (H, W) per pair at its image's size, or at `image_size`.
        name: what results call the model.
        threshold: the probability above which a pixel belongs to the mask.
        image_size: side of the network's own square map, where it returns that, and for scores at network resolution.
        returns: "auto": probabilities in [0, 1], or masks in any writing; "probabilities" alone; "mask": whatever is
            not 0 is inside; "logits"; "instances": (N, H, W) per pair, whose union counts, N = 0 for nothing found.
        batch_size: pairs per call; 1 for a model that takes one image at a time.
        provenance: what a manifest should hold about the predictor, as JSON values.
        max_words: words that it reads of a prompt.
        max_tokens: tokens that it reads of a prompt, counted by `tokenize`.
        tokenize: called with a text, returns its tokens or their number.

    Raises:
        InputError: `predict` cannot be called, or an option is none of those above.
    """
    if not callable(predict):
        raise InputError(f"predict: expected a function (images, prompts) -> maps, got {type(predict).__name__}")
    _check_signature(predict)
    if not name.strip():
        raise InputError("name: expected what results call the model, got an empty text; write name='vendor-1.2'")
    try:
        json.dumps(provenance)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"provenance: expected JSON values (texts, numbers, lists, tables), {first_line(error)}"
        ) from None
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    for argument, value in (("batch_size", batch_size), ("image_size", image_size)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{argument}: expected a whole number of at least 1, got {value!r}")
    return BlackBox(
        predict=predict,
        name=name,
        threshold=threshold,
        image_size=image_size or 0,
        returns=check_returns(returns),
        batch_size=batch_size,
        provenance=provenance or {},
        text_limit=text_limit(max_words=max_words, max_tokens=max_tokens, tokenize=tokenize),
    )


def _check_signature(predict: Predict) -> None:
    """Refuse a function that cannot be called with two arguments; one that tells no signature passes."""
    try:
        signature = inspect.signature(predict)
    except (TypeError, ValueError):
        return
    try:
        signature.bind([], [])
    except TypeError as error:
        name = getattr(predict, "__qualname__", type(predict).__qualname__)
        raise InputError(
            f"predict: expected a function (images, prompts) -> one map per pair, got {name}{signature}, which cannot"
            f" be called with two lists ({error}); wrap it: lambda images, prompts: [{name}(...) for ...]"
        ) from None


def text_limit(*, max_words: Any = None, max_tokens: Any = None, tokenize: Any = None) -> TextLimit | None:
    """Return how much of a text a door says that its model reads; None where it says nothing.

    Raises:
        InputError: both limits, one that is no number, or tokens without something that counts them.
    """
    for argument, value in (("max_words", max_words), ("max_tokens", max_tokens)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise InputError(f"{argument}: expected a whole number of at least 1, got {value!r}")
    if max_words is not None and max_tokens is not None:
        raise InputError("max_words: expected one of max_words and max_tokens, got both")
    if (max_tokens is None) != (tokenize is None):
        raise InputError("tokenize: expected max_tokens and tokenize together, got one of them")
    if tokenize is not None and not callable(tokenize):
        raise InputError(f"tokenize: expected a function of a text, got {tokenize!r}")
    most = max_words if max_tokens is None else max_tokens
    return None if most is None else TextLimit(most, tokenize)


def _at(outcome: Probability | CaseError, size: Size) -> Probability | CaseError:
    if isinstance(outcome, CaseError) or outcome.shape == size:
        return outcome
    return resize_maps(torch.from_numpy(outcome)[None, None], [size])[0]


def _size(image: Image) -> Size:
    return image.shape[0], image.shape[1]
