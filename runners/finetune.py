"""Finetuning: any registered network with image, text and mask, under a stated protocol."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from robustness.errors import InputError
from robustness.train_plan import TrainDataSpec, TrainModelSpec, TrainPlan, TrainSpec, load_train_plan, parse_train_plan

if TYPE_CHECKING:
    from robustness.runners.data import Dataset
    from robustness.runners.segmenter import NetworkSegmenter
    from robustness.runners.training_cases import TrainingCases

_PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True, slots=True)
class Finetuned:
    """A finished finetuning; usable as the path of its checkpoint folder.

    Attributes:
        folder: holds the best checkpoint, ``metrics.csv``, ``plan.toml`` and ``training.json``.
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
        InputError: an unknown setting, or something that cannot be used; the message says how to mend it.
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
    """Run a finetune plan (TOML); see `robustness.train_plan`.

    Args:
        path: the plan. Relative paths in it are looked up beside it first, then in the current folder.
        out: replaces ``train.out``.
        overrides: ``key.sub=value`` strings.
        quiet: no progress bar.

    Raises:
        InputError: the plan, or something that it names, cannot be used.
    """
    plan = load_train_plan(path, overrides=overrides)
    return run_training(plan, out=Path(out or plan.train.out), beside=Path(path).resolve().parent, quiet=quiet)


def run_training(plan: TrainPlan, *, out: Path, beside: Path | None = None, quiet: bool = False) -> Finetuned:
    """Train what `plan` says into `out`, or go on with what a killed process left there.

    Args:
        plan: the plan; it is kept as it stands in ``out/plan.toml``.
        out: the folder.
        beside: where relative paths of the plan are looked up before the current folder.
        quiet: no progress bar.
    """
    import torch

    from robustness.runners.environment import environment
    from robustness.runners.training_batches import training_batches, validation_batches
    from robustness.runners.training_files import TrainingFolder
    from robustness.runners.training_module import training_module
    from robustness.runners.training_parts import freeze
    from robustness.runners.training_progress import TrainingProgress

    surroundings = environment(plan.train.threads)
    segmenter = _start(plan, beside)
    training, validation = _cases(plan, segmenter, beside)
    frozen = _frozen_parts(plan)
    freeze(segmenter, frozen)
    facts = _facts(plan, segmenter, training, validation)
    folder = TrainingFolder(out, plan, segmenter, trained_on={**facts, "environment": surroundings})
    held = folder.facts()
    if held.get("finished"):
        return _result(out, held)

    spec = plan.train
    epochs = planned_epochs(spec, len(training))
    total = epochs * math.ceil(len(training) / spec.batch_size)
    with TrainingProgress(total=total, quiet=quiet) as progress, _silence(), torch.random.fork_rng():
        observers = (folder, progress)
        module = training_module(segmenter, spec, total=total, frozen=frozen, observers=observers)
        trainer = _trainer(spec, segmenter, epochs=epochs)
        trainer.fit(
            module,
            training_batches(training, segmenter, batch_size=spec.batch_size, spell=spec.spell),
            validation_batches(validation, segmenter, batch_size=spec.batch_size),
            ckpt_path=folder.resume_file,
            weights_only=False,
        )
    best = {key: module.training_log.best[key] for key in ("val_dice", "epoch")}
    reached = {**best, "steps": module.global_step, "seconds": module.training_log.seconds}
    folder.write_facts(finished=True, **reached)
    return _result(out, folder.facts())


def planned_epochs(spec: TrainSpec, cases: int) -> int:
    """Return the number of epochs: bounded by `steps`, and rounded up so that the last one is validated."""
    epochs = spec.epochs
    if spec.steps is not None:
        epochs = min(epochs, math.ceil(spec.steps / math.ceil(cases / spec.batch_size)))
    return math.ceil(epochs / spec.validate_every) * spec.validate_every


def _start(plan: TrainPlan, beside: Path | None) -> NetworkSegmenter:
    import torch

    from robustness.runners.models import load_model

    spec = plan.model
    segmenter = load_model(
        spec.name, spec.checkpoint and _found(spec.checkpoint, beside), device=spec.device, precision="float32",
        threshold=spec.threshold, config=spec.config, seed=plan.train.seed, **spec.options,
    )  # fmt: skip
    segmenter.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return segmenter


def _cases(plan: TrainPlan, segmenter: NetworkSegmenter, beside: Path | None) -> tuple[TrainingCases, TrainingCases]:
    from robustness.runners.training_cases import TrainingCases, open_split

    data = plan.data.model_copy(update={"path": _found(plan.data.path, beside)})
    prepare = segmenter.preprocess
    sizes: dict[str, Any] = {"size": prepare.image_size, "interpolation": prepare.interpolation}
    training = TrainingCases(
        open_split(data, data.split, data.prompt),
        seed=plan.train.seed, augment=plan.train.augment, empty=data.empty, **sizes,
    )  # fmt: skip
    return training, TrainingCases(open_split(data, data.val_split, [data.validation_prompt]), **sizes)


def _frozen_parts(plan: TrainPlan) -> list[str]:
    from robustness.registry import MODELS

    if plan.train.freeze is not None:
        if len(set(plan.train.freeze)) == 3:
            raise InputError("train.freeze: expected at most two of image, text, decoder, got all; nothing would learn")
        return list(plan.train.freeze)
    return ["image", "text"] if MODELS.get(plan.model.name).published else []


def _facts(
    plan: TrainPlan, segmenter: NetworkSegmenter, training: TrainingCases, validation: TrainingCases
) -> dict[str, Any]:
    parameters = list(segmenter.network.parameters())
    return {
        "plan_sha256": plan.sha256(),
        "data": training.first.name,
        "data_sha256": _data_sha256([training.first, validation.first]),
        "cases": {plan.data.split: len(training), plan.data.val_split: len(validation)},
        "prompts": list(training.datasets),
        "started_from": dict(segmenter.provenance),
        "parameters": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
    }


def _data_sha256(datasets: Sequence[Dataset]) -> str:
    files = {name: digest for dataset in datasets for name, digest in dataset.fingerprint().items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def _result(folder: Path, facts: Mapping[str, Any]) -> Finetuned:
    names = ("val_dice", "epoch", "steps", "seconds", "parameters", "trainable")
    return Finetuned(folder=folder, **{name: facts[name] for name in names})


def _found(path: str, beside: Path | None) -> str:
    """Return a plan's path: beside the plan where it lies there, else as given (current folder, or a hub name)."""
    if beside is None or Path(path).is_absolute() or not (beside / path).exists():
        return path
    return str(beside / path)


def _trainer(spec: TrainSpec, segmenter: NetworkSegmenter, *, epochs: int) -> Any:
    from lightning import Trainer

    from robustness.runners.devices import resolve_precision

    device = segmenter.device
    precision = resolve_precision(spec.precision, device)
    if precision == "fp16" and device.type == "cpu":
        raise InputError("train.precision: expected float32 or bf16 on a CPU, got 'fp16'; use bf16, or a GPU")
    return Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=_PRECISIONS[precision],  # type: ignore[arg-type]
        max_epochs=epochs,
        check_val_every_n_epoch=spec.validate_every,
        gradient_clip_val=spec.gradient_clip or None,
        num_sanity_val_steps=0,
        deterministic="warn" if device.type == "cuda" else False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Hush Lightning's notes and hints; what a user needs to know is in the bar and in the files."""
    import lightning.pytorch  # noqa: F401  sets its loggers' levels when it is first imported

    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
