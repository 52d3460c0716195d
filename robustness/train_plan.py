"""The finetune plan: which model learns what from which data, fixed before anything runs (TOML)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field

from robustness.plan import StrictModel, read_with_overrides
from robustness.plan_errors import validated

RANDOM = "random"
Part = Literal["image", "text", "decoder"]
Augmentation = Literal["flip", "shift", "gain", "misword", "reword"]


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_list_without_none(value: Any) -> Any:
    return [] if value == "none" else _as_list(value)


class TrainModelSpec(StrictModel):
    """``[model]``: a registered model and the weights that it starts from (none: random ones, from `train.seed`)."""

    name: str
    checkpoint: str | None = None
    device: str = "auto"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    config: dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class TrainDataSpec(StrictModel):
    """``[data]``: a dataset, its two splits and its prompts.

    Attributes:
        prompt: one key, several to draw from, or "random" for all of p1..p9 that the data has.
        empty: share of training prompts that are replaced by the empty text.
        val_prompt: the key that validation uses; None: `prompt` itself, the last of several, p6 for "random".
    """

    path: str
    split: str = "train"
    val_split: str = "val"
    prompt: Annotated[list[str], BeforeValidator(_as_list)] = Field(default_factory=lambda: ["p6"], min_length=1)
    val_prompt: str | None = None
    empty: float = Field(default=0.0, ge=0, le=1)
    subject: str | None = None
    modality: str | None = None
    limit: int | None = Field(default=None, gt=0)

    @property
    def validation_prompt(self) -> str:
        """The prompt key of validation."""
        return self.val_prompt or ("p6" if self.prompt[-1] == RANDOM else self.prompt[-1])


class TrainSpec(StrictModel):
    """``[train]``: the protocol.

    Attributes:
        epochs: passes over the training cases, at most.
        steps: optimizer steps, rounded up to whole `validate_every` epochs; None: no bound but `epochs`.
        lr: highest learning rate of AdamW.
        schedule: "plateau" multiplies the rate by `plateau_factor` after `plateau_patience` validations without a
            better Dice, "cosine" falls to 1% over the whole run, "constant" stays.
        warmup: steps in which the rate rises from 0.
        patience: validations without a better Dice after which training stops; None: never.
        freeze: parts that do not learn; None: both encoders of a model with published weights, nothing of others.
        augment: "flip" (rewrites left and right), "shift" (up to 6% of the side), "gain" (brightness, 15%), "misword"
            (in 40% of the prompts the size, number, location or view word becomes its opposite, so that wrong words
            do no harm), "reword" (a quarter of the prompts in another wording of the same meaning).
        spell: share of known words that are spelled byte by byte, for models that can.
        gradient_clip: largest norm of the gradient; 0: no bound.
        threads: CPU threads; None: torch's own choice.
    """

    epochs: int = Field(default=100, gt=0)
    steps: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=16, gt=0)
    lr: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    warmup: int = Field(default=0, ge=0)
    plateau_factor: float = Field(default=0.3, gt=0, lt=1)
    plateau_patience: int = Field(default=5, ge=0)
    patience: int | None = Field(default=20, gt=0)
    validate_every: int = Field(default=1, gt=0)
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    freeze: Annotated[list[Part], BeforeValidator(_as_list_without_none)] | None = None
    augment: Annotated[list[Augmentation], BeforeValidator(_as_list_without_none)] = Field(default_factory=list)
    spell: float = Field(default=0.0, ge=0, le=1)
    gradient_clip: float = Field(default=1.0, ge=0)
    dice_weight: float = Field(default=1.0, ge=0)
    ce_weight: float = Field(default=1.0, ge=0)
    threads: int | None = Field(default=None, gt=0)
    protocol: Literal["default"] = "default"
    out: str = "checkpoints/finetuned"
    seed: int = Field(default=0, ge=0)


class TrainPlan(StrictModel):
    """A whole finetuning."""

    title: str | None = None
    model: TrainModelSpec
    data: TrainDataSpec
    train: TrainSpec = TrainSpec()

    def to_toml(self) -> str:
        """Return the resolved plan; reading it back gives an equal plan."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def sha256(self) -> str:
        """Return the hash of everything that the weights depend on (title, output folder and data folder do not count).

        The data counts by the hashes of its files, which the checkpoint states beside the plan.
        """
        left_out: Any = {"title": True, "data": {"path"}, "train": {"out"}}
        return hashlib.sha256(tomli_w.dumps(self.model_dump(exclude_none=True, exclude=left_out)).encode()).hexdigest()


def load_train_plan(path: str | Path, *, overrides: Sequence[str] = ()) -> TrainPlan:
    """Read a finetune plan; arguments and errors are those of `robustness.plan.load_plan`."""
    return validated(TrainPlan, read_with_overrides(path, overrides), source=str(path))


def parse_train_plan(tree: Mapping[str, Any], *, source: str = "plan") -> TrainPlan:
    """Validate a plan given as nested mappings; see `load_train_plan`."""
    return validated(TrainPlan, tree, source=source)
