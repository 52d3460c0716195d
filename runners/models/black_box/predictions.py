"""Models that are known by their predictions only: a folder of masks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np
import torch
from PIL import Image as PILImage
from PIL import UnidentifiedImageError

from robustness.errors import CaseError, InputError
from robustness.registry import MODELS
from robustness.results import CLEAN, RERUN
from robustness.runners.inference.engine import Request
from robustness.runners.models.black_box.entry import BlackBoxEntry
from robustness.types import Image, Probability

_SAMPLED = 16
_TO_UNDERSCORE = str.maketrans(":@+", "___")
_FULL = {"1": 1.0, "L": 255.0, "I;16": 65535.0, "I;16B": 65535.0, "I": 65535.0}


def condition_folder(condition: str) -> str:
    """Return the folder name of a condition: ``image:gamma@3+antonym:size`` -> ``image_gamma_3_antonym_size``."""
    return condition.translate(_TO_UNDERSCORE)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Stored predictions ``<folder>/<condition>/<case_id>.png`` behind the `Segmenter` protocol.

    `lookup` answers an engine's requests; there is nothing to encode. The second clean run (``rerun``) of stored
    predictions is the first one. Where a case lists several texts, those after the first lie in
    ``<case_id>__<prompt_index>.png``, as an audit with ``save_predictions`` writes them.
    """

    folder: Path
    name: str
    threshold: float = 0.5
    binary: bool = False
    image_size: int = 0
    network: torch.nn.Module | None = None

    def path(self, condition: str, case_id: str, prompt_index: int = 0) -> Path:
        """Return where the prediction of a case under a condition lies; further listed texts have a suffix."""
        suffix = f"__{prompt_index}" if prompt_index else ""
        return self.folder / condition_folder(CLEAN if condition == RERUN else condition) / f"{case_id}{suffix}.png"

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
        probability = _read(path, binary=self.binary)
        if probability.shape != request.size:
            raise CaseError(
                f"{request.case_id}: expected a mask of size {request.size} in {path.name}, got {probability.shape}"
            )
        return probability

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

    def decode(self, image_code: Any, text_code: Any) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: stored predictions cannot decode; use lookup")

    def probabilities(self, image_code: Any, text_code: Any, sizes: Any = None) -> NoReturn:
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
            "files": len(files),
            "sha256": digest.hexdigest(),
        }


def load_predictions(
    folder: str | Path, *, name: str | None = None, threshold: float = 0.5, binary: bool = False
) -> Predictions:
    """Audit a model by its predictions: ``folder/<condition>/<case_id>.png`` at the image's size.

    Args:
        folder: holds one folder per condition; ':', '@' and '+' in condition names are written '_'.
        name: what results call the model; default: the folder's name.
        threshold: the probability above which a pixel belongs to the mask.
        binary: grey values are 0 and 1 instead of 0 to full scale (255, or 65535 for 16 bits).

    Raises:
        InputError: no such folder, no predictions in it, or files that look like 0/1 masks without `binary`.
    """
    path = Path(folder)
    files = _files(path) if path.is_dir() else []
    if not files:
        raise InputError(f"predictions: expected PNG files in {folder}/<condition>/, found none; check the path")
    if not 0 < threshold < 1:
        raise InputError(f"threshold: expected a probability between 0 and 1, got {threshold}")
    if not binary and _look_binary(files[:_SAMPLED]):
        raise InputError(f"predictions: the masks in {folder} hold only 0 and 1 of 255; give binary=True for 0/1 masks")
    return Predictions(folder=path, name=name or path.resolve().name, threshold=threshold, binary=binary)


@MODELS.add("predictions")
class PredictionsModel(BlackBoxEntry):
    """A folder of predictions: checkpoint = "preds", which holds <condition>/<case_id>.png."""

    title: ClassVar[str] = "stored predictions, <condition>/<case_id>.png"
    options: ClassVar[tuple[str, ...]] = ("binary",)

    def load(
        self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any
    ) -> Predictions:
        """Return the folder as a model; see `load_predictions`."""
        if source is None:
            raise InputError("checkpoint: expected a folder of predictions, got none")
        if image_size is not None:
            raise InputError("image_size: expected none for 'predictions', which have their images' size")
        return load_predictions(
            source, threshold=0.5 if threshold is None else threshold, binary=bool(options.get("binary", False))
        )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.png"))


def _look_binary(files: Sequence[Path]) -> bool:
    # Judged over many files: one nearly empty probability map may well hold nothing above 1 of 255.
    highest = []
    for path in files:
        try:
            values, full = _grey(path)
        except CaseError:
            continue
        highest.append(int(values.max()) if full > 1 else 0)
    return bool(highest) and max(highest) == 1


def _read(path: Path, *, binary: bool) -> Probability:
    values, full = _grey(path)
    probability = values.astype(np.float32) / (1.0 if binary else full)
    if float(probability.max()) > 1:
        raise CaseError(f"{path.stem}: expected a 0/1 mask in {path.name}, got values up to {int(values.max())}")
    return probability


def _grey(path: Path) -> tuple[np.ndarray[Any, Any], float]:
    """Return the grey values (H, W) of a file and its full scale; the first channel of several."""
    try:
        with PILImage.open(path) as opened:
            picture = opened.convert("RGB") if opened.mode == "P" else opened
            full = _FULL.get(picture.mode, 255.0)
            values = np.array(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        raise CaseError(f"{path.stem}: {path.name} is not a readable PNG ({error})") from error
    return (values if values.ndim == 2 else values[..., 0]), full
