"""Annotation files and manifests: what is missing, of another type, damaged, repeated or too much."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

import robustness as rb
from robustness.errors import CaseError
from tests.robustness.fuzz.trial import FLAGGED, USED, Trial, check_message
from tests.synthetic import write_dataset

_VALUES: Mapping[str, Any] = {
    "null": None,
    "number": 3,
    "float": 1.5,
    "nan": float("nan"),
    "true": True,
    "list": [],
    "list_of_null": [None],
    "list_of_numbers": [1, 2],
    "nested_list": [[["x"]]],
    "object": {"a": 1},
    "empty": "",
    "spaces": "   ",
    "nul": "a\0b",
    "surrogate": "a\ud800b",
    "long": "x" * 300,
    "very_long": "x" * 20_000,
    "dots": "..",
    "parent": "../../outside.png",
    "root": "/nonexistent/a.png",
    "line_break": "a\nb::error::c",
    "device": "/dev/zero",
}
_FIELDS = ("img_name", "mask_name", "prompts", "subject", "attributes", "spacing_mm", "target", "modality")
_SPACINGS: Mapping[str, Any] = {
    "huge": [1e300, 1e300],
    "tiny": [1e-300, 1e-300],
    "negative": [-1, 1],
    "infinite": [float("inf"), 1],
    "texts": ["1", "x"],
    "three": [1, 1, 1],
    "zero": [0, 0],
    "booleans": [True, True],
}
_DOCUMENTS: Mapping[str, bytes] = {
    "empty": b"",
    "null": b"null",
    "number": b"1",
    "text": b'"a"',
    "object": b"{}",
    "empty_list": b"[]",
    "list_of_null": b"[null]",
    "list_of_lists": b"[[]]",
    "cut_short": b'[{"img_name": "s00.png", "mask',
    "deep": b"[" * 100_000,
    "deep_objects": b'{"a":' * 100_000,
    "latin1": '[{"img_name": "é"}]'.encode("latin-1"),
    "utf16": '[{"img_name": "a"}]'.encode("utf-16"),
    "nul_bytes": b"\0" * 100,
    "png": b"\x89PNG\r\n\x1a\n",
    "trailing": b"[] []",
    "comment": b"// no\n[]",
    "huge_number": b"[1" + b"0" * 5_000 + b"]",
}


def trials() -> Iterator[Trial]:
    """Yield damaged documents, then one entry changed in every field, then manifests."""
    for name, content in _DOCUMENTS.items():
        yield Trial("annotations", name, partial(_document, content))
    for field in _FIELDS:
        for name, value in _VALUES.items():
            yield Trial("annotations", f"{field}_{name}", partial(_one_entry, partial(_set, field, value)))
    for name, value in _VALUES.items():
        yield Trial("annotations", f"prompt_text_{name}", partial(_one_entry, partial(_set_prompt, value)))
        yield Trial("annotations", f"prompt_list_{name}", partial(_one_entry, partial(_set_prompt, ["polyp", value])))
    for name, value in _SPACINGS.items():
        yield Trial("annotations", f"spacing_{name}", partial(_one_entry, partial(_set, "spacing_mm", value)))
    for suffix in (".csv", ".parquet"):
        for column in ("image", "mask", "prompt", "case_id", "subject_id", "spacing_mm_y"):
            for name in ("null", "number", "empty", "nul", "long", "parent", "device", "line_break", "list_of_numbers"):
                yield Trial("manifest", f"{suffix[1:]}_{column}_{name}", partial(_manifest, suffix, column, name))


def _set(field: str, value: Any, entry: dict[str, Any]) -> None:
    entry[field] = value


def _set_prompt(value: Any, entry: dict[str, Any]) -> None:
    entry["prompts"]["p6"] = value


def _document(content: bytes, folder: Path) -> str:
    write_dataset(folder, images=1)
    (folder / "anns" / "test.json").write_bytes(content)
    return look_at(rb.load_dataset(folder), 2)


def _one_entry(change: Callable[[dict[str, Any]], None], folder: Path) -> str:
    """Change one of four entries; the other three are used whatever it holds, unless all is refused by name."""
    write_dataset(folder, images=2)
    path = folder / "anns" / "test.json"
    entries = json.loads(path.read_text())
    entry = copy.deepcopy(entries[1])
    change(entry)
    path.write_text(json.dumps([entries[0], entry, *entries[2:]]))
    return look_at(rb.load_dataset(folder), 4)


def _manifest(suffix: str, column: str, name: str, folder: Path) -> str:
    write_dataset(folder, images=2)
    rows = [
        {
            "image": f"images/s0{n}.png",
            "mask": f"masks/s0{n}_{side}.png",
            "prompt": f"{side} nucleus",
            "case_id": f"c{n}{side}",
            "subject_id": f"s{n}",
            "spacing_mm_y": "1.0",
            "spacing_mm_x": "1.0",
        }
        for n in range(2)
        for side in ("left", "right")
    ]
    value = _VALUES[name]
    table = pd.DataFrame(rows).astype(object)
    table[column] = [value if row == 1 else old for row, old in enumerate(table[column])]
    path = folder / f"table{suffix}"
    if suffix == ".parquet":
        if name not in ("null", "list_of_numbers"):
            table[column] = table[column].map(str)
        elif name == "list_of_numbers":
            table[column] = [value if row == 1 else [1] for row in range(len(table))]
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False)
    return look_at(rb.load_dataset(path), 4)


def look_at(data: Any, expected: int) -> str:
    """Decode every case; all that went in is used or flagged."""
    flagged = 0
    for number in range(len(data)):
        try:
            data[number]
        except CaseError as error:
            check_message(error)
            flagged += 1
    assert len(data) == expected, f"{len(data)} of {expected} entries came in"
    return FLAGGED if flagged else USED
