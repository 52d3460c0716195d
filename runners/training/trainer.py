"""The Lightning trainer of a plan, and quiet around it."""

from __future__ import annotations

import contextlib
import logging
import signal
import warnings
from collections.abc import Iterator
from typing import Any, Final

from robustness.errors import InputError
from robustness.plans.finetune import TrainSpec
from robustness.runners.inference.devices import resolve_precision
from robustness.runners.inference.segmenter import NetworkSegmenter

TERMINATED: Final = 128 + signal.SIGTERM
_PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def training_precision(spec: TrainSpec, segmenter: NetworkSegmenter) -> str:
    """Return float32, bf16 or fp16.

    Raises:
        InputError: fp16 on a CPU.
    """
    precision = resolve_precision(spec.precision, segmenter.device)
    if precision == "fp16" and segmenter.device.type == "cpu":
        raise InputError("train.precision: expected float32 or bf16 on a CPU, got 'fp16'; use bf16, or a GPU")
    return precision


def new_trainer(spec: TrainSpec, segmenter: NetworkSegmenter, *, epochs: int) -> Any:
    """Return a trainer that writes and shows nothing of its own."""
    from lightning import Trainer

    device = segmenter.device
    several = spec.devices * spec.nodes > 1
    one: Any = [device.index or 0] if device.type == "cuda" else 1
    return Trainer(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=spec.devices if several else one,
        num_nodes=spec.nodes,
        strategy=_strategy(device.type) if several else "auto",
        sync_batchnorm=several and device.type == "cuda",
        precision=_PRECISIONS[training_precision(spec, segmenter)],  # type: ignore[arg-type]
        max_epochs=epochs,
        check_val_every_n_epoch=spec.validate_every,
        accumulate_grad_batches=spec.accumulate,
        gradient_clip_val=spec.gradient_clip or None,
        num_sanity_val_steps=0,
        deterministic="warn" if device.type == "cuda" else False,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def _strategy(device_type: str) -> Any:
    from lightning.pytorch.strategies import DDPStrategy

    # Layers behind the last one that a decoder reads get no gradient; without the search DDP would wait for them.
    return DDPStrategy(find_unused_parameters=True, process_group_backend="nccl" if device_type == "cuda" else "gloo")


@contextlib.contextmanager
def silence() -> Iterator[None]:
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


@contextlib.contextmanager
def interruptions() -> Iterator[None]:
    """Turn Lightning's ways out of a block into Python's own, so that an interrupted training never looks finished.

    Lightning ends the process itself: with code 0 after SIGTERM and with 1 after SIGINT.

    Raises:
        KeyboardInterrupt: SIGINT came.
        SystemExit: SIGTERM came, with code 143.
    """
    from lightning.pytorch.utilities.exceptions import SIGTERMException

    try:
        yield
    except SIGTERMException:
        raise SystemExit(TERMINATED) from None
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        # Lightning has turned the signal off.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from None
