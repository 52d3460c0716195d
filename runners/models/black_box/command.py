"""A model behind a command line: pairs are written as files, a command is run, maps are read back."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from robustness.errors import CaseError, InputError
from robustness.registry import MODELS
from robustness.runners.models.black_box.answers import Size, decode_image, decode_npy
from robustness.runners.models.black_box.entry import (
    CALL_OPTIONS,
    BlackBoxEntry,
    TryAgainError,
    calling,
    check_number,
    pair_by_pair,
    png_bytes,
    retried,
)
from robustness.runners.models.black_box.named_files import checked_files, file_hashes
from robustness.runners.models.black_box.persistent import PersistentProgram
from robustness.types import Image

PLACES = ("{input}", "{output}")
_MAX_INSTANCES = 256
_SAID = 300
# A program that reads another one: results are called by the one that is read.
_INTERPRETER = re.compile(r"(python|pypy)[\d.]*w?|bash|sh|rscript|julia|node|perl", re.IGNORECASE)
_SCRIPTS = (".py", ".pyz", ".sh", ".r", ".jl", ".js", ".mjs", ".pl")


def program_name(command: Sequence[str]) -> str:
    """Return what results call a command: its program, or what an interpreter is to run (a script, `-m MODULE`)."""
    own = Path(command[0]).stem
    if not _INTERPRETER.fullmatch(own):
        return own
    scripts = [Path(argument).stem for argument in command[1:] if Path(argument).suffix.lower() in _SCRIPTS]
    modules = [module for option, module in pairwise(command) if option == "-m"]
    return next(iter((*scripts, *modules, own)))


@dataclass(frozen=True)
class Command:
    """Runs a command for pairs of images and prompts.

    Before it runs, INPUT holds ``pairs.json``, a list of ``{"id", "image", "prompt"}``, and the images as PNG; images
    that are the same are written once. Afterwards OUTPUT holds one ``<id>.png`` or ``<id>.npy`` (H, W), or (N, H, W)
    for instances, per pair.

    Attributes:
        arguments: the command and its arguments; no shell reads them. "{input}" and "{output}" stand for the folders.
        timeout_s: seconds per run; a run that takes longer is ended with all that it started.
        retries: how often a run that failed is tried again.
        image_size: side of maps that may come besides those of the images' size; 0 for none.
        program: keeps one process for all runs, which receives the folders instead; None: each run is a process.
    """

    changes_no_image: ClassVar[bool] = True

    arguments: tuple[str, ...]
    timeout_s: float = 600.0
    retries: int = 1
    image_size: int = 0
    program: PersistentProgram | None = None

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        """Return what the command gave, one answer per pair; an error in the place of a pair that fails alone.

        Raises:
            InputError: the command cannot be started, or fails for every pair.
        """
        return pair_by_pair(self._retried, images, prompts, retries=self.retries)

    def _retried(self, images: Sequence[Image], prompts: Sequence[str], retries: int) -> list[Any]:
        answers: list[Any] = retried(
            lambda: self._once(images, prompts),
            retries=retries,
            wait=lambda n: time.sleep(min(0.5 * 2**n, 10)),
            giving_up=f"command {self.arguments[0]!r}",
        )
        return answers

    def _once(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
            source, target = Path(folder) / "input", Path(folder) / "output"
            source.mkdir()
            target.mkdir()
            pairs = _write(source, images, prompts)
            if self.program is None:
                self._run(source, target)
            else:
                located = [{**pair, "image": str(source / pair["image"])} for pair in pairs]
                self.program.ask({"input": str(source), "output": str(target), "pairs": located})
            return [_read(target, pair["id"], self._sizes(image)) for pair, image in zip(pairs, images, strict=True)]

    def _sizes(self, image: Image) -> list[Size]:
        own = [(self.image_size, self.image_size)] if self.image_size else []
        return list(dict.fromkeys([(image.shape[0], image.shape[1]), *own]))

    def _run(self, source: Path, target: Path) -> None:
        places = dict(zip(PLACES, (str(source), str(target)), strict=True))
        arguments = [_filled(argument, places) for argument in self.arguments]
        with (target.parent / "output.log").open("w+b") as log:
            try:
                process = subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            except OSError as error:
                raise InputError(f"command: {arguments[0]!r} cannot be started ({error})") from error
            try:
                code = process.wait(timeout=self.timeout_s)
            except subprocess.TimeoutExpired:
                raise TryAgainError(f"it took longer than {self.timeout_s:g} s") from None
            finally:
                _end(process)
            if code != 0:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _SAID))
                last = " ".join(log.read().decode("utf-8", "replace").split())
                raise TryAgainError(f"exit code {code}: {last or 'it said nothing'}")


def _filled(argument: str, places: dict[str, str]) -> str:
    for placeholder, path in places.items():
        argument = argument.replace(placeholder, path)
    return argument


def _end(process: subprocess.Popen[bytes]) -> None:
    # What the command started itself lies in its process group and would go on without it.
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _write(folder: Path, images: Sequence[Image], prompts: Sequence[str]) -> list[dict[str, str]]:
    names: dict[int, str] = {}
    pairs = []
    for number, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        if id(image) not in names:
            names[id(image)] = f"image{len(names):05d}.png"
            (folder / names[id(image)]).write_bytes(png_bytes(image))
        pairs.append({"id": f"{number:05d}", "image": names[id(image)], "prompt": prompt})
    (folder / "pairs.json").write_text(json.dumps(pairs, ensure_ascii=False), encoding="utf-8")
    return pairs


def _read(folder: Path, name: str, sizes: Sequence[Size]) -> Any:
    where = f"pair {name}"
    try:
        if (folder / f"{name}.npy").is_file():
            limit = 8 * _MAX_INSTANCES * max(height * width for height, width in sizes) + 4096
            return decode_npy(folder / f"{name}.npy", where, max_bytes=limit)
        if (folder / f"{name}.png").is_file():
            return decode_image(folder / f"{name}.png", sizes, where)
    except CaseError as error:
        return error
    raise TryAgainError(f"it left neither {name}.png nor {name}.npy in its output folder")


@MODELS.add("command")
class CommandModel(BlackBoxEntry):
    """A command line: options = {command = ["predict", "--in", "{input}", "--out", "{output}"]}.

    With ``persistent = true`` it is started once and receives the folders on its standard input, see
    `PersistentProgram`. `files` names what it reads besides what stands in its arguments; all of them are hashed.
    """

    title: ClassVar[str] = "a command that reads pairs.json and images and writes one map per pair"
    options: ClassVar[tuple[str, ...]] = ("command", "timeout_s", "retries", "persistent", "files", *CALL_OPTIONS)

    def load(self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any) -> Any:
        """Return the command as a segmenter; nothing is run yet.

        Raises:
            InputError: `command` is no list of strings with both folders in it, or a bound is out of range.
        """
        command, persistent = options.get("command"), options.get("persistent", False)
        if source is not None:
            raise InputError("checkpoint: expected none for 'command'; give options = {command = [...]}")
        if not isinstance(command, list | tuple) or not command or not all(isinstance(a, str) for a in command):
            raise InputError(f"command: expected a list of strings, got {command!r}")
        if not isinstance(persistent, bool):
            raise InputError(f"persistent: expected true or false, got {persistent!r}")
        if not persistent and any(not any(placeholder in argument for argument in command) for placeholder in PLACES):
            raise InputError(f"command: expected {' and '.join(PLACES)} among its arguments, got {command!r}")
        timeout_s = check_number("timeout_s", options.get("timeout_s", 600.0), low=0.01, high=86_400)
        retries = int(check_number("retries", options.get("retries", 1), low=0, high=20))
        program = PersistentProgram(tuple(command), timeout_s=timeout_s) if persistent else None
        hashes = file_hashes(list(command), checked_files(options.get("files", [])))
        return calling(
            Command(tuple(command), timeout_s, retries, image_size or 0, program),
            name=program_name(command),
            threshold=threshold,
            image_size=image_size,
            provenance={"command": list(command), "files": hashes, **({"persistent": True} if persistent else {})},
            options=options,
            # Each run may load a model: it pays to hand over many pairs at once.
            pairs_at_once=128,
        )
