"""Keywords of `rb.finetune`: the keys of a finetune plan, typed for editors and type checkers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypedDict

from robustness.plans.data_source import Convention
from robustness.plans.finetune import Accident, Augmentation, Logger, LoraSpec, Part


class FinetuneOptions(TypedDict, total=False):
    """What each means, and its default: see the tables of `robustness.plans.finetune`."""

    quiet: bool
    # [model]
    checkpoint: str | Path | None
    device: str
    threshold: float | None
    config: dict[str, Any] | None
    options: dict[str, Any]
    # [data]
    split: str
    val_split: str
    prompt: str | list[str]
    val_prompt: str | None
    empty: float
    subject: str | None
    modality: str | None
    splits: str | Path | None
    limit: int | None
    counterfactual_split: str | None
    fraction: float
    weight: float | None
    target: str | None
    convention: Convention | None
    lexicon: str | Path | None
    labels: dict[str, Any] | None
    masks: dict[str, Any] | None
    window: str | list[float | int] | dict[str, Any] | None
    slices: dict[str, Any] | None
    exif: Literal["upright", "stored"] | None
    check: Literal["stop", "warn", "off"] | None
    # [train]
    epochs: int
    steps: int | None
    batch_size: int
    lr: float
    weight_decay: float
    schedule: Literal["plateau", "cosine", "constant"]
    warmup: int
    plateau_factor: float
    plateau_patience: int
    patience: int | None
    validate_every: int
    precision: Literal["auto", "float32", "bf16", "fp16"]
    freeze: Part | Literal["none"] | list[Part]
    augment: Augmentation | Literal["none"] | list[Augmentation]
    spell: float
    gradient_clip: float
    dice_weight: float
    ce_weight: float
    threads: int | None
    accumulate: int
    devices: int
    nodes: int
    loggers: Logger | Literal["none"] | list[Logger]
    subjects: Literal["hashed", "plain", "off"]
    cache: str
    cache_float16: bool
    cache_gib: float
    lora: LoraSpec | dict[str, Any] | None
    counterfactual: float
    attribute_dropout: float
    absent: float
    consistency: float
    consistency_texts: int
    optimizer: Literal["adamw", "adam"]
    decay: Literal["matrices", "all"]
    min_epochs: int
    min_delta: float
    plateau_on: Literal["dice", "loss"]
    plateau_threshold: float
    lr_floor: float
    dice_smooth: float
    protocol: Literal["default", "medvlsm"]
    reference_accidents: Accident | Literal["none"] | list[Accident]
    seed: int
