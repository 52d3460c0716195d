"""A run's folder: Parquet parts that are written whole, so that a killed run resumes and loses nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, write_atomic, write_text

if TYPE_CHECKING:
    import pandas as pd

PLAN = "plan.toml"
MANIFEST = "manifest.json"
STATE = "state.json"
EFFECTS = "effects.parquet"
VERDICTS = "verdicts.parquet"
GALLERY = "gallery.parquet"
REPORT = "report.html"


class RunFolder:
    """Names and atomic reads and writes inside one run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make (or reopen) a folder for a run.

        Raises:
            InputError: it cannot be written to, or it holds something that is no run.
        """
        run = cls(make_folder(path, "out"))
        foreign = [] if (path / STATE).is_file() else run._foreign()
        if foreign:
            raise InputError(
                f"out: expected a new folder or a run, but {str(path)!r} holds {sorted(foreign)[0]!r}; choose another"
            )
        for folder in (path, run.results, run.pictures):
            folder.mkdir(exist_ok=True)
            remove_leftovers(folder)
        return run

    def _foreign(self) -> list[str]:
        """Return what no audit made; one killed before its state was written leaves a plan and an empty folder."""
        begun = {PLAN} | ({"results"} if not any(self.results.glob("*")) else set())
        return [p.name for p in self.path.iterdir() if not p.name.startswith(".") and p.name not in begun]

    @property
    def results(self) -> Path:
        """The folder of the result parts."""
        return self.path / "results"

    @property
    def pictures(self) -> Path:
        """The folder of the gallery's parts; it is emptied when the gallery is assembled."""
        return self.path / ".gallery"

    def part(self, index: int) -> Path:
        """Where the rows of part `index` lie."""
        return self.results / f"part-{index:05d}.parquet"

    def picture_part(self, index: int) -> Path:
        """Where the images of part `index` lie until the gallery is assembled."""
        return self.pictures / f"part-{index:05d}.parquet"

    def write_table(self, path: Path, table: pd.DataFrame) -> None:
        """Write a table atomically."""
        write_atomic(path, lambda temporary: table.to_parquet(temporary, index=False))

    def read_results(self) -> pd.DataFrame:
        """Return all parts in plan order.

        Raises:
            InputError: there is none.
        """
        import pandas as pd

        parts = sorted(self.results.glob("part-*.parquet"))
        if not parts:
            raise InputError(f"run: expected result parts in {str(self.results)!r}, found none; run the audit first")
        tables = [read_table(part) for part in parts]
        return pd.concat([t for t in tables if len(t)], ignore_index=True)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run; an empty dict where it is missing."""
        path = self.path / name
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file atomically, keys in the order given."""
        write_text(self.path / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder: two audits must not write one run. The system frees it when a process dies.

        Raises:
            InputError: another process holds it.
        """
        try:
            import fcntl
        except ImportError:  # pragma: no cover - no flock on this platform; parts are still written whole
            yield
            return
        with (self.path / ".lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"out: another process is writing {str(self.path)!r}; wait for it or stop it"
                ) from error
            yield


def read_table(path: Path) -> pd.DataFrame:
    """Read a Parquet table.

    Raises:
        InputError: it is damaged.
    """
    import pandas as pd
    from pyarrow import ArrowException

    try:
        return pd.read_parquet(path)
    except (ArrowException, OSError) as error:
        raise InputError(
            f"run: {path.name} is damaged and cannot be read; delete it and run the audit again"
        ) from error
