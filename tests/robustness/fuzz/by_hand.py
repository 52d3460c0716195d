"""Predictors, black-box files, manifests and output paths that a person would try by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import robustness as rb
from robustness.errors import InputError
from tests.gate_runs import write_run
from tests.robustness.fuzz.trial import FLAGGED, REFUSED, USED, Trial, check_message
from tests.synthetic import bright, write_dataset

Predictor = Callable[[list[Any], list[str]], Any]


def trials() -> Iterator[Trial]:
    """Yield what a model returns or raises, what its file does, what a manifest states, where a page is to go."""
    for name, predict in _predictors().items():
        yield Trial("predictor", name, partial(_predictor, predict))
    for name, content in _FILES.items():
        yield Trial("python_file", name, partial(_python_file, content))
    for name, facts in _FACTS.items():
        yield Trial("manifest", name, partial(_manifest, facts))
    for name, make in _outputs().items():
        yield Trial("output", f"page_{name}", partial(_page, make))
        yield Trial("output", f"baseline_{name}", partial(_saved, make))


class _NoArray:
    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array")


class _NoWordsError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even a message")


def _raises(error: BaseException) -> Predictor:
    def predict(images: list[Any], prompts: list[str]) -> Any:
        raise error

    return predict


def _deeper(images: list[Any], prompts: list[str]) -> Any:
    return _deeper(images, prompts)


def _each(make: Callable[[Any], Any]) -> Predictor:
    return lambda images, prompts: [make(image) for image in images]


def _predictors() -> Mapping[str, Predictor]:
    made: dict[str, Predictor] = {
        "no_words": _raises(_NoWordsError()),
        "many_lines": _raises(ValueError("a\ud800\n::error::x" * 500)),
        "memory": _raises(MemoryError()),
        "stop": _raises(StopIteration()),
        "base": _raises(BaseException("x")),
        "closed": _raises(GeneratorExit()),
        "exit": _raises(SystemExit(3)),
        "recursion": _deeper,
        "no_array": _each(lambda image: _NoArray()),
        "none": lambda images, prompts: None,
        "dict": lambda images, prompts: dict.fromkeys(range(len(images)), 0),
        "text": lambda images, prompts: "x" * len(images),
        "generator": lambda images, prompts: (bright(image).astype(np.float32) for image in images),
        "zero_dimensional": _each(lambda image: np.float32(1)),
        "lists": _each(lambda image: bright(image).astype(float).tolist()),
        "masked": _each(lambda image: np.ma.masked_all(image.shape[:2])),
        "reversed": _each(lambda image: bright(image).astype(np.float32)[::-1, ::-1]),
        "broadcast": _each(lambda image: np.broadcast_to(np.float32(0.7), image.shape[:2])),
        "small": _each(lambda image: np.zeros((3, 5), np.float32)),
    }
    for kind in (object, complex, "M8[s]", ">f4", "f2", [("a", "f4")]):
        made[f"dtype_{np.dtype(kind).kind}{np.dtype(kind).itemsize}"] = _each(partial(_zeros, kind))
    return made


def _zeros(kind: Any, image: Any) -> Any:
    return np.zeros(image.shape[:2], kind)


_MAKE = "def make(): return lambda images, prompts: [(i[..., 0] > 120) * 1.0 for i in images]\n"
_FILES: Mapping[str, str] = {
    "whole": _MAKE,
    "syntax": "def make(:",
    "nul": "a\0b",
    "exits": "import sys\nsys.exit(0)\n",
    "exits_inside": "def make():\n    raise SystemExit('bye')\n",
    "base": "raise BaseException('x')\n",
    "arguments": "def make(more): return None\n",
    "class": "class make: pass\n",
    "moves": f"import os\nos.chdir(os.getcwd())\n{_MAKE}",
    "seeds": f"import numpy\nnumpy.random.seed(0)\n{_MAKE}",
    "absent": "other = 1\n",
}
_FACTS: Mapping[str, Mapping[str, Any]] = {
    "created": {"created": 5},
    "warnings_text": {"warnings": "abc"},
    "warnings_table": {"warnings": {"a": 1}},
    "statistics": {"statistics": []},
    "models": {"models": [1]},
    "datasets": {"datasets": [1]},
    "timing": {"timing": [1]},
    "certificate": {"certificate": "x"},
    "certificate_rows": {"certificate": {"rows": [{"dice": "a"}, 5]}},
    "counts": {"counts": {"rows": -1}},
    "seed": {"seed": "x"},
    "title": {"title": ["a"]},
    "tables_outside": {"tables": {"../../x": "y"}},
    "metrics": {"metrics": None},
    "packages": {"packages": "x"},
}


def _outputs() -> Mapping[str, Callable[[Path], Any]]:
    return {
        "folder": lambda path: path.mkdir(),
        "pipe": os.mkfifo,
        "loop": lambda path: path.symlink_to(path),
        "device": lambda path: path.symlink_to("/dev/null"),
        "dangling": lambda path: path.symlink_to(path.parent / "nowhere" / "file"),
        "file": lambda path: path.write_text("old"),
    }


def _audited(model: Any, folder: Path) -> str:
    data = rb.load_dataset(write_dataset(folder / "data", images=1))
    run = rb.audit(model, data, perturbations=["empty"], out=folder / "run", report=False, statistics={"resamples": 99})
    counts = run.manifest["counts"]
    assert counts["rows"] == counts["used"] + counts["not_applicable"] + counts["errors"]
    return FLAGGED if counts["errors"] else USED


def _predictor(predict: Predictor, folder: Path) -> str:
    return _audited(rb.segmenter(predict, name="m"), folder)


def _python_file(content: str, folder: Path) -> str:
    (folder / "model.py").write_text(content)
    return _audited(rb.load_model("python", f"{folder / 'model.py'}:make"), folder)


def _manifest(facts: Mapping[str, Any], folder: Path) -> str:
    run = write_run(folder / "run")
    path = run.path / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))
    outcomes = set()
    for read in (lambda: run.report(folder / "page.html"), run.verify, lambda: run.replay(0)):
        try:
            read()
            outcomes.add(USED)
        except InputError as error:
            check_message(error)
            outcomes.add(REFUSED)
    return USED if USED in outcomes else REFUSED


def _page(make: Callable[[Path], Any], folder: Path) -> str:
    make(folder / "page.html")
    return _written(folder / "page.html", write_run(folder / "run").report(folder / "page.html"))


def _saved(make: Callable[[Path], Any], folder: Path) -> str:
    make(folder / "saved.toml")
    return _written(folder / "saved.toml", write_run(folder / "run").save_baseline(folder / "saved"))


def _written(path: Path, returned: Path) -> str:
    """Nothing but a file or what a link leads to is replaced."""
    assert returned == path
    assert path.is_file()
    return USED
