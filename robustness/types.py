"""The nouns of the project: what a prompt, a case, a perturbation and a model are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from robustness.errors import InputError, counted
from robustness.prompt import EXPECTATIONS, KINDS, Attribute, Expectation, Kind, Prompt

if TYPE_CHECKING:
    import torch

__all__ = [
    "EXPECTATIONS",
    "KINDS",
    "Attribute",
    "Case",
    "CaseInfo",
    "DataContext",
    "Embedding",
    "Expectation",
    "Image",
    "Kind",
    "Mask",
    "NotApplicable",
    "Params",
    "Perturbation",
    "Probability",
    "Progress",
    "Prompt",
    "Segmenter",
]

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Probability = npt.NDArray[np.float32]
Params = dict[str, Any]
# Called with how much is done, and of how much.
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Case:
    """One image, one reference mask, one prompt.

    Attributes:
        case_id: the mask's name without suffix, '/' written '__'.
        subject_id: the unit of inference (patient); without one it is the image, and reports say so.
        image: uint8 (H, W, 3), RGB, original size; cases on one image share it, so that it may not be writable.
        mask: bool (H, W).
        prompt: the prompt of this case.
        target: what the prompt asks for (class name).
        metadata: everything else that the data states (`modality`, `attributes`, `siblings`, `image_id`, ...).
        spacing_mm: pixel spacing (row, column) in mm, or None where it is unknown.

    Raises:
        InputError: an image, mask or prompt of another type or shape.
    """

    case_id: str
    subject_id: str
    image: Image
    mask: Mask
    prompt: Prompt
    target: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    spacing_mm: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        image, mask = self.image, self.mask
        if not _is_plain(image, np.uint8) or image.shape[2:] != (3,):
            raise InputError(f"image: expected an array of uint8 (H, W, 3), RGB, got {_array(image)}")
        if not _is_plain(mask, np.bool_) or mask.shape != image.shape[:2]:
            size = image.shape[:2]
            raise InputError(f"mask: expected an array of bool {size}, as large as the image, got {_array(mask)}")
        if not isinstance(self.prompt, Prompt):
            raise InputError(f"prompt: expected a prompt as parse_prompt returns it, got {self.prompt!r}")
        if not isinstance(self.metadata, Mapping):
            raise InputError(f"metadata: expected a table (dict), got {self.metadata!r}")
        spacing = self.spacing_mm
        if spacing is not None and not (isinstance(spacing, tuple | list) and len(spacing) == 2):
            raise InputError(f"spacing_mm: expected two numbers (row, column) or None, got {spacing!r}")

    def __repr__(self) -> str:
        height, width = self.mask.shape
        return f"Case({self.case_id!r}, {height}x{width}, {self.prompt.text!r})"


def _is_plain(value: object, dtype: type[np.generic]) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype and not np.ma.is_masked(value)


def masked_pixels(value: object) -> int:
    """Count the masked elements of a `numpy.ma` array, or of the rows of a list: numpy drops a mask without a word.

    Example:
        >>> masked_pixels([np.ma.masked_array([1, 1], mask=[False, True]), [0, 1]])
        1
    """
    if isinstance(value, list | tuple):
        return sum(masked_pixels(row) for row in value if isinstance(row, list | tuple | np.ndarray))
    return int(np.ma.getmaskarray(np.ma.asanyarray(value)).sum()) if np.ma.is_masked(value) else 0


def _array(value: object) -> str:
    if hidden := masked_pixels(value):
        return f"one with {counted(hidden, 'masked pixel')} (write array.filled(0))"
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    return f"an object of type {type(value).__name__}"


@dataclass(frozen=True, slots=True)
class CaseInfo:
    """What is known about a case before any pixel is decoded."""

    case_id: str
    image_id: str
    subject_id: str
    target: str
    prompts: tuple[Prompt, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataContext:
    """What a perturbation may know about the dataset around a case: names and prompts, no pixels."""

    name: str
    infos: tuple[CaseInfo, ...]
    seed: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """The distinct target names, sorted."""
        return tuple(sorted({info.target for info in self.infos if info.target}))

    def same_image(self, image_id: str) -> tuple[CaseInfo, ...]:
        """The cases on one image, sorted by case_id."""
        return self._by_image.get(image_id, ())

    def __post_init__(self) -> None:
        groups: dict[str, list[CaseInfo]] = {}
        for info in sorted(self.infos, key=lambda i: i.case_id):
            groups.setdefault(info.image_id, []).append(info)
        object.__setattr__(self, "_by_image", {k: tuple(v) for k, v in groups.items()})

    _by_image: dict[str, tuple[CaseInfo, ...]] = field(init=False, repr=False, compare=False, default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """Why a perturbation does not apply to a case; recorded in the row's `note`."""

    reason: str


@runtime_checkable
class Perturbation(Protocol):
    """One foreseeable change of a prompt, an image, or both.

    All randomness sits in `propose` (`draw`); `apply` is deterministic given `params`, which are JSON.
    """

    name: str
    target: str
    severities: tuple[int, ...]
    expectation: str

    def propose(self, case: Case, severity: int, rng: np.random.Generator) -> Params | NotApplicable:
        """Return the parameters of the change, or why there is none."""
        ...

    def draw(self, case: Case, severity: int, rng: np.random.Generator) -> Params | None:
        """Return the parameters of the change, or None where it does not apply."""
        ...

    def apply(self, case: Case, params: Params) -> Case:
        """Return the changed case; image, mask and words move together."""
        ...


class Embedding(Protocol):
    """Encoded images or texts: rows that can be picked."""

    def __len__(self) -> int: ...

    def take(self, rows: Sequence[int]) -> Embedding:
        """Return the features of `rows`, repeats allowed, in that order."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """A vision-language segmentation model, split so that each image and each text is encoded once.

    `network` has ``forward(pixel_values, input_ids=None, attention_mask=None)`` giving logits (B, 1, H, W).
    A model's features are its own: `decode` and `probabilities` take what its encoders returned.
    """

    @property
    def name(self) -> str:
        """What results call the model."""
        ...

    @property
    def image_size(self) -> int:
        """Side of the network's square input in pixels; 0 for a black box."""
        ...

    @property
    def threshold(self) -> float:
        """Probability above which a pixel belongs to the mask."""
        ...

    @property
    def network(self) -> torch.nn.Module | None:
        """The module; None for a black box."""
        ...

    def encode_image(self, images: Sequence[Image]) -> Embedding:
        """Encode uint8 RGB images (H, W, 3), sizes may differ."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Embedding:
        """Encode prompts."""
        ...

    def decode(self, image_embedding: Any, text_embedding: Any) -> torch.Tensor:
        """Return logits (B, 1, h, w) of the pairs (image_embedding[i], text_embedding[i])."""
        ...

    def probabilities(
        self, image_embedding: Any, text_embedding: Any, sizes: Sequence[tuple[int, int]] | None
    ) -> list[Probability]:
        """Return one float32 map in [0, 1] per pair, at `sizes` (H, W), or at network size where None."""
        ...
