"""The finetune plan: which model learns what from which data, fixed before anything runs (TOML)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field, field_validator, model_validator

from robustness.plans.data_source import READING, Convention
from robustness.plans.protocols import with_protocol
from robustness.plans.toml import StrictModel, read_with_overrides
from robustness.plans.validation import validated

RANDOM = "random"
Part = Literal["image", "text", "decoder"]
Augmentation = Literal["flip", "rotate", "shift", "gain", "misword", "reword"]
Accident = Literal["zero_ce", "ce_of_sigmoids", "random_validation_text"]
Logger = Literal["tensorboard", "wandb", "mlflow"]
_ENCODERS: list[Literal["image", "text"]] = ["image", "text"]
_LOGGERS: list[Logger] = ["tensorboard"]
# Keys that came after the first checkpoints: at their default they leave a plan's hash as it was.
_LATER: dict[str, tuple[str, ...]] = {
    "data": ("counterfactual_split", "fraction", "weight", "target", "convention", "lexicon"),
    "train": (
        "accumulate",
        "devices",
        "nodes",
        "cache",
        "cache_float16",
        "cache_gib",
        "lora",
        "counterfactual",
        "attribute_dropout",
        "absent",
        "consistency",
        "consistency_texts",
        "optimizer",
        "decay",
        "min_epochs",
        "min_delta",
        "plateau_on",
        "plateau_threshold",
        "lr_floor",
        "dice_smooth",
        "reference_accidents",
    ),
}


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
        splits: a file made by `robustness split`; `split` and `val_split` are names of it then ("fold0-train").
        prompt: one key, several to draw from, or "random" for all of p1..p9 that the data has.
        empty: share of training prompts that are replaced by the empty text (prompt dropout).
        val_prompt: the key that validation uses; None: `prompt` itself, the last of several, p6 for "random".
        counterfactual_split: the split whose other targets of the same image counterfactual prompts ask for; None: the
            training split itself.
        fraction: share of the training subjects that is used; smaller shares are part of larger ones of the same seed.
        weight: with several ``[[data]]``, this one's share of the samples of an epoch (1 where others state theirs);
            where none states one, every case comes once.
        target, convention, lexicon: what every case shows, whose left is meant, own terms; as in an audit plan.
        labels, masks, window, slices, exif: how files are read; as in an audit plan.
        check: what an error of the check before the training does; as in an audit plan.
    """

    path: str
    split: str = "train"
    val_split: str = "val"
    prompt: Annotated[list[str], BeforeValidator(_as_list)] = Field(default_factory=lambda: ["p6"], min_length=1)
    val_prompt: str | None = None
    empty: float = Field(default=0.0, ge=0, le=1)
    subject: str | None = None
    modality: str | None = None
    splits: str | None = None
    limit: int | None = Field(default=None, gt=0)
    counterfactual_split: str | None = None
    fraction: float = Field(default=1.0, gt=0, le=1)
    weight: float | None = Field(default=None, gt=0)
    target: str | None = None
    convention: Convention | None = None
    lexicon: str | None = None
    labels: dict[str, Any] | None = None
    masks: dict[str, Any] | None = None
    window: str | list[float | int] | dict[str, Any] | None = None
    slices: dict[str, Any] | None = None
    exif: Literal["upright", "stored"] | None = None
    check: Literal["stop", "warn", "off"] | None = None

    def reading(self) -> dict[str, Any]:
        """Return the fields that say how words and files are read, as keywords of `load_dataset`."""
        names = ("target", "convention", "lexicon", *READING)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def validation_prompt(self) -> str:
        """The prompt key of validation."""
        return self.val_prompt or ("p6" if self.prompt[-1] == RANDOM else self.prompt[-1])


def _with_pool(tree: Any) -> Any:
    listed = tree.get("data") if isinstance(tree, Mapping) else None
    if not isinstance(listed, list) or not listed:
        return tree
    return {**tree, "data": listed[0], "pool": [*listed[1:], *tree.get("pool", [])]}


