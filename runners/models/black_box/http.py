"""A model behind an address: pairs are sent as JSON, maps come back as JSON."""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
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
from robustness.runners.models.black_box.map_files import png_bytes, read_png_map
from robustness.types import Image

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_BYTES_PER_PIXEL = 8
_OVERHEAD = 1 << 20


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Images of patients go where the plan says, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


@dataclass(frozen=True)
class HttpPredictor:
    """Asks a server for the maps of pairs.

    Sent (POST, JSON): ``{"images": [PNG in base64, ...], "pairs": [{"image": index, "prompt": text}, ...]}``.
    Expected: ``{"maps": [grey PNG in base64, ...]}``, one per pair at its image's size; with `instances` each entry is
    a list of such PNGs. The answer's size is bounded by what such maps can need.

    Attributes:
        url: http or https; redirects are not followed.
        timeout_s: seconds without an answer, and for the whole of it.
        retries: further attempts after failed connections, timeouts, and status 408, 425, 429 and 5xx.
        token_env: name of the environment variable whose value is sent as a bearer token; plans hold no secrets.
        instances: whether each entry is a list of maps.
    """

    url: str
    timeout_s: float = 120.0
    retries: int = 3
    token_env: str | None = None
    instances: bool = False

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        """Return the server's maps, one array per pair, or a list of arrays.

        Raises:
            InputError: it refuses, cannot be reached after all attempts, or answers with something else.
        """
        body = _body(images, prompts)
        limit = _OVERHEAD + sum(_BYTES_PER_PIXEL * i.shape[0] * i.shape[1] for i in images)
        answer = retried(
            lambda: self._once(body, limit),
            retries=self.retries,
            wait=lambda n: time.sleep(min(0.5 * 2**n, 30)),
            giving_up=f"url: {self.url}",
        )
        maps = answer.get("maps") if isinstance(answer, dict) else None
        if not isinstance(maps, list) or len(maps) != len(prompts):
            got = f"{len(maps)} of them" if isinstance(maps, list) else type(answer).__name__
            raise InputError(f'url: expected {{"maps": [...]}} with {len(prompts)} maps, got {got}')
        return [self._decoded(entry, image, n) for n, (entry, image) in enumerate(zip(maps, images, strict=True))]

    def _once(self, body: bytes, limit: int) -> Any:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token_env is not None:
            headers["Authorization"] = f"Bearer {os.environ.get(self.token_env, '')}"
        request = urllib.request.Request(self.url, data=body, headers=headers, method="POST")
        opener = urllib.request.build_opener(_NoRedirect)
        ends = time.monotonic() + self.timeout_s
        try:
            with opener.open(request, timeout=self.timeout_s) as response:
                content = _bounded(response, limit, ends)
        except urllib.error.HTTPError as error:
            if error.code in _AGAIN:
                raise TryAgainError(f"status {error.code}") from error
            raise InputError(f"url: {self.url} answered with status {error.code} {error.reason}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise TryAgainError(str(getattr(error, "reason", error)) or type(error).__name__) from error
        try:
            return json.loads(content)
        except ValueError as error:
            raise InputError(f"url: {self.url} answered with something that is not JSON") from error

    def _decoded(self, entry: Any, image: Image, number: int) -> Any:
        size, where = (image.shape[0], image.shape[1]), f"url: pair {number}"
        if self.instances:
            if not isinstance(entry, list):
                raise InputError(f"{where}: expected a list of maps, got {type(entry).__name__}")
            return [read_png_map(_unpacked(one, where), size, where) for one in entry]
        return read_png_map(_unpacked(entry, where), size, where)


def _bounded(response: Any, limit: int, ends: float) -> bytes:
    content = bytearray()
    while chunk := response.read1(1 << 16):
        content += chunk
        if len(content) > limit:
            raise InputError(f"url: expected an answer of at most {limit} bytes, got more")
        # A socket's timeout starts again with each byte, so that a slow sender would never end.
        if time.monotonic() > ends:
            raise TryAgainError("the answer took too long")
    return bytes(content)


def _body(images: Sequence[Image], prompts: Sequence[str]) -> bytes:
    place: dict[int, int] = {}
    encoded: list[str] = []
    pairs = []
    for image, prompt in zip(images, prompts, strict=True):
        if id(image) not in place:
            place[id(image)] = len(encoded)
            encoded.append(base64.b64encode(png_bytes(image)).decode("ascii"))
        pairs.append({"image": place[id(image)], "prompt": prompt})
    return json.dumps({"images": encoded, "pairs": pairs}).encode()


def _unpacked(entry: Any, where: str) -> bytes:
    if not isinstance(entry, str):
        raise InputError(f"{where}: expected a PNG in base64, got {type(entry).__name__}")
    try:
        return base64.b64decode(entry, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{where}: expected a PNG in base64 ({error})") from error


@MODELS.add("http")
class HttpModel(BlackBoxEntry):
    """A server: options = {url = "http://..."}; images are sent to it."""

    title: ClassVar[str] = "a server that takes pairs as JSON and answers with maps"
    options: ClassVar[tuple[str, ...]] = ("url", "timeout_s", "retries", "token_env", *CALL_OPTIONS)

    def load(self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any) -> Any:
        """Return the server as a segmenter; nothing is sent yet.

        Raises:
            InputError: no http or https address, a bound out of range, or an environment variable that is not set.
        """
        if source is not None:
            raise InputError("checkpoint: expected none for 'http'; give options = {url = ...}")
        url = options.get("url")
        parsed = urllib.parse.urlsplit(url) if isinstance(url, str) else None
        if not isinstance(url, str) or parsed is None or parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise InputError(f"url: expected an http or https address, got {url!r}")
        if parsed.username is not None:
            raise InputError("url: expected no user or password in it, plans are shared; give token_env")
        token_env = options.get("token_env")
        if token_env is not None and not os.environ.get(token_env):
            raise InputError(f"token_env: the environment variable {token_env!r} is not set")
        predict = HttpPredictor(
            url=url,
            token_env=token_env,
            timeout_s=check_number("timeout_s", options.get("timeout_s", 120.0), low=0.01, high=86_400),
            retries=int(check_number("retries", options.get("retries", 3), low=0, high=20)),
            instances=options.get("returns") == "instances",
        )
        return calling(
            predict,
            name=parsed.hostname,
            threshold=threshold,
            image_size=image_size,
            provenance={"url": url},
            options=options,
        )
