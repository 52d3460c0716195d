"""The cases of a part of an audit, prefetched for the model that waits for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from robustness.errors import CaseError
from robustness.runners.audit.jobs import Group
from robustness.runners.audit.prefetch import Prefetch
from robustness.runners.audit.rows import ResultRow, SeriesIdentity
from robustness.runners.data.dataset import Dataset


class AuditStoppedError(CaseError):
    """A case failed and `strict` was asked for; the parts before it are kept."""


class ImageOf(NamedTuple):
    """One image of a part: the part's number, its dataset's number, the image."""

    part: int
    dataset: int
    image: str


class Reader:
    """Reads the cases on one image after the other, in a thread of its own where `ahead` is not 0.

    Args:
        datasets: the plan's.
        places: for each dataset, image to the numbers of its cases.
        identities: for each part, the columns that say which run a row belongs to.
        strict: a case that cannot be read is an error instead of a row.
        ahead: images that may be held before they are asked for.
    """

    def __init__(
        self,
        datasets: Sequence[Dataset],
        places: Sequence[Mapping[str, Sequence[int]]],
        identities: Sequence[SeriesIdentity],
        *,
        strict: bool,
        ahead: int,
    ) -> None:
        self._datasets, self._places, self._identities = datasets, places, identities
        self._strict = strict
        self._prefetch: Prefetch[ImageOf, Group] = Prefetch(self._read, ahead=ahead)

    def groups(self, images: Sequence[ImageOf], *, then: Iterable[ImageOf] = ()) -> list[Group]:
        """Return the cases of `images` in that order, and begin to read what is wanted `then`.

        Raises:
            AuditStoppedError: `strict`, and a case of `images` cannot be read.
        """
        read = []
        for number, image in enumerate(images):
            self._prefetch.expect(images[number:])
            read.append(self._prefetch.take(image))
        self._prefetch.expect(then)
        return read

    def close(self) -> None:
        """Let go of what was read for nothing."""
        self._prefetch.close()

    def _read(self, image: ImageOf) -> Group:
        dataset = self._datasets[image.dataset]
        cases, failed = [], []
        for number in self._places[image.dataset][image.image]:
            info = dataset.infos[number]
            try:
                cases.append((number, dataset[number], info.prompts))
            except CaseError as error:
                if self._strict:
                    raise AuditStoppedError(f"{info.case_id}: {error} (stopped: strict)") from error
                row = ResultRow.of(self._identities[image.part], info).failed(error)
                failed.append(((number, 0, 0, 0), row))
        return Group(tuple(cases), tuple(failed))
