"""A model behind a command line: pairs are written as files, a command is run, maps are read back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from robustness.errors import InputError
from robustness.registry import MODELS
from robustness.runners.models.black_box.entry import (
    CALL_OPTIONS,
    BlackBoxEntry,
    TryAgainError,
    calling,
    check_number,
    retried,
)
from robustness.runners.models.black_box.map_files import png_bytes, read_npy, read_png_map
from robustness.types import Image

PLACES = ("{input}", "{output}")
_MAX_INSTANCES = 256
_SAID = 300


@dataclass(frozen=True)
class Command:
    """Runs a command for pairs of images and prompts.

    Before it runs, INPUT holds ``pairs.json``, a list of ``{"id", "image", "prompt"}``, and the images as PNG; images
    that are the same are written once. Afterwards OUTPUT holds one ``<id>.png`` (grey, 0 to full scale) or ``<id>.npy``
    (H, W), or (N, H, W) for instances, per pair.

    Attributes:
        arguments: the command and its arguments; no shell reads them. "{input}" and "{output}" stand for the folders.
        timeout_s: seconds per run; a run that takes longer is ended with all that it started.
        retries: how often a run that failed is tried again.
    """

    arguments: tuple[str, ...]
    timeout_s: float = 600.0
    retries: int = 1

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        """Return what the command found, one array per pair.

        Raises:
            InputError: the command cannot be started, fails, takes too long, or leaves a pair out.
        """
        return retried(
            lambda: self._once(images, prompts),
            retries=self.retries,
            wait=lambda n: time.sleep(min(0.5 * 2**n, 10)),
            giving_up=f"command {self.arguments[0]!r}",
        )

    def _once(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
            source, target = Path(folder) / "input", Path(folder) / "output"
            source.mkdir()
            target.mkdir()
            names = _write(source, images, prompts)
            self._run(source, target)
            return [
                _read(target, name, (image.shape[0], image.shape[1])) for name, image in zip(names, images, strict=True)
            ]

    def _run(self, source: Path, target: Path) -> None:
        places = dict(zip(PLACES, (str(source), str(target)), strict=True))
        arguments = [_filled(argument, places) for argument in self.arguments]
        with (target.parent / "said").open("w+b") as output:
            try:
                process = subprocess.Popen(
                    arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
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
                output.seek(max(0, output.seek(0, os.SEEK_END) - _SAID))
                last = " ".join(output.read().decode("utf-8", "replace").split())
                raise TryAgainError(f"exit code {code}: {last or 'it said nothing'}")


def _filled(argument: str, places: dict[str, str]) -> str:
    for place, path in places.items():
        argument = argument.replace(place, path)
    return argument


def _end(process: subprocess.Popen[bytes]) -> None:
    # What the command started itself lies in its process group and would go on without it.
    if process.poll() is None:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()


def _write(folder: Path, images: Sequence[Image], prompts: Sequence[str]) -> list[str]:
    written: dict[int, str] = {}
    pairs = []
    for number, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
        if id(image) not in written:
            written[id(image)] = f"image{len(written):05d}.png"
            (folder / written[id(image)]).write_bytes(png_bytes(image))
        pairs.append({"id": f"{number:05d}", "image": written[id(image)], "prompt": prompt})
    (folder / "pairs.json").write_text(json.dumps(pairs, ensure_ascii=False), encoding="utf-8")
    return [pair["id"] for pair in pairs]


def _read(folder: Path, name: str, size: tuple[int, int]) -> Any:
    where = f"pair {name}"
    if (folder / f"{name}.npy").is_file():
        limit = 8 * _MAX_INSTANCES * size[0] * size[1] + 4096
        return read_npy(folder / f"{name}.npy", where, max_bytes=limit)
    if (folder / f"{name}.png").is_file():
        return read_png_map(folder / f"{name}.png", size, where)
    raise TryAgainError(f"it left neither {name}.png nor {name}.npy in its output folder")


@MODELS.add("command")
class CommandModel(BlackBoxEntry):
    """A command line: options = {command = ["predict", "--in", "{input}", "--out", "{output}"]}."""

    title: ClassVar[str] = "a command that reads pairs.json and images and writes one map per pair"
    options: ClassVar[tuple[str, ...]] = ("command", "timeout_s", "retries", *CALL_OPTIONS)

    def load(self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any) -> Any:
        """Return the command as a segmenter; nothing is run yet.

        Raises:
            InputError: `command` is no list of strings with both folders in it, or a bound is out of range.
        """
        command = options.get("command")
        if source is not None:
            raise InputError("checkpoint: expected none for 'command'; give options = {command = [...]}")
        if not isinstance(command, list | tuple) or not command or not all(isinstance(a, str) for a in command):
            raise InputError(f"command: expected a list of strings, got {command!r}")
        if any(not any(place in argument for argument in command) for place in PLACES):
            raise InputError(f"command: expected {' and '.join(PLACES)} among its arguments, got {command!r}")
        timeout_s = check_number("timeout_s", options.get("timeout_s", 600.0), low=0.01, high=86_400)
        retries = int(check_number("retries", options.get("retries", 1), low=0, high=20))
        return calling(
            Command(tuple(command), timeout_s, retries),
            name=Path(command[0]).stem,
            threshold=threshold,
            image_size=image_size,
            provenance={"command": list(command)},
            options=options,
        )
