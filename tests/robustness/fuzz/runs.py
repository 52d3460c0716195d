"""Run folders and baselines whose files are lost, cut short, of another kind, edited; and predictions of others."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import robustness as rb
from robustness.errors import InputError
from tests.gate_runs import write_run
from tests.robustness.fuzz.pictures import encoded, flipped
from tests.robustness.fuzz.trial import REFUSED, USED, Trial, check_message

_FILES = (
    "manifest.json",
    "plan.toml",
    "effects.parquet",
    "verdicts.parquet",
    "results/part-00000.parquet",
)
_GATES = '[[gate]]\ntest = "drop_below"\ncondition = "antonym:size"\nmargin = 0.5\n'


def trials() -> Iterator[Trial]:
    """Yield every file of a run and of a baseline, damaged in every way, and what stands in the place of maps."""
    for file in _FILES:
        for name, change in _damages().items():
            yield Trial("run", f"{Path(file).stem}_{name}", partial(_run, file, change))
    for key in ("tables", "models", "datasets", "counts", "plan_sha256"):
        for name, value in {"missing": ..., "null": None, "number": 1, "true": True}.items():
            yield Trial("run", f"manifest_{key}_{name}", partial(_run, "manifest.json", partial(_key, key, value)))
    for file in ("baseline.toml", "baseline.parquet"):
        for name, change in _damages().items():
            yield Trial("baseline", f"{file}_{name}", partial(_baseline, file, change))
    for name, content in _maps().items():
        yield Trial("predictions", name, partial(_prediction, content))


@cache
def _finished() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="robustness-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_run(folder / "run").save_baseline(folder / "baseline")
    return folder


def finished(folder: Path) -> Path:
    """Return a folder with a finished run and its baseline, copied from one that is made once."""
    shutil.copytree(_finished(), folder, dirs_exist_ok=True)
    return folder


def _damages() -> Mapping[str, Callable[[Path], None]]:
    return {
        "lost": lambda p: p.unlink(),
        "empty": lambda p: _write(b"", p),
        "half": lambda p: _write(p.read_bytes()[: p.stat().st_size // 2], p),
        "list": lambda p: _write(b"[]", p),
        "null": lambda p: _write(b"null", p),
        "object": lambda p: _write(b"{}", p),
        "deep": lambda p: _write(b"[" * 100_000, p),
        "binary": lambda p: _write(bytes(range(256)) * 4, p),
        "bit_flipped": lambda p: _write(flipped(p.read_bytes(), 0), p),
        "more_bits": lambda p: _write(flipped(p.read_bytes(), 7), p),
        "appended": lambda p: _write(p.read_bytes() + b"\n# more", p),
        "folder": _folder,
        "pipe": _pipe,
        "device": _device,
        "loop": _loop,
        "foreign_table": _table,
        "without_columns": _no_columns,
    }


def _run(file: str, change: Callable[[Path], None], folder: Path) -> str:
    """No reader takes a run that is not what the audit wrote."""
    finished(folder)
    change(folder / "run" / file)
    (folder / "gates.toml").write_text(_GATES)
    readers: Mapping[str, Callable[[], object]] = {
        "results": lambda: rb.open_run(folder / "run").results(),
        "verdicts": lambda: rb.open_run(folder / "run").verdicts(),
        "gate": lambda: rb.open_run(folder / "run").gate(folder / "gates.toml"),
        "report": lambda: rb.open_run(folder / "run").report(folder / "page.html"),
        "baseline": lambda: rb.open_run(folder / "run").save_baseline(folder / "again"),
    }
    for name, read in readers.items():
        try:
            read()
        except InputError as error:
            check_message(error)
        else:
            raise AssertionError(f"{name} took a run whose {file} is damaged")
    return REFUSED


def _baseline(file: str, change: Callable[[Path], None], folder: Path) -> str:
    from robustness.gates.baselines import load_baseline

    finished(folder)
    change(folder / file)
    baseline = load_baseline(folder / "baseline")
    assert len(baseline.results())
    assert baseline.measured.plan
    # What people read of the summary may change; the scores, the plan and the data may not.
    assert file == "baseline.toml", f"a damaged {file} was taken"
    return USED


def _prediction(content: Callable[[Path], None], folder: Path) -> str:
    from tests.synthetic import write_dataset

    write_dataset(folder / "data", images=1)
    preds = folder / "preds" / "clean"
    preds.mkdir(parents=True)
    (preds / "s00_right.png").write_bytes(encoded("PNG"))
    content(preds / "s00_left.png")
    model = rb.load_predictions(folder / "preds")
    data = rb.load_dataset(folder / "data")
    run = rb.audit(model, data, perturbations=["empty"], out=folder / "out", report=False, engine={"threads": 1})
    counts = run.manifest["counts"]
    assert counts["rows"] == counts["used"] + counts["not_applicable"] + counts["errors"]
    return USED


def _maps() -> Mapping[str, Callable[[Path], None]]:
    npy = np.zeros((3, 3)).dumps()
    return {
        "empty": lambda p: _write(b"", p),
        "text": lambda p: _write(b"no image", p),
        "npy": lambda p: _write(npy, p),
        "lying_npy": lambda p: _write(_lying_npy(), p),
        "another_size": lambda p: _write(encoded("PNG", size=5), p),
        "jpeg": lambda p: _write(encoded("JPEG"), p),
        "tiff": lambda p: _write(encoded("TIFF"), p),
        "folder": lambda p: p.mkdir(),
        "pipe": os.mkfifo,
        "device": lambda p: p.symlink_to("/dev/zero"),
        "dangling": lambda p: p.symlink_to("/nonexistent"),
        "cut": lambda p: _write(encoded("PNG")[:200], p),
        "flipped": lambda p: _write(flipped(encoded("PNG"), 3), p),
    }


def _lying_npy() -> bytes:
    head = b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000, 1000), }"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head


def _key(key: str, value: Any, path: Path) -> None:
    document = json.loads(path.read_text())
    document.pop(key)
    path.write_text(json.dumps(document if value is ... else {**document, key: value}))


def _write(content: bytes, path: Path) -> None:
    path.write_bytes(content)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _table(path: Path) -> None:
    path.unlink()
    pd.DataFrame({"case_id": [[1], [2]], "dice": ["a", None]}).to_parquet(path)


def _no_columns(path: Path) -> None:
    path.unlink()
    pd.DataFrame().to_parquet(path)
