"""Audits for tests: run once, kept by the content of plan, data, checkpoint and version, reused ever after."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import robustness
from robustness.errors import InputError
from robustness.files import sha256_file
from robustness.plans.audit import load_plan
from robustness.run_folder import MANIFEST, STATE
from robustness.waiting import waiting_lock
from robustness.workflows.run import Run

if TYPE_CHECKING:
    import pytest

    from robustness.plans.audit import ModelSpec
    from robustness.runners.data.load import Dataset
    from robustness.types import Segmenter

# What these models answer does not follow from any file that could be hashed.
ELSEWHERE = ("http", "command")


class AuditFactory:
    """The fixture `robustness_audit`: ``robustness_audit("plan.toml")`` or ``robustness_audit(model, data, ...)``.

    An audit is kept under a key made of the plan, the content of the data and of the checkpoints, and the version of
    this package. The same key gives the stored run, in later sessions and in other workers too; one of several workers
    runs it while the others wait.
    """

    def __init__(self, config: pytest.Config, note: Callable[[Run, str], None]) -> None:
        self._config, self._note = config, note
        self._here: dict[str, Run] = {}

    def __call__(
        self,
        plan: str | Path | Segmenter,
        data: Dataset | None = None,
        *,
        overrides: Sequence[str] = (),
        key: str | None = None,
        depends: Sequence[str | Path] = (),
        label: str = "",
        **options: Any,
    ) -> Run:
        """Return the finished run of an audit.

        Args:
            plan: a plan's file (relative paths start at pytest's root folder), or a loaded model.
            data: with a model, the dataset.
            overrides: with a plan, ``key.sub=value`` strings.
            key: a version of the model, for one that no file's content tells (a function, an address, a command).
                Without it such an audit is reused within the session only.
            depends: further files whose content counts, for example a module that the model's file imports.
            label: what the run is called in baselines' names; default: the plan's or the model's name.
            options: with a model, the keywords of `robustness.audit`.

        Raises:
            InputError: the plan, the data or the model cannot be used.
        """
        extra = [key or "", *(_content(self._config.rootpath / path) for path in depends)]
        if isinstance(plan, str | Path):
            if data is not None or options:
                raise InputError("robustness_audit: a plan's file names its data and options; use overrides=[...]")
            return self._of_plan(self._config.rootpath / plan, overrides, extra, label, keyed=key is not None)
        if data is None:
            raise InputError("robustness_audit: expected data beside a model; or give the file of a plan")
        return self._of_objects(plan, data, options, extra, label, keyed=key is not None)

    def _of_plan(self, file: Path, overrides: Sequence[str], extra: list[str], label: str, *, keyed: bool) -> Run:
        from robustness.workflows.audit import audit_plan
        from robustness.workflows.loading import load_data

        plan = load_plan(file, overrides=overrides)
        data = [load_data(spec, seed=plan.seed, folder=file.parent).fingerprint() for spec in plan.data]
        models = [_checkpoint(spec, file.parent) for spec in plan.model]
        lasting = keyed or all(content is not None for content in models)
        digest = _digest(robustness.__version__, plan.sha256(), data, models, extra)

        def audit(out: Path) -> Run:
            return audit_plan(plan, out=out, folder=file.parent, report=False)

        return self._kept(digest, label or file.stem, audit, lasting=lasting)

    def _of_objects(
        self, model: Segmenter, data: Dataset, options: dict[str, Any], extra: list[str], label: str, *, keyed: bool
    ) -> Run:
        from robustness.runners.audit.state import describe
        from robustness.workflows.audit import audit

        facts = describe(model)
        identified = keyed or any(facts.get(name) for name in ("weights", "source", "sha256"))
        digest = _digest(robustness.__version__, facts, data.spec(), data.fingerprint(), options, extra)
        digest = digest if identified else _digest(digest, str(id(model)))
        name = label or str(facts.get("name", "model"))
        return self._kept(
            digest, name, lambda out: audit(model, data, out=out, report=False, **options), lasting=identified
        )

    def _kept(self, digest: str, label: str, audit: Callable[[Path], Run], *, lasting: bool) -> Run:
        existing = self._here.get(digest)
        if existing is None:
            existing = self._run_once(self._folder(lasting) / f"{_file_name(label)}-{digest[:16]}", audit)
            self._here[digest] = existing
        self._note(existing, label)
        return existing

    def _run_once(self, folder: Path, audit: Callable[[Path], Run]) -> Run:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with waiting_lock(folder.with_name(f"{folder.name}.lock")):
            if (folder / MANIFEST).is_file():
                return Run(folder)
            try:
                return audit(folder)
            except InputError:
                if not (folder / STATE).is_file() or (folder / MANIFEST).is_file():
                    raise
            # A half-finished audit of another machine state cannot be resumed; nothing in it is worth keeping.
            shutil.rmtree(folder)
            return audit(folder)

    def _folder(self, lasting: bool) -> Path:
        config = self._config
        chosen = config.getoption("robustness_cache") or config.getini("robustness_cache")
        if not lasting:
            factory = getattr(config, "_tmp_path_factory", None)
            if factory is not None:
                return Path(factory.getbasetemp()) / "robustness"
        if chosen:
            return config.rootpath / str(chosen)
        if config.pluginmanager.hasplugin("cacheprovider") and config.cache is not None:
            return Path(config.cache.mkdir("robustness"))
        return config.rootpath / ".robustness_cache"


def _checkpoint(spec: ModelSpec, folder: Path) -> str | None:
    """Return what stands for a model's weights: the content of its file or folder, else the name on the hub."""
    from robustness.plans.paths import resolve

    if spec.name in ELSEWHERE:
        return None
    if spec.checkpoint is None:
        return ""
    path = str(resolve(spec.checkpoint, folder))
    file, colon, _ = path.partition(".py:")
    local = Path(f"{file}.py" if colon else path)
    return _content(local) if local.exists() else path


def _content(path: Path) -> str:
    """Return the hash of a file, or of all files of a folder."""
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        raise InputError(f"depends: expected a file or folder, found none at {str(path)!r}; check the path")
    files = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
    return _digest(*((file.relative_to(path).as_posix(), sha256_file(file)) for file in files))


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _file_name(label: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else "_" for char in label) or "run"
