"""A feeder: an audit's session without a model, which reads, changes and resizes images and scores masks."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, cast

from robustness.errors import CaseError
from robustness.perturb.attacks.base import Attack, Attacked, AttackSettings, ExactImage
from robustness.perturb.prompt.worst_case import WorstCase
from robustness.perturb.select import Selected
from robustness.plans.audit import Plan
from robustness.run_folder import RunFolder
from robustness.runners.attacks.model import AttackCounters
from robustness.runners.audit.feeder_messages import Batch, Link, Pair
from robustness.runners.audit.jobs import JobMaker, Wave
from robustness.runners.audit.scoring import Scorer
from robustness.runners.audit.session import AuditSession
from robustness.runners.data.dataset import Dataset
from robustness.runners.inference.embedding import TensorEmbedding
from robustness.runners.inference.engine import Counters
from robustness.runners.inference.mask_answers import Answer, add_counter_changes, packed_references
from robustness.runners.inference.preprocess import Preprocess
from robustness.runners.inference.request import Request, image_groups, in_order
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.types import Case, Image, NotApplicable, Params, Segmenter

# Bytes for the name of the case that a feeder is at.
PLACE_BYTES = 1024


@dataclass(frozen=True)
class RemoteModel:
    """What a feeder knows of a model that another process holds.

    Attributes:
        number: place in the plan.
        square: resizes images as the model would; None: they are sent as they are.
        side: of the maps, where the plan scores at the network's size.
        image_batch: images per encoding.
    """

    number: int
    name: str
    threshold: float
    takes_text: bool
    square: Preprocess | None
    side: int
    image_batch: int
    link: Link | None = None

    device: ClassVar[str] = "cpu"

    @classmethod
    def of(cls, model: Segmenter, number: int, image_batch: int, *, cached: bool) -> RemoteModel:
        """Return what is told of a network; `cached` features are found by the bytes of the image itself."""
        assert isinstance(model, NetworkSegmenter)
        square = None if cached else model.preprocess
        return cls(number, model.name, model.threshold, model.takes_text, square, model.image_size, image_batch)

    def encode_text(self, texts: Sequence[str]) -> TensorEmbedding:
        """Return the features of texts on the CPU."""
        assert self.link is not None
        return cast(TensorEmbedding, self.link.call("encode_text", self.number, tuple(texts)).value)


class Place:
    """The case that a process is at, in memory that outlives it."""

    def __init__(self, memory: Any) -> None:
        self._memory = memory

    @classmethod
    def shared(cls, context: Any) -> Place:
        """Return a place that processes of a context share."""
        return cls(context.RawArray(ctypes.c_char, PLACE_BYTES))

    def note(self, text: str) -> None:
        """Note where the process is."""
        self._memory.value = text.encode("utf-8", "replace")[: PLACE_BYTES - 1]

    def __str__(self) -> str:
        return str(self._memory.value.decode("utf-8", "replace"))


@dataclass(eq=False)
class RemoteEngine:
    """An `Engine` in another process: the same batches of images and texts, answered by masks instead of maps."""

    model: RemoteModel
    link: Link
    at_network_size: bool
    place: Place
    counters: Counters = field(default_factory=Counters)

    @property
    def image_batch(self) -> int:
        """Images per encoding."""
        return self.model.image_batch

    def describe(self) -> dict[str, Any]:
        """Return the counters."""
        return dict(vars(self.counters))

    def shape(self, request: Request) -> tuple[int, int]:
        """Return the size (H, W) of a request's map."""
        return (self.model.side, self.model.side) if self.at_network_size else request.size

    def outcomes(
        self, requests: Sequence[Request], references: Sequence[Sequence[Any]], *, fresh: bool
    ) -> Iterator[Answer | CaseError]:
        """Send requests at once; the iterator waits for their answers, in their order."""
        groups = list(image_groups(requests, self.image_batch))
        numbers = []
        for place, group in enumerate(groups):
            texts = None if place else tuple(request.text for request in requests)
            numbers.append(self._send([requests[i] for i in group], [references[i] for i in group], texts, fresh))
        cases = [request.case_id for request in requests]
        return self._in_order(cases, groups, numbers)

    def _send(
        self,
        requests: Sequence[Request],
        references: Sequence[Sequence[Any]],
        texts: tuple[str, ...] | None,
        fresh: bool,
    ) -> int:
        images = {request.image_key: request.image for request in requests}
        pairs = tuple(
            Pair(request.image_key, request.text, request.size, packed_references(masks))
            for request, masks in zip(requests, references, strict=True)
        )
        number = self.link.next_number()
        resized = {key: self._resized(image) for key, image in images.items()}
        self.link.send(Batch(number, self.model.number, texts, fresh, resized, pairs))
        return number

    def _resized(self, image: Image) -> Image:
        # What an attack made in floating point is resized without rounding, on the model's side.
        if self.model.square is None or isinstance(image, ExactImage):
            return image
        return self.model.square.square(image)

    def _in_order(
        self, cases: Sequence[str], groups: Sequence[list[int]], numbers: Sequence[int]
    ) -> Iterator[Answer | CaseError]:
        def numbered() -> Iterator[tuple[int, Answer | CaseError]]:
            for group, number in zip(groups, numbers, strict=True):
                yield from self._answers(group, number)

        for case_id, outcome in zip(cases, in_order(numbered()), strict=True):
            self.place.note(case_id)
            yield outcome

    def _answers(self, group: Sequence[int], number: int) -> Iterator[tuple[int, Answer | CaseError]]:
        reply = self.link.reply(number)
        add_counter_changes(self.counters, reply.counters)
        for place, index in enumerate(group):
            packed = reply.answers[place]
            answer = packed if isinstance(packed, CaseError) else packed.unpacked()
            self.counters.n_failed += answer is not packed and isinstance(answer, CaseError)
            yield index, answer


