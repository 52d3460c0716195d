"""Finetuning: any registered network with image, text and mask, under a stated protocol."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import robustness
from robustness.files import is_writable, make_folder
from robustness.folder_lock import folder_lock
from robustness.plans.finetune import (
    TrainDataSpec,
    TrainModelSpec,
    TrainPlan,
    TrainSpec,
    load_train_plan,
    parse_train_plan,
)
from robustness.run_log import RunLog

if TYPE_CHECKING:
    from robustness.runners.training.folder import TrainingFolder
    from robustness.runners.training.module import TrainingHooks
    from robustness.runners.training.ranks import Ranks
    from robustness.runners.training.setup import TrainingSetup


@dataclass(frozen=True, slots=True)
class Finetuned:
    """A finished finetuning; usable as the path of its checkpoint folder.

    Attributes:
        folder: holds the best checkpoint, ``metrics.csv``, ``plan.toml``, ``training.json`` and a model card.
        val_dice: validation Dice of the best epoch, at network size.
        epoch: the best epoch, counted from 1.
        steps: optimizer steps done.
        seconds: training time over all sessions.
        parameters: parameters of the network; `trainable` of them learned.
    """

    folder: Path
    val_dice: float
    epoch: int
    steps: int
    seconds: float
    parameters: int
    trainable: int

    def __fspath__(self) -> str:
        return str(self.folder)


def finetune(
    name: str,
    *,
    data: str | Path,
    out: str | Path,
    quiet: bool = False,
    **settings: Any,
) -> Finetuned:
    """Finetune a registered model on a dataset; calling it again with the same arguments resumes.

    Args:
        name: a registered model (``robustness list models``).
        data: a dataset folder or manifest with a training and a validation split.
        out: the folder of the checkpoint and of everything that belongs to it.
        quiet: no progress bar.
        settings: the keys of a finetune plan's ``[model]`` (`checkpoint`, `device`, `config`, `options`, ...),
            ``[data]`` (`prompt`, `split`, `val_split`, `empty`, ...) and ``[train]`` (`epochs`, `lr`, ...); no key
            stands in two of them.

    Raises:
        InputError: an unknown setting, or something that cannot be used; the message says how to fix it.
        CaseError: a training or validation case cannot be read.
    """
    tables: dict[str, dict[str, Any]] = {"model": {"name": name}, "data": {"path": str(data)}, "train": {}}
    for key, value in settings.items():
        owner = (
            "model" if key in TrainModelSpec.model_fields else "data" if key in TrainDataSpec.model_fields else "train"
        )
        tables[owner][key] = str(value) if isinstance(value, Path) else value
    plan = parse_train_plan(tables, source="finetune")
    return run_training(plan, out=Path(out), quiet=quiet)


def finetune_plan(
    path: str | Path, out: str | Path | None = None, overrides: Sequence[str] = (), *, quiet: bool = False
) -> Finetuned:
    """Run a finetune plan (TOML); see `robustness.plans.finetune`.

    Args:
        path: the plan. Relative paths in it are looked up beside it first, then in the current folder.
        out: replaces ``train.out``.
        overrides: ``key.sub=value`` strings.
        quiet: no progress bar.

    Raises:
        InputError: the plan, or something that it names, cannot be used.
    """
    plan = load_train_plan(path, overrides=overrides)
    return run_training(plan, out=Path(out or plan.train.out), base_dir=Path(path).resolve().parent, quiet=quiet)


def run_training(
    plan: TrainPlan, *, out: Path, base_dir: Path | None = None, quiet: bool = False, is_locked: bool = False
) -> Finetuned:
    """Train what `plan` says into `out`, or go on with what a killed process left there.

    A plan for several processes starts those of this machine and waits for them, unless it is one of them already.

    Args:
        plan: the plan; it is kept as it stands in ``out/plan.toml``.
        out: the folder.
        base_dir: where relative paths of the plan are looked up before the current folder.
        quiet: no progress bar.
        is_locked: whether the process that started this one holds the folder already.

    Raises:
        InputError: something that the plan names cannot be used, another process trains into the folder, or a training
            of several processes failed.
    """
    from robustness.runners.training.folder import read_facts
    from robustness.runners.training.launch import launch
    from robustness.runners.training.ranks import must_launch, own_ranks
    from robustness.runners.training.setup import refuse_untrainable

    refuse_untrainable(plan.model.name)
    # Of several processes one holds the folder: the one that started the others, else the first.
    others = is_locked or own_ranks(plan.train).rank > 0
    finished = None if others else _finished_and_read_only(plan, out, base_dir)
    if finished:
        return finished
    with contextlib.ExitStack() as stack:
        if not others:
            stack.enter_context(folder_lock(make_folder(out, "out")))
            session = RunLog(out).session(command="finetune", version=robustness.__version__, plan_sha256=plan.sha256())
            stack.enter_context(session)
        if must_launch(plan.train):
            launch(plan, out=out, base_dir=base_dir, quiet=quiet)
            return _result(out, read_facts(out))
        return _train(plan, out=out, base_dir=base_dir, quiet=quiet)


def _finished_and_read_only(plan: TrainPlan, out: Path, base_dir: Path | None) -> Finetuned | None:
    """Return the finished training of a folder that cannot be written to, as nothing need be; None for all others."""
    from robustness.runners.training.folder import read_facts
    from robustness.runners.training.setup import set_up

    if not read_facts(out).get("finished") or is_writable(out):
        return None
    return _finished(plan, out, set_up(plan, base_dir))


def _finished(plan: TrainPlan, out: Path, setup: TrainingSetup) -> Finetuned | None:
    """Return the finished training of a folder, None where it is to begin or to go on; another one is refused."""
    from robustness.runners.training.folder import read_facts, refuse_another

    existing = read_facts(out)
    refuse_another(out, existing, plan, setup.facts)
    return _result(out, existing) if existing.get("finished") else None


def _train(plan: TrainPlan, *, out: Path, base_dir: Path | None, quiet: bool) -> Finetuned:
    from robustness.runners.environment import environment
    from robustness.runners.training.folder import TrainingFolder
    from robustness.runners.training.model_card import write_model_card
    from robustness.runners.training.ranks import own_ranks
    from robustness.runners.training.setup import check_before_training, set_up

    ranks, surroundings = own_ranks(plan.train), environment(plan.train.threads)
    setup = set_up(plan, base_dir)
    if finished := _finished(plan, out, setup):
        return finished
    checked = check_before_training(plan, setup)
    facts = {**setup.facts, "environment": surroundings}
    folder = TrainingFolder(out, plan, setup.segmenter, trained_on=facts, rank=ranks.rank)
    reached = _reached(_fit(folder, setup, ranks=ranks, says=(setup.counted(), *checked), quiet=quiet))
    folder.write_facts(finished=True, **reached)
    if ranks.rank == 0:
        write_model_card(out, plan)
    return _result(out, {**setup.facts, **reached})


def _fit(
    folder: TrainingFolder, setup: TrainingSetup, *, ranks: Ranks, says: Sequence[str], quiet: bool
) -> TrainingHooks:
    """Train what `setup` holds, or go on where `folder` was left; return what the training reached."""
    import torch

    from robustness.runners.training.batches import training_batches, validation_batches
    from robustness.runners.training.loggers import training_loggers
    from robustness.runners.training.module import TrainingHooks
    from robustness.runners.training.pair_cache import open_cache
    from robustness.runners.training.parts import lone_values_use_running_statistics
    from robustness.runners.training.progress import TrainingProgress
    from robustness.runners.training.setup import training_record
    from robustness.runners.training.trainer import interruptions, new_trainer, silence

    plan, spec = folder.plan, folder.plan.train
    epochs = planned_epochs(spec, len(setup.training))
    total = epochs * math.ceil(len(setup.training) / spec.cases_per_step)
    batches: dict[str, Any] = {"batch_size": spec.batch_size, "ranks": ranks}
    with (
        TrainingProgress(total=total, quiet=quiet or ranks.rank > 0) as progress,
        training_loggers(plan, folder.path, rank=ranks.rank) as loggers,
        silence(),
        torch.random.fork_rng(),
        lone_values_use_running_statistics(setup.segmenter.network),
    ):
        for line in says:
            progress.say(line)
        batches["cache"] = open_cache(setup, spec, say=progress.say)
        module = TrainingHooks(
            setup.segmenter,
            spec,
            total=total,
            observers=(folder, progress, *loggers),
            ranks=ranks,
            validation_cases=len(setup.validation),
        )
        module.identity = folder.identity
        module.before_start = lambda: folder.record(training_record(plan, setup, ranks))
        with interruptions():
            drawing: dict[str, Any] = {"spell": spec.spell, "accumulate": spec.accumulate}
            new_trainer(spec, setup.segmenter, epochs=epochs).fit(
                module,
                training_batches(setup.training, setup.segmenter, **drawing, **batches),
                validation_batches(setup.validation, setup.segmenter, **batches),
                ckpt_path=folder.resume_file(module),
                # Nothing in the file is run; `check_resume_file` has said so in a sentence where it would be.
                weights_only=True,
            )
    return module


def _reached(module: TrainingHooks) -> dict[str, Any]:
    best = {key: module.training_log.best[key] for key in ("val_dice", "epoch")}
    return {**best, "steps": module.global_step, "seconds": module.training_log.seconds}


def planned_epochs(spec: TrainSpec, cases: int) -> int:
    """Return the number of epochs: bounded by `steps`, and rounded up so that the last one is validated."""
    epochs = spec.epochs
    if spec.steps is not None:
        epochs = min(epochs, math.ceil(spec.steps / math.ceil(cases / spec.cases_per_step)))
    return math.ceil(epochs / spec.validate_every) * spec.validate_every


def _result(folder: Path, facts: Mapping[str, Any]) -> Finetuned:
    names = ("val_dice", "epoch", "steps", "seconds", "parameters", "trainable")
    return Finetuned(folder=folder, **{name: facts[name] for name in names})
