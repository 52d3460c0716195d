"""Files of a checkpoint, found and read without executing anything: weights, and the facts beside them."""

from __future__ import annotations

import json
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from robustness.errors import InputError, counted, first_line, verb
from robustness.limits import limits
from robustness.own_files import named, parse_json
from robustness.regular_files import check_regular, read_bytes
from robustness.runners.checkpoints import safe_pickle
from robustness.runners.checkpoints.forms import archive_form, file_form, folder_form
from robustness.runners.checkpoints.memory_bound import check_pickles
from robustness.runners.checkpoints.torchscript import read_torchscript

CONFIG = "config.json"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SUFFIXES = {".pt", ".pth", ".bin", ".ckpt", ".safetensors"}
_LISTED = 5
_TABLES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_NAMES = ("model.safetensors", "pytorch_model.bin")
_ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """Return the file or the shards that hold the weights of a folder.

    Raises:
        InputError: none, several without one of the usual names, or an adapter whose configuration is not there.
    """
    aside = [name for name in _ADAPTER_FILES if (folder / name).is_file()]
    if aside:
        raise InputError(
            f"checkpoint: {folder} holds {aside[0]} without its adapter_config.json, which says of what kind and how "
            "strong the adapter is; copy the whole folder, or give the weight file to load it without the adapter"
        )
    for table in _TABLES:
        if (folder / table).is_file():
            return _shards(folder / table)
    for name in _NAMES:
        if (folder / name).is_file():
            return (folder / name,)
    candidates = [p for p in sorted(folder.iterdir()) if p.is_file() and _form(p) is not None]
    if len(candidates) != 1:
        other = folder_form(folder)
        if other is not None:
            raise InputError(f"checkpoint: {folder} is {other[0]}; {other[1]}")
        listed = ", ".join(p.name for p in candidates[:_LISTED]) or "none"
        raise InputError(f"checkpoint: expected one weight file in {folder}, found {listed}; give the file itself")
    return (candidates[0],)


def _shards(table: Path) -> tuple[Path, ...]:
    try:
        names = sorted(set(json.loads(table.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError) as error:
        raise InputError(f"checkpoint: {table} is not a table of weight files") from error
    # A table names files beside itself; a name with a folder in it would lead elsewhere.
    shards = tuple(table.parent / Path(name).name for name in names)
    absent = [shard.name for shard in shards if not shard.is_file()]
    if absent:
        raise InputError(
            f"checkpoint: {table.name} in {table.parent} names {counted(len(shards), 'file')}, of which "
            f"{len(absent)} {verb(len(absent), 'are')} not there ({shortened(absent)}); copy the whole folder"
        )
    return shards


def _form(path: Path) -> str | None:
    """Return "safetensors", "zip" or "pickle" by the first bytes of a file, or None."""
    with path.open("rb") as handle:
        head = handle.read(16)
    if head[:4] == b"PK\x03\x04":
        return "zip"
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "pickle"
    if len(head) > 9 and head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < path.stat().st_size:
        return "safetensors"
    return None


def read_weights(path: Path) -> Any:
    """Return what a safetensors, PyTorch or TorchScript file holds; classes in it are inert stand-ins.

    Raises:
        InputError: absent, truncated, of another kind, or it wants to call something.
    """
    try:
        check_regular(path)
        form = _form(path)
        if form == "safetensors":
            return load_file(path)
        if form is None:
            other = file_form(path)
            if other is not None:
                raise InputError(f"checkpoint: {path} is {other[0]}; {other[1]}")
            raise InputError(
                f"checkpoint: {path} is neither safetensors nor a PyTorch file; it may be truncated or a pointer to one"
            )
        return _read_torch(path, form)
    except safe_pickle.RefusedPickle as error:
        raise InputError(f"checkpoint: {path} wants to call {error}, which no checkpoint needs; refused") from error
    except (
        OSError,
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        MemoryError,
        OverflowError,
        AssertionError,
        zipfile.BadZipFile,
    ) as error:
        raise InputError(f"checkpoint: {path} cannot be read ({first_line(error)}); is it complete?") from error
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"checkpoint: {path} is damaged ({first_line(error)})") from error


def _read_torch(path: Path, form: str) -> Any:
    if form == "zip":
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            other = archive_form(archive)
        if any(m.filename.rpartition("/")[2] == "constants.pkl" for m in members):
            return read_torchscript(path)
        if other is not None:
            raise InputError(f"checkpoint: {path} is {other[0]}; {other[1]}")
        _check_archive(path, members)
    check_pickles(path, archive=form == "zip")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # The strict reader refuses every class; this one puts something inert in its place.
        with warnings.catch_warnings():
            # Old files bring the source text of their modules, which torch compares with what it cannot import.
            warnings.filterwarnings("ignore", message="Couldn't retrieve source code for container")
            warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
            return torch.load(path, map_location="cpu", weights_only=False, pickle_module=safe_pickle)


def _check_archive(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    # torch.save stores members as they are; a compressed one can unfold into any amount of memory.
    packed = [m.filename for m in members if m.compress_type != zipfile.ZIP_STORED]
    if packed or sum(m.file_size for m in members) > path.stat().st_size:
        raise InputError(f"checkpoint: {path} holds compressed members ({shortened(packed)}); save it with torch.save")


def shortened(items: Sequence[str]) -> str:
    """Return the first items, comma-separated, and how many more there are."""
    more = f", and {len(items) - _LISTED} more" if len(items) > _LISTED else ""
    return ", ".join(items[:_LISTED]) + more


def read_document(folder: Path) -> dict[str, Any]:
    """Return the ``config.json`` of a folder, {} where there is none.

    Raises:
        InputError: it is no JSON object.
    """
    path = folder / CONFIG
    if not path.is_file():
        return {}
    try:
        document = parse_json(read_bytes(path, max_bytes=limits().document_bytes))
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {path} is not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise InputError(f"checkpoint: expected a JSON object in {path}, got {named(document)}; remove or restore it")
    return document


def is_own(document: Mapping[str, Any]) -> bool:
    """Return whether a config is of this package's form, of whatever model."""
    return isinstance(document.get("model"), str) and isinstance(document.get("config"), dict)


def stated_threshold(content: Any) -> float | None:
    """Return the mask threshold that a Lightning file states; None where it states none."""
    hyper = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    value = hyper.get("threshold") if isinstance(hyper, Mapping) else None
    return float(value) if isinstance(value, int | float) and 0 < value < 1 else None


def locate(checkpoint: str | Path) -> Path:
    """Return the path of a checkpoint; what is no path here is fetched from the hub.

    Raises:
        InputError: neither a path nor a hub name that can be had.
    """
    path = Path(checkpoint)
    return path if path.exists() else _download(str(checkpoint))


def _download(name: str) -> Path:
    # A hub must not be asked for what is meant as a local file or lies in a local folder.
    local = Path(name).suffix in _SUFFIXES or Path(name).parent.is_dir()
    if local or not _HUB_NAME.fullmatch(name):
        raise InputError(f"checkpoint: expected a file, a folder or a hub name (owner/name), found none at {name!r}")
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
        if not any(folder.glob("*.safetensors")):
            huggingface_hub.snapshot_download(name, allow_patterns=["*.bin"])
    except Exception as error:  # the hub's client raises errors of several libraries, all of which mean the same here
        raise InputError(
            f"checkpoint: {name!r} is no path here and could not be fetched from the hub ({first_line(error)}); "
            "check the name, or give a local folder"
        ) from error
    return folder
