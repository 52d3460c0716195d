"""What feeders and the process with the models tell each other, and a feeder's end of the connection."""

from __future__ import annotations

import os
import pickle
import queue
import threading
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from robustness.errors import CaseError
from robustness.runners.inference.mask_answers import PackedAnswer, PackedMask
from robustness.runners.inference.request import Request
from robustness.types import Image


@dataclass(frozen=True, eq=False, slots=True)
class SizedRequest(Request):
    """A request whose image was resized for the network; `shape` is the image's own (H, W)."""

    shape: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the image before it was resized."""
        return self.shape


class Pair(NamedTuple):
    """One prediction of a batch of images: which image, which text, the map's size, references as bits (R, bytes)."""

    image_key: str
    text: str
    shape: tuple[int, int]
    references: PackedMask


class Batch(NamedTuple):
    """The predictions on one batch of images.

    Attributes:
        number: which reply answers it.
        model: place in the plan.
        texts: all texts of the call that begins with this batch, encoded together; None: it goes on.
        fresh: see `Engine.outcomes`.
        images: by key; uint8 at the network's size where the feeder has resized them.
        pairs: the predictions.
    """

    number: int
    model: int
    texts: tuple[str, ...] | None
    fresh: bool
    images: Mapping[str, Image]
    pairs: tuple[Pair, ...]

    def requests(self) -> list[SizedRequest]:
        """Return what the engine is asked."""
        return [
            SizedRequest(self.images[one.image_key], one.image_key, one.text, shape=one.shape) for one in self.pairs
        ]


class Call(NamedTuple):
    """A question that needs a model and is no batch: a search, a score of texts, an encoded text."""

    number: int
    name: str
    model: int
    arguments: tuple[Any, ...]


class Ready(NamedTuple):
    """A feeder wants a part; `done` is the one that it has stored."""

    done: int | None = None


class Failed(NamedTuple):
    """A feeder cannot go on."""

    error: Exception


class Answers(NamedTuple):
    """The reply to a batch: the answer to each prediction by its place, and by how much the engine's counters rose."""

    number: int
    answers: Mapping[int, PackedAnswer | CaseError]
    counters: Mapping[str, int]


class Result(NamedTuple):
    """The reply to a call: a value, or the error of its case, and by how much the counters of searches rose."""

    number: int
    value: Any
    counters: Mapping[str, int]


class NextPart(NamedTuple):
    """The reply to a feeder that is ready; None: there is no further part."""

    number: int
    part: int | None


@dataclass(eq=False)
class Link:
    """A feeder's end of its connection.

    It sends and receives in threads of its own: the feeder prepares the next batches while earlier ones wait, and the
    other side, which waits for nobody, can always put down its replies. A connection that ends ends the process.
    """

    connection: Connection
    _outgoing: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue, init=False)
    _incoming: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue, init=False)
    _replies: dict[int, Any] = field(default_factory=dict, init=False)
    _number: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()
        threading.Thread(target=self._receive, daemon=True).start()

    def next_number(self) -> int:
        """Return a number that no reply had before."""
        self._number += 1
        return self._number

    def send(self, message: Any) -> None:
        """Send a message as soon as the other side takes it."""
        self._outgoing.put(message)

    def reply(self, number: int) -> Any:
        """Return the reply of a number; wait for it."""
        while number not in self._replies:
            reply = self._incoming.get()
            self._replies[reply.number] = reply
        return self._replies.pop(number)

    def call(self, name: str, model: int, *arguments: Any) -> Result:
        """Ask and wait for the result.

        Raises:
            CaseError: what the model's side raised for the case.
        """
        number = self.next_number()
        self.send(Call(number, name, model, arguments))
        result: Result = self.reply(number)
        if isinstance(result.value, CaseError):
            raise result.value
        return result

    def close(self) -> None:
        """Wait until everything is sent."""
        self._outgoing.put(None)
        self._sender.join()

    def _send(self) -> None:
        while (message := self._outgoing.get()) is not None:
            try:
                send_message(self.connection, message)
            except OSError:
                os._exit(1)
            except Exception:  # a thread that ends in silence would let both sides wait for ever
                traceback.print_exc()
                os._exit(1)

    def _receive(self) -> None:
        while True:
            try:
                self._incoming.put(receive_message(self.connection))
            except (EOFError, OSError):
                os._exit(1)


def send_message(connection: Connection, message: Any) -> None:
    """Send a message; its arrays go as they lie in memory, behind what is pickled, and tensors as plain copies."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    connection.send_bytes(pickle.dumps((head, [array.nbytes for array in arrays])))
    for array in arrays:
        connection.send_bytes(array)


def receive_message(connection: Connection) -> Any:
    """Return the next message.

    Raises:
        EOFError, OSError: the other side has ended.
    """
    head, sizes = pickle.loads(connection.recv_bytes())
    arrays = [bytearray(size) for size in sizes]
    for array in arrays:
        connection.recv_bytes_into(array)
    return pickle.loads(head, buffers=arrays)
