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

from robustness.errors import AnswerError, CaseError, InputError
from robustness.registry import MODELS
from robustness.runners.models.black_box.answers import Levels, Size, decode_image
from robustness.runners.models.black_box.entry import (
    CALL_OPTIONS,
    BlackBoxEntry,
    GaveUpError,
    TryAgainError,
    calling,
    check_number,
    pair_by_pair,
    png_bytes,
    retried,
)
from robustness.types import Image
from robustness.waiting import within

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
# What a server says of one request that it cannot work on; other requests may fare better.
_OF_THE_REQUEST = {400, 413, 422}
_TOKEN = "; name the environment variable of its token in token_env"
_MOVED = "; redirects are not followed, state the address where it answers"
_HINTS = {401: _TOKEN, 403: _TOKEN, 301: _MOVED, 302: _MOVED, 303: _MOVED, 307: _MOVED, 308: _MOVED}
_BYTES_PER_PIXEL = 8
_OVERHEAD = 1 << 20
# Of an answer that tells of a failure no more is read.
_REASON_BYTES = 1 << 14


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Images of patients go where the plan says, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


@dataclass(frozen=True)
class HttpPredictor:
    """Asks a server for the maps of pairs.

    Sent (POST, JSON): ``{"images": [PNG in base64, ...], "pairs": [{"image": index, "prompt": text}, ...]}``.
    Expected: ``{"maps": [PNG in base64, ...]}``, one per pair at its image's size; with `instances` each entry is a
    list of such PNGs. The answer's size is bounded by what such maps can need.

    Attributes:
        url: http or https; redirects are not followed.
        timeout_s: seconds without an answer, and for the whole of it.
        retries: further attempts after failed connections, timeouts, and status 408, 425, 429 and 5xx.
        token_env: name of the environment variable whose value is sent as a bearer token; plans hold no secrets.
        instances: whether each entry is a list of maps.
        image_size: side of maps that may come besides those of the images' size; 0 for none.
    """

    changes_no_image: ClassVar[bool] = True

    url: str
    timeout_s: float = 120.0
    retries: int = 3
    token_env: str | None = None
    instances: bool = False
    image_size: int = 0

    def __call__(self, images: Sequence[Image], prompts: Sequence[str]) -> list[Any]:
        """Return the server's maps, one answer per pair; an error in the place of a pair that fails alone.

        Raises:
            InputError: it cannot be reached after all attempts, refuses every pair, or answers with something else.
        """
        return pair_by_pair(self._retried, images, prompts, retries=self.retries)

    def _retried(self, images: Sequence[Image], prompts: Sequence[str], retries: int) -> list[Any]:
        body = _body(images, prompts)
        own = self.image_size**2
        limit = _OVERHEAD + sum(_BYTES_PER_PIXEL * max(i.shape[0] * i.shape[1], own) for i in images)
        try:
            answer = retried(
                lambda: self._once(body, limit),
                retries=retries,
                wait=lambda n: time.sleep(min(0.5 * 2**n, 30)),
                giving_up=f"url: {self.url}",
            )
        except _RefusedError as error:
            raise GaveUpError(f"url: {self.url} answered with {error}") from error
        except GaveUpError as error:
            # Nothing is lost by stopping where a server is away: the audit goes on where it was.
            raise InputError(str(error)) from error
        maps = answer.get("maps") if isinstance(answer, dict) else None
        if not isinstance(maps, list) or len(maps) != len(prompts):
            got = f"{len(maps)} of them" if isinstance(maps, list) else _shape_of(answer)
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
            # One deadline for the whole exchange: a socket's own starts again with each byte, headers included.
            content = within(self.timeout_s, lambda: _exchange(opener, request, self.timeout_s, limit, ends))
        except _StatusError as error:
            if error.code in _OF_THE_REQUEST:
                raise _RefusedError(str(error)) from error
            if error.code in _AGAIN:
                raise TryAgainError(str(error)) from error
            raise InputError(f"url: {self.url} answered with {error}{_HINTS.get(error.code, '')}") from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            raise TryAgainError(str(getattr(error, "reason", error)) or type(error).__name__) from error
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise InputError(f"url: {self.url} answered with something that is not JSON") from error

    def _decoded(self, entry: Any, image: Image, number: int) -> list[Levels] | Levels | CaseError:
        own = [(self.image_size, self.image_size)] if self.image_size else []
        sizes, where = list(dict.fromkeys([(image.shape[0], image.shape[1]), *own])), f"url: pair {number}"
        try:
            if not self.instances:
                return _image(entry, sizes, where)
            if not isinstance(entry, list):
                raise AnswerError(f"{where}: expected a list of maps, got {type(entry).__name__}")
            return [_image(one, sizes, where) for one in entry]
        except CaseError as error:
            return error


