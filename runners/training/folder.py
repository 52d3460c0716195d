"""The folder of a training run: best checkpoint, log, plan and what is needed to go on after a kill."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from robustness.disk_errors import check_same_folder, identity
from robustness.errors import InputError
from robustness.files import make_folder, remove_leftovers, write_atomic, write_text
from robustness.own_files import read_json
from robustness.plans.differences import differing_keys
from robustness.plans.finetune import TrainPlan
from robustness.plans.toml import read_toml
from robustness.run_log import RunLog
from robustness.runners.checkpoints.checkpoint import save_checkpoint
from robustness.runners.checkpoints.resume_state import check_resume_file
from robustness.runners.inference.segmenter import NetworkSegmenter
from robustness.runners.training.log import COLUMNS
from robustness.runners.training.module import TrainingHooks

PLAN, LOG, LAST, FACTS = "plan.toml", "metrics.csv", "last.ckpt", "training.json"

# What a finished training says of itself.
_REACHED: dict[str, type | tuple[type, ...]] = {
    "val_dice": (float, int),
    "epoch": int,
    "steps": int,
    "seconds": (float, int),
    "parameters": int,
    "trainable": int,
}


class TrainingFolder:
    """Writes what a training run leaves; an `Observer` of the training.

    ``model.safetensors`` and ``config.json`` hold the best epoch, ``last.ckpt`` the last one with the optimizer's
    state, ``metrics.csv`` the log, ``plan.toml`` the resolved plan, ``training.json`` versions and results. Every file
    is written atomically, and ``last.ckpt`` comes last: a killed run repeats what came after the last
    validation.

    Raises:
        InputError: the folder cannot be written to, or holds the run of another plan or of other data.
    """

    def __init__(
        self, path: Path, plan: TrainPlan, segmenter: NetworkSegmenter, *, trained_on: Mapping[str, Any], rank: int = 0
    ) -> None:
        self.path = make_folder(path, "out")
        self._place = identity(self.path)
        self.plan, self.segmenter, self.trained_on = plan, segmenter, dict(trained_on)
        # Of several processes the first one writes.
        self.writes = rank == 0
        existing = read_facts(self.path)
        refuse_another(self.path, existing, plan, self.trained_on)
        if not self.writes:
            return
        remove_leftovers(self.path)
        if not existing:
            write_text(self.path / PLAN, plan.to_toml())
            self.write_facts(finished=False)

    def record(self, more: Mapping[str, Any]) -> None:
        """Add what the training is of, once it is known, to its files."""
        self.trained_on |= more
        self.write_facts(finished=False)

    def write_facts(self, *, finished: bool, **more: Any) -> None:
        """Write ``training.json``."""
        if not self.writes:
            return
        check_same_folder(self.path, self._place)
        content = {**self.trained_on, "finished": finished, **more}
        write_text(self.path / FACTS, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @property
    def identity(self) -> dict[str, str]:
        """What a resume file must be of: the hashes of the plan and of the data."""
        return {key: str(self.trained_on[key]) for key in ("plan_sha256", "data_sha256")}

    def resume_file(self, module: TrainingHooks) -> Path | None:
        """Return the file to go on from, None for a new run.

        Raises:
            InputError: it is damaged, or not of this training.
        """
        path = self.path / LAST
        if not os.path.lexists(path):
            return None
        shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
        check_resume_file(path, shapes=shapes, columns=COLUMNS, identity=self.identity)
        return path

    def batch_end(self, module: TrainingHooks) -> None:
        """Do nothing: files are written between epochs."""

    def epoch_end(self, module: TrainingHooks) -> None:
        """After a validation, write the best checkpoint when it is new, then the log, then the resume file."""
        if not module.validated:
            return
        if not self.writes:
            # All processes meet in this call; only the first one writes a file in it.
            module.trainer.save_checkpoint(self.path / LAST)
            return
        check_same_folder(self.path, self._place)
        if module.improved:
            best = module.training_log.best
            reached = {key: best[key] for key in ("epoch", "step", "val_dice")}
            save_checkpoint(self.path, self.segmenter, trained_on={**self._short_facts(), **reached})
        module.training_log.write(self.path / LOG)
        write_atomic(self.path / LAST, lambda temporary: module.trainer.save_checkpoint(temporary))
        latest = module.training_log.rows[-1]
        RunLog(self.path).event("validation", improved=module.improved, **latest)

    def _short_facts(self) -> dict[str, Any]:
        return {key: value for key, value in self.trained_on.items() if key != "environment"}


def refuse_another(folder: Path, existing: Mapping[str, Any], plan: TrainPlan, trained_on: Mapping[str, Any]) -> None:
    """Refuse a folder that holds the training of another plan, or of other data.

    Args:
        folder: the folder.
        existing: what its ``training.json`` holds; {} without one.
        plan: the plan that is to be trained, with the hashes `plan_sha256` and `data_sha256` in `trained_on`.

    Raises:
        InputError: it does; the message names the keys that differ.
    """
    for key, what in (("plan_sha256", "plan"), ("data_sha256", "data")):
        if existing and existing.get(key) != trained_on[key]:
            keys = _differing_keys(folder, plan) if what == "plan" else ""
            raise InputError(
                f"out: expected a new folder or a run to resume, {str(folder)!r} holds a run with another {what}"
                f"{keys and f' ({keys})'}; choose another folder or remove this one"
            )


def _differing_keys(folder: Path, plan: TrainPlan) -> str:
    try:
        stored = read_toml(folder / PLAN)
    except InputError:
        return ""
    return differing_keys(stored, tomllib.loads(plan.to_toml()))


def read_facts(folder: Path) -> dict[str, Any]:
    """Return what the ``training.json`` of a folder holds; {} without one."""
    path = folder / FACTS
    if not os.path.lexists(path):
        return {}
    fix = f"restore it, or remove the folder {folder.name!r} to train from the start"
    facts = read_json(path, "out", needs={"plan_sha256": str, "data_sha256": str, "finished": bool}, fix=fix)
    if facts["finished"]:
        read_json(path, "out", needs=_REACHED, fix=fix)
    return facts
