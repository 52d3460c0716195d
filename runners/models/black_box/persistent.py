"""A program that stays: it loads its model once and answers one line of JSON with another, batch after batch."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import IO, Any

from robustness.errors import InputError
from robustness.runners.models.black_box.entry import TryAgainError

_TAIL_LINES = 5
_MAX_LINE = 1 << 20
_END: Any = object()


class PersistentProgram:
    """Starts a program at the first request and keeps it until this object goes.

    A request is one line on its standard input, ``{"input": FOLDER, "output": FOLDER, "pairs": [{"id", "image",
    "prompt"}]}``, with `image` a PNG in the input folder. When every ``<id>.png`` or ``<id>.npy`` lies in the output
    folder it answers with one line on its standard output: ``{"ok": true}``, or ``{"error": "what went wrong"}``. Lines
    that are no JSON object are taken for its log. At the end its input is closed.

    Args:
        arguments: the program and its arguments; no shell reads them.
        timeout_s: seconds for one answer, starting included; a program that takes longer is ended.
        folder: its working folder; None for this process's own.
    """

    def __init__(self, arguments: tuple[str, ...], *, timeout_s: float, folder: Path | None = None) -> None:
        self.arguments, self.timeout_s, self.folder = arguments, timeout_s, folder
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[Any] = queue.Queue()
        self._log: deque[str] = deque(maxlen=_TAIL_LINES)
        self._finalizer: weakref.finalize[Any, Any] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy in another process needs: it starts a program of its own."""
        return {"arguments": self.arguments, "timeout_s": self.timeout_s, "folder": self.folder}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["arguments"], timeout_s=state["timeout_s"], folder=state["folder"])  # type: ignore[misc]

    def ask(self, request: dict[str, Any]) -> None:
        """Send one request and wait for its answer.

        Raises:
            InputError: the program cannot be started.
            TryAgainError: it ended, took too long, or answered with an error; the next request starts it again, an
                error that it reported itself apart.
        """
        process = self._started()
        try:
            stream = process.stdin
            if stream is None:
                raise OSError("no standard input")
            stream.write(json.dumps(request, ensure_ascii=False) + "\n")
            stream.flush()
        except OSError as error:
            self.end()
            raise TryAgainError(f"it ended: {self._tail()}") from error
        answer = self._answer()
        if "error" in answer:
            raise TryAgainError(str(answer["error"])[:300])

    def end(self) -> None:
        """End the program and all that it started."""
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._finalizer = None

    def _started(self) -> subprocess.Popen[str]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.end()
        self._answers, self._log = queue.Queue(), deque(maxlen=_TAIL_LINES)
        try:
            process = subprocess.Popen(
                list(self.arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.folder,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"command: {self.arguments[0]!r} cannot be started ({error})") from error
        self._process = process
        self._finalizer = weakref.finalize(self, _end, process)
        for stream, read in ((process.stdout, _answers_of), (process.stderr, _log_of)):
            threading.Thread(target=read, args=(stream, self._answers, self._log), daemon=True).start()
        return process

    def _answer(self) -> dict[str, Any]:
        deadline = time.monotonic() + self.timeout_s
        try:
            answer = self._answers.get(timeout=max(deadline - time.monotonic(), 0.001))
        except queue.Empty:
            # It does not listen: nothing is gained by asking it to end.
            if self._process is not None:
                _kill(self._process)
            self.end()
            raise TryAgainError(f"it took longer than {self.timeout_s:g} s") from None
        if answer is _END:
            code = self._process.wait() if self._process is not None else None
            self.end()
            raise TryAgainError(f"it ended with exit code {code}: {self._tail()}")
        reply: dict[str, Any] = answer
        return reply

    def _tail(self) -> str:
        return " ".join(" ".join(self._log).split())[-300:] or "it said nothing"


def _answers_of(stream: IO[str], answers: queue.Queue[Any], log: deque[str]) -> None:
    while line := stream.readline(_MAX_LINE):
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if isinstance(answer, dict):
            answers.put(answer)
        else:
            log.append(line.strip())
    stream.close()
    answers.put(_END)


def _log_of(stream: IO[str], answers: queue.Queue[Any], log: deque[str]) -> None:
    while line := stream.readline(_MAX_LINE):
        log.append(line.strip())
    stream.close()


def _end(process: subprocess.Popen[str]) -> None:
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
    try:
        process.wait(timeout=2.0)
    except subprocess.TimeoutExpired:
        _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