@dataclass(eq=False)
class RemoteSearches:
    """Searches and attacks of one model on one data set, run where the model is."""

    link: Link
    model: int
    dataset: int
    settings: AttackSettings
    counters: AttackCounters = field(default_factory=AttackCounters)

    def bind(self, selected: Sequence[Selected]) -> list[Selected]:
        """Return the perturbations with the model in the loop of those that search; the others unchanged."""
        return [self._bound(chosen) for chosen in selected]

    def _bound(self, chosen: Selected) -> Selected:
        change = chosen.perturbation
        if isinstance(change, WorstCase):
            return Selected(change.bound_to(self._scores, self.settings.text_budget), chosen.severity)
        if isinstance(change, Attack):
            return Selected(change.bound_to(partial(self._search, change.name), self.settings), chosen.severity)
        return chosen

    def _scores(self, case: Case, texts: Sequence[str]) -> list[float]:
        return list(self._ask("scores", case, tuple(texts)))

    def _search(
        self, name: str, case: Case, eps: float, seed: int, settings: AttackSettings
    ) -> Attacked | NotApplicable:
        result: Attacked | NotApplicable = self._ask("search", self.dataset, name, case, eps, seed, settings)
        return result

    def _ask(self, name: str, *arguments: Any) -> Any:
        result = self.link.call(name, self.model, *arguments)
        add_counter_changes(self.counters, result.counters)
        return result.value


class FeederSession(AuditSession):
    """Computes and stores parts with models that another process holds.

    Args:
        link: to that process.
        place: where it can read which case this one is at.
    """

    waves_ahead = 1

    def __init__(
        self,
        plan: Plan,
        models: Sequence[RemoteModel],
        datasets: Sequence[Dataset],
        run: RunFolder,
        *,
        strict: bool,
        link: Link,
        place: Place,
    ) -> None:
        super().__init__(plan, cast("Sequence[Segmenter]", models), datasets, run, strict=strict)
        self.link, self.place = link, place
        self.reader.on_case = place.note
        self._maker = cast("type[JobMaker]", partial(_NotingMaker, note=place.note))

    def _engine(self, model: int) -> Any:
        if model not in self.engines:
            remote = cast(RemoteModel, self.models[model])
            at_network_size = self.plan.metrics.resolution == "network"
            self.engines[model] = RemoteEngine(remote, self.link, at_network_size, self.place)
        return self.engines[model]

    def _searches(self, model: int, dataset: int) -> RemoteSearches:
        return RemoteSearches(self.link, model, dataset, self.settings)

    def _outcomes(self, engine: Any, scorer: Scorer, wave: Wave) -> Iterator[Any]:
        references = [scorer.references(job, engine.shape(job.request)) for job in wave.jobs]
        requests = [job.request for job in wave.jobs]
        return cast("Iterator[Any]", engine.outcomes(requests, references, fresh=wave.fresh))


class _NotingMaker(JobMaker):
    """A maker of jobs that notes each case and condition before it draws and changes."""

    def __init__(self, *, note: Callable[[str], None], **options: Any) -> None:
        super().__init__(**options)
        self._note = note

    def propose(self, chosen: Selected, case: Case) -> Params | NotApplicable:
        """Return what is drawn for a case under one condition."""
        self._note(f"{case.case_id} ({chosen.condition})")
        return super().propose(chosen, case)
