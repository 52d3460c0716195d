"""Networks that transformers builds and loads: their folders and their configurations.

transformers renames keys of older files as it loads them, so its own loader reads its folders here; what it loaded is
then compared key by key as any other checkpoint is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from robustness.errors import InputError, one_line
from robustness.runners.models.entry import Config, ModelEntry, merge

if TYPE_CHECKING:
    from robustness.runners.checkpoints.checkpoint import Checkpoint


class PretrainedEntry(ModelEntry):
    """A model whose weights come as folders of transformers; subclasses fill `read` besides `ModelEntry`'s holes.

    Class attributes:
        model_types: the ``model_type`` of the ``config.json`` files that `read` takes.
        shapes: the part of `default_config` that `preprocess` reads, for a list of models: the import of
            transformers' configurations takes seconds.
    """

    model_types: ClassVar[tuple[str, ...]] = ()
    shapes: ClassVar[Config] = {}
    trainable: ClassVar[bool] = False

    def open(self, checkpoint: str | Path, *, model: str, given: Config, choice: Any = None) -> Checkpoint:
        """Return a checkpoint: a transformers folder or hub name, or any form that `open_checkpoint` reads."""
        from robustness.runners.checkpoints.checkpoint import open_checkpoint
        from robustness.runners.checkpoints.weight_files import locate

        path = locate(checkpoint)
        if not path.is_dir() or model_type(path) not in self.model_types:
            return open_checkpoint(path, model=model, prefixes=self.prefixes, signature=self.signature, choice=choice)
        return dataclasses.replace(self.read(path, given), source=str(checkpoint))

    def read(self, folder: Path, given: Config) -> Checkpoint:
        """Return what a transformers folder holds, in the keys of this model's network."""
        raise NotImplementedError(f"{type(self).__name__} must define read()")

    def config_from_file(self, document: Config) -> Config:
        """Return the configuration that `read` put together."""
        return document


def model_type(folder: Path) -> str:
    """Return the ``model_type`` of a folder's ``config.json``, "" without one."""
    from robustness.runners.checkpoints.weight_files import CONFIG

    path = folder / CONFIG
    if not path.is_file():
        return ""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"checkpoint: {path} is not valid JSON ({error})") from error
    return str(document.get("model_type", "")) if isinstance(document, dict) else ""


def load_whole(kind: Any, folder: Path) -> Any:
    """Return a transformers model of the class `kind` from a folder of safetensors, float32, every weight read.

    Raises:
        InputError: it cannot be read, or weights are missing, unexpected or of another shape; they are named.
    """
    from robustness.errors import first_line
    from robustness.runners.checkpoints.weight_files import shortened, weight_files

    if any(file.suffix != ".safetensors" for file in weight_files(folder)):
        raise InputError(
            f"checkpoint: expected safetensors in {folder}, found another form; save_pretrained writes them"
        )
    try:
        with _without_reports():
            model, report = kind.from_pretrained(
                str(folder), local_files_only=True, use_safetensors=True, dtype=torch.float32, output_loading_info=True
            )
    except Exception as error:  # transformers raises errors of many kinds for files that do not fit
        raise InputError(f"checkpoint: {folder} cannot be read as {kind.__name__} ({first_line(error)})") from error
    words = {"missing_keys": "missing", "unexpected_keys": "unexpected", "mismatched_keys": "mismatched"}
    differences = {word: sorted(map(str, report.get(key) or ())) for key, word in words.items()}
    problems = [f"{len(keys)} {word} ({shortened(keys)})" for word, keys in differences.items() if keys]
    if problems:
        raise InputError(f"checkpoint: {folder} does not hold a whole {kind.__name__}: {'; '.join(problems)}")
    return model


@contextlib.contextmanager
def _without_reports() -> Iterator[None]:
    """Keep transformers' tables of differences, of layers that are not sharded, and its bar off the screen.

    What differs is said in one line of our own; sharding is nothing that one process does.
    """
    from transformers.utils import logging

    # Its functions are not typed.
    reports: Any = logging
    level, has_bar = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity(reports.CRITICAL)
    reports.disable_progress_bar()
    try:
        yield
    finally:
        reports.set_verbosity(level)
        if has_bar:
            reports.enable_progress_bar()


def plain_config(config: Any) -> Config:
    """Return what shapes a transformers network, as JSON values: no names, versions or output switches."""
    return _without(config.to_dict(), _housekeeping())


def config_object(kind: Any, tree: Mapping[str, Any]) -> Any:
    """Return the transformers configuration of the class `kind` that `tree` describes.

    Raises:
        InputError: it describes no such network.
    """
    try:
        return kind.from_dict(merge(tree, {}))
    except Exception as error:  # transformers validates with errors of its own, none of them a ValueError
        reason = one_line(error)
        raise InputError(f"config: expected the configuration of a {kind.__name__} ({reason})") from error


@functools.cache
def _housekeeping() -> frozenset[str]:
    from transformers import PreTrainedConfig

    return frozenset(PreTrainedConfig().to_dict()) - {"model_type", "is_encoder_decoder"}


def _without(tree: Mapping[str, Any], left_out: frozenset[str]) -> Config:
    rest = {key: value for key, value in tree.items() if key not in left_out and value != ""}
    return {key: _without(value, left_out) if isinstance(value, Mapping) else value for key, value in rest.items()}
