"""Feeders: processes that read, change, resize and score, while this one holds the models and does nothing else.

Each feeder works at a part of its own, so the batches are those of one process and so are the rows. It sends the images
of a batch and goes on with the next; what comes back are masks as bits, and pixel counts. On CUDA the batches of all
feeders follow each other without a wait: images come out of pinned memory and masks go into it while others compute.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple

from robustness.errors import CaseError, InputError, RobustnessError
from robustness.limits import set_limits
from robustness.plans.audit import Plan
from robustness.registry import METRICS
from robustness.run_folder import RunFolder
from robustness.run_log import RunLog
from robustness.runners.attacks.worst_prompt import DiceOfTexts
from robustness.runners.audit.feeder_messages import (
    Answers,
    Batch,
    Call,
    Failed,
    Link,
    NextPart,
    Ready,
    Result,
    receive_message,
    send_message,
)
from robustness.runners.audit.feeder_session import FeederSession, Place, RemoteModel
from robustness.runners.audit.plan_engine import mask_engine_of
from robustness.runners.audit.processes import leave_signals_to_parent, process_context
from robustness.runners.audit.session import AuditSession
from robustness.runners.data.dataset import Dataset
from robustness.runners.environment import environment
from robustness.runners.inference.engine import Encoded
from robustness.runners.inference.mask_answers import MaskEngine, Shipment, counter_changes
from robustness.types import Progress

# Batches that may be computed or copied before the oldest one is waited for.
_UNDER_WAY = 2


class _Setup(NamedTuple):
    """What a feeder is started with."""

    plan: Plan
    models: tuple[RemoteModel, ...]
    datasets: tuple[Dataset, ...]
    out: Path
    strict: bool
    threads: int


class _Feeder(NamedTuple):
    process: Any
    place: Place


def run_with_feeders(
    audit: AuditSession,
    pending: Sequence[int],
    *,
    first: Sequence[int] = (),
    feeders: int,
    total: int,
    progress: Progress | None,
) -> None:
    """Run the pending parts: `feeders` processes prepare and score them, this one predicts.

    Args:
        audit: whose models answer; they must be networks (`worker_count.refuse_unfed`).
        pending: the numbers of the parts.
        first: those of `pending` that must be there before any other is begun.
        total: parts in all, for `progress`.
        progress: called with (parts done, parts in all).

    Raises:
        InputError, CaseError: what a part raises in any process, or a feeder was killed; the case it was at is named.
    """
    ordered = [*first, *(index for index in pending if index not in set(first))]
    server = _Server(audit, ordered, len(first), total, progress)
    try:
        server.start(min(feeders, len(ordered)))
        server.serve()
    finally:
        server.end()


class _Server:
    def __init__(
        self, audit: AuditSession, parts: Sequence[int], n_first: int, total: int, progress: Progress | None
    ) -> None:
        self._audit = audit
        self._parts, self._first = deque(parts), set(parts[:n_first])
        self._done, self._total, self._progress = total - len(parts), total, progress
        self._feeders: dict[Any, _Feeder] = {}
        self._open: list[Any] = []
        self._idle: list[Any] = []
        self._engines: dict[int, MaskEngine] = {}
        self._texts: dict[Any, Encoded] = {}
        self._judges: dict[int, DiceOfTexts] = {}
        self._under_way: deque[tuple[Any, int, Shipment, Mapping[str, int]]] = deque()

    def start(self, count: int) -> None:
        """Start the feeders; imports and data are theirs."""
        context = process_context()
        audit = self._audit
        models = tuple(
            RemoteModel.of(model, number, self._engine(number).image_batch, cached=audit.plan.engine.cache is not None)
            for number, model in enumerate(audit.models)
        )
        threads = audit.environment["threads"]
        setup = _Setup(audit.plan, models, tuple(audit.datasets), audit.run.path, audit.strict, threads)
        for _ in range(count):
            here, there = context.Pipe()
            place = Place.shared(context)
            process = context.Process(target=_feed, args=(setup, there, place), daemon=True)
            try:
                process.start()
            except (TypeError, AttributeError, ValueError) as error:  # what pickle raises
                raise InputError(
                    f"feeders: the data cannot be handed to another process ({error}); use feeders = 0"
                ) from error
            there.close()
            self._feeders[here] = _Feeder(process, place)
            self._open.append(here)

    def serve(self) -> None:
        """Answer until every part is stored."""
        self._report()
        while self._done < self._total:
            ready = connection.wait(self._open, timeout=0 if self._under_way else None)
            for one in ready:
                self._take(one)
                if len(self._under_way) > _UNDER_WAY:
                    self._deliver()
            if self._under_way and not ready:
                self._deliver()

    def end(self) -> None:
        """End every feeder; none outlives the audit."""
        for feeder in self._feeders.values():
            feeder.process.terminate()
            feeder.process.join()

    def _take(self, feeder: Any) -> None:
        try:
            message = receive_message(feeder)
        except (EOFError, OSError):
            self._open.remove(feeder)
            self._feeders[feeder].process.join()
            if self._feeders[feeder].process.exitcode:
                raise self._death(feeder) from None
            return
        match message:
            case Batch():
                self._predict(feeder, message)
            case Call():
                self._send(feeder, self._result(message))
            case Failed():
                raise message.error
            case Ready():
                self._next_part(feeder, message.done)

    def _next_part(self, feeder: Any, done: int | None) -> None:
        if done is not None:
            self._done += 1
            self._first.discard(done)
            self._report()
        self._idle.append(feeder)
        while self._idle and self._parts and (not self._first or self._parts[0] in self._first):
            self._send(self._idle.pop(0), NextPart(0, self._parts.popleft()))
        if not self._parts:
            for idle in self._idle:
                self._send(idle, NextPart(0, None))
            self._idle.clear()

    def _predict(self, feeder: Any, batch: Batch) -> None:
        engine = self._engine(batch.model)
        before = dict(vars(engine.counters))
        if batch.texts is not None:
            self._texts[feeder] = engine.encoded_texts(batch.texts, fresh=batch.fresh)
        outcomes = engine.group_outcomes(batch.requests(), self._texts[feeder], fresh=batch.fresh)
        shipment = Shipment(outcomes, [one.references for one in batch.pairs])
        rises = counter_changes(vars(engine.counters), before)
        self._under_way.append((feeder, batch.number, shipment, rises))

    def _deliver(self) -> None:
        feeder, number, shipment, rises = self._under_way.popleft()
        self._send(feeder, Answers(number, shipment.take(), rises))

    def _result(self, call: Call) -> Result:
        before = self._audit.search_counters(call.model)
        try:
            value = getattr(self, f"_{call.name}")(call.model, *call.arguments)
        except CaseError as error:
            value = error
        return Result(call.number, value, counter_changes(self._audit.search_counters(call.model), before))

    def _encode_text(self, model: int, texts: Sequence[str]) -> Any:
        import torch

        with torch.inference_mode():
            embedding: Any = self._audit.models[model].encode_text(list(texts))
        return embedding.to("cpu")

    def _scores(self, model: int, case: Any, texts: Sequence[str]) -> list[float]:
        judge = self._judges.setdefault(model, DiceOfTexts(self._audit.models[model]))
        return judge(case, texts)

    def _search(self, model: int, dataset: int, name: str, *arguments: Any) -> Any:
        return self._audit.searches(model, dataset).searches[name](*arguments)

    def _engine(self, model: int) -> MaskEngine:
        if model not in self._engines:
            plan = self._audit.plan
            whole = any(METRICS.get(name).needs == "probability" for name in plan.metrics.names)
            self._engines[model] = mask_engine_of(self._audit.models[model], plan, whole=whole)
        return self._engines[model]

    def _send(self, feeder: Any, message: Any) -> None:
        try:
            send_message(feeder, message)
        except OSError:
            raise self._death(feeder) from None

    def _death(self, feeder: Any) -> InputError:
        process, place = self._feeders[feeder]
        process.join()
        code = process.exitcode
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        at = f" at case {place}" if str(place) else ""
        return InputError(
            f"feeders: a process that prepares images {how}{at}; the parts that are done are kept. Run the same "
            "command again, with fewer feeders if memory was short"
        )

    def _report(self) -> None:
        if self._progress:
            self._progress(self._done, self._total)


def _feed(setup: _Setup, end: Any, place: Place) -> None:
    # A feeder computes nothing on a GPU, and a context there would take its memory.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    leave_signals_to_parent()
    environment(setup.threads)
    set_limits(setup.plan.limits)
    RunLog(setup.out).attach()
    link = Link(end)
    try:
        session = FeederSession(
            setup.plan,
            [replace(model, link=link) for model in setup.models],
            setup.datasets,
            RunFolder(setup.out),
            strict=setup.strict,
            link=link,
            place=place,
        )
        done = None
        while (part := _next(link, done)) is not None:
            session.run_part(part)
            done = part
    except RobustnessError as error:
        link.send(Failed(error))
    link.close()


def _next(link: Link, done: int | None) -> int | None:
    link.send(Ready(done))
    reply: NextPart = link.reply(0)
    return reply.part
