"""Models that are known by their predictions only: a folder of masks."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import torch

from robustness.errors import CaseError, InputError
from robustness.registry import MODELS
from robustness.results import CLEAN, RERUN, prediction_stem
from robustness.runners.models.black_box.answer_reader import AnswerReader
from robustness.runners.models.black_box.answers import Levels, Size, decode_image
from robustness.runners.models.black_box.entry import BlackBoxEntry
from robustness.types import Image, Probability

if TYPE_CHECKING:
    from robustness.runners.inference.request import Request

RETURNS = ("auto", "probabilities", "mask")
_TO_UNDERSCORE = str.maketrans(":@+", "___")


def condition_folder(condition: str) -> str:
    """Return the folder name of a condition: ``image:gamma@3+antonym:size`` -> ``image_gamma_3_antonym_size``."""
    return condition.translate(_TO_UNDERSCORE)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Stored predictions ``<folder>/<condition>/<case_id>.png`` behind the `Segmenter` protocol.

    `lookup` answers an engine's requests; there is nothing to encode. The second clean run (``rerun``) of stored
    predictions is the first one. Where a case lists several texts, those after the first lie in
    ``<case_id>__<prompt_index>.png``, as an audit with ``save_predictions`` writes them.

    Attributes:
        reader: what the levels of the files mean; `load_predictions` settles it over all of them.
    """

    folder: Path
    name: str
    reader: AnswerReader
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None

    def __repr__(self) -> str:
        return f"Predictions({self.name!r}, {str(self.folder)!r}, threshold {self.threshold:g})"

    def path(self, condition: str, case_id: str, prompt_index: int = 0) -> Path:
        """Return where the prediction of a case under a condition lies; further listed texts have a suffix."""
        folder = self.folder / condition_folder(CLEAN if condition == RERUN else condition)
        # Written where another case bears the plain name; see `prediction_stem`.
        apart = folder / f"{case_id}__text{prompt_index}.png"
        if prompt_index and apart.is_file():
            return apart
        return folder / f"{prediction_stem(case_id, prompt_index)}.png"

    def lookup(self, request: Request) -> Probability:
        """Return the stored map (H, W) in [0, 1] of a request.

        Raises:
            CaseError: no such file, an unreadable one, or one of another size than the image.
        """
        path = self.path(request.condition, request.case_id, request.prompt_index)
        if not path.is_file():
            raise CaseError(
                f"{request.case_id}: no prediction at {path.relative_to(self.folder)} in {self.folder.name}"
            )
        where = f"{request.case_id}: {path.relative_to(self.folder)}"
        answer = self.reader.read([_levels(path, [request.size], where)], [[request.size]], [where])[0]
        if isinstance(answer, CaseError):
            raise answer
        return answer

    def missing(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Return the files that are absent, of pairs (condition, case_id)."""
        paths = [self.path(condition, case_id) for condition, case_id in pairs]
        return [str(p.relative_to(self.folder)) for p in paths if not p.is_file()]

    def encode_image(self, images: Sequence[Image]) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: stored predictions cannot encode images; use lookup")

    def encode_text(self, texts: Sequence[str]) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: stored predictions cannot encode texts; use lookup")

    def decode(self, image_embedding: Any, text_embedding: Any) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: stored predictions cannot decode; use lookup")

    def probabilities(self, image_embedding: Any, text_embedding: Any, sizes: Any = None) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: stored predictions cannot decode; use lookup")

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know: the number of files and one hash over all of them."""
        files = _files(self.folder)
        digest = hashlib.sha256()
        for path in files:
            digest.update(str(path.relative_to(self.folder)).encode() + b"\0" + path.read_bytes())
        return {
            "name": self.name,
            "model": "predictions",
            "threshold": self.threshold,
            "returns": self.reader.returns,
            "grey_means": self.reader.meaning,
            "files": len(files),
            "sha256": digest.hexdigest(),
        }


def load_predictions(
    folder: str | Path,
    *,
    name: str | None = None,
    threshold: float = 0.5,
    binary: bool = False,
    returns: str = "auto",
) -> Predictions:
    """Audit a model by its predictions: ``folder/<condition>/<case_id>.png`` at the image's size.

    Args:
        folder: holds one folder per condition; ':', '@' and '+' in condition names are written '_'.
        name: what results call the model; default: the folder's name.
        threshold: the probability above which a pixel belongs to the mask.
        binary: the files are masks, whatever their levels: the same as ``returns="mask"``.
        returns: "auto" looks at the files until one tells what grey means: masks of 0 and one other level, or
            probabilities from 0 to full scale (255, or 65535 for 16 bits); "probabilities" and "mask" state it.

    Raises:
        InputError: no such folder, no predictions in it, or `returns` is none of those.
    """
    path = Path(folder)
    files = _files(path) if path.is_dir() else []
    if not files:
        raise InputError(f"predictions: expected PNG files in {folder}/<condition>/, found none; check the path")
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    if returns not in RETURNS:
        raise InputError(f"returns: expected one of {', '.join(RETURNS)} for stored predictions, got {returns!r}")
    label = name or path.resolve().name
    reader = AnswerReader(label, "mask" if binary else returns)
    if reader.returns == "auto":
        reader.settle(_each(files))
    return Predictions(folder=path, name=label, reader=reader, threshold=threshold)


@MODELS.add("predictions")
class PredictionsModel(BlackBoxEntry):
    """A folder of predictions: checkpoint = "preds", which holds <condition>/<case_id>.png."""

    title: ClassVar[str] = "stored predictions, <condition>/<case_id>.png"
    options: ClassVar[tuple[str, ...]] = ("binary", "returns")

    def load(
        self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any
    ) -> Predictions:
        """Return the folder as a model; see `load_predictions`."""
        if source is None:
            raise InputError("checkpoint: expected a folder of predictions, got none")
        if image_size is not None:
            raise InputError("image_size: expected none for 'predictions', which have their images' size")
        return load_predictions(
            source,
            threshold=0.5 if threshold is None else threshold,
            binary=bool(options.get("binary", False)),
            returns=str(options.get("returns", "auto")),
        )


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*.png") if path.is_file())


def _each(files: Sequence[Path]) -> Iterator[Levels]:
    """Yield the levels of the files that can be read; the others are reported where they are looked up."""
    for path in files:
        levels = _levels(path, None, path.name)
        if not isinstance(levels, CaseError):
            yield levels


def _levels(path: Path, sizes: Sequence[Size] | None, where: str) -> Levels | CaseError:
    try:
        return decode_image(path, sizes, where)
    except CaseError as error:
        return error