class _RefusedError(Exception):
    """The server took the request and failed at it: it would do so again."""


class _StatusError(Exception):
    """A server's answer is a status other than success."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        self.code = error.code
        super().__init__(f"status {error.code} {error.reason}".rstrip() + _reason_of(error))


def _reason_of(error: urllib.error.HTTPError) -> str:
    """Return the server's own word on a failure, after a colon; "" where it gives none."""
    try:
        answer = json.loads(error.read(_REASON_BYTES))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return ""
    return _word_of(answer) if isinstance(answer, dict) else ""


def _word_of(answer: dict[str, Any]) -> str:
    said = next((answer[key] for key in ("error", "detail", "message") if answer.get(key)), "")
    word = said if isinstance(said, str) else json.dumps(said)
    return f": {' '.join(word.split())[:200]}" if word else ""


def _shape_of(answer: Any) -> str:
    """Say what came in the place of maps, with the server's own word on it where it gives one."""
    if not isinstance(answer, dict):
        return type(answer).__name__
    if "maps" in answer:
        return f"maps of type {type(answer['maps']).__name__}"
    keys = ", ".join(repr(str(key)[:40]) for key in list(answer)[:5])
    return f"the keys {keys or '(none)'}{_word_of(answer)}"


def _image(entry: Any, sizes: Sequence[Size], where: str) -> Levels:
    return decode_image(_unpacked(entry, where), sizes, where)


def _exchange(opener: Any, request: Any, timeout_s: float, limit: int, ends: float) -> bytes:
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return _bounded(response, limit, ends)
    except urllib.error.HTTPError as error:
        with error:
            raise _StatusError(error) from error


def _bounded(response: Any, limit: int, ends: float) -> bytes:
    content = bytearray()
    while chunk := response.read1(1 << 16):
        content += chunk
        if len(content) > limit:
            raise InputError(f"url: expected an answer of at most {limit} bytes, got more")
        # A socket's timeout starts again with each byte, so that a slow sender would never end.
        if time.monotonic() > ends:
            raise TryAgainError("the answer took too long")
    if getattr(response, "length", None):
        raise TryAgainError("the answer ended before the length that it stated")
    return bytes(content)


def _body(images: Sequence[Image], prompts: Sequence[str]) -> bytes:
    position: dict[int, int] = {}
    encoded: list[str] = []
    pairs = []
    for image, prompt in zip(images, prompts, strict=True):
        if id(image) not in position:
            position[id(image)] = len(encoded)
            encoded.append(base64.b64encode(png_bytes(image)).decode("ascii"))
        pairs.append({"image": position[id(image)], "prompt": prompt})
    return json.dumps({"images": encoded, "pairs": pairs}).encode()


def _unpacked(entry: Any, where: str) -> bytes:
    if not isinstance(entry, str):
        raise AnswerError(f"{where}: expected a PNG in base64, got {type(entry).__name__}")
    try:
        # Servers write what a browser would show, too, and lines as mails have them.
        return base64.b64decode("".join(entry.removeprefix("data:image/png;base64,").split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise AnswerError(f"{where}: expected a PNG in base64 ({error})") from error


def _check_token(name: Any) -> None:
    """Refuse a token that no header can hold, without a word of it."""
    try:
        token = os.environ.get(name, "")
    except (TypeError, ValueError) as error:
        raise InputError(f"token_env: expected the name of an environment variable, got {name!r}") from error
    if not token:
        raise InputError(f"token_env: the environment variable {name!r} is not set")
    if not token.isascii() or not token.isprintable() or token != token.strip():
        raise InputError(
            f"token_env: the value of {name!r} cannot be sent (a line break, a space at an end, or letters beyond "
            "ASCII in it); set it anew"
        )


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
        if token_env is not None:
            _check_token(token_env)
        predict = HttpPredictor(
            url=url,
            token_env=token_env,
            timeout_s=check_number("timeout_s", options.get("timeout_s", 120.0), low=0.01, high=86_400),
            retries=int(check_number("retries", options.get("retries", 3), low=0, high=20)),
            instances=options.get("returns") == "instances",
            image_size=image_size or 0,
        )
        return calling(
            predict,
            name=parsed.hostname,
            threshold=threshold,
            image_size=image_size,
            provenance={"url": url},
            options=options,
        )
