"""Plans and gates files: every key with values of other types, extremes, and damaged files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tomli_w

import robustness as rb
from tests.robustness.fuzz.trial import USED, Trial

_PLAN: Mapping[str, Any] = {
    "seed": 0,
    "model": {"name": "clipseg", "config": {"preset": "tiny"}, "device": "cpu"},
    "data": {"path": "data", "prompt": "p6"},
    "perturbations": {"prompt": ["antonym"], "image": {"kinds": ["gaussian_noise"], "severities": [1]}},
    "metrics": {"names": ["dice"]},
    "statistics": {"alpha": 0.05, "resamples": 199},
    "engine": {"batch_size": 2, "threads": 1},
}
_KEYS = (
    "seed",
    "model",
    "model.name",
    "model.config",
    "model.device",
    "model.precision",
    "model.threshold",
    "data",
    "data.path",
    "data.prompt",
    "data.limit",
    "data.subject",
    "perturbations.prompt",
    "perturbations.image.severities",
    "metrics.names",
    "metrics.nsd_tolerance_mm",
    "statistics.alpha",
    "statistics.margin_dice",
    "engine.batch_size",
    "limits.text_characters",
    "limits.unknown",
)
_VALUES: Mapping[str, Any] = {
    "text": "zzz",
    "empty": "",
    "negative": -1,
    "huge": 10**30,
    "nan": float("nan"),
    "inf": float("inf"),
    "true": True,
    "list": [],
    "list_of_lists": [[1]],
    "table": {"a": {"b": 1}},
    "nul": "a\0b",
    "line_break": "a\n::error::b",
    "long": "x" * 5_000,
}
_GATE: Mapping[str, Any] = {"test": "drop_below", "condition": "antonym:size", "margin": 0.05}
_GATE_KEYS = ("test", "condition", "metric", "margin", "at_least", "severity", "name", "subgroup", "direction")
_FILES: Mapping[str, bytes] = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not_toml": b"= = =",
    "cut_short": b"[model\n",
    "utf16": "a = 1".encode("utf-16"),
    "deep": b"a = " + b"[" * 50_000,
    "deep_tables": b"[" + b".".join([b"a"] * 20_000) + b"]",
    "json": b'{"model": 1}',
    "repeated": b"seed = 1\nseed = 2\n",
    "nul": b"seed = 1\0",
    "huge_integer": b"seed = " + b"9" * 5_000,
}


def trials() -> Iterator[Trial]:
    """Yield plans with one key changed, then damaged files, then the same for gates."""
    for key in _KEYS:
        for name, value in _VALUES.items():
            yield Trial("plan", f"{key}_{name}", partial(_plan, key, value))
    for kind in ("plan", "gates"):
        for name, content in _FILES.items():
            yield Trial(kind, f"file_{name}", partial(_file, kind, content))
        for name in ("pipe", "device", "folder", "absent"):
            yield Trial(kind, f"is_{name}", partial(_no_file, kind, name))
    for key in _GATE_KEYS:
        for name, value in _VALUES.items():
            yield Trial("gates", f"{key}_{name}", partial(_gate, key, value))
    for override in (
        "",
        "=",
        "a",
        "a=\n=b",
        "seed=[",
        "seed=1\nmodel=2",
        "model.name.x=1",
        "\0=1",
        "seed=" + "[" * 9_999,
    ):
        yield Trial("plan", f"override_{override[:12]!r}", partial(_override, override))


def _load(kind: str, path: Path) -> str:
    if kind == "plan":
        rb.load_plan(path).sha256()
    else:
        from robustness.gates.judge import load_gates

        load_gates(path)
    return USED


def _changed(tree: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    inner = _changed(tree.get(first, {}), rest, value) if rest else value
    return {**tree, first: inner}


def _plan(key: str, value: Any, folder: Path) -> str:
    path = folder / "plan.toml"
    path.write_text(tomli_w.dumps(_changed(_PLAN, key, value)), "utf-8")
    return _load("plan", path)


def _gate(key: str, value: Any, folder: Path) -> str:
    path = folder / "gates.toml"
    path.write_text(tomli_w.dumps({"gate": [{**_GATE, key: value}]}), "utf-8")
    return _load("gates", path)


def _file(kind: str, content: bytes, folder: Path) -> str:
    (folder / "file.toml").write_bytes(content)
    return _load(kind, folder / "file.toml")


def _no_file(kind: str, name: str, folder: Path) -> str:
    path = folder / "file.toml"
    if name == "pipe":
        os.mkfifo(path)
    elif name == "device":
        path.symlink_to("/dev/zero")
    elif name == "folder":
        path.mkdir()
    return _load(kind, path)


def _override(override: str, folder: Path) -> str:
    path = folder / "plan.toml"
    path.write_text(tomli_w.dumps(dict(_PLAN)))
    rb.load_plan(path, overrides=[override])
    return USED
