"""From levels to probabilities: what the answers of one model mean, decided over all that it gave so far.

One answer may be read in two ways only where a grey image holds 0 and one level below full scale: a mask as
``mask.astype(uint8)`` writes it, or a probability map that is all but empty. A single map does not tell; those beside
it do. An image with levels in between shows that grey means probability; before there is one, two levels are a mask,
which is logged, and an image that contradicts it later stops the audit.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PILImage

from robustness.errors import AnswerError, CaseError, InputError, suggest
from robustness.runners.models.black_box.answers import Levels, Size, decode_array, decode_image, scale_hint
from robustness.types import Probability

RETURNS = ("auto", "probabilities", "mask", "logits", "instances")
MASKS, GREY = "masks", "grey"

# Rounding may carry a probability this far beyond [0, 1]; it is then clipped.
_SLACK = 1e-5
_LOG = logging.getLogger(__name__)


def check_returns(returns: str) -> str:
    """Return `returns`.

    Raises:
        InputError: it is none of `RETURNS`.
    """
    if returns not in RETURNS:
        raise InputError(f"returns: expected one of {', '.join(RETURNS)}, got {returns!r}{suggest(returns, RETURNS)}")
    return returns


@dataclass(eq=False)
class AnswerReader:
    """Reads what one model answers.

    Attributes:
        name: of the model, for messages.
        returns: what levels mean. "auto": maps of probabilities in [0, 1], grey images from 0 to full scale (255, or
            65535 for 16 bits), and masks in any writing: bool, 0 and one other value, black and one colour.
            "probabilities": the same, but nothing with two values is taken for a mask. "mask": whatever is not 0 is
            inside. "logits" go through a sigmoid. "instances": any number of maps, whose union counts.
        meaning: what grey images turned out to be, `MASKS` or `GREY`; None before one of them showed.
        forms: how many answers were read in which way.
        alone_checks: how many more batches whose answers share memory are compared with a pair asked alone.
    """

    name: str
    returns: str = "auto"
    meaning: str | None = None
    forms: Counter[str] = field(default_factory=Counter)
    alone_checks: int = 3

    def read(
        self, answers: Sequence[Any], sizes: Sequence[Collection[Size]], wheres: Sequence[str]
    ) -> list[Probability | CaseError]:
        """Return one map per answer, float32 (H, W) in [0, 1], or the error of that answer in its place.

        Args:
            answers: `Levels`, arrays, tensors, PIL images, or an `AnswerError` that is handed through; with "instances"
                sequences of them, or arrays (N, H, W).
            sizes: the (H, W) that each may have.
            wheres: the pairs, for messages.

        Raises:
            InputError: an answer contradicts what the answers before it turned out to be.
        """
        decoded = [self._decoded(*pair) for pair in zip(answers, sizes, wheres, strict=True)]
        flat = [one for levels in decoded if not isinstance(levels, CaseError) for one in levels]
        self._settle(flat)
        return [self._map(*pair) for pair in zip(decoded, sizes, wheres, strict=True)]

    def refuse_one_buffer(self, answers: Sequence[Any], texts: Sequence[str], ask: Callable[[int], Any]) -> None:
        """Refuse a model that fills one array for several pairs: all of them would have the mask of the last one.

        One array may be right for several pairs (nothing is found, no text is read): the pair is asked again, alone.

        Args:
            answers: of one batch.
            texts: of its pairs.
            ask: called with a pair's number, returns what the model answers to that pair alone.

        Raises:
            InputError: alone the pair gets another map, and the same one twice.
        """
        row = _shared(answers) if self.alone_checks else None
        if row is None:
            return
        self.alone_checks -= 1
        given, *alone = (_held(answers[row]), _held(ask(row)), _held(ask(row)))
        if _alike(*alone) and not _alike(given, alone[0]):
            raise InputError(
                f"{self.name}: pairs share one array, and pair {row} ({texts[row]!r}) gets another map alone than among"
                f" {len(texts)}: it fills one buffer for all; return an array of its own for each pair (map.copy())"
            )

    def _decoded(self, answer: Any, sizes: Collection[Size], where: str) -> list[Levels] | CaseError:
        if isinstance(answer, CaseError):
            return answer
        try:
            if self.returns != "instances":
                return [_levels(answer, sizes, where)]
            return _instances(answer, sizes, where)
        except CaseError as error:
            return error

    def settle(self, answers: Iterable[Levels]) -> None:
        """Decide what grey images mean from all that there are; looks no further than the first that tells.

        Raises:
            InputError: see `read`.
        """
        seen: list[Levels] = []
        for levels in answers:
            if levels.kind == "grey" and (_has_shades(levels) or (not seen and _could_be_both(levels))):
                seen.append(levels)
                if _has_shades(levels):
                    break
        self._settle(seen)

    def _settle(self, answers: Sequence[Levels]) -> None:
        if self.returns not in ("auto", "instances"):
            return
        grey = [levels for levels in answers if levels.kind == "grey"]
        if any(_has_shades(levels) for levels in grey):
            if self.meaning == MASKS:
                raise InputError(
                    f"{self.name}: its images held 0 and one other level and were read as masks, now one holds "
                    "levels in between; state returns = 'mask' or 'probabilities' and audit into a new folder"
                )
            self.meaning = GREY
            return
        low = next((levels for levels in grey if _could_be_both(levels)), None)
        if self.meaning is None and low is not None:
            self.meaning = MASKS
            level = float(low.values.max())
            _LOG.warning(
                "%s: its images hold 0 and %g and are read as masks; state returns = 'probabilities' where %g "
                "means %g/%g",
                self.name,
                level,
                level,
                level,
                low.full,
            )

    def _map(self, decoded: list[Levels] | CaseError, sizes: Collection[Size], where: str) -> Probability | CaseError:
        if isinstance(decoded, CaseError):
            return decoded
        try:
            if self.returns == "instances" and not decoded:
                self.forms["no instance"] += 1
                return np.zeros(next(iter(sizes)), np.float32)
            maps = [self._probability(levels, where) for levels in decoded]
        except CaseError as error:
            return error
        if len({one.shape for one in maps}) > 1:
            return AnswerError(f"{where}: expected instances of one size, got {sorted({one.shape for one in maps})}")
        return maps[0] if len(maps) == 1 else np.maximum.reduce(maps)

    def _probability(self, levels: Levels, where: str) -> Probability:
        probability, form = self._judged(levels, where)
        self.forms[form] += 1
        return probability

    def _judged(self, levels: Levels, where: str) -> tuple[Probability, str]:
        values = levels.values
        if self.returns == "logits":
            if levels.kind not in ("floats", "integers"):
                raise AnswerError(f"{where}: logits do not fit into a {levels.source}; send numbers as an array (.npy)")
            return torch.from_numpy(values).sigmoid().numpy(), f"logits ({levels.source})"
        if levels.kind == "mask" or self.returns == "mask":
            return (values != 0).astype(np.float32), f"mask ({levels.source})"
        if levels.kind == "grey":
            return self._of_grey(levels)
        return self._of_numbers(levels, where)

    def _of_grey(self, levels: Levels) -> tuple[Probability, str]:
        values, highest = levels.values, float(levels.values.max())
        if self.meaning == MASKS and highest > 0:
            return (values != 0).astype(np.float32), f"mask of 0 and {highest:g} ({levels.source})"
        return np.clip(values / np.float32(levels.full), 0.0, 1.0), f"grey of {levels.full:g} ({levels.source})"

    def _of_numbers(self, levels: Levels, where: str) -> tuple[Probability, str]:
        values = levels.values
        low, high = float(values.min()), float(values.max())
        if low >= -_SLACK and high <= 1 + _SLACK:
            form = "mask of 0 and 1" if levels.kind == "integers" else "probabilities"
            return np.clip(values, 0.0, 1.0), f"{form} ({levels.source})"
        labels = levels.kind == "integers" and low > 0
        if self.returns == "auto" and (low == 0 or labels) and np.isfinite(high) and not _has_shades(levels):
            return (values != 0).astype(np.float32), f"mask of 0 and {high:g} ({levels.source})"
        hint = scale_hint(low, integers=levels.kind == "integers")
        raise AnswerError(f"{where}: expected probabilities in [0, 1], got {low:g} to {high:g}; {hint}")


def _shared(answers: Sequence[Any]) -> int | None:
    """Return the first answer that begins where another one begins in memory."""
    places: dict[int, int] = {}
    for row, answer in enumerate(answers):
        if isinstance(answer, torch.Tensor):
            place = answer.data_ptr() if answer.layout == torch.strided else 0
        else:
            place = answer.ctypes.data if isinstance(answer, np.ndarray) and answer.size else 0
        if place and places.setdefault(place, row) != row:
            return places[place]
    return None


def _held(answer: Any) -> npt.NDArray[Any]:
    """Return a copy of an answer, which no later call can change."""
    values = answer.detach().float().cpu().numpy() if isinstance(answer, torch.Tensor) else answer
    return np.array(values).squeeze()


def _alike(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    if one.shape != other.shape or "O" in (one.dtype.kind, other.dtype.kind):
        return False
    # Batches of two sizes round otherwise.
    return bool(np.isclose(one, other, rtol=0.01, atol=0.01, equal_nan=True).all())


def _levels(answer: Any, sizes: Collection[Size], where: str) -> Levels:
    if isinstance(answer, Levels):
        return answer
    if isinstance(answer, PILImage.Image):
        return decode_image(answer, sizes, where)
    return decode_array(answer, sizes, where)


def _instances(answer: Any, sizes: Collection[Size], where: str) -> list[Levels]:
    if isinstance(answer, np.ndarray | torch.Tensor) and answer.ndim != 3:
        labels = decode_array(answer, sizes, where) if answer.ndim == 2 else None
        if labels is None or labels.kind == "floats":
            raise AnswerError(f"{where}: expected instances (N, H, W), got shape {tuple(answer.shape)}")
        # Instances painted into one map under their numbers: 0 is outside of all.
        return [labels._replace(values=(labels.values != 0).astype(np.float32), kind="mask")]
    if isinstance(answer, Levels):
        return [answer]
    if not isinstance(answer, np.ndarray | torch.Tensor | Sequence) or isinstance(answer, str):
        raise AnswerError(f"{where}: expected a sequence of instance masks, got {type(answer).__name__}")
    return [_levels(one, sizes, f"{where}, instance {number}") for number, one in enumerate(answer)]


def _has_shades(levels: Levels) -> bool:
    """Return whether there are two levels besides 0."""
    inside = levels.values[levels.values != 0]
    return bool(inside.size and (inside != inside[0]).any())


def _could_be_both(levels: Levels) -> bool:
    """Return whether there is but one level besides 0, below full scale; an image of 1 is one, of 128 is grey."""
    highest, lowest = float(levels.values.max()), float(levels.values.min())
    return 0 < highest < levels.full and (lowest == 0 or highest == 1) and not _has_shades(levels)
