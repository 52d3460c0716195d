"""The plan: what is audited, changed, measured and concluded, fixed before anything runs (TOML)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BeforeValidator, Field, field_validator

from robustness.limits import Limits
from robustness.plans.data_source import READING, Convention
from robustness.plans.report_answers import ReportSpec
from robustness.plans.toml import StrictModel, as_list, read_with_overrides, without_none
from robustness.plans.validation import validated

PROMPT_DEFAULT = ["antonym", "rare", "drop", "paraphrase", "other", "empty", "wrong_class"]
# Keys that change no result, so that a resumed run may change them.
NOT_HASHED = ("title", "published", "report", "engine.prefetch", "engine.cache", "engine.workers", "engine.feeders")
METRIC_DEFAULT = ["dice", "iou", "hd95", "nsd"]


class ModelSpec(StrictModel):
    """``[model]``: a registered model and its checkpoint.

    `trained_on` names the data set (or several) that it was finetuned on, where the checkpoint's own record does not.
    """

    name: str
    checkpoint: str | None = None
    label: str | None = None
    trained_on: str | list[str] | None = None
    device: str = "auto"
    precision: Literal["auto", "float32", "bf16", "fp16"] = "auto"
    threshold: float | None = Field(default=None, gt=0, lt=1)
    config: dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)


class DataSpec(StrictModel):
    """``[data]``: a dataset folder or manifest, one split (with `splits`, a made one), one prompt key.

    `target` names what every case shows, `convention` whose left is meant ("patient" or "viewer", or by kind), and
    `lexicon` a CSV file of the user's own terms.
    `labels`, `masks`, `window`, `slices` and `exif` say how files are read; `groups` names columns that reach the rows.
    `check` says what an error of the check before the audit does: "stop" (None), "warn", or no check ("off").
    """

    path: str
    name: str | None = None
    split: str = "test"
    prompt: str = "p6"
    subject: str | None = None
    template: str | None = None
    choose: Literal["all", "seeded"] = "all"
    modality: str | None = None
    target: str | None = None
    convention: Convention | None = None
    lexicon: str | None = None
    splits: str | None = None
    limit: int | None = Field(default=None, gt=0)
    labels: dict[str, Any] | None = None
    masks: dict[str, Any] | None = None
    window: str | list[float | int] | dict[str, Any] | None = None
    slices: dict[str, Any] | None = None
    exif: Literal["upright", "stored"] | None = None
    groups: list[str] | None = None
    check: Literal["stop", "warn", "off"] | None = None

    def reading(self) -> dict[str, Any]:
        """Return the fields that say how files are read, as keywords of `load_dataset`."""
        names = (*READING, "groups")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class ImageSpec(StrictModel):
    """``image = { kinds = ..., severities = [...], preset = ... }`` and ``[perturbations.image.parameters]``.

    `preset` takes published parameters ("medmnist-c", "imagecorruptions"); `parameters` holds five values for a kind,
    as ``robustness calibrate`` writes them, and goes before a preset.
    """

    kinds: str | list[str] = "modality"
    severities: list[Annotated[int, Field(ge=1, le=5)]] = Field(default_factory=lambda: [1, 3, 5], min_length=1)
    preset: str | None = None
    parameters: dict[str, Annotated[list[Any], Field(min_length=5, max_length=5)]] | None = None


def _as_image_spec(value: Any) -> Any:
    return {"kinds": value} if isinstance(value, list | str) else value


class AttackSpec(StrictModel):
    """``[perturbations.attack]``: budgets of attacks; see `robustness.perturb.attacks.base.AttackSettings`."""

    eps: list[Annotated[float, Field(gt=0, le=255)]] = Field(
        default_factory=lambda: [1.0, 2.0, 4.0, 6.0, 8.0], min_length=5, max_length=5
    )
    steps: int = Field(default=10, gt=0)
    restarts: int = Field(default=2, gt=0)
    step_size: float | None = Field(default=None, gt=0, le=2)
    random_start: bool = True
    round_trip: bool = False
    loss: Literal["dice+bce", "dice", "bce"] = "dice+bce"
    budget: int = Field(default=200, gt=0)
    text_budget: int = Field(default=64, gt=0)
    rounds: int = Field(default=2, gt=0)
    universal_images: int = Field(default=16, gt=0)
    universal_epochs: int = Field(default=5, gt=0)

    @field_validator("eps")
    @classmethod
    def _rises(cls, eps: list[float]) -> list[float]:
        if sorted(set(eps)) != eps:
            raise ValueError("expected levels of 1/255 that rise with severity")
        return eps


class JointSpec(StrictModel):
    """One grid of ``joint``: every image change is combined with every prompt change.

    Names are those of ``image`` and ``prompt``; severities that a name does not state are those of ``image``.
    """

    image: list[str] = Field(min_length=1)
    prompt: list[str] = Field(min_length=1)


class PerturbationSpec(StrictModel):
    """``[perturbations]``: names of prompt and image perturbations, joint grids, and how hard attacks try.

    `joint` holds grids, ``{ image = ["gaussian_blur@3"], prompt = ["antonym:size", "empty"] }``, and single joint
    conditions as they are written, ``"image:gaussian_blur@3+antonym:size"``.
    """

    prompt: list[str] = Field(default_factory=lambda: list(PROMPT_DEFAULT))
    image: Annotated[ImageSpec, BeforeValidator(_as_image_spec)] = ImageSpec()
    joint: Annotated[list[JointSpec | str], BeforeValidator(as_list)] | None = None
    attack: AttackSpec = AttackSpec()


class MetricSpec(StrictModel):
    """``[metrics]``."""

    names: list[str] = Field(default_factory=lambda: list(METRIC_DEFAULT), min_length=1)
    nsd_tolerance_mm: float = Field(default=2.0, gt=0)
    thresholds: list[Annotated[float, Field(gt=0, lt=1)]] = Field(default_factory=list)
    resolution: Literal["original", "network"] = "original"


class StatisticsSpec(StrictModel):
    """``[statistics]``: margins and error rates, stated before the run.

    With fewer than `min_subjects` subjects nothing is judged. A verdict with more than `missing_share` of its cases
    missing must also hold with them counted as the worst value. ROBUST and IGNORES keep their star only where they are
    proven to err in at most `star_alpha` of studies; 1: the interval alone gives it. Two targets on one image count for
    FOLLOWS where at most `target_overlap` of the smaller one lies in the other.
    """

    alpha: float = Field(default=0.05, gt=0, lt=0.25)
    margin_dice: float = Field(default=0.10, gt=0, lt=1)
    margin_change: float = Field(default=0.05, gt=0, lt=1)
    margin_abstain: float = Field(default=0.10, gt=0, lt=1)
    margins: dict[str, float] = Field(default_factory=dict)
    correction: Literal["max-t", "holm", "bh", "none"] = "max-t"
    resamples: int = Field(default=9999, ge=99)
    min_subjects: int = Field(default=10, ge=6)
    missing_share: float = Field(default=0.05, gt=0, lt=1)
    star_alpha: float = Field(default=1.0, gt=0, le=1)
    target_overlap: float = Field(default=0.5, gt=0, lt=1)

    def verdict_options(self) -> dict[str, Any]:
        """Return the options of `robustness.metrics.verdicts.verdicts.verdicts` that the plan states."""
        return self.model_dump(exclude={"correction"})


class EngineSpec(StrictModel):
    """``[engine]``: how the work is cut and done; a resumed run keeps it, so that batches stay the same.

    `precision`, `channels_last` and `compile` hold for every network of the plan that does not state its own.
    `workers` processes share the parts of an audit on this machine; None: as many as cores and memory allow.
    `feeders` processes read, change and score for the networks of one that predicts; None: as `workers`, on an
    accelerator. `prefetch` images are prefetched while the model runs. `cache` is a folder for image features of at
    most `cache_gib` GiB; `cache_dtype` "float16" halves them. Workers, feeders, where features lie and what is
    prefetched change no result, and a resumed run may change them.
    """

    batch_size: int = Field(default=16, gt=0)
    image_batch: int = Field(default=4, gt=0)
    images_per_part: int | None = Field(default=None, gt=0)
    threads: int | None = Field(default=None, gt=0)
    workers: int | None = Field(default=None, gt=0)
    feeders: int | None = Field(default=None, ge=0)
    save_predictions: bool = False
    precision: Literal["auto", "float32", "bf16", "fp16"] | None = None
    channels_last: bool | None = None
    compile: bool | None = None
    prefetch: int = Field(default=8, ge=0)
    cache: str | None = None
    cache_gib: float = Field(default=10.0, gt=0)
    cache_dtype: Literal["float32", "float16"] | None = None


class Plan(StrictModel):
    """A whole audit; `model` and `data` may repeat (``[[model]]``, ``[[data]]``): every model on every data set.

    `published` adds the benchmark's published figures to the report, labelled and apart from what was measured.
    """

    seed: int = Field(default=0, ge=0)
    title: str | None = None
    published: bool | None = None
    model: Annotated[list[ModelSpec], BeforeValidator(as_list)] = Field(min_length=1)
    data: Annotated[list[DataSpec], BeforeValidator(as_list)] = Field(min_length=1)
    perturbations: PerturbationSpec = PerturbationSpec()
    metrics: MetricSpec = MetricSpec()
    statistics: StatisticsSpec = StatisticsSpec()
    engine: EngineSpec = EngineSpec()
    limits: Limits = Limits()
    report: ReportSpec | None = None

    def to_toml(self) -> str:
        """Return the resolved plan; reading it back gives an equal plan."""
        return tomli_w.dumps(without_none(self.model_dump()))

    def sha256(self) -> str:
        """Return the hash of what results depend on: all but title, published figures and where features are kept."""
        engine = {"prefetch", "cache", "cache_gib", "workers", "feeders"}
        # Bounds decide what is read only where a plan sets its own.
        limits = self.limits == Limits()
        checked = {"__all__": {"check"}}
        left_out: Any = {
            "title": True,
            "published": True,
            "report": True,
            "engine": engine,
            "data": checked,
            **({"limits": True} if limits else {}),
        }
        resolved = without_none(self.model_dump(exclude=left_out))
        return hashlib.sha256(tomli_w.dumps(resolved).encode()).hexdigest()


def load_plan(path: str | Path, *, overrides: Sequence[str] = ()) -> Plan:
    """Read an audit plan.

    Args:
        path: a TOML file.
        overrides: ``key.sub=value`` strings, values in TOML syntax (a bare word is a string).

    Raises:
        InputError: no such file, not TOML, an unknown key (the near key is named) or a bad value.
    """
    return validated(Plan, read_with_overrides(path, overrides), source=str(path))


def parse_plan(tree: Mapping[str, Any], *, source: str = "plan") -> Plan:
    """Validate a plan given as nested mappings; see `load_plan`."""
    return validated(Plan, tree, source=source)
