"""A model in a Python file of the user's: ``path.py:factory``."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from robustness.errors import InputError, suggest
from robustness.files import sha256_file
from robustness.foreign_code import foreign_code
from robustness.registry import MODELS
from robustness.runners.models.black_box.entry import CALL_OPTIONS, BlackBoxEntry, calling
from robustness.runners.models.black_box.named_files import checked_files, file_hashes, own_provenance, with_source


def load_attribute(source: str) -> tuple[Any, Path]:
    """Return the object that ``path.py:name`` names, and the file. ``sys.path`` stays as it is.

    Raises:
        InputError: no such file or name, or the file cannot be run.
    """
    path_text, _, name = source.rpartition(":")
    if not path_text or not name.isidentifier():
        raise InputError(f"checkpoint: expected path.py:factory, got {source!r}")
    path = Path(path_text).resolve()
    if not path.is_file():
        raise InputError(f"checkpoint: expected a Python file before ':', found none at {path_text!r}")
    # Dataclasses and pickles look their module up by its name, which no other module may have.
    module_name = f"robustness_model_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"checkpoint: {path_text!r} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        with foreign_code():
            spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file raises means that it cannot be used
        raise InputError(f"checkpoint: {path_text} raised {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise InputError(f"checkpoint: {path_text} defines no {name!r}{suggest(name, public)}")
    return getattr(module, name), path


@MODELS.add("python")
class PythonModel(BlackBoxEntry):
    """A Python file of yours: checkpoint = "path.py:factory"; the factory returns (images, prompts) -> maps.

    The factory is called with `arguments` (a table). It returns a function, or an object with the methods of
    `robustness.types.Segmenter`, which then encodes each image and each text once. Every existing file that
    `arguments` name, those in `files`, and what a method `provenance()` of the returned object tells stand in the
    manifest. `tokenize` is another ``path.py:function``, which counts a text's tokens for `max_tokens`. Importing the
    file runs it: audit only files that you trust.
    """

    title: ClassVar[str] = "a function from a Python file of yours (path.py:factory)"
    options: ClassVar[tuple[str, ...]] = ("arguments", "files", "max_tokens", "tokenize", *CALL_OPTIONS)

    def load(self, source: str | None, *, threshold: float | None, image_size: int | None, **options: Any) -> Any:
        """Return what the factory makes, as a segmenter.

        Raises:
            InputError: the file or the factory fails, or what it returns cannot be called.
        """
        if source is None:
            raise InputError("checkpoint: expected path.py:factory, got none")
        factory, path = load_attribute(source)
        arguments = options.get("arguments", {})
        if not isinstance(arguments, Mapping):
            raise InputError(f"arguments: expected a table, got {arguments!r}")
        hashes = file_hashes(dict(arguments), checked_files(options.get("files", [])))
        predictor = _run(factory, source, **arguments)
        facts = {"file": path.name, "factory": source.rpartition(":")[2], "sha256": sha256_file(path), "files": hashes}
        if all(hasattr(predictor, name) for name in ("encode_image", "encode_text", "probabilities")):
            return with_source(predictor, facts)
        if not callable(predictor):
            raise InputError(
                f"checkpoint: expected {source} to return a function (images, prompts) -> maps, or a segmenter; "
                f"got {type(predictor).__name__}"
            )
        counter = options.get("tokenize")
        return calling(
            predictor,
            name=path.stem,
            threshold=threshold,
            image_size=image_size,
            provenance={**facts, **own_provenance(predictor)},
            options=options,
            max_tokens=options.get("max_tokens"),
            tokenize=load_attribute(counter)[0] if isinstance(counter, str) else counter,
        )


def _run(factory: Any, source: str, **arguments: Any) -> Any:
    try:
        with foreign_code():
            return factory(**arguments)
    except Exception as error:  # see above
        raise InputError(f"checkpoint: {source} raised {type(error).__name__}: {error}") from error
