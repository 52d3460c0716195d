"""The page as a PDF, printed by an installed Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from robustness.errors import InputError
from robustness.files import write_atomic

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-pdf-header-footer",
    "--run-all-compositor-stages-before-draw",
    "--virtual-time-budget=20000",
)


def find_browser() -> str | None:
    """Return the path of an installed Chromium or of a browser built on it, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def write_pdf(page: str | Path, out: str | Path | None = None, *, seconds: float = 180.0) -> Path:
    """Print an HTML page of this suite to PDF.

    Args:
        page: the HTML file.
        out: the PDF; next to the page by default.
        seconds: how long the browser may take.

    Raises:
        InputError: there is no page, no browser, or the browser does not print it.
    """
    page = Path(page).resolve()
    if not page.is_file():
        raise InputError(f"page: expected an HTML file, found none at {str(page)!r}; write the report first")
    browser = find_browser()
    if browser is None:
        raise InputError(
            f"--pdf: expected one of {', '.join(BROWSERS)} on the PATH, found none; install Chromium, or print the"
            " page from any browser"
        )
    target = Path(out).resolve() if out else page.with_suffix(".pdf")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        pdf = Path(folder) / "page.pdf"
        # Only root needs the flag, and only root gets it: a user's browser keeps its sandbox.
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        profile = f"--user-data-dir={folder}/profile"
        command = [browser, *_FLAGS, *sandbox, profile, f"--print-to-pdf={pdf}", page.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"--pdf: {browser} did not print the page within {seconds:g} s ({error})") from error
        if not pdf.is_file():
            message = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise InputError(f"--pdf: {browser} made no PDF (exit {done.returncode}: {message[0]})")
        content = pdf.read_bytes()
        write_atomic(target, lambda temporary: _fill(temporary, content))
    return target


def _fill(path: Path, content: bytes) -> None:
    path.write_bytes(content)