class LoraSpec(StrictModel):
    """``lora``: low-rank adapters on encoders whose own weights stay as they are (Hu et al., arXiv:2106.09685).

    Attributes:
        rank: of the change of each weight matrix.
        alpha: the change is multiplied by alpha / rank.
        parts: the encoders.
        dropout: before each adapter.
    """

    rank: int = Field(default=8, gt=0)
    alpha: float = Field(default=16.0, gt=0)
    parts: Annotated[list[Literal["image", "text"]], BeforeValidator(_as_list)] = Field(
        default_factory=_ENCODERS.copy, min_length=1
    )
    dropout: float = Field(default=0.0, ge=0, lt=1)


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
        augment: "flip" (rewrites left and right), "rotate" (half of the cases by 5 to 15 degrees, with their location
            words), "shift" (up to 6% of the side), "gain" (brightness, 15%), "misword" (in 40% of the prompts the
            size, number, location or view word becomes its opposite, so that wrong words do no harm), "reword" (a
            quarter of the prompts paraphrased).
        spell: share of known words that are spelled byte by byte, for models that can.
        gradient_clip: largest norm of the gradient; 0: no bound.
        threads: CPU threads; None: torch's own choice.
        accumulate: batches whose gradients are averaged, case by case, for one step.
        devices, nodes: processes on each machine, and machines; each takes `batch_size` cases, so that the step is that
            of one process with the product.
        loggers: what is written besides ``metrics.csv``.
        subjects: how the checkpoint records whom it was trained on, so that an audit can tell who is not new to it:
            "hashed" (sha256 of each name: a pseudonym, not a secret), "plain", or "off" (not at all).
        cache: "auto" keeps the features of frozen encoders in memory where no change of the image runs and they fit
            into `cache_gib`, "off" computes them again, anything else is a folder that keeps them.
        cache_float16: keep features in half precision.
        lora: adapters on encoders; their own weights then stay frozen.
        counterfactual: share of the samples that ask for another target: half for one that the same image shows, with
            its mask, half for one that it does not show, with an empty mask.
        absent: share of the samples that ask for a structure that the image surely does not show, with an empty mask;
            counterfactual prompts are drawn among the others.
        consistency: weight of the term that draws the masks of paraphrases of one prompt together; 0: none.
        consistency_texts: wordings of each prompt that this term compares, the prompt itself included.
        attribute_dropout: chance of each word that is not needed to find the target to be left out.
        optimizer, decay: AdamW or Adam; weight decay on "matrices" (biases and norms left out) or "all".
        min_epochs, min_delta: the fewest epochs, and the least gain in Dice that counts, for early stopping.
        plateau_on, plateau_threshold: what "plateau" watches, and the relative gain below which it waits.
        lr_floor: lowest rate of "plateau" and "cosine", as a share of `lr`.
        dice_smooth: pixels added to both halves of the Dice fraction.
        protocol: "default", or "medvlsm": the reference benchmark's settings for every key that the plan leaves out.
        reference_accidents: known deviations of the reference implementation to repeat; see ``docs/finetuning.md``.
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
    accumulate: int = Field(default=1, gt=0)
    devices: int = Field(default=1, gt=0)
    nodes: int = Field(default=1, gt=0)
    loggers: Annotated[list[Logger], BeforeValidator(_as_list_without_none)] = Field(default_factory=_LOGGERS.copy)
    cache: str = "auto"
    cache_float16: bool = False
    cache_gib: float = Field(default=4.0, gt=0)
    lora: LoraSpec | None = None
    counterfactual: float = Field(default=0.0, ge=0, le=1)
    attribute_dropout: float = Field(default=0.0, ge=0, le=1)
    absent: float = Field(default=0.0, ge=0, lt=1)
    consistency: float = Field(default=0.0, ge=0)
    consistency_texts: int = Field(default=3, ge=2, le=4)
    optimizer: Literal["adamw", "adam"] = "adamw"
    decay: Literal["matrices", "all"] = "matrices"
    min_epochs: int = Field(default=0, ge=0)
    min_delta: float = Field(default=0.0, ge=0)
    plateau_on: Literal["dice", "loss"] = "dice"
    plateau_threshold: float = Field(default=0.0, ge=0)
    lr_floor: float = Field(default=0.01, ge=0, le=1)
    dice_smooth: float = Field(default=1.0, gt=0)
    protocol: Literal["default", "medvlsm"] = "default"
    reference_accidents: Annotated[list[Accident], BeforeValidator(_as_list_without_none)] = Field(default_factory=list)
    out: str = "checkpoints/finetuned"
    subjects: Literal["hashed", "plain", "off"] = "hashed"
    seed: int = Field(default=0, ge=0)

    @field_validator("reference_accidents")
    @classmethod
    def _one_meaning_of_ce(cls, accidents: list[str]) -> list[str]:
        if {"zero_ce", "ce_of_sigmoids"} <= set(accidents):
            raise ValueError("expected zero_ce or ce_of_sigmoids, not both")
        return accidents

    @property
    def cases_per_step(self) -> int:
        """Cases of one optimizer step, over all processes."""
        return self.batch_size * self.accumulate * self.devices * self.nodes


class TrainPlan(StrictModel):
    """A whole finetuning; ``[[data]]`` may repeat: the first is `data`, the others are its `pool`."""

    title: str | None = None
    model: TrainModelSpec
    data: TrainDataSpec
    pool: list[TrainDataSpec] = Field(default_factory=list)
    train: TrainSpec = TrainSpec()

    @model_validator(mode="before")
    @classmethod
    def _fill_from_protocol(cls, tree: Any) -> Any:
        return with_protocol(_with_pool(tree))

    def to_toml(self) -> str:
        """Return the resolved plan; reading it back gives an equal plan."""
        return tomli_w.dumps(self.model_dump(exclude_none=True))

    def sha256(self) -> str:
        """Return the hash of everything that the weights depend on; title, folders and loggers do not count.

        The data counts by the hashes of its files, which the checkpoint states beside the plan.
        """
        left_out: Any = {"title": True, "data": {"path", "check"}, "train": {"out", "loggers", "subjects"}}
        for table, keys in _LATER.items():
            section = getattr(self, table)
            fields = type(section).model_fields
            defaults = {key: fields[key].get_default(call_default_factory=True, validated_data={}) for key in keys}
            left_out[table] |= {key for key, value in defaults.items() if getattr(section, key) == value}
        left_out["pool"] = {"__all__": {"path", "check"}} if self.pool else True
        return hashlib.sha256(tomli_w.dumps(self.model_dump(exclude_none=True, exclude=left_out)).encode()).hexdigest()


def load_train_plan(path: str | Path, *, overrides: Sequence[str] = ()) -> TrainPlan:
    """Read a finetune plan; arguments and errors are those of `robustness.plans.audit.load_plan`."""
    return validated(TrainPlan, read_with_overrides(path, overrides), source=str(path))


def parse_train_plan(tree: Mapping[str, Any], *, source: str = "plan") -> TrainPlan:
    """Validate a plan given as nested mappings; see `load_train_plan`."""
    return validated(TrainPlan, tree, source=source)
