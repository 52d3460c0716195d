"""A model that nobody here may hold, known by the predictions that came back for an export."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch

from robustness.errors import CaseError, InputError
from robustness.runners.exchange.package import image_digest, request_id
from robustness.runners.exchange.predictions import Map, Returned, ReturnedError
from robustness.runners.inference.request import Request
from robustness.types import Probability

MISSING, EXTRA, TWICE = "missing", "extra", "more than one file"


class Problem(NamedTuple):
    """What is wrong with one file, or with one request that has none."""

    kind: str
    name: str
    detail: str


@dataclass(frozen=True)
class Inspected:
    """The predictions, what is wrong with some, whether all usable ones are probabilities, one hash over those."""

    returned: Returned
    problems: tuple[Problem, ...]
    n_usable: int
    all_probabilities: bool
    sha256: str

    def counts(self) -> dict[str, int]:
        """Return the number of problems of each kind."""
        return dict(Counter(problem.kind for problem in self.problems))


def inspect(path: Path, sizes: Mapping[str, tuple[int, int]]) -> Inspected:
    """Look at every prediction once.

    Args:
        path: a folder or a zip archive.
        sizes: (height, width) of each request by its id.

    Raises:
        InputError: there is no such folder or archive.
    """
    returned = Returned(path)
    strangers = [file for name, file in returned.files.items() if name not in sizes]
    problems = [Problem(EXTRA, file, "no request has this id") for file in sorted([*returned.extra, *strangers])]
    usable = masks = 0
    digest = hashlib.sha256()
    for name, size in sorted(sizes.items()):
        look = _look(returned, name, size)
        if isinstance(look, Problem):
            problems.append(look)
        else:
            usable, masks = usable + 1, masks + look.is_mask
            digest.update(f"{name} {look.sha256}\n".encode())
    return Inspected(returned, tuple(problems), usable, usable > 0 and masks == 0, digest.hexdigest())


def _look(returned: Returned, name: str, size: tuple[int, int]) -> Problem | Map:
    """Return a prediction, or what is wrong with it."""
    if name not in returned.files:
        return Problem(MISSING, name, "no file for this request")
    if name in returned.twice:
        return Problem(TWICE, name, ", ".join(returned.twice[name]))
    try:
        return returned.read(name, size)
    except ReturnedError as error:
        return Problem(error.kind, returned.files[name], str(error))


@dataclass(eq=False)
class ReturnedModel:
    """Answers the requests of an audit with the predictions that came back, found by image and prompt.

    Attributes:
        sizes: (height, width) of each request by its id.
    """

    name: str
    inspected: Inspected
    sizes: Mapping[str, tuple[int, int]]
    threshold: float = 0.5
    image_size: int = 0
    network: torch.nn.Module | None = None

    def __post_init__(self) -> None:
        self._bad = {p.name: p for p in self.inspected.problems if p.kind != EXTRA}

    def lookup(self, request: Request) -> Probability:
        """Return the map (H, W) in [0, 1] of a request.

        Raises:
            CaseError: it is missing or cannot be used.
            InputError: the request is none that was exported.
        """
        name = request_id(image_digest(request.image), request.text)
        if name not in self.sizes:
            raise InputError(
                f"export: {request.case_id!r} under {request.condition!r} is not what was exported; the suite or its "
                "libraries changed since (key/export.json holds their versions)"
            )
        file = self.inspected.returned.files.get(name, name)
        problem = self._bad.get(name) or self._bad.get(file)
        if problem is not None:
            raise CaseError(f"{request.case_id}: prediction {name}: {problem.kind}: {problem.detail}")
        return self.inspected.returned.read(name, self.sizes[name]).values

    def encode_image(self, images: Sequence[Any]) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: returned predictions cannot encode; use lookup")

    encode_text = encode_image

    def decode(self, image_embedding: Any, text_embedding: Any) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: returned predictions cannot decode; use lookup")

    def probabilities(self, image_embedding: Any, text_embedding: Any, sizes: Any = None) -> NoReturn:
        """Raise InputError: there is no network."""
        raise InputError(f"{self.name}: returned predictions cannot decode; use lookup")

    def describe(self) -> dict[str, Any]:
        """Return what a manifest needs to know: counts, problems, and one hash over all predictions."""
        return {
            "name": self.name,
            "model": "returned predictions",
            "threshold": self.threshold,
            "requests": len(self.sizes),
            "used": self.inspected.n_usable,
            "problems": self.inspected.counts(),
            "kind": "probabilities" if self.inspected.all_probabilities else "masks",
            "sha256": self.inspected.sha256,
        }
