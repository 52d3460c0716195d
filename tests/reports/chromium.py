"""Drives an installed Chromium over its debugging pipe: no package needed."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)

_START = "import os, sys; [os.dup2(int(sys.argv[i]), 2 + i) for i in (1, 2)]; os.execvp(sys.argv[3], sys.argv[3:])"


def find_chromium() -> str | None:
    """Return the path of an installed Chromium, or None."""
    return next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)


class Browser:
    """One page in headless Chromium.

    `errors` and `requests` collect what the page logged and asked for; `stopped` what it asked of the network, which
    never gets there.
    """

    def __init__(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        self._profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        out_read, self._write = os.pipe()
        self._read, in_write = os.pipe()
        # The browser reads commands from descriptor 3 and answers on 4; high numbers cannot collide with them.
        child = [fcntl.fcntl(fd, fcntl.F_DUPFD, 60) for fd in (out_read, in_write)]
        command = [find_chromium() or "chromium", *FLAGS, f"--user-data-dir={self._profile.name}", "about:blank"]
        starter = [sys.executable, "-c", _START, *map(str, child), *command]
        self._process = subprocess.Popen(starter, pass_fds=child, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (out_read, in_write, *child):
            os.close(fd)
        self._buffer, self._count, self._session = b"", 0, ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.stopped: list[str] = []
        target = next(t for t in self._send("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self._send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._send(f"{domain}.enable")
        # Whatever would leave the machine is stopped here and noted, so a page cannot pass for want of a network.
        self._send("Fetch.enable", patterns=[{"urlPattern": f"{scheme}://*"} for scheme in ("http", "https")])
        self.resize(width, height)
        self.emulate(dark=dark)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._session = ""
            self._send("Browser.close")
            self._process.wait(timeout=10)
        except (OSError, RuntimeError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._read)
            os.close(self._write)
            self._profile.cleanup()

    def resize(self, width: int, height: int) -> None:
        self._send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def emulate(self, *, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send(
            "Emulation.setEmulatedMedia", features=[scheme, {"name": "prefers-reduced-motion", "value": "reduce"}]
        )

    def open(self, page: Path, *, fragment: str = "") -> None:
        self._send("Page.navigate", url=page.resolve().as_uri() + fragment)
        self.wait("document.readyState === 'complete' && document.documentElement.dataset.ready === 'yes'")

    def evaluate(self, expression: str) -> Any:
        answer = self._send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:600])
        return answer["result"].get("value")

    def wait(self, condition: str, *, seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"Boolean({condition})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{condition}; page errors: {self.errors}")
            time.sleep(0.05)

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press one key as a user does: ``Tab``, ``Enter``, ``Escape``."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}
        common: dict[str, Any] = {"key": key, "code": "Space" if key == " " else key, "modifiers": 8 if shift else 0}
        common["windowsVirtualKeyCode"] = codes[key]
        text = {"Enter": {"text": "\r"}, " ": {"text": " "}}.get(key, {})
        self._send("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", **common)

    def download_to(self, folder: Path) -> None:
        """Let the page save files into `folder`."""
        session, self._session = self._session, ""
        self._send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        self._session = session

    def screenshot(self, path: Path, *, full: bool = False) -> Path:
        shot = self._send("Page.captureScreenshot", format="png", captureBeyondViewport=full, **self._clip(full))
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def pdf(self) -> bytes:
        options = {"printBackground": True, "preferCSSPageSize": True, "generateDocumentOutline": True}
        return base64.b64decode(self._send("Page.printToPDF", **options, generateTaggedPDF=True)["data"])

    def _clip(self, full: bool) -> dict[str, Any]:
        if not full:
            return {}
        size = self._send("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _post(self, method: str, **params: Any) -> int:
        """Send a command without waiting for its answer; return its number."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        return self._count

    def _send(self, method: str, **params: Any) -> dict[str, Any]:
        number = self._post(method, **params)
        while True:
            answer = self._receive()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:600])
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(params["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            self.errors.append(json.dumps(params["args"])[:600])
        elif event.get("method") == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event.get("method") == "Fetch.requestPaused":
            self.stopped.append(params["request"]["url"])
            self._post("Fetch.failRequest", requestId=params["requestId"], errorReason="BlockedByClient")

    def _receive(self, seconds: float = 30.0) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], seconds)[0]:
                raise TimeoutError("Chromium does not answer")
            chunk = os.read(self._read, 1 << 20)
            if not chunk:
                raise RuntimeError("Chromium ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message
