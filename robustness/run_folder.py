"""A run's folder: Parquet parts that are written whole, so that a killed run resumes and loses nothing."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, write_atomic, write_text
from robustness.folder_lock import LOCK, folder_lock
from robustness.own_files import read_json, read_parquet
from robustness.run_log import LOG

if TYPE_CHECKING:
    import pandas as pd

PLAN = "plan.toml"
MANIFEST = "manifest.json"
STATE = "state.json"
EFFECTS = "effects.parquet"
VERDICTS = "verdicts.parquet"
GALLERY = "gallery.parquet"
CERTIFICATE = "certificate.json"
REPORT = "report.html"

# Without these a part says nothing; metrics and further columns depend on the plan.
PART_COLUMNS = ("model", "dataset", "case_id", "condition", "applicable", "error")
SHA256 = "sha256"
# The files of a run's folder that an audit writes.
_WHOLE = (PLAN, MANIFEST, STATE, EFFECTS, VERDICTS, GALLERY, CERTIFICATE, REPORT, LOG, LOCK, "report-prompts.csv")
_WRITTEN = re.compile(
    rf"{'|'.join(map(re.escape, _WHOLE))}"
    r"|results/part-\d+\.parquet|\.gallery/(part|work|answers)-\d+\.(parquet|json)"
)
_STATE_NEEDS = {
    "plan_sha256": str,
    "parts": int,
    "conditions": list,
    "models": list,
    "datasets": list,
    "environment": dict,
}


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
        for folder in (run.results, run.pictures):
            make_folder(folder, "out")
        return run

    def renew(self) -> bool:
        """Remove what an audit wrote here, for another one; False, with nothing removed, where other files lie here.

        Raises:
            InputError: another process is writing the run.
        """
        with self.lock():
            self.remove_leftovers()
            files = [path for path in self.path.rglob("*") if not path.is_dir() or path.is_symlink()]
            if not all(_WRITTEN.fullmatch(path.relative_to(self.path).as_posix()) for path in files):
                return False
            # The state and then the plan go last: a renewal that was cut off still finds its run, or one to begin.
            for path in sorted(files, key=lambda path: (path.name == PLAN, path.name == STATE)):
                if path.name not in (LOCK, LOG):
                    path.unlink()
        return True

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half-written; only who holds `lock` may."""
        for folder in (self.path, self.results, self.pictures):
            remove_leftovers(folder)

    def _foreign(self) -> list[str]:
        """Return what no audit made; one killed before its state was written leaves a plan and an empty folder."""
        begun = {PLAN, LOG} | ({"results"} if not any(self.results.glob("*")) else set())
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

    def write_part(self, index: int, table: pd.DataFrame, work: dict[str, Any]) -> None:
        """Write the rows of a part, and before them what it cost and the hash by which a resume knows them again."""
        stream = io.BytesIO()
        table.to_parquet(stream, index=False)
        content = stream.getvalue()
        self.write_json(work_file(index), {**work, SHA256: hashlib.sha256(content).hexdigest()})
        # The rows come last: a part counts as done when they are there.
        write_atomic(self.part(index), lambda temporary: _write_bytes(temporary, content))

    def read_part(self, index: int) -> pd.DataFrame:
        """Return the rows of one part."""
        return read_table(self.part(index), PART_COLUMNS)

    def read_results(self) -> pd.DataFrame:
        """Return all parts in plan order.

        Raises:
            InputError: there is none.
        """
        import pandas as pd

        parts = sorted(self.results.glob("part-*.parquet"))
        if not parts:
            raise InputError(f"run: expected result parts in {str(self.results)!r}, found none; run the audit first")
        tables = [read_table(part, PART_COLUMNS) for part in parts]
        return pd.concat([t for t in tables if len(t)], ignore_index=True)

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON file of the run; an empty dict where it is missing.

        Raises:
            InputError: it is damaged.
        """
        path = self.path / name
        if not os.path.lexists(path):
            return {}
        fix = "restore it, or audit into a new folder" if name == STATE else "delete it and run the same audit again"
        return read_json(path, "run", needs=_STATE_NEEDS if name == STATE else {}, fix=fix)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write a JSON file atomically, keys in the order given."""
        write_text(self.path / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the folder: two audits must not write one run; see `folder_lock`."""
        return folder_lock(self.path)


def work_file(part: int) -> str:
    """Return where a part's cost is noted, inside the run's folder."""
    return f".gallery/work-{part:05d}.json"


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def read_table(path: Path, columns: Sequence[str] = ()) -> pd.DataFrame:
    """Read a Parquet table that has at least `columns`.

    Raises:
        InputError: it is damaged.
    """
    return read_parquet(path, "run", columns=columns, fix="delete it and run the audit again")
